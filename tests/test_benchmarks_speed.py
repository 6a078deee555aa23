"""What the benchmarks say of the back end that they measure, and where it is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.machine import INSTALL
from nifcodec.native import library

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No library was built."""
    monkeypatch.setattr(library, "NAME", "missing.so")
    monkeypatch.delenv(library.SWITCH, raising=False)
    library.load.cache_clear()
    yield
    library.load.cache_clear()


@pytest.mark.usefixtures("without_library")
def test_numpy_is_named_once_where_it_is_measured(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["cost", str(picture), "--codecs", "jpeg@30/50", "-o", str(tmp_path / "out")]
    assert main(sweep) == 0
    said = capsys.readouterr().err
    assert said.count("NumPy is measured") == 1
    assert str(ROOT / "nifcodec") in said and INSTALL in said
    assert main(["bd"]) == 0
    assert "NumPy" not in capsys.readouterr().err


def test_a_library_that_is_switched_off_is_to_be_switched_on(picture: Path, tmp_path: Path) -> None:
    sweep = ["cost", str(picture), "--codecs", "jpeg@30", "-o", str(tmp_path / "out")]
    off = {**os.environ, library.SWITCH: "0", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-m", "benchmarks", *sweep], env=off, stderr=subprocess.PIPE, check=True)
    assert b"NIFCODEC_NATIVE=0 asks for: unset it" in run.stderr


@pytest.mark.usefixtures("without_library")
def test_speed_without_a_library_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    assert main(["speed", str(tmp_path / "a.png"), "--back-ends", "native"]) == 1
    (said,) = capfd.readouterr().err.splitlines()
    assert said.endswith(f"{INSTALL}, or leave native out of --back-ends")
