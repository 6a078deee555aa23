"""Nothing that changes what a picture looks like is lost in silence on the way in; what cannot be kept is named."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms
from test_picture_files import RGB, SRGB, exif_with_orientation, saved

from nifcodec.cli.main import main
from nifcodec.errors import ImageError
from nifcodec.picture import bombs, icc, png, resolution
from nifcodec.picture.image import Image
from nifcodec.picture.read import read_image
from nifcodec.picture.write import encode_picture

PLAIN = saved(PillowImage.fromarray(RGB))
GREY = np.arange(0, 60000, 1000, dtype=np.uint16).reshape(6, 10)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    return data[:33] + png.packed(kind, content) + data[33:]


def chromaticities(values: "tuple[float, ...]") -> bytes:
    """The chunk cHRM, which has white first."""
    return struct.pack(">8I", *(round(100_000 * value) for value in (*values[6:], *values[:6])))


def to_srgb(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    """What a colour manager makes of a picture."""
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), "RGB", "RGB", 1
    )
    applied = ImageCms.applyTransform(PillowImage.fromarray(pixels), transform)
    assert applied is not None
    return np.asarray(applied).astype(int)


# Colours


def test_a_gamma_becomes_a_profile() -> None:
    image = read_image(with_chunk(PLAIN, b"gAMA", struct.pack(">I", 100_000)))
    light = RGB / 255
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(to_srgb(RGB, image.icc) - 255 * encoded).max() < 2
    assert read_image(encode_picture(image, "PNG")).icc == image.icc


def test_primaries_become_a_profile() -> None:
    image = read_image(with_chunk(PLAIN, b"cHRM", chromaticities(P3)))
    red = to_srgb(np.array([[[200, 0, 0], [90, 90, 90]]], np.uint8), image.icc)
    assert red[0, 0, 0] > 205  # a red of Display P3 is beyond sRGB's of the same number
    assert np.abs(red[0, 1] - 90).max() <= 1
    assert icc.code_points(image.icc) is None


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"gAMA", struct.pack(">I", 45455)),
        (b"cHRM", chromaticities(icc.REC709)),
        (b"sRGB", b"\0"),
        (b"cICP", b"\1\x0d\0\1"),
    ],
)
def test_what_means_srgb_needs_no_profile(kind: bytes, content: bytes) -> None:
    assert read_image(with_chunk(PLAIN, kind, content)).icc == b""


def test_a_grey_gamma_becomes_a_grey_profile() -> None:
    image = read_image(with_chunk(saved(PillowImage.fromarray(RGB[..., 0])), b"gAMA", struct.pack(">I", 100_000)))
    assert image.icc[16:20] == b"GRAY"
    assert ImageCms.ImageCmsProfile(io.BytesIO(image.icc)).profile.xcolor_space.strip() == "GRAY"


@pytest.mark.parametrize("points", [(9, 16, 0, 1), (9, 18, 0, 1), (12, 13, 0, 1), (1, 1, 0, 1)])
def test_code_points_are_kept_in_a_profile_and_come_back_as_a_chunk(points: "tuple[int, ...]") -> None:
    image = read_image(with_chunk(PLAIN, b"cICP", bytes(points)))
    assert icc.code_points(image.icc) == points
    assert ImageCms.ImageCmsProfile(io.BytesIO(image.icc)).profile.xcolor_space.strip() == "RGB"
    data = encode_picture(image, "PNG")
    assert png.packed(b"cICP", bytes(points)) in data
    assert read_image(data).icc == image.icc


def test_pq_is_what_the_standard_says() -> None:
    curve = icc.of_code_points(False, icc.CodePoints(9, 16, 0, 1)).split(b"curv\0\0\0\0")[1]
    samples = np.frombuffer(curve[4 : 4 + 2 * icc.SAMPLES], ">u2")
    assert (samples[0], samples[-1]) == (0, 65535)
    # ST 2084: 203 cd/m2, the white of BT.2408, has the code 0.58.
    assert samples[round(0.58 * 255)] / 65535 * 10000 == pytest.approx(203, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (b"cICP", b"\2\2\0\1", "colours that are not known"),
        (b"cICP", b"\1\x0d\0\0", "colours that are not known"),
        (b"cHRM", bytes(32), "colours of no meaning"),
        (b"cLLI", bytes(8), "how bright"),
    ],
)
def test_colours_that_cannot_be_kept_are_said(kind: bytes, content: bytes, message: str) -> None:
    data = with_chunk(PLAIN, b"sRGB", b"\0") if kind == b"cLLI" else PLAIN
    if (kind, content[3:]) == (b"cICP", b"\0"):
        data = with_chunk(data, b"iCCP", b"x\0\0" + zlib.compress(SRGB))
    with pytest.warns(UserWarning, match=message):
        read_image(with_chunk(data, kind, content))


def test_a_profile_of_another_kind_is_said() -> None:
    with pytest.warns(UserWarning, match=r"ICC profile of another kind of colour \(RGB\)"):
        assert read_image(saved(PillowImage.fromarray(RGB[..., 0]), icc_profile=SRGB)).icc == b""


# Metadata


def raw_profile(kind: str, content: bytes) -> bytes:
    digits = content.hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(content):8d}\n{lines}\n".encode()
    return f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text)


def test_raw_profiles_of_text_chunks_are_kept() -> None:
    exif, xmp = exif_with_orientation(6, ">"), b"<x:xmpmeta/>"
    for kind in ("exif", "APP1"):
        image = read_image(with_chunk(PLAIN, b"zTXt", raw_profile(kind, exif)))
        assert image.orientation == 6
        assert image.exif == exif_with_orientation(1, ">")
    data = with_chunk(with_chunk(PLAIN, b"zTXt", raw_profile("xmp", xmp)), b"zTXt", raw_profile("icc", SRGB))
    assert (read_image(data).xmp, read_image(data).icc) == (xmp, SRGB)
    with pytest.warns(UserWarning, match="IPTC data, which are not kept"):
        read_image(with_chunk(PLAIN, b"zTXt", raw_profile("iptc", b"x" * 9)))


def extended_xmp(guid: bytes, content: bytes, parts: List[slice]) -> bytes:
    """Segments of a JPEG."""
    segments = b""
    for part in parts:
        body = (
            b"http://ns.adobe.com/xmp/extension/\0"
            + guid
            + struct.pack(">II", len(content), part.start)
            + content[part]
        )
        segments += b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body
    return segments


def test_extended_xmp_is_put_into_the_packet() -> None:
    guid = b"0123456789ABCDEF0123456789ABCDEF"
    main_packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="'
        + guid
        + b'"/></rdf:RDF></x:xmpmeta>'
    )
    extension = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        b'xmlns:far="urn:far"><rdf:Description rdf:about="" far:depth="' + b"9" * 500 + b'"/></rdf:RDF></x:xmpmeta>'
    )
    body = b"http://ns.adobe.com/xap/1.0/\0" + main_packet
    jpeg = saved(PillowImage.fromarray(RGB), "JPEG")
    first = b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body
    later = extended_xmp(guid, extension, [slice(300, len(extension)), slice(0, 300)])
    xmp = read_image(jpeg[:2] + first + later + jpeg[2:]).xmp
    assert b"HasExtendedXMP" not in xmp
    assert b"9" * 500 in xmp
    from xml.etree import ElementTree

    assert [child.attrib.get("{urn:far}depth") for child in ElementTree.fromstring(xmp)[0]] == [None, "9" * 500]
    cut = extended_xmp(guid, extension, [slice(0, 300)])
    with pytest.warns(UserWarning, match="extended XMP is damaged"):
        assert read_image(jpeg[:2] + first + cut + jpeg[2:]).xmp == main_packet


@pytest.mark.parametrize("source", ["PNG", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize("target", ["PNG", "JPEG", "TIFF", "BMP"])
def test_the_resolution_is_kept(source: str, target: str) -> None:
    image = read_image(saved(PillowImage.fromarray(RGB), source, dpi=(300, 150)))
    assert resolution.of_exif(image.exif) == pytest.approx((300, 150), abs=0.02)
    again = PillowImage.open(io.BytesIO(encode_picture(image, target)))
    assert tuple(map(float, again.info["dpi"])) == pytest.approx((300, 150), abs=0.02)


def test_a_resolution_turns_with_the_picture_and_leaves_exif_alone() -> None:
    exif = exif_with_orientation(6, "<") + b"maker note"
    image = read_image(saved(PillowImage.fromarray(RGB), dpi=(300, 150), exif=exif))
    assert resolution.of_exif(image.exif) == pytest.approx((150, 300), abs=0.02)
    assert b"maker note" in image.exif
    tags = PillowImage.Exif()
    tags.load(image.exif)
    assert (tags[0x0112], tags[0x0128]) == (1, 2)


def test_what_is_larger_than_pillow_allows_is_read_within_our_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = SRGB + bytes(1_500_000)
    data = with_chunk(PLAIN, b"iCCP", b"x\0\0" + zlib.compress(profile))
    assert read_image(data).icc == profile
    text = with_chunk(PLAIN, b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000)))
    assert np.array_equal(read_image(text).pixels, RGB)
    monkeypatch.setattr(png, "LARGEST_METADATA", 1_000_000)
    with pytest.raises(ImageError, match="ICC profile of more than 1000000 bytes"):
        read_image(data)
    assert bombs.LARGEST_METADATA == 2**24


# Pixels


def test_a_grey_that_stands_for_transparency_is_read_at_16_bits() -> None:
    data = with_chunk(saved(PillowImage.fromarray(GREY)), b"tRNS", struct.pack(">H", 7000))
    image = read_image(data)
    assert image.pixels.dtype == np.uint16
    assert np.array_equal(image.pixels[..., 0], GREY)
    assert np.array_equal(image.pixels[..., 1], np.where(GREY == 7000, 0, 65535))


@pytest.mark.parametrize("largest", [65535, 4095, 256])
@pytest.mark.parametrize("kind", [b"P6", b"P3"])
def test_deep_ppm(largest: int, kind: bytes) -> None:
    samples = np.random.default_rng(1).integers(0, largest + 1, (3, 4, 3))
    body = samples.astype(">u2").tobytes() if kind == b"P6" else b" ".join(b"%d" % value for value in samples.ravel())
    image = read_image(b"%b\n# a comment\n4 3\n%d\n" % (kind, largest) + body)
    assert np.abs(image.pixels / 65535 - samples / largest).max() < 1e-5
    assert np.array_equal(read_image(encode_picture(image, "PPM")).pixels, image.pixels)
    with pytest.raises(ImageError, match="cut short"):
        read_image(b"P6 4 3 %d\n" % largest + samples.astype(">u2").tobytes()[:-2])


def test_ppm_of_eight_bits_and_of_grey() -> None:
    assert encode_picture(Image(RGB), "PPM") == saved(PillowImage.fromarray(RGB), "PPM")
    assert encode_picture(Image(RGB[..., :1]), "PGM") == saved(PillowImage.fromarray(RGB[..., 0]), "PPM")
    assert np.array_equal(read_image(encode_picture(Image(RGB[..., :1]), "PPM")).pixels, np.repeat(RGB[..., :1], 3, 2))
    assert np.array_equal(read_image(encode_picture(Image(GREY[..., None]), "PGM")).pixels[..., 0], GREY)


def test_white_is_white_at_every_depth() -> None:
    tifffile = pytest.importorskip("tifffile")
    for grey in (GREY, (GREY >> 8).astype(np.uint8)):
        output = io.BytesIO()
        tifffile.imwrite(output, grey, photometric="miniswhite")
        assert np.array_equal(read_image(output.getvalue()).pixels[..., 0], np.iinfo(grey.dtype).max - grey)
    output = io.BytesIO()
    alpha = np.stack([GREY, GREY // 2], axis=-1)
    tifffile.imwrite(output, alpha, photometric="miniswhite", planarconfig="contig", extrasamples=["unassalpha"])
    assert np.array_equal(read_image(output.getvalue()).pixels, np.stack([65535 - GREY, GREY // 2], axis=-1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels_without_meaning_are_said(dtype: Any) -> None:
    tifffile = pytest.importorskip("tifffile")
    output = io.BytesIO()
    pixels = np.random.default_rng(2).integers(0, 256, (8, 9, 4)).astype(dtype)
    tifffile.imwrite(output, pixels, photometric="rgb", planarconfig="contig", extrasamples=["unspecified"])
    with pytest.warns(UserWarning, match="1 more channel, of no known meaning"):
        assert np.array_equal(read_image(output.getvalue()).pixels, pixels[..., :3])


# Damage

NOISE = np.random.default_rng(3).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
def test_a_jpeg_without_its_end_is_read_and_one_that_is_cut_is_not(options: Any) -> None:
    data = saved(PillowImage.fromarray(NOISE), "JPEG", **options)
    whole = read_image(data).pixels
    with pytest.warns(UserWarning, match="its end is missing, its pixels are complete"):
        assert np.array_equal(read_image(data[:-2]).pixels, whole)
    for length in (len(data) - 40, len(data) * 2 // 3):
        with pytest.raises(ImageError, match="--allow-truncated"):
            read_image(data[:length])
        with pytest.warns(UserWarning, match="the rest is made up"):
            assert read_image(data[:length], allow_truncated=True).pixels.shape == NOISE.shape


def test_a_png_without_its_end() -> None:
    data = saved(PillowImage.fromarray(NOISE))
    for missing in (12, 14, 4):
        with pytest.warns(UserWarning, match="its pixels are complete"):
            assert np.array_equal(read_image(data[:-missing]).pixels, NOISE)
    with pytest.raises(ImageError, match="--allow-truncated"):
        read_image(data[: len(data) // 2])
    with pytest.warns(UserWarning) as said:
        part = read_image(data[: len(data) // 2], allow_truncated=True).pixels
    assert [str(warning.message) for warning in said] == ["the picture is cut short: the rest is made up"]
    assert np.array_equal(part[:10], NOISE[:10])


def test_a_wrong_checksum_is_named() -> None:
    data = bytearray(with_chunk(PLAIN, b"gAMA", struct.pack(">I", 45455)))
    data[33 + 8] ^= 1
    for allow in (False, True):  # which would not help
        with pytest.raises(ImageError, match=r"chunk 'gAMA' at byte 33 has a wrong checksum: get the file again$"):
            read_image(bytes(data), allow_truncated=allow)


@pytest.mark.parametrize(("place", "rest"), [(2000, ": the rest is made up"), (-13, "")])
def test_pixels_with_a_wrong_checksum_are_read_on_demand(place: int, rest: str) -> None:
    """Of what is behind the damage, or, where it is in the checksum alone, of all; with one warning."""
    data = bytearray(saved(PillowImage.fromarray(NOISE)))
    data[place] ^= 0xFF
    what = "is damaged: its chunk 'IDAT' at byte 33 has a wrong checksum"
    with pytest.raises(ImageError, match=f"{what}: get it again, or read what is there by encode --allow-truncated"):
        read_image(bytes(data))
    with pytest.warns(UserWarning) as said:
        part = read_image(bytes(data), allow_truncated=True).pixels
    assert [str(warning.message) for warning in said] == [f"the picture {what}{rest}"]
    assert np.array_equal(part[:5], NOISE[:5])
    assert np.array_equal(part, NOISE) is not bool(rest)


def test_an_empty_file_is_said_to_be_empty() -> None:
    with pytest.raises(ImageError, match="the picture is empty"):
        read_image(b"")


def test_quiet_is_quiet_and_a_second_view_is_no_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [PillowImage.fromarray(NOISE), PillowImage.fromarray(NOISE[::-1])]
    (tmp_path / "phone.jpg").write_bytes(saved(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    (tmp_path / "film.gif").write_bytes(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(tmp_path / "phone.jpg")
    assert main(["encode", str(tmp_path / "film.gif"), "-e", "1", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["encode", str(tmp_path / "film.gif"), "-e", "1", "-f"]) == 0
    assert "2 frames" in capsys.readouterr().err
