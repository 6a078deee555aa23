"""What the command line does with outputs: places, formats, transparency, times; and with targets that are missed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from conftest import PIXELS, nif_bytes, rows
from PIL import Image as PillowImage
from PIL import features
from test_picture_files import SRGB, exif_with_orientation

import nifcodec
from nifcodec import decoder, encoder
from nifcodec.cli.main import main
from nifcodec.errors import ConfigError, MissingDependencyError
from nifcodec.picture import flatten, formats
from nifcodec.picture.colour import tone_map
from nifcodec.picture.image import Image, from_array
from nifcodec.picture.read import read_image
from nifcodec.picture.write import encode_picture, write_image


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is encoded or decoded: a call would end in a TypeError."""
    monkeypatch.setattr(encoder, "encode_image", None)
    monkeypatch.setattr(decoder, "decode_image", None)


# Before any work


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    "command", [["encode", "a.png", "-o", "shut/b.nif"], ["decode", "field.nif", "-o", "shut/b.png"]]
)
def test_a_folder_that_cannot_be_written_to(
    folder: Path, command: List[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "shut").mkdir()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert main(command) == 1
    assert f"cannot write {command[3]}: Permission denied" in capsys.readouterr().err


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (4, ["-o", "b.jpg"], "JPEG has no transparency and the picture has"),
        (2, ["-o", "b.ppm"], "PPM has no transparency"),
        (3, ["-o", "b.pgm"], "PGM holds grey and the picture has colours"),
        (3, ["-o", "b.webp", "--size", "16384x0"], "WEBP holds 16383 pixels a side"),
        (3, ["-o", "b.jpg", "--size", "0x65501", "--crop", "0,0,1,9"], "JPEG holds 65500 pixels a side"),
        (3, ["-o", "b.exr"], "EXR holds linear light"),
        (3, ["-o", "b.png", "-q", "50"], "PNG is written without loss"),
        (4, ["--background", "nonsense"], "'nonsense' is no colour"),
    ],
)
def test_what_a_format_cannot_hold_is_said_before_it_is_decoded(
    folder: Path, channels: int, options: List[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.nif").write_bytes(nif_bytes(18, 12, channels))
    assert main(["decode", "c.nif", "--max-pixels", "999999999", *options]) == 2
    assert message in capsys.readouterr().err
    assert sorted(os.listdir(folder)) == ["a.png", "c.nif", "field.nif"]


def test_a_format_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    monkeypatch.delitem(PillowImage.SAVE, "JXL", raising=False)
    with pytest.raises(MissingDependencyError, match="pip install pillow-jxl-plugin"):
        formats.check("JXL", (4, 4), 3, 8)


@pytest.mark.usefixtures("untrained")
def test_one_limit_for_encode_and_decode(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "--max-pixels", "215"]) == 1
    assert "a.png is too large: it has 18 x 12 pixels, the limit is 215" in capsys.readouterr().err
    assert main(["encode", "a.png", "--max-pixels", "216"]) == 0
    assert main(["verify", "a.nif", "--against", "a.png", "--max-pixels", "215"]) == 1


# Places


@pytest.mark.usefixtures("untrained")
def test_a_name_that_ends_as_a_folder_is_one(folder: Path) -> None:
    assert main(["encode", "a.png", "-o", "new/"]) == 0
    assert main(["decode", "new/a.nif", "field.nif", "-o", "newer/"]) == 0
    assert sorted(os.listdir("newer")) == ["a.png", "field.png"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout")
def test_devices_and_pipes(folder: Path) -> None:
    here = {**os.environ, "PYTHONPATH": str(Path(nifcodec.__file__).parents[1])}
    nif = [sys.executable, "-m", "nifcodec"]
    pixels = nifcodec.decode(Path("field.nif").read_bytes())
    line = [*nif, "decode", "field.nif", "-o", "/dev/stdout"]
    piped = subprocess.run(line, stdout=subprocess.PIPE, env=here, check=True).stdout
    with open("out.png", "wb") as redirected:
        subprocess.run(line, stdout=redirected, env=here, check=True)
    assert np.array_equal(read_image(piped).pixels, pixels)
    assert Path("out.png").read_bytes() == piped
    reading, writing = os.pipe()
    assert main(["decode", "field.nif", "-o", f"/dev/fd/{writing}"]) == 0
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert np.array_equal(read_image(pipe.read()).pixels, pixels)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_an_input_without_a_name_needs_an_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    for command in ("encode", "decode"):
        assert main([command, "pipe"]) == 2
        assert "pipe is no file that an output could be named after: give -o FILE" in capsys.readouterr().err


@pytest.mark.usefixtures("untrained")
def test_times_are_kept(folder: Path) -> None:
    os.utime("a.png", (10_000, 20_000))
    assert main(["encode", "a.png", "--preserve"]) == 0
    assert main(["decode", "a.nif", "-o", "b.png", "--preserve"]) == 0
    assert [os.stat(name).st_mtime for name in ("a.nif", "b.png")] == [20_000, 20_000]
    assert main(["encode", "a.png", "-o", "c.nif"]) == 0
    assert os.stat("c.nif").st_mtime > 20_000


@pytest.mark.usefixtures("untrained")
def test_metadata_of_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exif = exif_with_orientation(6, "<")
    for name, data in (
        ("p.icc", SRGB),
        ("e.exif", exif),
        ("x.xmp", b"<x/>"),
        ("grey.icc", SRGB[:16] + b"GRAY" + SRGB[20:]),
    ):
        Path(name).write_bytes(data)
    assert main(["encode", "a.png", "--icc", "p.icc", "--exif", "e.exif", "--xmp", "x.xmp"]) == 0
    image = decoder.decode_image(Path("a.nif").read_bytes())
    # The pixels of the picture lie as they lie: the block's orientation is of another file.
    assert (image.icc, image.exif, image.xmp) == (SRGB, exif_with_orientation(1, "<"), b"<x/>")
    assert main(["encode", "a.png", "-f", "--icc", "grey.icc"]) == 2
    assert "--icc is not of the picture's 3 channels" in capsys.readouterr().err
    assert main(["encode", "a.png", "-f", "--icc", "missing"]) == 1


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("option", "data"),
    [
        ("--exif", b"MM\0*\0\0\0\x08\0\0\0\0\0\0"),
        ("--exif", b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
        ("--xmp", b"\xef\xbb\xbf \r\n<x>\xc3\xa4</x>"),
        ("--icc", SRGB),
    ],
)
def test_metadata_is_stored_as_it_is(folder: Path, option: str, data: bytes) -> None:
    Path("given").write_bytes(data)
    assert main(["encode", "a.png", option, "given"]) == 0
    assert nifcodec.inspect(Path("a.nif").read_bytes()).metadata[option[2:]] == len(data)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("option", "data", "message"),
    [
        ("--exif", b"", "is no EXIF block"),
        ("--exif", b"\xff\xd8\xff\xe1\0\x10Exif\0\0MM\0*", "is no EXIF block"),
        ("--exif", b"Exif\0\0MM*\0", "is no EXIF block"),
        ("--xmp", b"", "is no XMP"),
        ("--xmp", b"rubbish <x/>", "is no XMP"),
        ("--xmp", b"<x>\xe4</x>", "is no XMP"),
        ("--icc", b"", "is no ICC profile"),
        ("--icc", SRGB[:36] + b"ASCP" + SRGB[40:], "is no ICC profile"),
    ],
)
def test_rubbish_for_metadata_is_refused_before_any_work(
    folder: Path, option: str, data: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("given").write_bytes(data)
    assert main(["encode", "a.png", option, "given"]) == 2
    assert f"{option} given {message}" in capsys.readouterr().err
    assert not Path("a.nif").exists()


@pytest.mark.usefixtures("no_work")
def test_what_is_given_is_not_stripped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("given").write_bytes(b"<x/>")
    for option in ("--exif", "--xmp"):
        assert main(["encode", "a.png", "--strip", option, "given"]) == 2
        assert "--strip drops EXIF and XMP" in capsys.readouterr().err


# Formats


def test_quality_of_lossy_formats_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {}
    for quality in ("20", "95"):
        for name in ("b.jpg", "b.webp"):
            assert main(["decode", "field.nif", "-o", name, "-f", "-q", quality, "--size", "90x60"]) == 0
            assert f"of quality {quality}" in capsys.readouterr().err
            sizes[name, quality] = Path(name).stat().st_size
    assert sizes["b.jpg", "20"] < sizes["b.jpg", "95"]
    assert sizes["b.webp", "20"] < sizes["b.webp", "95"]
    assert main(["decode", "field.nif", "-o", "c.jpg"]) == 0
    assert "JPEG of quality 95" in capsys.readouterr().err
    assert main(["decode", "field.nif", "-o", "c.webp"]) == 0
    assert "quality" not in capsys.readouterr().err
    assert np.array_equal(read_image("c.webp").pixels, nifcodec.decode(Path("field.nif").read_bytes()))


avif = pytest.mark.skipif("avif" not in features.get_supported(), reason="this Pillow does not write AVIF")


@avif
@pytest.mark.parametrize("quality", [10, 90])
def test_avif_keeps_alpha(quality: int) -> None:
    v, u = np.mgrid[0:32, 0:48]
    alpha = np.clip(9 * np.hypot(v - 16, u - 24), 0, 255)
    pixels = np.stack([u, v, u + v, alpha], axis=-1).astype(np.uint8)
    again = read_image(encode_picture(from_array(pixels), "AVIF", quality)).pixels
    assert np.array_equal(again[..., 3], pixels[..., 3])
    assert not np.array_equal(again[..., :3], pixels[..., :3])


@avif
def test_a_loss_of_alpha_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    about = formats.named("AVIF")
    unknown = replace(about, exact_alpha={"advanced": {"alpha:unknown": "1"}})
    monkeypatch.setattr(formats, "TABLE", tuple(unknown if row is about else row for row in formats.TABLE))
    with pytest.warns(UserWarning, match="the library that writes AVIF codes alpha with loss"):
        data = encode_picture(from_array(np.dstack([PIXELS, PIXELS[..., :1]])), "AVIF")
    assert read_image(data).channels == 4
    encode_picture(from_array(PIXELS), "AVIF")


@avif
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_avif(channels: int) -> None:
    v, u = np.mgrid[0:32, 0:48]
    pixels = np.stack([u * 3 + 9 * c + v for c in range(channels)], axis=-1).astype(np.uint8)
    image = Image(pixels, SRGB if channels > 2 else b"", exif_with_orientation(1, ">"), b"<x/>")
    again = read_image(encode_picture(image, "AVIF", 95))
    assert again.channels == (4 if channels in (2, 4) else 3)
    assert np.abs(again.pixels[..., :1].astype(int) - pixels[..., :1]).max() < 12
    assert (again.icc, again.xmp) == (image.icc, image.xmp)
    tags = PillowImage.Exif()
    tags.load(again.exif)  # Pillow leaves out the orientation 1
    assert tags[0x0128] == 2
    assert len(encode_picture(image, "AVIF", 10)) < len(encode_picture(image, "AVIF", 95))


# Transparency


def test_over_a_background(folder: Path) -> None:
    Path("c.nif").write_bytes(nif_bytes(18, 12, 4))
    pixels = nifcodec.decode(Path("c.nif").read_bytes()).astype(float)
    assert main(["decode", "c.nif", "-o", "b.png", "--background", "#ff8000"]) == 0
    alpha = pixels[..., 3:] / 255
    wanted = pixels[..., :3] * alpha + np.array([255, 128, 0]) * (1 - alpha)
    assert np.abs(read_image("b.png").pixels - wanted).max() <= 0.5 + 1e-9
    assert main(["decode", "c.nif", "-o", "b.jpg", "--background", "white"]) == 0
    assert main(["decode", "c.nif", "-o", "o.png", "--opaque"]) == 0
    assert np.array_equal(read_image("o.png").pixels, pixels[..., :3])


def test_grey_over_grey_stays_grey_and_a_profile_of_it_stays() -> None:
    grey = SRGB[:16] + b"GRAY" + SRGB[20:]
    image = Image(np.full((2, 2, 2), 128, np.uint8), grey)
    assert flatten.over_background(image, "black").pixels.tolist() == np.full((2, 2, 1), 64).tolist()
    assert flatten.over_background(image, "black").icc == grey
    assert flatten.over_background(image, "red").pixels[0, 0].tolist() == [191, 64, 64]
    assert flatten.over_background(image, "red").icc == b""
    with pytest.raises(ConfigError, match="no colour"):
        flatten.colour_of("12")
    for colour in ("#fff8", "#ffffff80", "rgba(1, 2, 3, 4)"):
        with pytest.raises(ConfigError, match="has an alpha, and a background is opaque"):
            flatten.colour_of(colour)


def test_light_over_a_background_is_added_where_there_is_no_alpha() -> None:
    pixels = np.array([[[0.25, 0, 0, 0], [0.5, 0.5, 0.5, 1], [0, 0, 0, 0.5]]], np.float32)
    flat = flatten.over_background(from_array(pixels), "white").pixels
    assert flat[0].tolist() == [[1.25, 1, 1], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]


def test_a_flame_can_be_seen() -> None:
    pixels = np.zeros((4, 6, 4), np.float32)
    pixels[1:3, 2:4, 0] = 3  # light that hides nothing
    pixels[3] = (0.1, 0.1, 0.1, 1)
    shown = tone_map(pixels).astype(float)
    assert (shown[1, 2, 3], shown[0, 0, 3], shown[3, 0, 3]) == (255, 0, 255)
    assert shown[1, 2, 0] == 255


def test_full_alpha_is_none(tmp_path: Path) -> None:
    rgba = np.concatenate([PIXELS, np.full((12, 18, 1), 255, np.uint8)], axis=2)
    for ending in ("jpg", "bmp", "ppm"):
        write_image(from_array(rgba), tmp_path / f"a.{ending}")
    assert np.array_equal(read_image(tmp_path / "a.bmp").pixels, PIXELS)


# Targets, measures


@pytest.mark.usefixtures("untrained")
def test_a_missed_target_is_exit_5_and_the_file_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "--psnr", "60", "--json"]) == 5
    captured = capsys.readouterr()
    assert rows(captured.out)[0]["bytes"] == Path("a.nif").stat().st_size
    assert "a.nif is written, but 60.0 dB were asked for; the file reaches" in captured.err
    assert main(["encode", "a.png", "-f", "--psnr", "60", "--no-measure", "--quiet"]) == 5
    assert main(["encode", "a.png", "-f", "--psnr", "5"]) == 0


@pytest.mark.usefixtures("untrained")
def test_measuring_can_be_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoder.metrics, "measure", None)
    assert main(["encode", "a.png", "--no-measure", "--json"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert {row[name] for name in ("psnr_rgb", "ms_ssim", "psnr_log", "psnr_pu21", "identical")} == {None}
    assert main(["encode", "a.png", "-f", "--no-measure"]) == 0
    assert "not measured" in capsys.readouterr().err


def test_several_files_are_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.nif").write_bytes(Path("field.nif").read_bytes()[:-1])
    assert main(["verify", "field.nif", "bad.nif", "field.nif"]) == 3
    captured = capsys.readouterr()
    assert captured.out.count("field.nif: intact") == 2
    assert "bad.nif: the file ends" in captured.err
    assert main(["verify", "field.nif", "field.nif", "--against", "a.png"]) == 2
