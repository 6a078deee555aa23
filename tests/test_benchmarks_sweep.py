"""The sweep: what is measured, resuming, failures, interruptions, progress."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nifcodec
from benchmarks import rd
from benchmarks.__main__ import main
from benchmarks.codecs import parse_codecs
from benchmarks.progress import Progress
from benchmarks.rows import Row
from nifcodec.errors import ConfigError, ImageError, NifError


def test_a_measurement_is_of_the_file_on_disk(picture: Path, tmp_path: Path) -> None:
    (jpeg,) = parse_codecs("jpeg@30")
    rows, failures = rd.sweep(rd.read_pictures([picture]), [jpeg], tmp_path / "out", keep_files=True)
    (file,) = (tmp_path / "out" / "files").iterdir()
    (row,) = rows
    original = np.asarray(Image.open(picture), np.float64)
    decoded = np.asarray(Image.open(file).convert("RGB"), np.float64)
    assert failures == 0
    assert (row.width, row.height, row.bytes) == (64, 48, file.stat().st_size)
    assert row.bpp == pytest.approx(8 * file.stat().st_size / (64 * 48))
    assert row.mse_rgb == pytest.approx(np.mean((original - decoded) ** 2))
    assert row.psnr_rgb == pytest.approx(10 * math.log10(255**2 / row.mse_rgb))
    assert 0.5 < row.msssim_rgb < 1


def test_a_sweep_resumes_behind_a_line_cut_short(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = rd.read_pictures([picture])
    out = tmp_path / "out"
    first, _ = rd.sweep(pictures, parse_codecs("jpeg@10/50"), out)
    journal = out / rd.JOURNAL
    journal.write_bytes(journal.read_bytes()[:-40])
    again, _ = rd.sweep(pictures, parse_codecs("jpeg@10/50/80"), out)
    assert again[0] == first[0]
    assert [row.setting for row in again] == ["10", "50", "80"]
    assert "1 measurement kept" in capsys.readouterr().err
    assert rd.sweep(pictures, parse_codecs("jpeg@10/50/80"), out)[0] == again


def test_rows_of_another_picture_seed_or_run_are_not_reused(picture: Path, tmp_path: Path) -> None:
    jpeg, out = parse_codecs("jpeg@10"), tmp_path / "out"
    count = lambda: len(rd.read_journal(out / rd.JOURNAL))  # noqa: E731
    rd.sweep(rd.read_pictures([picture]), jpeg, out)
    rd.sweep(rd.read_pictures([picture]), jpeg, out, seed=1)
    assert count() == 2
    rd.sweep(rd.read_pictures([picture]), jpeg, out, fresh=True)
    assert count() == 3
    Image.new("RGB", (16, 16), (200, 10, 10)).save(picture)
    (row,) = rd.sweep(rd.read_pictures([picture]), jpeg, out)[0]
    assert (count(), row.width) == (4, 16)


def test_one_failure_does_not_stop_the_others(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def encode(*_: Any, **__: Any) -> bytes:
        raise NifError("no training today")

    monkeypatch.setitem(vars(nifcodec), "encode", encode)
    out = str(tmp_path / "out")
    assert main(["rd", str(picture), "--codecs", "nif:fourier@30,jpeg@10/60", "-o", out]) == 1
    printed = capsys.readouterr()
    assert "no training today" in printed.err
    assert "| jpeg | 60 |" in printed.out


def test_an_interrupted_sweep_keeps_its_rows(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(*_: Any, **__: Any) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setitem(vars(nifcodec), "encode", encode)
    out = tmp_path / "out"
    assert main(["rd", str(picture), "--codecs", "jpeg@10,nif@30", "-o", str(out)]) == 130
    assert [row.codec for row in rd.read_journal(out / rd.JOURNAL)] == ["jpeg"]


def test_pictures_that_cannot_be_measured(picture: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"broken\.png"):
        rd.read_pictures([broken])
    with pytest.raises(ConfigError, match="waves"):
        rd.read_pictures([picture, picture])


def test_progress_in_a_log_is_lines_without_control_characters() -> None:
    stream = io.StringIO()
    progress = Progress(2, 1, stream)
    progress.start("jpeg", "10", "waves")
    progress.finish(Row("jpeg", "10", "waves", bpp=0.5, psnr_rgb=30, enc_s=1, dec_s=1))
    progress.start("jpeg", "20", "waves")
    progress.fail(NifError("broken"))
    lines = stream.getvalue().splitlines()
    assert lines[1].startswith("[1/2] jpeg 10 waves  0.500 bpp  30.00 dB")
    assert lines[2] == "[2/2] jpeg 20 waves  failed: broken"
