"""The benchmark module: BD-rate, codecs, the sweep and its resuming, peers, reports, plots, costs."""

from __future__ import annotations

import io
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from PIL import Image

if sys.version_info < (3, 9):
    pytest.skip("the benchmarks are not run on Python 3.8", allow_module_level=True)

import nifcodec
from benchmarks import kodak, machine, peers, plot, rd, report
from benchmarks.__main__ import main
from benchmarks.bdrate import bd_rate, front
from benchmarks.codecs import NifCodec, parse_codecs
from benchmarks.progress import Progress
from benchmarks.rows import Row, average_curve, csv_text, read_table
from nifcodec.errors import ConfigError, ImageError, MissingDependencyError, NifError


def random_curve(rng: np.random.Generator, points: int) -> "tuple[np.ndarray, np.ndarray]":
    return np.cumsum(rng.uniform(0.02, 0.5, points)), rng.uniform(22, 30) + np.cumsum(rng.uniform(0.2, 3, points))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    v, u = np.mgrid[0:48, 0:64] / 48
    waves = 0.5 + 0.25 * np.sin(9 * u)[..., None] * np.cos(np.array([3, 5, 7]) * v[..., None]) + 0.2 * v[..., None]
    path = tmp_path / "waves.png"
    Image.fromarray((255 * np.clip(waves, 0, 1)).astype(np.uint8)).save(path)
    return path


# BD-rate


@pytest.mark.parametrize("points", [2, 3, 4, 8])
@pytest.mark.filterwarnings("ignore:Insufficient curve overlap", "ignore:Curves do not overlap")
def test_bd_rate_equals_the_bjontegaard_package(points: int) -> None:
    bjontegaard = pytest.importorskip("bjontegaard")
    rng = np.random.default_rng(points)
    compared = 0
    for _ in range(20):
        anchor, test = random_curve(rng, 5), random_curve(rng, points)
        expected = bjontegaard.bd_rate(*anchor, *test, method="pchip", require_matching_points=False)
        ours = bd_rate(*anchor, *test)
        assert math.isnan(ours) == math.isnan(expected)
        if not math.isnan(ours):
            assert ours == pytest.approx(expected, rel=1e-9, abs=1e-9)
            compared += 1
    assert compared > 5


def test_half_the_bits_at_every_quality_is_minus_fifty_percent() -> None:
    rate, quality = np.array([0.1, 0.3, 0.5, 1.2]), np.array([25.0, 29, 31, 36])
    assert bd_rate(rate, quality, rate / 2, quality) == pytest.approx(-50)
    assert bd_rate(rate / 2, quality, rate, quality) == pytest.approx(100)


def test_bd_rate_ignores_the_order_and_points_that_another_point_beats() -> None:
    rate, quality = np.array([0.1, 0.3, 0.5, 1.2]), np.array([25.0, 29, 31, 36])
    other = np.array([0.2, 0.5, 0.9, 2.0])
    worse = bd_rate(np.append(rate, 0.4)[::-1], np.append(quality, 28.0)[::-1], other, quality)
    assert worse == bd_rate(rate, quality, other, quality)


def test_bd_rate_is_unknown_without_overlap_or_with_one_point() -> None:
    rate = np.array([0.1, 0.3])
    assert math.isnan(bd_rate(rate, np.array([20.0, 25]), rate, np.array([26.0, 30])))
    assert math.isnan(bd_rate(rate, np.array([20.0, 25]), rate[:1], np.array([22.0])))
    assert math.isnan(bd_rate(rate, np.array([20.0, math.inf]), rate, np.array([20.0, 25])))


def test_front_of_nothing_is_empty() -> None:
    assert [len(part) for part in front(np.array([]), np.array([]))] == [0, 0]


# Codecs


def test_names_settings_and_options_of_codecs() -> None:
    jpeg, webp, siren = parse_codecs("jpeg:444@10/20.5, webp, nif:siren:e3:width=32:omega=20.0@bpp=0.1/2")
    assert (jpeg.name, jpeg.settings) == ("jpeg:444", ("10", "20.5"))
    assert len(webp.settings) == 8
    assert isinstance(siren, NifCodec)
    assert (siren.config.field, siren.config.effort, siren.config.width, siren.config.omega) == ("siren", 3, 32, 20.0)
    assert siren.settings == ("bpp=0.1", "bpp=2")
    assert parse_codecs("none") == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("png", "png"),
        ("jpeg:411", "411"),
        ("jpeg@high", "high"),
        ("jpeg@psnr=30", "psnr"),
        ("jpeg,jpeg@5", "jpeg"),
        ("nif:cubes", "cubes"),
        ("nif:siren:best", "best"),
        ("nif:siren@effort=3", "effort"),
        ("nif:siren@200", "200"),
        ("nif:siren:width=many", "many"),
    ],
)
def test_what_cannot_be_measured_is_named(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_codecs(text)


def test_a_format_that_pillow_lacks_is_a_missing_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.codecs.features.check", lambda feature: False)
    with pytest.raises(MissingDependencyError, match="avif"):
        parse_codecs("avif")


def test_the_default_codecs_are_those_that_are_there(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.codecs.features.check", lambda feature: feature == "jpg")
    monkeypatch.setitem(vars(nifcodec), "encode", lambda *_, **__: b"file")
    monkeypatch.setitem(vars(nifcodec), "decode", lambda data: np.zeros((48, 64, 3), np.uint8))
    assert main(["cost", str(picture), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert [name in printed.out for name in ("nif:fourier", "nif:siren", "jpeg", "webp")] == [True, True, True, False]
    assert all(f"{name} left out" in printed.err for name in ("webp", "avif", "jpeg2000"))


def test_nif_codecs_use_the_public_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: List[Any] = []

    def encode(pixels: np.ndarray, config: Any, progress: Any = None) -> bytes:
        calls.append((pixels.shape, config))
        return b"file"

    monkeypatch.setitem(vars(nifcodec), "encode", encode)
    monkeypatch.setitem(vars(nifcodec), "decode", lambda data: data[::-1])
    (codec,) = parse_codecs("nif:fourier:e2@bpp=0.25", seed=7)
    codec.warm_up()
    assert codec.encode(np.zeros((4, 6, 3), np.uint8), codec.settings[0]) == b"file"
    assert codec.decode(b"file") == b"elif"
    assert calls[0][1].steps == 1
    shape, config = calls[1]
    assert shape == (4, 6, 3)
    assert (config.field, config.effort, config.bpp, config.quality, config.seed) == ("fourier", 2, 0.25, None, 7)


# The sweep


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


# Peers


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


def test_plots_without_matplotlib_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install nifcodec\[bench\]"):
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
