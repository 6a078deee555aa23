"""What is made of measurements: peers beside them, averages, tables, plots, costs."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import List

import numpy as np
import pytest
from PIL import Image

from benchmarks import kodak, machine, peers, plot, report
from benchmarks.__main__ import main
from benchmarks.rows import Row, average_curve, csv_text, read_table
from nifcodec.errors import ConfigError, MissingDependencyError


def row(codec: str, setting: str, image: str, bpp: float, psnr: float) -> Row:
    return Row(codec, setting, image, bpp=bpp, psnr_rgb=psnr, mse_rgb=255**2 * 10 ** (-psnr / 10), msssim_rgb=0.9)


def test_rows_survive_a_table(tmp_path: Path) -> None:
    rows = [
        row("jpeg", "10", "a", 0.25, 30.5),
        replace(row("jpeg", "20", "a", 1 / 3, math.inf), width=5, averaging="x"),
    ]
    path = tmp_path / "rows.csv"
    path.write_text(csv_text(rows), encoding="utf-8")
    assert [repr(item) for item in read_table(path)] == [repr(item) for item in rows]


def test_peers_come_from_tsv_and_from_compressai(tmp_path: Path) -> None:
    tsv, document = tmp_path / "peers.tsv", tmp_path / "vtm.json"
    tsv.write_text(
        "codec\tsetting\timage\tbpp\tpsnr_rgb\tenc_s\nold\t1\tkodim01\t0.5\t30\t\nnew\t1\tkodim01\t0.4\t30\t2\n"
    )
    results = {"bpp": [0.1, 0.2], "psnr-rgb": [27.0, 30.0], "ms-ssim-rgb": [0.9, 0.95]}
    document.write_text(json.dumps({"name": "VTM", "results": results}))
    rows = peers.load([tsv, document], measured=["new"])
    assert [item.codec for item in rows] == ["old", "new (peer)", "VTM", "VTM"]
    assert rows[0].mse_rgb == pytest.approx(65.025)
    assert math.isnan(rows[0].enc_s)
    assert average_curve(rows, "VTM", ["AVERAGE"]).msssim_db.tolist() == pytest.approx([10, 13.0103], abs=1e-4)
    assert [item.codec for item in peers.comparable(rows, ["kodim01"])] == ["old", "new (peer)"]
    assert len(peers.comparable(rows, sorted(peers.KODAK))) == 4
    assert [item.codec for item in peers.load([tsv], only=["old"])] == ["old"]


def test_peers_that_cannot_be_read(tmp_path: Path) -> None:
    table, document = tmp_path / "table.csv", tmp_path / "document.json"
    table.write_text("codec,setting,image,bpp\njpeg,1,a,much\n")
    document.write_text("[]")
    with pytest.raises(ConfigError, match="much"):
        peers.load([table])
    with pytest.raises(ConfigError, match="CompressAI"):
        peers.load([document])
    with pytest.raises(ConfigError, match="cannot be read"):
        peers.load([tmp_path / "absent.tsv"])
    table.write_text("codec,setting,image,bpp\njpeg,1,a,1\n")
    with pytest.raises(ConfigError, match="jpeg"):
        peers.load([table], only=["webp"])


# Reports


def test_an_average_needs_every_picture() -> None:
    rows = [row("c", "1", "a", 0.1, 30), row("c", "1", "b", 0.3, 34), row("c", "2", "a", 0.5, 36)]
    curve = average_curve(rows, "c", ["a", "b"])
    assert curve.settings == ("1",)
    assert curve.bpp.tolist() == pytest.approx([0.2])
    assert curve.psnr_rgb.tolist() == pytest.approx([32])
    assert len(average_curve(rows, "absent", ["a"]).bpp) == 0


def test_the_reports_of_a_sweep(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    assert main(["rd", str(picture), "--codecs", "jpeg@10/40/80,webp@10/40/80", "-o", str(out), "--seed", "3"]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"rows.jsonl", "rows.csv", "results.json", "results.md", "averages", "rd.png", "rd.svg"}
    document = json.loads((out / "results.json").read_text())
    assert (document["seed"], len(document["rows"])) == (3, 6)
    assert document["versions"]["numpy"] == np.__version__
    assert document["command"][:4] == ["python", "-m", "benchmarks", "rd"]
    assert document["machine"]["cores"] >= 1
    average = json.loads((out / "averages" / "webp.json").read_text())
    assert average["name"] == "webp"
    assert {"bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time"} <= set(average["results"])
    assert {len(values) for values in average["results"].values()} == {3}
    assert len(read_table(out / "rows.csv")) == 6
    text = (out / "results.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert "| jpeg | " in text
    assert "BD-rate to jpeg %" in text
    with Image.open(out / "rd.png") as drawn:
        assert drawn.size[0] > 800
    assert "jpeg" in (out / "rd.svg").read_text()


def test_infinite_values_are_null_in_json_and_left_out_of_curves() -> None:
    rows = [
        row("c", "1", "a", 0.1, 30),
        row("c", "2", "a", 0.2, 33),
        replace(row("c", "3", "a", 1, math.inf), msssim_rgb=1),
    ]
    curve = average_curve(rows, "c", ["a"])
    document = json.loads(report.json_text(report.compressai(curve, "")))
    assert document["results"]["psnr-rgb"] == [30, 33, None]
    assert report.compare(rows, "c", "c", ["a"]).curve == pytest.approx(0)


def test_published_means_are_compared_where_a_peer_has_no_pictures() -> None:
    rows = [row("c", s, "a", b, p) for s, b, p in (("1", 0.2, 30), ("2", 0.4, 34))]
    rows += [row("p", s, "AVERAGE", b, p) for s, b, p in (("1", 0.1, 30), ("2", 0.2, 34))]
    comparison = report.compare(rows, "p", "c", ["a"])
    assert comparison.curve == pytest.approx(-50)
    assert math.isnan(comparison.pictures)
    assert (comparison.low, comparison.high) == (30, 34)
    text = report.markdown(rows, ["a"], "c", machine.record(["x"], 0))
    assert "| p | 0.100 to 0.200 | 30.00 to 34.00 | -50.0 | - |" in text


def test_every_nif_curve_stands_against_every_other_codec() -> None:
    points = (("1", 0.1, 30), ("2", 0.2, 34))
    rows = [row("nif:wavelet:e1", s, "a", b, p) for s, b, p in points]
    rows += [row("nif:wavelet:e9", s, "a", 0.9 * b, p) for s, b, p in points]
    rows += [row("jpeg", s, "a", 2 * b, p) for s, b, p in points] + [row("hevc", s, "a", b, p) for s, b, p in points]
    text = report.markdown(rows, ["a"], "jpeg", machine.record(["x"], 0))
    assert "| to | nif:wavelet:e1 | nif:wavelet:e9 |" in text
    assert "| jpeg | -50.0 | -55.0 |" in text
    assert "| hevc | +0.0 | -10.0 |" in text


def test_plots_without_matplotlib_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install -e '\.\[bench\]' in the checkout"):
        plot.draw([], [], "", tmp_path / "rd")


# Costs


def test_the_cost_takes_every_picture_at_its_best_setting() -> None:
    rows = [
        row("c", "1", "a", 0.1, 20),
        row("c", "2", "a", 1, 30),
        row("c", "1", "b", 0.1, 25),
        row("c", "2", "b", 3, 30),
    ]
    rows.append(row("d", "1", "a", 0.1, 20))
    costs, incomplete = kodak.mean_costs(rows, ["a", "b"], [0.001, 0.1])
    assert incomplete == {"d": 1}
    (found,) = costs
    assert found.costs[0] == pytest.approx((1000 * (0.001 + 0.001 * 1) + 1000 * (10**-2.5 + 0.001 * 0.1)) / 2)
    assert found.costs[1] == pytest.approx((1000 * (0.01 + 0.1 * 0.1) + 1000 * (10**-2.5 + 0.1 * 0.1)) / 2)


def test_the_cost_command_puts_peers_beside(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = tmp_path / "peers.tsv"
    published.write_text(
        "codec\tsetting\timage\tbpp\tpsnr_rgb\nideal\t1\twaves\t0.1\t40\nother\t1\televator\t0.1\t40\n"
    )
    arguments = ["cost", str(picture), "--codecs", "jpeg@10/60", "--peers", str(published), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--lambdas", "0.001"]) == 0
    printed = capsys.readouterr()
    assert "| ideal | 0.200 | - | - |" in printed.out
    assert "| **jpeg** | " in printed.out
    assert "other (0)" in printed.err
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [item["codec"] for item in document["costs"]] == ["jpeg", "ideal"]
    assert document["lambdas"] == [0.0004, 0.001, 0.004]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cost", "--lambdas", "few"], "lambdas"),
        (["rd", "--anchor", "vtm"], "anchor"),
        (["rd", "--codecs", "none"], "nothing to report"),
        (["rd", "--codecs", "bmp"], "no codec"),
    ],
)
def test_contradictions_end_with_a_sentence(
    arguments: List[str], message: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codecs = [] if "--codecs" in arguments else ["--codecs", "jpeg@10"]
    assert main([*arguments, str(picture), *codecs, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
