"""What loads what: TensorFlow only for training, nothing heavy for --help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nifcodec

HEAVY = ("tensorflow", "keras", "h5py", "numpy", "PIL", "constriction")


def loaded_after(code: str) -> "set[str]":
    """Top-level modules in a new interpreter after `code`."""
    report = "\nimport sys; sys.stderr.write('\\n' + ' '.join(name for name in sys.modules if '.' not in name))"
    result = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(result.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import nifcodec, nifcodec.cli.main; nifcodec.EncodeConfig, nifcodec.SirenOptions, nifcodec.NifError",
        "import nifcodec.cli.main\ntry: nifcodec.cli.main.main(['--help'])\nexcept SystemExit: pass",
        "import nifcodec.cli.main\ntry: nifcodec.cli.main.main(['encode', '--help'])\nexcept SystemExit: pass",
        "import nifcodec.cli.main\ntry: nifcodec.cli.main.main(['batch', '--help'])\nexcept SystemExit: pass",
    ],
)
def test_help_loads_nothing_heavy(code: str) -> None:
    assert not loaded_after(code) & set(HEAVY)


@pytest.mark.parametrize(
    "code",
    [
        "import nifcodec; nifcodec.decode, nifcodec.inspect, nifcodec.encode",
        "import nifcodec.cli.commands",
        "import nifcodec.pillow_plugin; nifcodec.pillow_plugin.register()",
        "import nifcodec.cli.main; nifcodec.cli.main.main(['info', 'does-not-exist.nif'])",
        "import nifcodec.cli.main; nifcodec.cli.main.main(['decode', 'does-not-exist.nif'])",
    ],
)
def test_reading_loads_no_tensorflow(code: str) -> None:
    loaded = loaded_after(code)
    assert "numpy" in loaded
    assert not loaded & {"tensorflow", "keras", "h5py"}


def test_an_evaluation_loads_no_tensorflow() -> None:
    pytest.importorskip("tensorboard")
    loaded = loaded_after("import nifcodec.monitor.evaluator")
    assert "tensorboard" in loaded
    assert not loaded & {"tensorflow", "keras", "h5py"}


def test_help_is_quick() -> None:
    """In processor time, the least of three: a busy machine is no reason to fail."""
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "nifcodec", "--help"], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        seconds.append(sum(after[2:4]) - sum(before[2:4]))
    assert min(seconds) < 0.3


def test_public_names_exist() -> None:
    assert all(hasattr(nifcodec, name) for name in nifcodec.__all__)
    assert set(nifcodec.__all__) == set(dir(nifcodec))
    with pytest.raises(AttributeError):
        nifcodec.no_such_name  # noqa: B018


def test_version_is_the_projects() -> None:
    project = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text()
    assert f'version = "{nifcodec.__version__}"' in project
