"""Picture file to `.nif` to picture file: ICC, EXIF, XMP byte by byte, orientation, every kind of picture, frames."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
from PIL import Image as PillowImage
from test_picture_files import SRGB, UPRIGHT, exif_with_orientation, saved

import nifcodec
from nifcodec.cli.main import main
from nifcodec.fields.families import configure
from nifcodec.picture import metadata, metrics
from nifcodec.picture.image import Image, from_array
from nifcodec.picture.read import read_image
from nifcodec.picture.write import encode_picture

GREY = SRGB[:16] + b"GRAY" + SRGB[20:]
XMP = '<?xpacket begin="\ufeff"?><x:xmpmeta xmlns:x="adobe:ns:meta/" a="é"/><?xpacket end="w"?>  '.encode()
EXIF = exif_with_orientation(1, ">") + b"what a maker put behind it"
KEEPING = ("PNG", "JPEG", "WEBP")
PIXELS = np.random.default_rng(2).integers(0, 256, (9, 14, 3), dtype=np.uint8)


def waves(channels: int = 3) -> np.ndarray:
    """float64 (48, 64, C) in 0..1, smooth; alpha, the last of 2 or 4, from 0 up."""
    v, u = np.mgrid[0:48, 0:64] / 48
    planes = [0.5 + 0.5 * np.sin(5 * u + phase) * np.cos(4 * v - phase) for phase in range(channels)]
    return np.stack(planes, axis=-1)


def eight_bits(channels: int = 3) -> np.ndarray:
    return np.rint(255 * waves(channels)).astype(np.uint8)


def block(exif: bytes) -> bytes:
    """EXIF without the header that only some formats put before it."""
    return exif[6:] if exif.startswith(b"Exif\0\0") else exif


def through_nif(folder: Path, source: bytes, target: str, *options: str) -> bytes:
    """The bytes of a picture file that became a `.nif` and then the file `target`, on the command line."""
    (folder / "in.file").write_bytes(source)
    assert main(["encode", str(folder / "in.file"), "-o", str(folder / "a.nif"), "-f", "--quiet", *options]) == 0
    assert main(["decode", str(folder / "a.nif"), "-o", str(folder / target), "-f", "--quiet"]) == 0
    return (folder / target).read_bytes()


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("source", "target", "channels"),
    # WebP has no grey, and so no profile of it.
    [
        *((source, target, 3) for source in KEEPING for target in KEEPING),
        *((source, target, 1) for source in KEEPING[:2] for target in KEEPING[:2]),
    ],
)
def test_metadata_is_the_same_byte_by_byte(tmp_path: Path, source: str, target: str, channels: int) -> None:
    icc = SRGB if channels == 3 else GREY
    data = encode_picture(Image(PIXELS[..., :channels], icc, EXIF, XMP), source)
    again = PillowImage.open(io.BytesIO(through_nif(tmp_path, data, "out." + target.lower())))
    again.load()
    assert again.format == target
    assert again.info["icc_profile"] == icc
    assert block(again.info["exif"]) == block(EXIF)
    assert read_image((tmp_path / ("out." + target.lower())).read_bytes()).xmp == XMP
    if target == "JPEG":
        assert again.info["exif"].startswith(b"Exif\0\0")


@pytest.mark.usefixtures("untrained")
def test_tiff_keeps_the_tags_of_exif(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x010F], exif[0x0112], exif[0x011A], exif[0x0100] = "maker", 1, 72.5, 99  # the last a width, as some phones do
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x829A: 0.02, 0x927C: b"note \0\1\2" * 5}
    exif[0x8825] = {1: "N"}
    data = encode_picture(Image(PIXELS, SRGB, exif.tobytes(), XMP), "PNG")
    tiff = through_nif(tmp_path, data, "out.tiff")
    picture = PillowImage.open(io.BytesIO(tiff))
    assert picture.size == (14, 9)
    assert (picture.info["icc_profile"], read_image(tiff).xmp) == (SRGB, XMP)
    assert np.array_equal(np.asarray(picture), nifcodec.decode((tmp_path / "a.nif").read_bytes()))
    # And back: TIFF has no block, so its tags are what can be compared.
    again = PillowImage.Exif()
    again.load(read_image(through_nif(tmp_path, tiff, "out.png")).exif)
    for tags in (picture.getexif(), again):
        assert (tags[0x010F], tags[0x011A]) == ("maker", 72.5)
        assert tags.get_ifd(0x8769) == {0x9003: "2020:01:02 03:04:05", 0x829A: 0.02, 0x927C: b"note \0\1\2" * 5}
        assert tags.get_ifd(0x8825) == {1: "N"}
    assert 0x0100 not in again


def test_a_tiff_without_exif_gets_none() -> None:
    assert read_image(saved(PillowImage.fromarray(PIXELS), "TIFF", dpi=(72, 72))).exif == b""


def test_damaged_exif_does_not_stop_a_tiff() -> None:
    with pytest.warns(UserWarning, match="EXIF"):
        data = encode_picture(Image(PIXELS, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"), "TIFF")
    assert np.array_equal(read_image(data).pixels, PIXELS)


def test_sixteen_bits_keep_metadata_as_png() -> None:
    pytest.importorskip("imagecodecs")
    image = Image(PIXELS.astype(np.uint16) * 257, SRGB, EXIF, XMP)
    again = read_image(encode_picture(image, "PNG"))
    assert (again.icc, block(again.exif), again.xmp) == (SRGB, block(EXIF), XMP)
    with pytest.warns(UserWarning, match="TIFF has no room for the EXIF"):
        data = encode_picture(image, "TIFF")
    assert (read_image(data).icc, read_image(data).exif, read_image(data).xmp) == (SRGB, b"", XMP)


@pytest.mark.parametrize("format", ["BMP", "PPM", "JPEG2000"])
def test_what_has_no_room_is_said(format: str) -> None:
    with pytest.warns(UserWarning, match="no room for the ICC profile and EXIF and XMP"):
        encode_picture(Image(PIXELS, SRGB, EXIF, XMP), format)


def test_the_plugin_of_jpeg_xl_writes_no_profile() -> None:
    with pytest.warns(UserWarning, match="JXL has no room for the ICC profile of this picture"):
        assert metadata.with_room("JXL", 3, SRGB, EXIF, XMP) == (b"", EXIF, XMP)


def test_a_grey_profile_does_not_describe_the_rgb_of_webp() -> None:
    with pytest.warns(UserWarning, match="no room for the ICC profile of"):
        data = encode_picture(Image(PIXELS[..., :1], GREY), "WEBP")
    assert "icc_profile" not in PillowImage.open(io.BytesIO(data)).info


def test_blocks_above_a_jpeg_segment_are_left_out_with_a_warning() -> None:
    image = Image(PIXELS, SRGB, EXIF + bytes(65536), XMP + b" " * 65536)
    with pytest.warns(UserWarning, match="no room for the EXIF and XMP"):
        data = encode_picture(image, "JPEG")
    assert read_image(data).icc == SRGB
    largest = 65533 - 29
    image = Image(PIXELS, b"", EXIF + bytes(largest - len(EXIF)), b" " * largest)
    assert (read_image(encode_picture(image, "JPEG")).exif, read_image(encode_picture(image, "JPEG")).xmp) == (
        image.exif,
        image.xmp,
    )


@pytest.mark.usefixtures("untrained")
def test_strip_leaves_the_profile(tmp_path: Path) -> None:
    data = encode_picture(Image(PIXELS, SRGB, EXIF, XMP), "PNG")
    again = read_image(through_nif(tmp_path, data, "out.png", "--strip"))
    assert (again.icc, again.exif, again.xmp) == (SRGB, b"", b"")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_is_applied_once_and_reported(
    format: str, orientation: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = PillowImage.fromarray(eight_bits())
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    options: Dict[str, Any] = {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    source, nif = tmp_path / "a.picture", tmp_path / "a.nif"
    source.write_bytes(saved(picture, format, exif=exif, **({"lossless": True} if format == "WEBP" else options)))
    assert main(["encode", str(source), "-o", str(nif), "-e", "1", "-q", "90", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["orientation"] == orientation
    upright = picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture
    assert main(["decode", str(nif), "-o", str(tmp_path / "out.png"), "--quiet"]) == 0
    decoded = PillowImage.open(tmp_path / "out.png")
    assert decoded.getexif().get(0x0112, 1) == 1
    assert metrics.psnr(np.asarray(upright), np.asarray(decoded)) > 38


def test_turning_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(saved(PillowImage.fromarray(PIXELS), exif=exif_with_orientation(6, "<")))
    assert main(["encode", str(source), "-e", "1"]) == 0
    assert "turned upright from orientation 6" in capsys.readouterr().err


def cmyk_of(pixels: np.ndarray) -> PillowImage.Image:
    return PillowImage.fromarray(pixels).convert("CMYK")


# A picture as a file holds it, and the PSNR in dB that its field has at least at quality 90.
KINDS = {
    "grey": (lambda: PillowImage.fromarray(eight_bits(1)[..., 0]), "PNG", 45),
    "grey with alpha": (lambda: PillowImage.fromarray(eight_bits(2)), "PNG", 40),
    "RGB": (lambda: PillowImage.fromarray(eight_bits()), "PNG", 43),
    "RGBA": (lambda: PillowImage.fromarray(eight_bits(4)), "PNG", 40),
    "1 bit": (lambda: PillowImage.fromarray(eight_bits(1)[..., 0]).point(lambda v: 255 * (v > 99), "1"), "PNG", 38),
    "palette": (lambda: PillowImage.fromarray(eight_bits()).quantize(32), "PNG", 38),
    "palette, GIF": (lambda: PillowImage.fromarray(eight_bits()).quantize(32), "GIF", 38),
    "CMYK": (lambda: cmyk_of(eight_bits()), "TIFF", 43),
    "16 bits of grey": (lambda: PillowImage.fromarray((65535 * waves(1)[..., 0]).astype(np.uint16)), "PNG", 60),
    "16 bits of grey, TIFF": (lambda: PillowImage.fromarray((65535 * waves(1)[..., 0]).astype(np.uint16)), "TIFF", 60),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_held_against_its_original(kind: str, tmp_path: Path) -> None:
    make, format, least = KINDS[kind]
    original = make()
    plain = {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(original.mode, original.mode)
    wanted = from_array(np.asarray(original if plain == original.mode else original.convert(plain))).pixels
    decoded = read_image(through_nif(tmp_path, saved(original, format), "out.png", "-e", "1", "-q", "90")).pixels
    assert (decoded.shape, decoded.dtype) == (wanted.shape, wanted.dtype)
    assert metrics.psnr(wanted, decoded) > least
    if plain in ("LA", "RGBA"):
        assert np.abs(wanted[..., -1].astype(int) - decoded[..., -1]).max() < 12


def test_sixteen_bits_of_colour_are_held_against_their_original(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")
    pytest.importorskip("tifffile")
    for format in ("PNG", "TIFF"):
        wanted = (65535 * waves(4)).astype(np.uint16)
        data = encode_picture(from_array(wanted), format)
        decoded = read_image(through_nif(tmp_path, data, "out." + format.lower(), "-e", "1", "-q", "90")).pixels
        assert decoded.dtype == np.uint16
        assert metrics.psnr(wanted, decoded) > 50


def test_a_profile_that_is_not_of_cmyk_is_not_used_on_it(tmp_path: Path) -> None:
    data = saved(cmyk_of(eight_bits()), "TIFF", icc_profile=SRGB)
    (tmp_path / "a.tiff").write_bytes(data)
    with pytest.warns(UserWarning, match="CMYK profile cannot be used"):
        image = read_image(tmp_path / "a.tiff")
    assert np.array_equal(image.pixels, eight_bits())


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("shown", ["half", "nothing"])
def test_colours_under_no_alpha_are_not_paid_for(channels: int, shown: str) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (48, 64, channels), dtype=np.uint8)
    flat, noisy = eight_bits(channels), eight_bits(channels)
    hidden = slice(0, 32) if shown == "half" else slice(None)
    flat[..., -1], noisy[..., -1] = 255, 255
    flat[:, hidden], noisy[:, hidden] = 0, noise[:, hidden]
    noisy[:, hidden, -1] = 0
    config = configure(effort=1, quality=80)
    data = nifcodec.encode(noisy, config)
    assert data == nifcodec.encode(flat, config)
    decoded = nifcodec.decode(data)
    assert decoded[:, hidden, -1].max() < 12
    if shown == "half":
        assert metrics.psnr(noisy, decoded) > 35


@pytest.mark.parametrize(
    ("format", "name"), [("GIF", "a.gif"), ("TIFF", "a.tiff"), ("WEBP", "a.webp"), ("PNG", "a.png")]
)
def test_of_several_frames_the_first_is_encoded_with_a_warning(
    format: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [PillowImage.fromarray(pixels) for pixels in (eight_bits(), 255 - eight_bits(), eight_bits() // 2)]
    options = {"lossless": True} if format == "WEBP" else {}
    (tmp_path / name).write_bytes(saved(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert main(["encode", str(tmp_path / name), "-o", str(tmp_path / "a.nif"), "-e", "1", "-q", "90"]) == 0
    assert f"{name} has 3 {'pages' if format == 'TIFF' else 'frames'}: the first is taken" in capsys.readouterr().err
    decoded = nifcodec.decode((tmp_path / "a.nif").read_bytes())
    assert metrics.psnr(eight_bits(), decoded[..., :3]) > (25 if format == "GIF" else 43)
