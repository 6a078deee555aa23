"""The Pillow plugin: what opening reads, what is decoded when, what saving takes, what damage raises."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from conftest import SAMPLES, nif_bytes
from PIL import Image as PillowImage
from PIL import ImageCms, UnidentifiedImageError

import nifcodec
from nifcodec import decoder, pillow_plugin
from nifcodec.fields.families import configure
from nifcodec.fields.wavelet.decode import WaveletRender
from nifcodec.picture import metrics
from nifcodec.picture.image import Image, from_array

pillow_plugin.register()

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\1\0\0\0\0\0\0"  # orientation 1
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
FAST = {"effort": 1}


def turned(orientation: int) -> bytes:
    return EXIF[:24] + bytes([0, orientation]) + EXIF[26:]


def waves(height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    """A smooth picture with an alpha, the last of 2 or 4, of 80 and more."""
    v, u = np.mgrid[0:height, 0:width] / 48
    planes = [0.5 + 0.3 * np.sin(5 * u + phase) * np.cos(4 * v - phase) for phase in range(channels)]
    return np.rint(255 * np.stack(planes, axis=-1)).astype(np.uint8)


def saved(picture: PillowImage.Image, **options: Any) -> bytes:
    output = io.BytesIO()
    picture.save(output, "NIF", **{**FAST, **options})
    return output.getvalue()


def opened(data: bytes) -> Any:
    return PillowImage.open(io.BytesIO(data))


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the pixels were decoded")

    with monkeypatch.context() as patch:
        patch.setattr(decoder, "decode", refuse)
        yield


def test_registering_again_changes_nothing() -> None:
    before = list(PillowImage.ID)
    pillow_plugin.register()
    assert before == PillowImage.ID
    assert before.count("NIF") == 1
    assert PillowImage.registered_extensions()[".nif"] == "NIF"
    assert PillowImage.MIME["NIF"] == "image/x-nif"


def test_importing_registers_nothing() -> None:
    code = "from PIL import Image; import nifcodec.pillow_plugin; assert 'NIF' not in Image.ID"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.usefixtures("no_decoding")
def test_the_header_alone_is_read_to_open() -> None:
    data = nif_bytes(37, 21, icc=SRGB, exif=EXIF, xmp=XMP)
    payload = len(decoder.container.unpack(data).payload)
    picture = opened(data[:-payload] + bytes(payload))  # no checksum of the payload holds
    assert (picture.format, picture.size, picture.mode) == ("NIF", (37, 21), "RGB")
    assert picture.get_format_mimetype() == "image/x-nif"
    assert (picture.info["icc_profile"], picture.info["exif"], picture.info["xmp"]) == (SRGB, EXIF, XMP)
    assert picture.getexif()[0x0112] == 1


def test_a_long_header_is_read_whole_and_the_payload_is_not() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: "int | None" = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    profile = SRGB + np.random.default_rng(0).bytes(9000)
    file = Counting(nif_bytes(9, 7, icc=profile) + bytes(10**6))
    assert PillowImage.open(file).info["icc_profile"] == profile
    assert file.taken < 40_000


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_every_mode_is_what_decode_gives(channels: int, mode: str) -> None:
    data = nifcodec.encode(waves(channels=channels), configure(effort=1, quality=90))
    picture = opened(data)
    assert picture.mode == mode
    assert np.array_equal(np.asarray(picture).reshape(48, 64, channels), nifcodec.decode(data))
    assert picture.mode == mode
    assert picture.fp is None


def test_sixteen_bits_of_grey_are_kept_and_of_colour_reduced() -> None:
    grey = nifcodec.encode(waves(channels=1).astype(np.uint16) * 256 + 77, configure(effort=1, quality=90))
    picture = opened(grey)
    assert picture.mode == "I;16"
    assert np.array_equal(np.asarray(picture), nifcodec.decode(grey)[..., 0])
    assert np.array_equal(nifcodec.decode(saved(picture, quality=100)).shape, (48, 64, 1))
    assert nifcodec.inspect(saved(picture)).depth == 16
    colour = nifcodec.encode(waves().astype(np.uint16) * 257, configure(effort=1, quality=95))
    assert opened(colour).mode == "RGB"
    assert metrics.psnr(waves(), np.asarray(opened(colour))) > 45


def test_linear_light() -> None:
    light = (waves() / np.float32(16)).astype(np.float32)
    grey = nifcodec.encode(light[..., :1], configure(effort=1))
    assert opened(grey).mode == "F"
    assert np.array_equal(np.asarray(opened(grey)), nifcodec.decode(grey)[..., 0])
    picture = opened(nifcodec.encode(light, configure(effort=1)))
    assert picture.mode == "RGB"
    with pytest.warns(UserWarning, match="tone-mapped"):
        picture.load()
    assert np.asarray(picture).max() == 255


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (1, 1), (3, 1), (101, 2)])
@pytest.mark.parametrize("wanted", [(1, 1), (8, 8), (16, 12), (32, 24), (33, 1)])
def test_draft_halves_as_often_as_the_size_is_not_undercut(size: "tuple[int, int]", wanted: "tuple[int, int]") -> None:
    data = nif_bytes(*size)
    picture = opened(data)
    result = picture.draft(None, wanted)
    assert result is None or result == (picture.mode, (0, 0, *picture.size))
    if result is None:
        assert picture.size == size
    else:
        assert picture.size[0] >= wanted[0]
        assert picture.size[1] >= wanted[1]
    smaller = [(side + 1) // 2 for side in picture.size]
    assert smaller == list(picture.size) or smaller[0] <= wanted[0] or smaller[1] <= wanted[1]
    assert np.array_equal(np.asarray(picture), nifcodec.decode(data, size=picture.size))
    assert picture.draft(None, (1, 1)) is None


def test_a_second_draft_counts() -> None:
    picture = opened(nif_bytes(64, 48))
    assert picture.draft("RGB", (4, 4)) == ("RGB", (0, 0, 8, 6))
    assert picture.draft(None, (600, 600)) is None
    assert picture.size == (64, 48)


def test_a_thumbnail_decodes_only_the_levels_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.asarray(PillowImage.open(SAMPLES / "coffee.png"))[:240, :320]
    data = nifcodec.encode(pixels, configure(effort=1))
    opened_at = []
    samples = WaveletRender.samples

    def counted(field: WaveletRender, reduction: int = 0, window: Any = None) -> Any:
        opened_at.append(reduction)
        return samples(field, reduction, window)

    monkeypatch.setattr(WaveletRender, "samples", counted)
    small, whole = opened(data), opened(data)
    small.thumbnail((60, 60))
    whole.load()
    whole.thumbnail((60, 60))
    assert opened_at == [int(np.log2(min(pixels.shape[1] / 120, pixels.shape[0] / 120))), 0]
    assert opened_at[0] >= 1
    assert small.size == whole.size
    assert max(small.size) == 60
    assert metrics.psnr(np.asarray(small), np.asarray(whole)) > 35


def test_saving_takes_the_options_of_an_encode(tmp_path: Path) -> None:
    picture = PillowImage.fromarray(waves())
    small, large = saved(picture, quality=20), saved(picture, quality=90)
    assert small == nifcodec.encode(waves(), configure(quality=20, effort=1))
    assert len(small) < len(large)
    assert len(saved(picture, bpp=1.0)) <= 64 * 48 / 8
    assert len(saved(picture, target_size=300)) <= 300
    picture.save(tmp_path / "a.nif", quality=20, effort=1, optimize=True, progressive=True)
    assert (tmp_path / "a.nif").read_bytes() == small
    seen = []
    saved(picture, bpp=1.0, progress=seen.append)
    assert seen


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 101},
        {"quality": -1},
        {"quality": "high"},
        {"effort": 0},
        {"quality": 50, "bpp": 1},
        {"lossless": True},
    ],
)
def test_wrong_options_are_value_errors_and_leave_no_file(tmp_path: Path, options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        PillowImage.fromarray(waves()).save(tmp_path / "a.nif", **options)
    assert not list(tmp_path.iterdir())


def test_a_wrong_type_names_the_option_and_its_range() -> None:
    for options, words in (
        ({"quality": "high"}, "quality is 'high', which is no number: give one from 0 to 100"),
        ({"effort": 2.5}, "effort is 2.5, which is no whole number: give one from 1 to 9"),
    ):
        with pytest.raises(ValueError, match=words):
            saved(PillowImage.fromarray(waves()), **options)


def test_a_mode_that_cannot_be_encoded_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"mode LAB.*convert it"):
        PillowImage.new("LAB", (4, 4)).save(tmp_path / "a.nif")
    assert not list(tmp_path.iterdir())


def test_metadata_is_kept_given_and_left_out() -> None:
    picture = PillowImage.fromarray(waves())
    picture.info.update(icc_profile=SRGB, exif=EXIF, xmp=XMP)
    info = opened(saved(picture)).info
    assert (info["icc_profile"], info["exif"], info["xmp"]) == (SRGB, EXIF, XMP)
    assert opened(saved(picture, icc_profile=None, exif=b"", xmp=b"")).info == {}
    assert set(opened(saved(picture, strip=True)).info) == {"icc_profile"}
    other = PillowImage.Exif()
    other[0x010F] = "maker"
    info = opened(saved(picture, exif=other, xmp=XMP + b" ")).info
    assert (info["exif"], info["xmp"]) == (other.tobytes(), XMP + b" ")


@pytest.mark.parametrize("given", [True, False])
def test_orientation_is_applied_once(given: bool) -> None:
    picture = PillowImage.fromarray(waves())
    if not given:
        picture.info["exif"] = turned(6)
    again = opened(saved(picture, quality=90, **({"exif": turned(6)} if given else {})))
    assert again.size == (48, 64)
    assert again.info["exif"] == EXIF
    assert metrics.psnr(np.rot90(waves(), -1), np.asarray(again)) > 40


@pytest.mark.parametrize(
    ("mode", "kept"),
    [
        *((mode, mode) for mode in ("L", "LA", "RGB", "RGBA", "I;16", "F")),
        *((mode, "RGB") for mode in ("P", "RGBX", "CMYK", "YCbCr")),
        *(("1", "L"), ("PA", "RGBA"), ("I", "I;16")),
    ],
)
def test_every_mode_can_be_saved(mode: str, kept: str) -> None:
    grey = mode in ("LA", "PA", "I", "I;16", "F")
    picture = PillowImage.fromarray(waves(channels=1)[..., 0] if grey else waves()).convert(mode)
    again = opened(saved(picture, quality=90))
    assert (again.mode, again.size) == (kept, (64, 48))
    if kept in ("L", "LA", "RGB", "RGBA"):
        assert metrics.psnr(*(from_array(np.asarray(one)).pixels for one in (picture.convert(kept), again))) > 30


def test_of_several_frames_one_is_saved_with_a_warning() -> None:
    picture = PillowImage.fromarray(waves())
    with pytest.warns(UserWarning, match="2 frames"):
        data = saved(picture, save_all=True, append_images=[picture])
    assert data == saved(picture)


def test_files_and_file_objects(tmp_path: Path) -> None:
    data = nif_bytes(20, 10)
    path = tmp_path / "a.nif"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a file that is left open is a ResourceWarning
        with PillowImage.open(path) as picture:
            assert picture.size == (20, 10)
        picture = PillowImage.open(path)
        picture.load()
        assert picture.fp is None
        with open(path, "rb") as file:
            assert np.array_equal(np.asarray(PillowImage.open(file)), nifcodec.decode(data))
            assert not file.closed
    path.rename(tmp_path / "no_ending")
    with PillowImage.open(str(tmp_path / "no_ending"), formats=["NIF"]) as picture:
        assert picture.size == (20, 10)


def test_a_picture_can_replace_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / "a.nif"
    path.write_bytes(saved(PillowImage.fromarray(waves()), quality=90))
    picture = PillowImage.open(path)
    picture.save(path, **FAST)
    assert metrics.psnr(waves(), np.asarray(PillowImage.open(path))) > 30


@pytest.mark.parametrize("loaded", [False, True])
def test_pickles_and_copies(loaded: bool) -> None:
    data = nif_bytes(20, 10, exif=EXIF)
    pixels = nifcodec.decode(data)
    for again in (pickle.loads, copy.copy, copy.deepcopy, PillowImage.Image.copy):
        picture = opened(data)
        if loaded:
            picture.load()
        twin = again(pickle.dumps(picture) if again is pickle.loads else picture)  # type: ignore[operator]
        assert np.array_equal(np.asarray(twin), pixels)
        assert twin.info["exif"] == EXIF


def test_damage_in_the_header_is_an_unidentified_image_with_the_reason(tmp_path: Path) -> None:
    data = nif_bytes(20, 10, xmp=XMP)
    path = tmp_path / "a.nif"
    for length in range(len(data) - len(decoder.container.unpack(data).payload) - 8):
        path.write_bytes(data[:length])
        with pytest.raises(UnidentifiedImageError, match=r"a\.nif"):
            PillowImage.open(path)
    path.write_bytes(data[:30])
    with pytest.raises(UnidentifiedImageError, match="the file ends after 30 bytes"):
        PillowImage.open(path)
    path.write_bytes(data.replace(XMP, XMP.upper()))
    with pytest.raises(UnidentifiedImageError, match="does not match its checksum"):
        PillowImage.open(path)
    path.write_bytes(data[:8] + b"\x09" + data[9:])
    with pytest.raises(UnidentifiedImageError, match="install another one"):
        PillowImage.open(path)


def test_damage_in_the_payload_is_an_os_error_each_time() -> None:
    data = bytearray(nif_bytes(20, 10))
    data[-9] ^= 1
    for broken, reason in ((bytes(data), "checksum"), (bytes(data[:-20]), "the file ends after")):
        picture = opened(broken)
        for _ in range(2):
            with pytest.raises(OSError, match=reason):
                picture.load()
        with pytest.raises(OSError, match=reason):
            opened(broken).verify()
    opened(nif_bytes(20, 10)).verify()


def test_too_many_pixels_are_pillows_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 90)
    with pytest.raises(PillowImage.DecompressionBombError):
        opened(nif_bytes(20, 10))


def test_imageio_reads_and_writes(tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v3")
    path = tmp_path / "a.nif"
    imageio.imwrite(path, waves(), quality=90, effort=1)
    pixels = nifcodec.decode(path.read_bytes())
    assert np.array_equal(imageio.imread(path), pixels)
    assert np.array_equal(imageio.imread(path.read_bytes(), plugin="pillow"), pixels)
    properties = imageio.improps(path, plugin="pillow")
    assert (properties.shape, properties.dtype) == ((48, 64, 3), np.uint8)


def test_the_command_line_still_writes_nif_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PillowImage.fromarray(waves()).save("a.png")
    assert nifcodec_main("encode", "a.png", "-e", "1", "--quiet") == 0
    # A .nif is a picture then, and can be encoded again.
    assert nifcodec_main("encode", "a.nif", "-o", "b.nif", "-q", "20", "-e", "1", "--quiet") == 0
    assert Path("b.nif").stat().st_size < Path("a.nif").stat().st_size


def nifcodec_main(*argv: str) -> int:
    from nifcodec.cli.main import main

    return main(argv)


def test_metadata_of_a_file_of_another_encoder_is_shown_as_it_is() -> None:
    data = nifcodec.encode(Image(from_array(waves()).pixels, exif=EXIF[6:]), configure(effort=1))
    assert opened(data).info == {"exif": EXIF[6:]}
    assert opened(data).getexif()[0x0112] == 1
