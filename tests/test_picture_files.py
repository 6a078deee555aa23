"""Pictures in and out: modes, orientation, metadata, damage."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms

from nifcodec.errors import ConfigError, ImageError, OutputExistsError
from nifcodec.picture.colour import fill_transparent
from nifcodec.picture.image import Image, from_array
from nifcodec.picture.read import read_image
from nifcodec.picture.write import encode_picture, write_image

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
UPRIGHT = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(picture: PillowImage.Image, format: str = "PNG", **options: object) -> bytes:
    output = io.BytesIO()
    picture.save(output, format, **options)
    return output.getvalue()


def exif_with_orientation(orientation: int, order: str) -> bytes:
    """IFD0 of two entries in either byte order: orientation, and a resolution unit that must survive."""
    mark = {"<": b"II", ">": b"MM"}[order]
    entries = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack(
        order + "HHIHH", 0x0128, 3, 1, 2, 0
    )
    return b"Exif\0\0" + mark + struct.pack(order + "HIH", 42, 8, 2) + entries + struct.pack(order + "I", 0)


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 2), ("P", 3), ("RGB", 3), ("RGBA", 4)])
def test_modes_of_png(mode: str, channels: int) -> None:
    picture = PillowImage.fromarray(RGB).convert("L" if mode == "LA" else "RGB").convert(mode)
    image = read_image(saved(picture))
    assert image.pixels.shape == (5, 7, channels)
    plain = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    assert np.array_equal(image.pixels.reshape(5, 7, -1), np.asarray(picture.convert(plain)).reshape(5, 7, -1))


def test_transparent_palette_and_colour_key_get_alpha() -> None:
    palette = PillowImage.fromarray(RGB).quantize(4)
    alpha = read_image(saved(palette, transparency=2)).pixels[..., 3]
    assert np.array_equal(alpha == 0, np.asarray(palette) == 2)
    grey = PillowImage.fromarray(np.array([[0, 9], [9, 200]], dtype=np.uint8))
    assert read_image(saved(grey, transparency=9)).pixels[..., 1].tolist() == [[255, 0], [0, 255]]


def test_cmyk_without_profile_is_converted() -> None:
    picture = PillowImage.fromarray(RGB).convert("CMYK")
    image = read_image(saved(picture, "TIFF"))
    assert np.array_equal(image.pixels, RGB)
    assert image.icc == b""


def test_sixteen_bits_of_grey_are_kept() -> None:
    samples = np.array([[0, 128, 129, 65535]], dtype=np.uint16)
    for format in ("PNG", "TIFF"):
        image = read_image(saved(PillowImage.fromarray(samples), format))
        assert image.depth == 16
        assert np.array_equal(image.pixels[..., 0], samples)
        assert np.array_equal(read_image(encode_picture(image, format)).pixels, image.pixels)
    assert read_image(encode_picture(image, "BMP")).pixels[..., 0].tolist() == [[0, 0, 1, 255]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_and_reset(orientation: int, order: str) -> None:
    data = saved(PillowImage.fromarray(RGB), exif=exif_with_orientation(orientation, order))
    image = read_image(data)
    expected = PillowImage.fromarray(RGB)
    if orientation in UPRIGHT:
        expected = expected.transpose(UPRIGHT[orientation])
    assert np.array_equal(image.pixels, np.asarray(expected))
    assert image.orientation == orientation
    again = read_image(encode_picture(image, "PNG"))
    assert np.array_equal(again.pixels, image.pixels)
    assert again.orientation == 1
    kept = PillowImage.open(io.BytesIO(encode_picture(image, "PNG"))).getexif()
    assert (kept[0x0112], kept[0x0128]) == (1, 2)


@pytest.mark.parametrize("exif", [b"Exif\0\0II", b"Exif\0\0II*\0\xff\xff\0\0", b"junk"])
def test_damaged_exif_is_no_reason_to_refuse(exif: bytes) -> None:
    assert np.array_equal(read_image(saved(PillowImage.fromarray(RGB), exif=exif)).pixels, RGB)


def test_orientation_in_xmp_is_reset() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    image = Image(RGB, xmp=xmp)
    assert read_image(encode_picture(image, "PNG")).xmp == xmp.replace(b'"6"', b'"1"')


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_profile_and_pixels_survive_a_lossless_format(format: str) -> None:
    image = read_image(saved(PillowImage.fromarray(RGB), icc_profile=SRGB))
    assert image.icc == SRGB
    again = read_image(encode_picture(image, format))
    assert np.array_equal(again.pixels, RGB)
    assert again.icc == SRGB


def test_profile_of_another_colour_space_is_dropped() -> None:
    grey = saved(PillowImage.fromarray(RGB[..., 0]), icc_profile=SRGB)
    with pytest.warns(UserWarning, match="another kind of colour"):
        assert read_image(grey).icc == b""


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_every_truncation_is_an_image_error_or_a_picture(format: str) -> None:
    data = saved(PillowImage.fromarray(RGB), format)
    for length in range(len(data) // 2):
        with pytest.raises(ImageError):
            read_image(data[:length])


def test_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 16)
    with pytest.raises(ImageError, match="too large"):
        read_image(saved(PillowImage.fromarray(RGB)))


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 5), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3)), np.zeros(4, np.uint8)]
)
def test_arrays_that_are_no_picture(array: np.ndarray) -> None:
    with pytest.raises(ImageError):
        from_array(array)


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    write_image(Image(RGB), target)
    assert np.array_equal(read_image(target).pixels, RGB)
    before = target.read_bytes()
    with pytest.raises(OutputExistsError):
        write_image(Image(255 - RGB), target)
    assert target.read_bytes() == before
    write_image(Image(255 - RGB), target, force=True)
    assert np.array_equal(read_image(target).pixels, 255 - RGB)
    assert os.listdir(tmp_path) == ["out.png"]


def test_unwritable_kinds_are_explained(tmp_path: Path) -> None:
    rgba = from_array(np.zeros((2, 2, 4), np.uint8))
    with pytest.raises(ConfigError, match="JPEG has no transparency and the picture has: write PNG, WebP or TIFF"):
        write_image(rgba, tmp_path / "out.jpg")
    with pytest.raises(ConfigError, match="names no picture format"):
        write_image(rgba, tmp_path / "out.xyz")
    assert not list(tmp_path.iterdir())


def test_hidden_colours_are_filled_smoothly_and_visible_ones_kept() -> None:
    picture = np.zeros((9, 13, 4), np.uint8)
    picture[:, :, :3] = RNG.integers(0, 256, (9, 13, 3), dtype=np.uint8)
    picture[:4, :, :] = (200, 100, 50, 255)
    filled = fill_transparent(picture)
    assert np.array_equal(filled[:4], picture[:4])
    assert np.array_equal(filled[..., 3], picture[..., 3])
    assert (filled[..., :3] == (200, 100, 50)).all()


def test_of_an_animation_the_first_frame_is_taken_with_a_warning():
    frames = [PillowImage.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="2 frames"):
        image = read_image(data.getvalue())
    assert image.pixels[0, 0, :3].tolist() == [255, 0, 0]
