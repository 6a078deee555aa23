"""Fixtures of several test modules."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
from PIL import Image

from nifcodec import container
from nifcodec.config import EncodeConfig
from nifcodec.container import NifFile
from nifcodec.entropy.tensors import encode_tensors
from nifcodec.fields import families
from nifcodec.fields.family import CodedField
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import Goal
from nifcodec.fields.mlp.description import FAMILY_IDS, MlpDescription, pack
from nifcodec.fields.mlp.sizing import design
from nifcodec.fields.mlp.weights import QuantizedMlp, quantize
from nifcodec.fields.shipped import Shipped
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.description import HASH_BYTES
from nifcodec.fields.wavelet.priors import Prior
from nifcodec.native import library
from nifcodec.picture.image import from_array
from nifcodec.picture.signal import Signal
from nifcodec.picture.write import write_image

# The benchmarks are not run on Python 3.8.
collect_ignore_glob = ["test_benchmarks_*.py"] if sys.version_info < (3, 9) else []

SAMPLES = Path(__file__).resolve().parents[1] / "sample_images"
PIXELS = np.random.default_rng(3).integers(0, 256, (12, 18, 3), dtype=np.uint8)


def kill_after(process: "subprocess.Popen[bytes]", path: Path, changes: int) -> None:
    """Kills a process that has written a file so many times, with no time to clean up."""

    def stamp() -> int:
        return path.stat().st_mtime_ns if path.exists() else 0

    seen = {stamp()}
    while process.poll() is None and len(seen) <= changes:
        time.sleep(0.002)
        seen.add(stamp())
    assert process.poll() is None, "done before it was killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def random_network(channels: int, family: str = "fourier", seed: int = 0) -> QuantizedMlp:
    """An untrained network that shows something: random weights of a sensible spread, quantized."""
    spec: MlpDescription = design(family, channels, (64, 64), 8000)
    rng = np.random.default_rng(seed)
    tensors = [rng.normal(0, 1.2 / np.sqrt(shape[0]), shape).astype(np.float32) for shape in spec.tensor_shapes()]
    steps = (40,) * len(tensors)
    return QuantizedMlp(spec, tuple(quantize(tensor, 40) for tensor in tensors), steps)


def nif_bytes(width: int, height: int, channels: int = 3, family: str = "fourier", **metadata: bytes) -> bytes:
    """A valid file that took no training."""
    network = random_network(channels, family)
    payload = encode_tensors(network.to_payload())
    file = NifFile(width, height, channels, 8, FAMILY_IDS[family], pack(network.spec), payload, **metadata)
    return container.pack(file)


def rows(output: str) -> List[Dict[str, Any]]:
    """The objects that `--json` printed."""
    return [json.loads(line) for line in output.splitlines()]


def replace_encoders(monkeypatch: pytest.MonkeyPatch, encode: Callable[..., CodedField]) -> None:
    """Every family encodes with `encode`, a function like `Family.encode`."""
    named = families.named
    monkeypatch.setattr(families, "named", lambda name: replace(named(name), encode=encode))


def by_numpy(identity: bytes, content: bytes) -> Prior:
    """A prior that does without the native library."""
    prior = priors.read(identity, content)
    context = ContextModel(prior.context.networks, prior.context.frequencies, native=False)
    return replace(prior, context=context, restoration=replace(prior.restoration, native=None))


PRIORS_BY_NUMPY = Shipped(Path(priors.__file__).parent, priors.ENDING, HASH_BYTES, by_numpy)


@pytest.fixture(params=["native", "numpy"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The native library, then NumPy in its place: in this process and in those that it starts."""
    name: str = request.param
    if name == "native" and library.load() is None:
        pytest.skip("there is no native library: it was not built, or NIFCODEC_NATIVE=0 leaves it out")
    monkeypatch.setenv(library.SWITCH, "1" if name == "native" else "0")
    if name == "numpy":
        monkeypatch.setattr(priors, "_shipped", PRIORS_BY_NUMPY)
        monkeypatch.setattr(library, "load", lambda: None)
    return name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a picture, a.png (`PIXELS`), and a file, field.nif."""
    monkeypatch.chdir(tmp_path)
    write_image(from_array(PIXELS), "a.png")
    Path("field.nif").write_bytes(nif_bytes(18, 12))
    return tmp_path


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoding without training: the network stays random."""

    def encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
        family = "siren" if config.field == "siren" else "fourier"
        network = random_network(signal.channels, family, config.seed)
        payload = encode_tensors(network.to_payload())
        return CodedField(FAMILY_IDS[family], pack(network.spec), payload, 7)

    replace_encoders(monkeypatch, encode)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """The file of a small RGB picture of waves, 64x48."""
    v, u = np.mgrid[0:48, 0:64] / 48
    waves = 0.5 + 0.25 * np.sin(9 * u)[..., None] * np.cos(np.array([3, 5, 7]) * v[..., None]) + 0.2 * v[..., None]
    path = tmp_path / "waves.png"
    Image.fromarray((255 * np.clip(waves, 0, 1)).astype(np.uint8)).save(path)
    return path
