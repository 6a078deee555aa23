"""`nifcodec encode`: names of outputs, refusals, exit codes, JSON, interruptions. Nothing is trained here."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from conftest import PIXELS, nif_bytes, replace_encoders, rows

import nifcodec
from nifcodec import container, encoder
from nifcodec.cli.main import main
from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.fields import families
from nifcodec.fields.families import configure
from nifcodec.fields.family import CodedField
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import Goal
from nifcodec.picture import metrics
from nifcodec.picture.image import Image, from_array
from nifcodec.picture.signal import Signal
from nifcodec.picture.write import write_image

pytestmark = pytest.mark.usefixtures("untrained")


def test_default_name_is_beside_the_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    (folder / "a.png").rename("sub/b.tar.png")
    assert main(["encode", "sub/b.tar.png"]) == 0
    assert nifcodec.decode((folder / "sub/b.tar.nif").read_bytes()).shape == PIXELS.shape
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "18x12" in captured.err
    assert "bpp" in captured.err


def test_json_holds_what_the_file_measures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_report_is_of_the_bytes_and_not_of_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder of `wavelet` that makes a field of another family: that is what is reported."""
    other = container.unpack(nif_bytes(18, 12, family="siren"))
    replace_encoders(monkeypatch, lambda *_: CodedField(other.family, other.description, other.payload, 7, "a device"))
    encoded = encoder.encode_image(from_array(PIXELS), EncodeConfig(field="wavelet"))
    report, info = encoded.report, nifcodec.inspect(encoded.data)
    assert report.field == "siren"
    for name in ("field", "bytes", "width", "height", "bpp", "parts"):
        assert getattr(report, name) == getattr(info, name)
    assert report.psnr_rgb == metrics.psnr(PIXELS, nifcodec.decode(encoded.data))
    assert (report.steps, report.device) == (7, "a device")


def test_existing_output_is_refused_before_any_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.nif").write_bytes(b"kept")
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "encode_image", None)
        assert main(["encode", "a.png"]) == 4
    assert Path("a.nif").read_bytes() == b"kept"
    assert main(["encode", "a.png", "-f"]) == 0
    assert Path("a.nif").read_bytes() != b"kept"


@pytest.mark.parametrize("output", ["a.raw", "./a.raw", "link.raw"])
def test_output_equal_to_input_is_refused_even_with_force(folder: Path, output: str) -> None:
    os.rename("a.png", "a.raw")
    os.symlink("a.raw", "link.raw")
    before = Path("a.raw").read_bytes()
    assert main(["encode", "a.raw", "-o", output, "-f"]) == 2
    assert Path("a.raw").read_bytes() == before


@pytest.mark.parametrize("output", ["b.png", "b.JPG", "b.gif", "new/b.webp"])
def test_output_named_as_a_picture_is_refused_even_with_force(
    folder: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", "a.png", "-o", output, "-f"]) == 2
    assert f"{output} has the ending of a picture" in capsys.readouterr().err
    assert sorted(os.listdir(folder)) == ["a.png", "field.nif"]


def test_one_failure_does_not_stop_the_rest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_bytes(Path("a.png").read_bytes()[:60])
    write_image(from_array(PIXELS), "c.png")
    assert main(["encode", "a.png", "broken.png", "missing.png", "c.png", "--out-dir", "new/out"]) == 1
    assert sorted(os.listdir("new/out")) == ["a.nif", "c.nif"]
    errors = capsys.readouterr().err
    assert "broken.png" in errors
    assert "missing.png" in errors
    assert "Traceback" not in errors


def test_a_missing_input_is_named_before_its_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "missing.png", "-o", "field.nif"]) == 1
    assert "cannot read missing.png: No such file" in capsys.readouterr().err


def test_code_of_several_is_the_common_one(folder: Path) -> None:
    write_image(from_array(PIXELS), "c.png")
    Path("a.nif").write_bytes(b"")
    assert main(["encode", "a.png", "c.png"]) == 4
    assert Path("c.nif").exists()
    assert main(["encode", "a.png", "missing.png"]) == 1


def test_two_inputs_for_one_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    write_image(from_array(PIXELS), "sub/a.png")
    assert main(["encode", "a.png", "sub/a.png", "--out-dir", "out"]) == 2
    assert not Path("out").exists()
    assert main(["encode", "a.png", "sub/a.png", "-o", "x.nif"]) == 2
    assert not Path("x.nif").exists()


def test_missing_folder_of_the_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "-o", "nowhere/a.nif"]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert main(["encode", "a.png", "-o", "."]) == 1
    for name in ("a.png/x.nif", "a.png/new/x.nif"):
        capsys.readouterr()
        assert main(["encode", "a.png", "-o", name]) == 1
        assert f"a.png is no folder, which {name} needs" in capsys.readouterr().err


def test_metadata_is_kept_and_stripped(folder: Path) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
    write_image(Image(PIXELS, exif=exif, xmp=b"<x/>"), "m.png")
    assert main(["encode", "m.png"]) == 0
    info = nifcodec.inspect(Path("m.nif").read_bytes())
    assert info.metadata == {"icc": 0, "exif": len(exif), "xmp": 4}
    assert main(["encode", "m.png", "-f", "--strip"]) == 0
    info = nifcodec.inspect(Path("m.nif").read_bytes())
    assert info.metadata == {"icc": 0, "exif": 0, "xmp": 0}
    assert info.parts["metadata"] == 0


def test_quiet_prints_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_warnings_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image as PillowImage

    picture = PillowImage.fromarray(PIXELS)
    picture.save("two.gif", save_all=True, append_images=[PillowImage.fromarray(255 - PIXELS)])
    assert main(["encode", "two.gif"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert lines == ["nifcodec: warning: two.gif has 2 frames: the first is taken"]


def test_first_interrupt_finishes_second_leaves_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unhindered = families.named("wavelet").encode

    def interrupted(times: int) -> Callable[..., CodedField]:
        def encode(picture: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
            assert hooks.interrupted()
            return unhindered(picture, goal, config, hooks)

        return encode

    write_image(from_array(PIXELS), "c.png")
    before = signal.getsignal(signal.SIGINT)
    replace_encoders(monkeypatch, interrupted(1))
    assert main(["encode", "a.png", "c.png"]) == 130
    assert "interrupted: a.nif holds the best that was found until then" in capsys.readouterr().err
    assert nifcodec.decode(Path("a.nif").read_bytes()).shape == PIXELS.shape
    assert not Path("c.nif").exists()
    replace_encoders(monkeypatch, interrupted(2))
    assert main(["encode", "c.png"]) == 130
    assert sorted(os.listdir(folder)) == ["a.nif", "a.png", "c.png", "field.nif"]
    assert signal.getsignal(signal.SIGINT) == before


def test_json_and_file_do_not_share_stdout(folder: Path) -> None:
    assert main(["encode", "a.png", "-o", "-", "--json"]) == 2


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        ("siren", ("--width", "0"), "width is 0, outside of 1 to 2048"),
        ("siren", ("--omega", "nan"), "omega is nan, outside of 0.00390625 to 255"),
        ("siren", ("--sigma", "3"), "the field siren has no sigma: give --field fourier"),
        ("fourier", ("--omega", "3"), "the field fourier has no omega: give --field siren"),
        ("fourier", ("--features", "3"), "the encoding powers has no features: give --encoding gaussian"),
        ("fourier", ("--encoding", "none", "--sigma", "3"), "the encoding none has no sigma: give --encoding powers"),
    ],
)
def test_options_of_the_network_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], field: str, options: "tuple[str, ...]", message: str
) -> None:
    assert main(["encode", "a.png", "--field", field, *options]) == 2
    assert f"nifcodec: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"psnr": "30"}, "psnr is '30', which is no number: give one from 5 to 80"),
        ({"target_size": 1e4}, "target_size is 10000.0, which is no whole number: give one from 1 to 2147483648"),
        ({"effort": None}, "effort is None, which is no whole number"),
        ({"seed": True}, "seed is True, which is no whole number"),
        ({"strip": "no"}, "strip is 'no', which is not one of False, True"),
        ({"field": 3}, "field is 3, which is not one of auto, wavelet, pyramid, fourier, siren"),
    ],
)
def test_a_wrong_type_names_the_option_and_its_range(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(**options)
    assert configure(psnr=np.float32(30), effort=np.int64(1)).effort == 1  # type: ignore[arg-type]
