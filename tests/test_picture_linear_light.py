"""Pictures of 16 bits and of linear light: files in and out, the range that survives, what is measured and refused."""

from __future__ import annotations

import io
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image as PillowImage
from PIL import ImageCms

import nifcodec
from nifcodec import encoder
from nifcodec.cli.main import main
from nifcodec.errors import ConfigError, ImageError, MalformedError, MissingDependencyError
from nifcodec.fields.families import configure
from nifcodec.fields.wavelet.encode import quality_index
from nifcodec.picture import colour, metrics, transfer
from nifcodec.picture.image import Image, finite, from_array
from nifcodec.picture.read import read_image
from nifcodec.picture.write import encode_picture, write_image

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FAST = {"effort": 1, "quality": 90.0}


def wide(channels: int = 3, height: int = 40, width: int = 56, stops: float = 14.0) -> np.ndarray:
    """A smooth picture of linear light over so many stops; alpha, the last of 2 or 4, from 0.25 to 1."""
    v, u = np.mgrid[:height, :width] / (width - 1.0)
    planes = [2.0 ** (stops * (u - 0.5) + np.sin(4 * v + phase)) for phase in range(channels)]
    if channels in (2, 4):
        planes[-1] = 0.25 + 0.75 * u
    return np.stack(planes, axis=-1).astype(np.float32)


def deep(channels: int = 3, height: int = 40, width: int = 56) -> np.ndarray:
    """A smooth picture of 16 bits."""
    v, u = np.mgrid[:height, :width] / (width - 1.0)
    planes = [0.5 + 0.45 * np.sin(3 * u + phase) * np.cos(2 * v - phase) for phase in range(channels)]
    return np.rint(65535 * np.stack(planes, axis=-1)).astype(np.uint16)


# Files of linear light.


@pytest.mark.parametrize("format", ["EXR", "TIFF"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_float_files_keep_every_value(format: str, channels: int) -> None:
    pytest.importorskip("OpenEXR")
    pixels = wide(channels) - np.float32(channels == 3)
    again = read_image(encode_picture(from_array(pixels), format))
    assert again.depth == 32
    assert again.pixels.shape == pixels.shape
    assert np.array_equal(again.pixels, pixels)


def test_radiance_keeps_one_percent_of_the_largest_channel() -> None:
    pytest.importorskip("imagecodecs")
    for channels in (1, 3):
        pixels = wide(channels)
        again = read_image(encode_picture(from_array(pixels), "HDR")).pixels
        expected = colour.to_rgb(pixels)
        assert again.shape == expected.shape
        assert (np.abs(again - expected) <= 0.01 * expected.max(axis=2, keepdims=True)).all()
    for format in ("HDR", "JPEG"):
        with pytest.raises(ConfigError, match=f"{format} has no transparency and the picture has: write EXR or TIFF"):
            encode_picture(from_array(wide(4)), format)
    negative = read_image(encode_picture(from_array(-pixels), "HDR")).pixels
    assert not negative.any()


def exr(channels: Dict[str, np.ndarray], **header: Any) -> bytes:
    """An OpenEXR file with channels of any names."""
    library = pytest.importorskip("OpenEXR")
    import tempfile

    header = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage, **header}
    with tempfile.TemporaryDirectory() as folder:
        library.File(header, dict(channels)).write(f"{folder}/a.exr")
        return Path(folder, "a.exr").read_bytes()


PLANE = wide(1)[..., 0]


def test_half_floats_and_layers_of_exr() -> None:
    half = {letter: PLANE.astype(np.float16) for letter in "RGB"}
    assert np.array_equal(read_image(exr(half)).pixels[..., 1], half["G"].astype(np.float32))
    with pytest.warns(UserWarning, match="left out: Z"):
        assert read_image(exr({**half, "Z": PLANE.astype(np.float16)})).channels == 3
    with pytest.warns(UserWarning, match="primaries"):
        read_image(exr(half, chromaticities=(0.73, 0.26, 0.0, 1.0, 0.0, -0.08, 0.32, 0.34)))


def test_light_without_alpha_is_kept_and_counts() -> None:
    """As OpenEXR has it: premultiplied, and a flame may glow where it hides nothing."""
    pixels = wide(4)
    pixels[:, :20, 3] = 0
    decoded = nifcodec.decode(nifcodec.encode(pixels, configure(**FAST)))  # type: ignore[arg-type]
    assert np.median(np.abs(decoded[:, :20, :3] / pixels[:, :20, :3] - 1)) < 0.02
    half = pixels.copy()
    half[:, :20, :3] /= 2
    assert metrics.psnr_log(pixels, half) < 35
    assert np.array_equal(read_image(exr({"RGBA": pixels})).pixels, pixels)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ({"Z": PLANE}, "no channels R, G, B or Y, but Z"),
        ({"R": PLANE, "G": PLANE}, "no channels R, G, B or Y, but"),
        ({"left.R": PLANE, "left.G": PLANE, "left.B": PLANE}, "left.R"),
        ({"Y": PLANE, "BY": PLANE, "RY": PLANE}, "luminance and chroma"),
        ({letter: np.ones((4, 4), np.uint32) for letter in "RGB"}, "integers in R, G, B"),
    ],
)
def test_layouts_of_exr_that_are_no_picture(channels: Dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(exr(channels))


def test_several_parts_are_refused(tmp_path: Path) -> None:
    library = pytest.importorskip("OpenEXR")
    parts = [library.Part({}, {"RGB": wide()}, name=name) for name in "ab"]
    library.File(parts).write(str(tmp_path / "a.exr"))
    with pytest.raises(ImageError, match="2 parts"):
        read_image(tmp_path / "a.exr")


@pytest.mark.parametrize("format", ["EXR", "HDR", "TIFF", "PNG"])
def test_damaged_files_are_image_errors(format: str) -> None:
    pytest.importorskip("OpenEXR")
    data = encode_picture(from_array(deep() if format == "PNG" else wide()), format)
    rng = np.random.default_rng(1)
    for length in rng.integers(12, len(data), 12):
        with pytest.raises(ImageError):
            read_image(data[:length])
    for place in rng.integers(8, len(data), 60):
        changed = bytearray(data)
        changed[place] ^= 255
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                read_image(bytes(changed))
        except ImageError as error:
            assert "\n" not in str(error)


def test_a_huge_radiance_header_is_refused_before_it_is_believed() -> None:
    pytest.importorskip("imagecodecs")
    head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n"
    with pytest.raises(ImageError, match="limit"):
        read_image(head + b"-Y 99999 +X 99999\n")
    with pytest.raises(ImageError, match="top to bottom"):
        read_image(head + b"+X 4 -Y 4\n")
    with pytest.raises(ImageError, match="XYZ"):
        read_image(head.replace(b"rgbe", b"xyze") + b"-Y 4 +X 4\n")


# Files of 16 bits.


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_kept_with_their_profile(format: str, channels: int) -> None:
    pytest.importorskip("imagecodecs")
    icc = SRGB if channels >= 3 else b""
    image = Image(deep(channels), icc=icc, xmp=b"<x/>")
    again = read_image(encode_picture(image, format))
    assert np.array_equal(again.pixels, image.pixels)
    assert again.icc == icc
    if channels > 1 or format == "PNG":  # Pillow writes grey, and no XMP into a TIFF
        assert again.xmp == b"<x/>"


def test_exif_of_a_deep_png_is_kept() -> None:
    pytest.importorskip("imagecodecs")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
    assert read_image(encode_picture(Image(deep(), exif=exif), "PNG")).exif == exif


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw", "predictor": True},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"tile": (16, 16)},
        {"planarconfig": "separate"},
    ],
)
def test_kinds_of_tiff(options: Dict[str, Any]) -> None:
    tifffile = pytest.importorskip("tifffile")
    for pixels in (deep(), wide(), wide().astype(np.float16), wide().astype(np.float64)):
        stored = np.moveaxis(pixels, -1, 0) if "planarconfig" in options else pixels
        file = io.BytesIO()
        tifffile.imwrite(file, stored, photometric="rgb", metadata=None, **options)
        assert np.array_equal(read_image(file.getvalue()).pixels, pixels)


def test_orientation_and_associated_alpha_of_tiff() -> None:
    tifffile = pytest.importorskip("tifffile")
    tags = [(274, 3, 1, 6, True)]

    def stored(pixels: np.ndarray, alpha: str) -> Image:
        file = io.BytesIO()
        tifffile.imwrite(file, pixels, photometric="rgb", metadata=None, extrasamples=[alpha], extratags=tags)
        return read_image(file.getvalue())

    light = wide(4)
    image = stored(light, "assocalpha")
    assert image.orientation == 6
    assert np.array_equal(image.pixels, np.rot90(light, -1))
    assert np.array_equal(stored(light, "unassalpha").pixels, np.rot90(colour.premultiplied(light), -1))
    samples = np.full((2, 2, 4), 20000, np.uint16)
    samples[..., 3] = (40000, 65535)
    assert np.array_equal(stored(samples, "unassalpha").pixels, np.rot90(samples, -1))
    assert np.array_equal(
        stored(np.full((2, 2, 4), 20000, np.uint16), "assocalpha").pixels[..., 0], np.full((2, 2), 65535)
    )


def test_other_kinds_of_tiff_are_refused() -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, np.ones((4, 4, 3), np.int32), photometric="rgb", metadata=None)
    with pytest.raises(ImageError, match="int32"):
        read_image(file.getvalue())


def test_grey_needs_no_extra_and_the_rest_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("OpenEXR", "imagecodecs", "tifffile"):
        monkeypatch.setitem(sys.modules, module, None)
    grey = from_array(deep(1))
    for format in ("PNG", "TIFF"):
        assert np.array_equal(read_image(encode_picture(grey, format)).pixels, grey.pixels)
    for pixels, format in ((wide(), "EXR"), (wide(), "HDR"), (wide(), "TIFF"), (deep(), "PNG"), (deep(), "TIFF")):
        with pytest.raises(MissingDependencyError, match="pip install "):
            encode_picture(from_array(pixels), format)
    for data in (b"\x76\x2f\x31\x01", b"#?RADIANCE\n"):
        with pytest.raises(MissingDependencyError, match="pip install "):
            read_image(data)


# Formats that hold less.


def test_deep_pictures_in_formats_of_eight_bits() -> None:
    pixels = deep()
    assert np.array_equal(read_image(encode_picture(from_array(pixels), "BMP")).pixels, (pixels + 128.0) // 257)
    with pytest.raises(ConfigError, match="linear light"):
        encode_picture(from_array(pixels), "EXR")


def test_linear_light_is_tone_mapped_to_be_looked_at() -> None:
    with pytest.warns(UserWarning, match="tone-mapped"):
        shown = read_image(encode_picture(from_array(wide()), "PNG")).pixels
    assert shown.dtype == np.uint8
    assert np.array_equal(colour.tone_map(np.full((2, 2, 4), 0.5, np.float32))[..., 3], np.full((2, 2), 128))
    brightness = shown[20, :, 1].astype(int)
    assert (np.diff(brightness) >= 0).all()
    assert brightness[-1] - brightness[0] > 150
    assert np.array_equal(colour.tone_map(np.zeros((2, 3, 3), np.float32)), np.zeros((2, 3, 3), np.uint8))


# Through a field.


@pytest.mark.parametrize("kind", ["log", "linear", "pq"])
@pytest.mark.parametrize("sign", [1, -1])
def test_transfers_are_inverted(kind: str, sign: int) -> None:
    colours = sign * wide()
    curve = transfer.choose(kind, colours)
    codes = curve.to_codes(colours)
    assert (codes.min(), codes.max()) == (0, 1)
    absolute = {"log": 1e-5, "linear": 1e-7 * np.abs(colours).max(), "pq": 1e-5}[kind]
    np.testing.assert_allclose(curve.to_values(codes), colours, rtol=1e-5, atol=absolute)
    ends = curve.to_values(np.array([-1.0, 0.0, 1.0, 2.0]))
    assert ends.tolist() == [curve.low, curve.low, curve.high, curve.high]
    assert transfer.unpack(curve.pack()) == curve


def test_pq_is_that_of_smpte_st_2084() -> None:
    curve = transfer.Transfer("pq", 0.0, 10000.0, 1.0)
    luminances = np.array([0.1, 1.0, 100.0, 203.0, 1000.0, 10000.0])
    expected = [0.0623, 0.1499, 0.5081, 0.5807, 0.7518, 1.0]
    np.testing.assert_allclose(curve.scaled(luminances), expected, atol=1e-4)


def test_the_log_transfer_is_the_examples_logarithm() -> None:
    """ln(x + offset), but for a constant that the range takes out."""
    colours = wide()
    curve = transfer.choose("log", colours)
    logs = np.log(colours.astype(np.float64) + 1 / curve.scale)
    np.testing.assert_allclose(curve.scaled(colours), (logs - logs.min()) / (logs.max() - logs.min()), atol=1e-6)


@pytest.mark.parametrize("kind", ["auto", "log", "pq"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_fourteen_stops_survive(kind: str, channels: int) -> None:
    pixels = wide(channels)
    encoded = encoder.encode_image(from_array(pixels), configure(transfer=kind, **FAST))  # type: ignore[arg-type]
    decoded = nifcodec.decode(encoded.data)
    assert (decoded.dtype, decoded.shape) == (np.float32, pixels.shape)
    colours = pixels[..., : channels - (channels in (2, 4))]
    relative = np.abs(decoded[..., : colours.shape[2]] / colours - 1)
    assert np.median(relative) < 0.02
    assert relative.max() < 0.25
    assert decoded.max() > 100
    assert encoded.report.psnr_rgb is None
    assert encoded.report.psnr_log == metrics.psnr_log(pixels, decoded) > 50
    assert encoded.report.psnr_pu21 == metrics.psnr_pu21(pixels, decoded)
    info = nifcodec.inspect(encoded.data)
    assert (info.depth, info.transfer["kind"]) == (32, "log" if kind == "auto" else kind)


@pytest.mark.parametrize("kind", ["log", "linear", "pq"])
@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 0.3, 1e-30, 3e38])
@pytest.mark.parametrize("size", [(1, 1), (3, 20)])
def test_single_values_come_back_exactly(kind: str, value: float, size: "tuple[int, int]") -> None:
    pixels = np.full((*size, 3), value, np.float32)
    assert np.array_equal(nifcodec.decode(nifcodec.encode(pixels, configure(transfer=kind, effort=1))), pixels)


@pytest.mark.parametrize("kind", ["log", "linear", "pq"])
def test_a_peak_of_one_and_negative_values(kind: str) -> None:
    pixels = wide() / wide().max()
    assert pixels.max() == 1
    pixels[:8, :8] *= -1
    decoded = nifcodec.decode(nifcodec.encode(pixels, configure(transfer=kind, **FAST)))  # type: ignore[arg-type]
    assert np.isfinite(decoded).all()
    assert pixels.min() <= decoded.min() < 0
    assert 0.9 < decoded.max() <= 1
    assert (decoded[-8:, -8:] > 0).all()


@pytest.mark.parametrize("field", ["fourier", "siren"])
@pytest.mark.parametrize("make", [deep, wide])
def test_networks_learn_deep_pictures(field: str, make: Any) -> None:
    pytest.importorskip("tensorflow")
    pixels = make(3, 24, 24)
    config = configure(field=field, width=16, layers=2, steps=300, batch_size=512)
    encoded = encoder.encode_image(from_array(pixels), config)
    decoded = nifcodec.decode(encoded.data)
    assert decoded.dtype == pixels.dtype
    assert metrics.fidelity(pixels, decoded) > 25


def test_sixteen_bits_reach_more_than_eight() -> None:
    pixels = deep()
    found = []
    for quality in (60.0, 80.0, 90.0, 100.0):
        data = nifcodec.encode(pixels, configure(quality=quality, effort=1))
        decoded = nifcodec.decode(data)
        assert decoded.dtype == np.uint16
        found.append((len(data), metrics.psnr(pixels, decoded)))
    assert found == sorted(found)
    assert found[-1][1] > 80
    data = nifcodec.encode(pixels, configure(psnr=70, effort=1))
    assert 70 <= metrics.psnr(pixels, nifcodec.decode(data)) < 71
    assert [quality_index(q) for q in (0, 60, 100)] == [556, 280, 96]


def test_noise_of_sixteen_bits_is_not_clipped() -> None:
    noise = np.random.default_rng(5).integers(0, 65536, (24, 24, 3)).astype(np.uint16)
    assert metrics.psnr(noise, nifcodec.decode(nifcodec.encode(noise, configure(quality=100, effort=1)))) > 75


def test_a_psnr_is_met_on_the_log_values() -> None:
    pixels = wide()
    encoded = encoder.encode_image(from_array(pixels), configure(psnr=50, effort=1))
    assert encoded.report.psnr_log is not None
    assert 50 <= encoded.report.psnr_log < 52


def test_a_reduction_averages_light() -> None:
    pixels = np.full((16, 16, 3), 0.01, np.float32)
    pixels[:, ::2] = 100.0
    data = nifcodec.encode(pixels, configure(quality=100, effort=1))
    np.testing.assert_allclose(nifcodec.decode(data, scale=0.5), 50, rtol=0.03)


def test_a_transfer_is_for_float_pictures() -> None:
    with pytest.raises(ConfigError, match="16 bits"):
        nifcodec.encode(deep(), configure(transfer="pq", effort=1))
    with pytest.raises(ConfigError, match="transfer"):
        configure(transfer="gamma")


@pytest.mark.parametrize("data", [b"\3" + bytes(12), b"\1" + bytes(12)])
def test_damaged_transfers(data: bytes) -> None:
    with pytest.raises(MalformedError):
        transfer.unpack(data)


# NaN and infinities.


def test_what_is_not_finite_is_counted_and_placed() -> None:
    pixels = wide()
    pixels[5, 7, 2] = np.nan
    pixels[6, 0] = (np.inf, -np.inf, np.nan)
    with pytest.raises(ImageError, match="2 samples are NaN and 2 infinite, the first in column 7, row 5, channel 2"):
        nifcodec.encode(pixels)
    with pytest.warns(UserWarning, match="replaced"):
        clean = finite(pixels, sanitize=True)
    assert clean[5, 7, 2] == 0
    assert clean[6, 0].tolist() == [wide().max(), 0, 0]
    untouched = np.isfinite(pixels)
    assert np.array_equal(clean[untouched], pixels[untouched])
    with pytest.warns(UserWarning, match="replaced"):
        assert np.isfinite(nifcodec.decode(nifcodec.encode(pixels, configure(sanitize=True, effort=1)))).all()
    with pytest.warns(UserWarning, match="replaced"):
        assert not finite(np.full((2, 2, 3), np.nan, np.float32), sanitize=True).any()


# Measures.


def test_log_psnr_of_a_constant_factor() -> None:
    pixels = wide(3, stops=10)
    curve = transfer.choose("log", pixels)
    error = np.mean((curve.scaled(pixels) - curve.scaled(pixels * np.float32(1.1))) ** 2)
    assert metrics.psnr_log(pixels, pixels * np.float32(1.1)) == pytest.approx(-10 * math.log10(error), abs=1e-6)
    assert metrics.psnr_log(pixels, pixels) == math.inf
    scaled = metrics.psnr_log(16 * pixels, 16 * pixels * np.float32(1.1))
    assert metrics.psnr_log(pixels, pixels * np.float32(1.1)) == pytest.approx(scaled, abs=0.01)


def test_pu21_values_and_psnr() -> None:
    """banding_glare as its authors' encoder gives it: 0 at 0.005 cd/m2, 256.38 at 100, 595.39 at 10,000."""
    ends = metrics._pu21(np.array([0.005, 100.0, 10000.0]) / transfer.WHITE_LUMINANCE)
    np.testing.assert_allclose(ends, [0, 256.38, 595.39], atol=0.01)
    low, high = (np.full((4, 4, 3), value / transfer.WHITE_LUMINANCE, np.float32) for value in (0.005, 100.0))
    assert metrics.psnr_pu21(low, high) == pytest.approx(0, abs=0.02)
    assert metrics.psnr_pu21(high, high) == math.inf


def test_integers_and_floats_do_not_compare_but_depths_do() -> None:
    with pytest.raises(ImageError, match="linear light cannot be compared with one of uint16"):
        metrics.psnr_log(wide(), deep())
    with pytest.raises(ImageError, match="uint16 cannot be compared with one of linear light"):
        metrics.psnr(deep(), wide())
    eight = read_image(SAMPLES / "odd.png").pixels
    assert metrics.psnr(eight, eight.astype(np.uint16) * 257) == math.inf
    assert metrics.ms_ssim(eight, eight.astype(np.uint16) * 257) == pytest.approx(1)


# The command line.


def test_commands_on_a_float_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("OpenEXR")
    monkeypatch.chdir(tmp_path)
    write_image(from_array(wide()), "a.exr")
    assert main(["encode", "a.exr", "-e", "1", "-q", "90"]) == 0
    assert "log PSNR" in capsys.readouterr().err
    assert main(["decode", "a.nif", "--out-dir", "out"]) == 0
    assert read_image("out/a.exr").depth == 32
    for target in ("b.tiff", "b.hdr"):
        assert main(["decode", "a.nif", "-o", target]) == 0
        np.testing.assert_allclose(read_image(target).pixels, read_image("out/a.exr").pixels, rtol=0.02, atol=0.5)
    assert main(["decode", "a.nif", "-o", "b.png"]) == 0
    assert "tone-mapped" in capsys.readouterr().err
    assert read_image("b.png").depth == 8
    assert main(["verify", "a.nif", "--against", "a.exr", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["psnr_rgb"], row["ms_ssim"], row["identical"]) == (None, None, False)
    assert row["psnr_log"] > 50
    assert row["psnr_pu21"] > 30
    assert main(["verify", "a.nif", "--against", "b.png"]) == 1
    assert main(["info", "a.nif"]) == 0
    assert "log, 0.0" in capsys.readouterr().out
    assert main(["encode", "b.png", "--transfer", "pq", "-e", "1"]) == 2


def test_sanitize_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("OpenEXR")
    monkeypatch.chdir(tmp_path)
    pixels = wide()
    pixels[0, 3, 1] = np.nan
    write_image(Image(pixels), "a.exr")
    assert main(["encode", "a.exr", "-e", "1"]) == 1
    assert "1 samples are NaN and 0 infinite, the first in column 3, row 0" in capsys.readouterr().err
    assert not Path("a.nif").exists()
    assert main(["encode", "a.exr", "-e", "1", "--sanitize"]) == 0
    assert main(["verify", "a.nif", "--against", "a.exr"]) == 0


def test_sixteen_bits_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("imagecodecs")
    monkeypatch.chdir(tmp_path)
    write_image(from_array(deep()), "a.png")
    assert main(["encode", "a.png", "-e", "1", "-q", "95"]) == 0
    assert main(["decode", "a.nif", "-o", "b.tiff"]) == 0
    assert main(["decode", "a.nif", "-o", "b.jpg"]) == 0
    again = read_image("b.tiff").pixels
    assert again.dtype == np.uint16
    assert metrics.psnr(deep(), again) > 60
    assert np.asarray(PillowImage.open("b.jpg")).dtype == np.uint8
