"""BD-rates and interpolated costs from stored rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import List, Sequence

import numpy as np
import pytest

from benchmarks import bdrate, bdtable, peers
from benchmarks.__main__ import main
from benchmarks.rows import Row, csv_text
from nifcodec.errors import ConfigError


def exponential(codec: str, image: str, levels: Sequence[float], factor: float = 1.0) -> List[Row]:
    """Rows of a codec that needs factor * 2^((dB - 30) / 6) bits per pixel: a line in log rate over PSNR."""
    return [
        Row(codec, f"{level:g}", image, bpp=factor * 2 ** ((level - 30) / 6), psnr_rgb=level, msssim_rgb=0.9)
        for level in levels
    ]


def test_the_interpolant_goes_through_its_points_and_has_the_mean_of_the_bd_rate() -> None:
    x, y = np.array([0.0, 1.0, 3.0, 4.0]), np.array([0.0, 2.0, 3.0, 7.0])
    assert bdrate.interpolate(x, y, x).tolist() == pytest.approx(y.tolist())
    fine = np.linspace(0, 4, 40001)
    values = bdrate.interpolate(x, y, fine)
    assert np.mean((values[1:] + values[:-1]) / 2) == pytest.approx(bdrate._mean(x, y, 0, 4), abs=1e-6)
    assert np.all(np.diff(values) > 0)


def test_the_least_cost_lies_between_the_settings() -> None:
    rows = exponential("c", "a", range(20, 46, 5))
    bpp, psnr = np.array([row.bpp for row in rows]), np.array([row.psnr_rgb for row in rows])
    fine = np.linspace(20, 45, 200001)
    truth = np.min(1000 * (10 ** (-fine / 10) + 0.001 * 2 ** ((fine - 30) / 6)))
    found = bdtable.least_cost(bpp, psnr, 0.001)
    assert found.value == pytest.approx(truth, rel=1e-6)
    assert not found.bound
    assert found.value < min(1000 * (10 ** (-psnr / 10) + 0.001 * bpp))


def test_more_settings_on_the_same_curve_cost_the_same() -> None:
    coarse, fine = exponential("few", "a", range(20, 46, 5)), exponential("many", "a", range(20, 46))
    few, many = (bdtable.mean_cost([*coarse, *fine], name, ["a"], 0.001).value for name in ("few", "many"))
    assert few == pytest.approx(many, rel=1e-6)


def test_a_cost_at_the_end_of_a_curve_is_a_bound() -> None:
    rows = exponential("c", "a", [20, 25]) + exponential("single", "a", [20])
    assert str(bdtable.mean_cost(rows, "c", ["a"], 0.0001)).startswith("<= ")
    assert str(bdtable.mean_cost(rows, "single", ["a"], 0.0001)) == "-"


def test_the_table_marks_ours_and_what_is_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = range(20, 46, 5)
    rows = [row for image in ("a", "b") for row in exponential("nif:wavelet:e1", image, levels, 0.5)]
    rows += [row for image in ("a", "b") for row in exponential("jpeg", image, levels)]
    rows += [replace(row, source="paper") for image in ("a", "b") for row in exponential("best", image, levels, 0.4)]
    rows += exponential("slow", "a", levels)
    table = tmp_path / "rows.csv"
    table.write_text(csv_text(rows), encoding="utf-8")
    assert main(["bd", str(table), "--lambdas", "0.001"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "2 pictures: a, b."
    assert lines[-3].startswith("| jpeg | -50.0 | - | ")
    assert lines[-2].startswith("| **nif:wavelet:e1** | 0 | 0 | ")
    assert lines[-1].startswith("| best (published) | +25.0 | ")
    assert "slow (1)" in printed.err
    assert main(["bd", str(table), "--images", "a"]) == 0
    assert "| slow | -50.0 | " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("codecs", "wanted", "message"),
    [(["vtm"], None, "vtm"), ([], None, "nif"), (["c", "d"], None, "one picture"), (["c"], ["b"], "b")],
)
def test_tables_that_cannot_be_made(codecs: List[str], wanted: "List[str] | None", message: str) -> None:
    rows = exponential("c", "a", [20, 25]) + exponential("d", "b", [20, 25])
    with pytest.raises(ConfigError, match=message):
        bdtable.pictures_of(rows, codecs, wanted)


def test_the_plot_is_of_the_same_curves(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = exponential("nif", "a", [20, 25]) + [replace(row, source="paper") for row in exponential("p", "a", [20, 25])]
    ours, others = bdtable.curves(rows, ["nif"], ["a"])
    assert ([curve.codec for curve in ours], [curve.codec for curve in others]) == (["nif"], ["p (published)"])
    (tmp_path / "rows.csv").write_text(csv_text(rows), encoding="utf-8")
    assert main(["bd", str(tmp_path / "rows.csv"), "--plot", str(tmp_path / "rd")]) == 0
    assert (tmp_path / "rd.png").stat().st_size > 10_000


def test_the_stored_rows_cover_the_table_of_the_readme() -> None:
    rows = peers.load(bdtable.STORED)
    images = bdtable.pictures_of(rows, ["nif:wavelet:e1"])
    table, left_out = bdtable.markdown(rows, ["nif:wavelet:e1"], images, [0.001])
    assert len(images) == 8
    assert not left_out
    assert "| cool-chic-v5.0 (published) | +" in table
