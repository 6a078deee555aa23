"""The command line: names of outputs, refusals, exit codes, streams, JSON. Nothing is trained here."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from conftest import nif_bytes

import nifcodec
from nifcodec import encoder
from nifcodec.cli import main
from nifcodec.image import Image, from_array, read_image, write_image
from nifcodec.progress import Interrupt, ProgressLine, clock, describe
from nifcodec.task import Task, Trained

PIXELS = np.random.default_rng(3).integers(0, 256, (12, 18, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a.png and a.nif's like."""
    monkeypatch.chdir(tmp_path)
    write_image(from_array(PIXELS), "a.png")
    Path("field.nif").write_bytes(nif_bytes(18, 12))
    return tmp_path


def rows(output: str) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def usage_error(*argv: str) -> bool:
    with pytest.raises(SystemExit) as left:
        main(argv)
    return left.value.code == 2


@pytest.mark.usefixtures("untrained")
class TestEncode:
    def test_default_name_is_beside_the_picture(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "sub").mkdir()
        (folder / "a.png").rename("sub/b.tar.png")
        assert main(["encode", "sub/b.tar.png"]) == 0
        assert nifcodec.decode((folder / "sub/b.tar.nif").read_bytes()).shape == PIXELS.shape
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "18x12" in captured.err
        assert "bpp" in captured.err

    def test_json_holds_what_the_file_measures(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["encode", "a.png", "-o", "b.nif", "--json", "--field", "siren"]) == 0
        (row,) = rows(capsys.readouterr().out)
        data = Path("b.nif").read_bytes()
        assert (row["file"], row["bytes"], row["width"], row["height"]) == ("b.nif", len(data), 18, 12)
        assert row["bpp"] == 8 * len(data) / (18 * 12)
        difference = nifcodec.decode(data).astype(float) - PIXELS
        assert row["psnr_rgb"] == pytest.approx(10 * np.log10(255**2 / np.mean(difference**2)))
        assert (row["steps"], row["field"]) == (7, "siren")
        assert 0 <= row["ms_ssim"] <= 1
        assert row["seconds"] > 0
        assert set(row["parts"]) == {"header", "weights", "metadata"}
        assert sum(row["parts"].values()) == len(data)

    def test_existing_output_is_refused_before_any_work(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("a.nif").write_bytes(b"kept")
        with monkeypatch.context() as patch:
            patch.setattr(encoder, "TRAINERS", {})
            assert main(["encode", "a.png"]) == 4
        assert Path("a.nif").read_bytes() == b"kept"
        assert main(["encode", "a.png", "-f"]) == 0
        assert Path("a.nif").read_bytes() != b"kept"

    @pytest.mark.parametrize("output", ["a.png", "./a.png", "link.png"])
    def test_output_equal_to_input_is_refused_even_with_force(self, folder: Path, output: str) -> None:
        os.symlink("a.png", "link.png")
        before = Path("a.png").read_bytes()
        assert main(["encode", "a.png", "-o", output, "-f"]) == 2
        assert Path("a.png").read_bytes() == before

    def test_one_failure_does_not_stop_the_rest(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Path("broken.png").write_bytes(Path("a.png").read_bytes()[:60])
        write_image(from_array(PIXELS), "c.png")
        assert main(["encode", "a.png", "broken.png", "missing.png", "c.png", "--out-dir", "new/out"]) == 1
        assert sorted(os.listdir("new/out")) == ["a.nif", "c.nif"]
        errors = capsys.readouterr().err
        assert "broken.png" in errors
        assert "missing.png" in errors
        assert "Traceback" not in errors

    def test_code_of_several_is_the_common_one(self, folder: Path) -> None:
        write_image(from_array(PIXELS), "c.png")
        Path("a.nif").write_bytes(b"")
        assert main(["encode", "a.png", "c.png"]) == 4
        assert Path("c.nif").exists()
        assert main(["encode", "a.png", "missing.png"]) == 1

    def test_two_inputs_for_one_output(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "sub").mkdir()
        write_image(from_array(PIXELS), "sub/a.png")
        assert main(["encode", "a.png", "sub/a.png", "--out-dir", "out"]) == 2
        assert not Path("out").exists()
        assert main(["encode", "a.png", "sub/a.png", "-o", "x.nif"]) == 2
        assert not Path("x.nif").exists()

    def test_missing_folder_of_the_output(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["encode", "a.png", "-o", "nowhere/a.nif"]) == 1
        assert "nowhere" in capsys.readouterr().err
        assert main(["encode", "a.png", "-o", "."]) == 1

    def test_metadata_is_kept_and_stripped(self, folder: Path) -> None:
        exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
        write_image(Image(PIXELS, exif=exif, xmp=b"<x/>"), "m.png")
        assert main(["encode", "m.png"]) == 0
        info = nifcodec.inspect(Path("m.nif").read_bytes())
        assert info.metadata == {"icc": 0, "exif": len(exif), "xmp": 4}
        assert main(["encode", "m.png", "-f", "--strip"]) == 0
        info = nifcodec.inspect(Path("m.nif").read_bytes())
        assert info.metadata == {"icc": 0, "exif": 0, "xmp": 0}
        assert info.parts["metadata"] == 0

    def test_quiet_prints_nothing(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["encode", "a.png", "--quiet"]) == 0
        captured = capsys.readouterr()
        assert captured.out + captured.err == ""

    def test_warnings_are_one_line(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        from PIL import Image as PillowImage

        picture = PillowImage.fromarray(PIXELS)
        picture.save("two.gif", save_all=True, append_images=[PillowImage.fromarray(255 - PIXELS)])
        assert main(["encode", "two.gif"]) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
        assert lines == ["nifcodec: warning: two.gif has 2 frames: the first is encoded"]

    def test_first_interrupt_finishes_second_leaves_no_file(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainer = encoder.TRAINERS["wavelet"]

        def interrupted(times: int) -> Any:
            def train(task: Task) -> Trained:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
                assert task.interrupt is not None
                assert task.interrupt()
                return trainer(task)

            return train

        write_image(from_array(PIXELS), "c.png")
        before = signal.getsignal(signal.SIGINT)
        monkeypatch.setattr(encoder, "TRAINERS", {"wavelet": interrupted(1)})
        assert main(["encode", "a.png", "c.png"]) == 130
        assert nifcodec.decode(Path("a.nif").read_bytes()).shape == PIXELS.shape
        assert not Path("c.nif").exists()
        monkeypatch.setattr(encoder, "TRAINERS", {"wavelet": interrupted(2)})
        assert main(["encode", "c.png"]) == 130
        assert sorted(os.listdir(folder)) == ["a.nif", "a.png", "c.png", "field.nif"]
        assert signal.getsignal(signal.SIGINT) == before

    def test_json_and_file_do_not_share_stdout(self, folder: Path) -> None:
        assert main(["encode", "a.png", "-o", "-", "--json"]) == 2


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("encode",),
        ("encode", "a.png", "-q", "50", "--bpp", "1"),
        ("encode", "a.png", "--psnr", "x"),
        ("encode", "a.png", "--field", "jpeg"),
        ("encode", "a.png", "-o", "x", "--out-dir", "y"),
        ("decode", "a.nif", "--scale", "2", "--size", "3x3"),
        ("decode", "a.nif", "--size", "3"),
        ("decode", "a.nif", "--crop", "1,2,3"),
        ("verify", "a.nif", "b.nif"),
        ("nonsense",),
    ],
)
def test_usage(argv: "tuple[str, ...]", capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_error(*argv)
    assert "usage: nifcodec" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ("encode", "a.png", "-q", "101"),
        ("encode", "a.png", "--bpp", "0"),
        ("encode", "a.png", "--target-size", "0"),
        ("encode", "a.png", "-e", "10"),
        ("encode", "a.png", "--seed", "-1"),
        ("decode", "field.nif", "--scale", "0"),
        ("decode", "field.nif", "--scale", "nan"),
        ("decode", "field.nif", "--crop", "0,0,19,2"),
        ("decode", "field.nif", "--size", "0x0"),
        ("decode", "-", "-"),
        ("decode", "-", "--out-dir", "x"),
    ],
)
def test_values_outside_of_their_range(folder: Path, argv: "tuple[str, ...]") -> None:
    assert main(argv) == 2
    assert sorted(os.listdir(folder)) == ["a.png", "field.nif"] or argv[-1] == "x"


class TestDecode:
    @pytest.mark.parametrize(
        ("options", "size"),
        [
            ([], (18, 12)),
            (["--scale", "2.5"], (45, 30)),
            (["--scale", "0.25"], (5, 3)),
            (["--scale", "0.01"], (1, 1)),
            (["--size", "9x0"], (9, 6)),
            (["--size", "7X5"], (7, 5)),
            (["--crop", "1,2,3,4"], (3, 4)),
            (["--crop", "1,2,3,4", "--scale", "2"], (6, 8)),
        ],
    )
    def test_sizes(self, folder: Path, options: List[str], size: "tuple[int, int]") -> None:
        assert main(["decode", "field.nif", *options]) == 0
        image = read_image("field.png")
        assert (image.width, image.height) == size

    def test_formats_by_ending_and_by_name(self, folder: Path) -> None:
        from PIL import Image as PillowImage

        assert main(["decode", "field.nif", "-o", "b.jpg"]) == 0
        assert main(["decode", "field.nif", "--format", "webp"]) == 0
        assert main(["decode", "field.nif", "-o", "odd.name", "--format", "PNG"]) == 0
        for name, format in (("b.jpg", "JPEG"), ("field.webp", "WEBP"), ("odd.name", "PNG")):
            with PillowImage.open(name) as picture:
                assert picture.format == format
        assert main(["decode", "field.nif", "-o", "b.nonsense"]) == 1
        assert main(["decode", "field.nif", "--format", "nonsense"]) == 1

    def test_existing_picture_is_not_replaced(self, folder: Path) -> None:
        before = Path("a.png").read_bytes()
        assert main(["decode", "field.nif", "-o", "a.png"]) == 4
        assert Path("a.png").read_bytes() == before
        assert main(["decode", "field.nif", "-o", "a.png", "-f"]) == 0
        assert Path("a.png").read_bytes() != before

    def test_damage_is_exit_3_and_leaves_no_file(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = bytearray(Path("field.nif").read_bytes())
        data[len(data) // 2] ^= 4
        Path("bad.nif").write_bytes(data)
        assert main(["decode", "bad.nif"]) == 3
        assert main(["decode", "a.png", "-o", "x.png"]) == 3
        assert main(["info", "a.png"]) == 3
        assert main(["verify", "bad.nif"]) == 3
        assert not Path("bad.png").exists()
        assert "Traceback" not in capsys.readouterr().err

    def test_limit_of_the_output(self, folder: Path) -> None:
        assert main(["decode", "field.nif", "--scale", "100000"]) == 3
        assert main(["decode", "field.nif", "--max-pixels", "215"]) == 3
        assert main(["decode", "field.nif", "--max-pixels", "216"]) == 0

    def test_metadata_comes_out(self, folder: Path) -> None:
        exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
        Path("m.nif").write_bytes(nif_bytes(5, 4, exif=exif, xmp=b"<x/>"))
        assert main(["decode", "m.nif"]) == 0
        assert (read_image("m.png").exif, read_image("m.png").xmp) == (exif, b"<x/>")


def test_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("grey.nif").write_bytes(nif_bytes(7, 5, channels=1, family="siren"))
    assert main(["info", "field.nif", "grey.nif", "--json"]) == 0
    first, second = rows(capsys.readouterr().out)
    assert (first["field"], second["field"]) == ("fourier", "siren")
    assert (second["width"], second["height"], second["channels"]) == (7, 5, 1)
    assert first["bytes"] == Path("field.nif").stat().st_size == sum(first["parts"].values())
    assert first["bpp"] == 8 * first["bytes"] / (18 * 12)
    assert first["macs_per_pixel"] > 0
    assert main(["info", "field.nif"]) == 0
    assert "multiply-adds a pixel" in capsys.readouterr().out


def test_verify_measures_against_the_original(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "field.nif", "-o", "same.png", "--quiet"]) == 0
    assert main(["verify", "field.nif", "--against", "same.png", "--json"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert row["psnr_rgb"] is None
    assert row["identical"] is True
    assert row["ms_ssim"] == pytest.approx(1)
    assert main(["verify", "field.nif", "--against", "a.png", "--json"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert row["identical"] is False
    assert 3 < row["psnr_rgb"] < 20
    assert set(row["parts"]) == {"header", "weights", "metadata"}
    assert main(["verify", "field.nif"]) == 0
    assert "intact" in capsys.readouterr().out


def test_verify_against_another_size(folder: Path) -> None:
    write_image(from_array(PIXELS[:5]), "small.png")
    assert main(["verify", "field.nif", "--against", "small.png"]) == 1


def test_streams(folder: Path) -> None:
    """A pipe: decode from standard input to standard output."""
    run = [sys.executable, "-m", "nifcodec"]
    data = Path("field.nif").read_bytes()
    here = {**os.environ, "PYTHONPATH": str(Path(nifcodec.__file__).parents[1])}
    result = subprocess.run([*run, "decode", "-"], input=data, stdout=subprocess.PIPE, check=True, env=here)
    assert np.array_equal(read_image(result.stdout).pixels, nifcodec.decode(data))
    info = subprocess.run([*run, "info", "-", "--json"], input=data, stdout=subprocess.PIPE, check=True, env=here)
    assert json.loads(info.stdout)["width"] == 18


def test_a_second_press_raises_and_the_handler_goes() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt(quiet=True) as interrupt:
        assert not interrupt()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.set_wakeup_fd(-1) == -1


class Step:
    stage, step, steps, seconds, psnr, bpp = "training", 250, 1000, 30.0, 31.416, math.nan


def test_progress_in_a_log_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    output, now = io.StringIO(), [100.0]
    monkeypatch.setattr("sys.stderr", output)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    line = ProgressLine("a.png")
    for _ in range(60):
        now[0] += 0.25
        line(Step)
    line.clear()
    assert output.getvalue().splitlines() == ["a.png: training  250/1000  1:30 left  31.42 dB"] * 3


def test_progress_on_a_terminal_redraws_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    output, now = io.StringIO(), [100.0]
    output.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", output)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    line = ProgressLine("a.png")
    for _ in range(3):
        now[0] += 0.2
        line(Step)
    line.clear()
    text = output.getvalue()
    assert "\n" not in text
    assert text.count("[######..................]") == 3
    assert text.endswith(" \r")


def test_clock_and_estimates() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 3600)] == ["0:00", "1:00", "59:59", "1:00:00"]

    class Rated(Step):
        bpp = 0.4567

    assert describe(Rated, bar=False).endswith("0.457 bpp")
