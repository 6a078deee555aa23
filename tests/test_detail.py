"""Above the native size: the doubled lattice and its mean, windows, references to networks, and the networks' files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import pytest
import second_reader
from conftest import SAMPLES, rows
from make_golden import DOUBLED, FOLDER, SMALL_TILES, all_in_the_field, detailed, scene
from PIL import Image as PillowImage
from test_wavelet_exactness import EXPECTED, golden

import nifcodec
from nifcodec import container, decoder, pillow_plugin
from nifcodec.cli.main import main
from nifcodec.errors import ConfigError, MalformedError, UnsupportedVersionError
from nifcodec.fields import families
from nifcodec.fields.detail import networks
from nifcodec.fields.detail.contract import REACH
from nifcodec.fields.detail.detail_file import DetailFile
from nifcodec.fields.detail.doubling import enlarged
from nifcodec.fields.detail.network import DetailNetwork, kernel_details, to_planes
from nifcodec.fields.detail.reference import DetailReference, unpack_reference
from nifcodec.fields.families import configure
from nifcodec.fields.interpolation import interpolate, taps
from nifcodec.picture.metrics import psnr
from nifcodec.picture.window import choose_window

NAMES = sorted(detailed())
PHOTO = np.asarray(PillowImage.open(SAMPLES / "chelsea.png").convert("RGB"))


def encoded(pixels: np.ndarray, **options: Any) -> bytes:
    return nifcodec.encode(pixels, configure(**{"quality": 85, "effort": 1, **options}))


def samples_at(data: bytes, scale: int) -> np.ndarray:
    """What the field gives at the pixel centres of a picture so many times as large, float32, not clipped."""
    file = container.unpack(data)
    window = choose_window((file.width, file.height), scale=scale)
    field = families.numbered(file.family).open(file.of_field)
    return field.samples(0, window)(window.us(), window.vs())


def renamed(data: bytes, reference: bytes) -> bytes:
    """The file with other bytes in place of those that name its detail network."""
    file = container.unpack(data)
    return container.pack(replace(file, description=file.description[:-5] + reference))


@pytest.fixture(scope="module")
def files() -> Dict[str, bytes]:
    """Files of several layouts and sizes."""
    return {
        "rgb": encoded(PHOTO[50:147, 60:171]),
        "grey": encoded(PHOTO[:31, :44, 1]),
        "rgba": encoded(scene(29, 40, 4, 8).pixels),
        "16": encoded(scene(33, 17, 3, 16).pixels, quality=97),
        "row": encoded(scene(40, 1, 3, 8).pixels),
        "pixel": all_in_the_field(scene(1, 1, 2, 8), configure(quality=85, effort=1)),
        "tiles": encoded(PHOTO[:140, :270], **SMALL_TILES),
        "pyramid": encoded(PHOTO[:48, :37], field="pyramid", steps=2),
        "float": encoded(scene(21, 30, 3, 32).pixels),
    }


LAYOUTS = ("rgb", "grey", "rgba", "16", "row", "pixel", "tiles", "pyramid", "float")


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_mean_of_two_by_two_is_the_native_sample(files: Dict[str, bytes], name: str) -> None:
    """Within the rounding of float32, before values are clipped."""
    native, doubled = samples_at(files[name], 1), samples_at(files[name], 2)
    height, width, channels = native.shape
    means = doubled.reshape(height, 2, width, 2, channels).mean(axis=(1, 3), dtype=np.float64)
    assert np.abs(means - native).max() <= 2e-6 * max(1.0, np.abs(doubled).max())


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_changes_up_to_the_native_size(files: Dict[str, bytes], name: str) -> None:
    for scale in (1, 0.5, 0.3):
        pixels = nifcodec.decode(files[name], scale=scale)
        np.testing.assert_array_equal(pixels, nifcodec.decode(files[name], scale=scale, interpolation="lanczos"))


def test_the_network_shows_more_than_a_kernel() -> None:
    """A photograph halved, coded and enlarged again comes nearer to what it was."""
    original = PHOTO[:300, :450]
    half = np.asarray(PillowImage.fromarray(original).resize((225, 150), PillowImage.Resampling.BOX))
    for quality, least in ((40, 0.0), (85, 0.35), (95, 0.4)):
        data = encoded(half, quality=quality)
        found = psnr(original, nifcodec.decode(data, scale=2))
        assert found > psnr(original, nifcodec.decode(data, scale=2, interpolation="lanczos")) + least


@pytest.mark.parametrize(
    ("name", "scale"), [("rgb", 2), ("rgb", 3), ("rgb", 4), ("tiles", 1.5), ("tiles", 2), ("pyramid", 2)]
)
def test_a_crop_has_the_samples_of_the_whole(files: Dict[str, bytes], name: str, scale: float) -> None:
    left, top, width, height = 12, 20, 14, 16
    whole = nifcodec.decode(files[name], scale=scale)
    part = nifcodec.decode(files[name], scale=scale, crop=(left, top, width, height))
    assert part.shape[:2] == (scale * height, scale * width)
    rows_at, columns_at = (slice(int(scale * at), int(scale * (at + side))) for at, side in ((top, 16), (left, 14)))
    np.testing.assert_array_equal(part, whole[rows_at, columns_at])


def test_cells_and_tiles_leave_no_seams(files: Dict[str, bytes]) -> None:
    data = files["tiles"]
    reference = unpack_reference(container.unpack(data).description[-5:])
    assert reference is not None
    native = samples_at(data, 1)
    network = DetailNetwork(networks.named().file, reference.log_step)
    padded = np.pad(native, ((REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
    np.testing.assert_allclose(samples_at(data, 2), network.double(padded), atol=1e-5)


def test_above_two_the_lattice_is_doubled_again(files: Dict[str, bytes]) -> None:
    data = files["grey"]
    four = samples_at(data, 4)
    two = samples_at(data, 2)
    means = four.reshape(len(two), 2, two.shape[1], 2, -1).mean(axis=(1, 3))
    np.testing.assert_allclose(means, two, atol=1e-5)
    # Between two lattices, the finer one is read.
    three = samples_at(data, 3)
    positions = [(np.arange(3 * side) + 0.5) / (3 * side) for side in (31, 44)]
    at = (taps(place, 4 * side) for place, side in zip(positions, (31, 44)))
    np.testing.assert_allclose(three, interpolate(four, *at), atol=1e-5)


def test_without_a_correction_details_are_those_of_the_lanczos_kernel() -> None:
    picture = np.random.RandomState(1).rand(30, 34, 3).astype(np.float32)
    still = DetailFile({name: np.zeros_like(array) for name, array in networks.named().file.weights.items()})
    doubled = DetailNetwork(still, -4.0).double(picture)
    inside = picture[REACH:-REACH, REACH:-REACH]
    rows_at, columns_at = ((np.arange(2 * REACH, 2 * (side - REACH)) + 0.5) / (2 * side) for side in (30, 34))
    kernel = interpolate(picture, taps(rows_at, 30), taps(columns_at, 34))
    moved = kernel.reshape(len(inside), 2, -1, 2, 3)
    moved = moved + (inside - moved.mean(axis=(1, 3)))[:, None, :, None]
    np.testing.assert_allclose(doubled, moved.reshape(doubled.shape), atol=1e-6)
    assert kernel_details(to_planes(picture)).shape == (3, *inside.shape)


def test_pixels_are_the_same_on_any_number_of_threads(files: Dict[str, bytes]) -> None:
    one, two = (nifcodec.decode(files["tiles"], scale=2, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.usefixtures("backend")
def test_both_back_ends_show_the_same(files: Dict[str, bytes]) -> None:
    with np.load(DOUBLED) as stored:
        for name in NAMES:
            assert_near(nifcodec.decode(golden(name), scale=2), stored[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_second_reader_doubles_alike(name: str) -> None:
    with np.load(DOUBLED) as stored:
        assert_near(second_reader.read_doubled(golden(name)), stored[name])


def assert_near(found: np.ndarray, expected: np.ndarray) -> None:
    """Within 1 of 255 or of 65535; floats within 1/65535 of the largest."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    one = 1.0 if expected.dtype.kind == "u" else float(np.abs(expected).max()) / 65535
    assert np.abs(found.astype(np.float64) - expected).max() <= one


def test_golden_files_name_the_shipped_network() -> None:
    with np.load(DOUBLED) as stored:
        assert sorted(stored.files) == NAMES
    for name in NAMES:
        assert nifcodec.inspect(golden(name)).settings["detail"] == networks.named().hash.hex()


def test_files_without_a_network_are_read_by_the_kernel(files: Dict[str, bytes]) -> None:
    kernel = nifcodec.decode(files["rgb"], scale=2, interpolation="lanczos")
    assert (kernel != nifcodec.decode(files["rgb"], scale=2)).any()
    for reference in (b"", b"four", b"\xff\xff\xff\xff\xe0"):
        np.testing.assert_array_equal(nifcodec.decode(renamed(files["rgb"], reference), scale=2), kernel)
    old = [name for name in EXPECTED if nifcodec.inspect(golden(name)).settings.get("detail") == "none"]
    assert "rgb" in old and "pyramid-extremes" in old
    for name in (*old[:3], "pyramid-extremes"):
        pixels = nifcodec.decode(golden(name), scale=2)
        np.testing.assert_array_equal(pixels, nifcodec.decode(golden(name), scale=2, interpolation="lanczos"))


def test_any_step_in_a_file_gives_a_picture(files: Dict[str, bytes]) -> None:
    name = networks.named().hash
    pictures = [nifcodec.decode(renamed(files["grey"], name + bytes([step])), scale=2) for step in (0, 127, 128, 255)]
    assert (pictures[0] != pictures[2]).any()
    later = renamed(files["grey"], name + b"\xe0" + b"for later versions")
    np.testing.assert_array_equal(
        nifcodec.decode(later, scale=2), nifcodec.decode(renamed(files["grey"], name + b"\xe0"), scale=2)
    )


def test_references_come_back() -> None:
    assert unpack_reference(DetailReference.of(b"name", 2**-5.3).pack()) == DetailReference(b"name", -42)
    assert DetailReference(b"name", -42).log_step == -5.25
    for step, expected in ((2.0**-40, -128), (2.0**40, 127)):
        assert DetailReference.of(b"name", step).step_eighths == expected
    assert unpack_reference(b"four") is None


def test_trained_and_untrained_files_name_the_same_step() -> None:
    """Dependent quantization has wider steps at the same price of a bit."""
    steps = []
    for effort in (1, 2):
        description = container.unpack(encoded(PHOTO[:40, :60], effort=effort)).description
        steps.append(unpack_reference(description[-5:]))
    assert steps[0] == steps[1]


def test_a_window_is_doubled_until_it_has_enough_samples() -> None:
    def doublings(source: Tuple[int, int], **view: Any) -> int:
        return choose_window(source, **view).doublings()

    assert [doublings((10, 10), scale=scale) for scale in (0.5, 1, 1.1, 2, 2.1, 4, 4.1)] == [0, 0, 1, 1, 2, 2, 3]
    assert doublings((10, 10), size=(5, 11)) == 1
    assert doublings((10, 10), size=(40, 40), crop=(0, 0, 5, 5)) == 3


def test_a_part_of_a_wide_picture_keeps_few_cells() -> None:
    window = choose_window((100_000, 5000), scale=2, crop=(50_000, 2000, 300, 1500))
    field = enlarged(
        lambda us, vs: np.zeros((len(vs), len(us), 1), np.float32),
        DetailReference(networks.named().hash, -30),
        window,
    )
    assert window.columns == 600
    for top in range(0, window.rows, 200):
        field(window.us(), window.vs()[top : top + 200])
    assert len(field._cells._values) <= 64  # type: ignore[attr-defined]


def test_interpolation_is_one_of_two(files: Dict[str, bytes]) -> None:
    with pytest.raises(ConfigError, match="auto or lanczos"):
        nifcodec.decode(files["row"], interpolation="bicubic")


def test_the_command_line_takes_the_kernel_too(
    files: Dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(tmp_path / "a.nif")
    Path(source).write_bytes(files["rgb"])
    for name in ("auto", "lanczos"):
        target = str(tmp_path / f"{name}.png")
        assert main(["decode", source, "-o", target, "--scale", "2", "--interpolation", name, "--quiet"]) == 0
        expected = nifcodec.decode(files["rgb"], scale=2, interpolation=name)
        np.testing.assert_array_equal(np.asarray(PillowImage.open(target)), expected)
    against = ["--against", str(tmp_path / "auto.png"), "--scale", "2", "--json"]
    capsys.readouterr()
    assert main(["verify", source, *against]) == 0
    assert main(["verify", source, *against, "--interpolation", "lanczos"]) == 0
    same, other = rows(capsys.readouterr().out)
    assert same["identical"] and not other["identical"]
    assert same["settings"]["detail"] == networks.named().hash.hex()
    assert main(["info", source]) == 0
    assert networks.named().hash.hex() in capsys.readouterr().out


def test_info_says_when_a_network_is_missing(files: Dict[str, bytes]) -> None:
    settings = nifcodec.inspect(renamed(files["rgb"], b"\1\2\3\4\xe0")).settings
    assert settings["detail"] == "01020304 (not in this installation)"
    assert nifcodec.inspect(renamed(files["rgb"], b"")).settings["detail"] == "none"


def test_pillow_loads_at_a_scale(files: Dict[str, bytes], tmp_path: Path) -> None:
    pillow_plugin.register()
    path = tmp_path / "a.nif"
    path.write_bytes(files["rgb"])
    with PillowImage.open(path) as picture:
        picture.load(scale=2)  # type: ignore[call-arg]
        assert picture.size == (222, 194)
        np.testing.assert_array_equal(np.asarray(picture), nifcodec.decode(files["rgb"], scale=2))


def test_float_pictures_stay_within_their_light(files: Dict[str, bytes]) -> None:
    light = decoder.decode(files["float"], scale=2)
    transfer = decoder.inspect(files["float"]).transfer
    assert light.dtype == np.float32 and np.isfinite(light).all()
    assert transfer["low"] <= light.min() and light.max() <= transfer["high"]


def test_network_files_come_back_or_are_refused() -> None:
    name = networks.DEFAULT
    data = (Path(networks.__file__).parent / f"{name}.nifdetail").read_bytes()
    assert networks.names() == [name] and len(data) < 60_000
    assert networks.named().hash == hashlib.sha256(data).digest()[:4]
    assert DetailFile.unpack(data).pack() == data
    assert networks.find(b"none") is None
    assert not DetailFile.unpack(data).weights["kernel0"].sum(axis=(0, 1)).any()
    with pytest.raises(UnsupportedVersionError):
        DetailFile.unpack(data[:8] + b"\2" + data[9:])
    for damaged in (b"", data[:20], data[:-1], data + b"\0", b"NIFPYRAM" + data[8:], data[:9] + b"\5" + data[10:]):
        with pytest.raises(MalformedError):
            DetailFile.unpack(damaged)


def test_golden_folder_has_the_doubled_pictures() -> None:
    assert DOUBLED.parent == FOLDER and set(NAMES) <= set(EXPECTED)
