"""`nifcodec decode`: sizes, formats, refusals, limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

import pytest
from conftest import nif_bytes

from nifcodec.cli.main import main
from nifcodec.picture.read import read_image


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ([], (18, 12)),
        (["--scale", "2.5"], (45, 30)),
        (["--scale", "0.25"], (5, 3)),
        (["--scale", "0.01"], (1, 1)),
        (["--size", "9x0"], (9, 6)),
        (["--size", "7X5"], (7, 5)),
        (["--fit", "9x9"], (9, 6)),
        (["--fit", "99x4"], (6, 4)),
        (["--fit", "99x99"], (18, 12)),
        (["--fit", "9x9", "--crop", "0,0,2,12"], (2, 9)),
        (["--crop", "1,2,3,4"], (3, 4)),
        (["--crop", "1,2,3,4", "--scale", "2"], (6, 8)),
    ],
)
def test_sizes(folder: Path, options: List[str], size: "tuple[int, int]") -> None:
    assert main(["decode", "field.nif", *options]) == 0
    image = read_image("field.png")
    assert (image.width, image.height) == size


def test_formats_by_ending_and_by_name(folder: Path) -> None:
    from PIL import Image as PillowImage

    assert main(["decode", "field.nif", "-o", "b.jpg"]) == 0
    assert main(["decode", "field.nif", "--format", "webp"]) == 0
    assert main(["decode", "field.nif", "-o", "odd.name", "--format", "PNG"]) == 0
    for name, format in (("b.jpg", "JPEG"), ("field.webp", "WEBP"), ("odd.name", "PNG")):
        with PillowImage.open(name) as picture:
            assert picture.format == format
    assert main(["decode", "field.nif", "-o", "b.nonsense"]) == 2
    assert main(["decode", "field.nif", "--format", "nonsense"]) == 2


def test_existing_picture_is_not_replaced(folder: Path) -> None:
    before = Path("a.png").read_bytes()
    assert main(["decode", "field.nif", "-o", "a.png"]) == 4
    assert Path("a.png").read_bytes() == before
    assert main(["decode", "field.nif", "-o", "a.png", "-f"]) == 0
    assert Path("a.png").read_bytes() != before


def test_damage_is_exit_3_and_leaves_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(Path("field.nif").read_bytes())
    data[len(data) // 2] ^= 4
    Path("bad.nif").write_bytes(data)
    assert main(["decode", "bad.nif"]) == 3
    assert main(["decode", "a.png", "-o", "x.png"]) == 3
    assert main(["info", "a.png"]) == 3
    assert main(["verify", "bad.nif"]) == 3
    assert not Path("bad.png").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_limit_of_the_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "field.nif", "--scale", "100000"]) == 3
    assert "raise the limit, --max-pixels or max_pixels" in capsys.readouterr().err
    assert main(["decode", "field.nif", "--max-pixels", "215"]) == 3
    assert main(["decode", "field.nif", "--max-pixels", "216"]) == 0


def test_metadata_comes_out(folder: Path) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
    Path("m.nif").write_bytes(nif_bytes(5, 4, exif=exif, xmp=b"<x/>"))
    assert main(["decode", "m.nif"]) == 0
    assert (read_image("m.png").exif, read_image("m.png").xmp) == (exif, b"<x/>")


def test_a_format_under_another_ending_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "field.nif", "-o", "b.jpg", "--format", "PNG"]) == 0
    assert "warning: b.jpg becomes PNG, as --format says, under the ending of JPEG" in capsys.readouterr().err
    for name, format in (("b.jpeg", "JPG"), ("odd.name", "PNG"), ("b.tif", "TIFF")):
        assert main(["decode", "field.nif", "-o", name, "--format", format]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("missing.nif", "-o", "a.png"), 1, "cannot read missing.nif: No such file"),
        (("missing.nif", "--out-dir", "new"), 1, "cannot read missing.nif: No such file"),
        (("a.png",), 3, "a.png: this is not a .nif file: encode makes one of a picture"),
        (("field.nif", "-o", "."), 1, ". is a folder: give a file name, or the folder as --out-dir"),
    ],
)
def test_what_is_wrong_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: "tuple[str, ...]", code: int, message: str
) -> None:
    assert main(["decode", *argv]) == code
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "field.nif"]


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no files of descriptors")
def test_a_pipe_is_read_once(folder: Path) -> None:
    read, write = os.pipe()
    os.write(write, Path("field.nif").read_bytes())
    os.close(write)
    assert main(["decode", f"/dev/fd/{read}", "-o", "b.png"]) == 0
    os.close(read)
