"""Drawn pictures and efforts: the same pictures on every run, bytes between measured points, processes, gains."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import features

from benchmarks import drawings, efforts, kinds
from benchmarks.__main__ import main
from benchmarks.kodak import Cost
from benchmarks.rows import Row
from nifcodec.errors import NifError


def test_drawings_are_the_same_on_every_run() -> None:
    first, again = drawings.render(), drawings.render()
    for name, pixels in first.items():
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1
        np.testing.assert_array_equal(pixels, again[name])


def rows(codec: str, *points: "tuple[int, float]") -> "list[Row]":
    return [Row(codec, str(i), "a", 8, 8, bytes=size, psnr_rgb=psnr) for i, (size, psnr) in enumerate(points)]


def test_bytes_are_interpolated_in_their_logarithm() -> None:
    points = kinds.points(rows("c", (400, 40), (100, 30), (150, 29), (900, math.inf)), "c", "a")
    assert points.bytes_at(35) == pytest.approx(200)
    assert points.bytes_at(20) == pytest.approx(100)
    assert math.isnan(points.bytes_at(41))
    assert points.psnr_at(200) == pytest.approx(35)
    assert (points.psnr_at(99), points.psnr_at(401)) == (-math.inf, math.inf)
    assert math.isnan(kinds.points([], "c", "a").bytes_at(30))


def test_the_table_of_kinds_marks_the_smaller_file() -> None:
    both = rows("nif", (100, 30), (400, 40)) + rows("webp", (150, 30), (300, 40))
    text = kinds.markdown(both, ("nif", "webp"), {"a": {"PNG": 250, "WebP": 200}})
    assert text.splitlines()[2] == (
        "| a | 8x8 | 250 | 200 | **100** / 150 | **200** / 212 | 400 / **300** | - / - | 35.0 dB |"
    )


def test_lossless_files_use_a_palette_where_that_serves() -> None:
    random = np.random.default_rng(0)
    dots = np.repeat(random.integers(0, 2, (64, 64, 1), dtype=np.uint8) * 255, 3, axis=2)
    assert kinds.lossless_sizes(dots)["PNG"] < 64 * 64 / 8 + 200


def test_the_kinds_command(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drawings, "DRAWINGS", {"icon": drawings.icon})
    monkeypatch.setattr(kinds, "SETTINGS", {"nif": "20/80", "webp:m6": "20/80", "avif:s4:444:psnr": "20/80"})
    assert main(["kinds", str(picture), "-e", "1", "--fields", "wavelet", "-o", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    avif = " / avif:s4:444:psnr" * bool(features.check("avif"))
    assert lines[0] == f"Bytes of nif:wavelet:e1 / webp:m6{avif} at equal PSNR."
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| icon", "| waves"]


def test_the_gain_of_an_effort_is_that_over_the_first() -> None:
    costs = [Cost("`-e 1`", (2.0, 1.0), 1.25, 0.5), Cost("`-e 9`", (1.9, 1.0), 20.0, 0.5)]
    text = efforts.markdown(costs, [0.001, 0.004])
    assert text.splitlines()[2:] == [
        "| `-e 1` | 1.2 | 2.000 | 1.000 |",
        "| `-e 9` | 20.0 | 1.900 (-5.00 %) | 1.000 (+0.00 %) |",
    ]


def test_an_effort_is_timed_as_a_process(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["efforts", str(picture), "--efforts", "1", "--qualities", "30/60", "-o", out]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("| `-e 1` | ")
    assert "[2/2] `-e 1` 60 waves" in printed.err
    assert main(["efforts", str(picture), "--efforts", "12", "-o", out]) == 2


def test_a_process_that_fails_is_a_failure() -> None:
    (codec,) = efforts.codecs([1], ["50"], 0)
    with pytest.raises(NifError, match="quality"):
        codec.encode(np.zeros((4, 4, 3), np.uint8), "500")
