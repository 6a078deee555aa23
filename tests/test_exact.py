"""Nothing constant is coded lossily: flat channels and pictures, and alpha at 0 and at full, whatever the field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_picture_metadata import waves

import nifcodec
from nifcodec import container, decoder
from nifcodec.cli.main import main
from nifcodec.container import NifFile
from nifcodec.errors import ConfigError, CorruptFileError, LimitError
from nifcodec.exact import alpha_map, constants
from nifcodec.exact.adaptive import MOST, Contexts
from nifcodec.exact.alpha_map import MIXED, AlphaMap
from nifcodec.exact.constants import Constants
from nifcodec.exact.parts import ExactParts, separate
from nifcodec.fields.families import configure
from nifcodec.picture.image import from_array
from nifcodec.picture.window import choose_window
from nifcodec.picture.write import write_image

FAST = configure(effort=1, quality=10)
TYPES = [np.uint8, np.uint16, np.float32]


def full(dtype: Any) -> float:
    return 1.0 if np.dtype(dtype).kind == "f" else float(np.iinfo(dtype).max)


def scaled(values: np.ndarray, dtype: Any) -> np.ndarray:
    """0..1 -> samples."""
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else np.rint(values * full(dtype)).astype(dtype)


def disc(height: int, width: int) -> np.ndarray:
    """Alpha (H, W), 0..1: full inside, 0 outside, a soft edge on the left alone."""
    v, u = np.mgrid[0:height, 0:width] / min(height, width)
    distance = np.hypot(v - 0.5, u - 0.6)
    return np.where(u < 0.6, np.clip((0.45 - distance) * 8, 0, 1), distance < 0.45).astype(np.float64)


# Constants


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_flat_picture_is_exact_and_has_no_field(dtype: Any, channels: int) -> None:
    pixels = np.empty((33, 47, channels), dtype)
    pixels[:] = scaled(np.array([0.3, 0.7, 0.1, 1.0])[:channels], dtype)
    data = nifcodec.encode(pixels, FAST)
    assert np.array_equal(nifcodec.decode(data), pixels)
    assert np.array_equal(nifcodec.decode(data, scale=0.3), pixels[:10, :14])
    info = nifcodec.inspect(data)
    assert (info.field, info.parts["weights"], len(info.constants)) == ("none", 0, channels)
    stored = (channels - (channels == 4)) * pixels.itemsize  # a full channel is a flag
    assert len(data) == 27 + stored + (13 if np.dtype(dtype).kind == "f" else 0)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_a_constant_alpha_costs_a_byte_and_is_exact(dtype: Any, alpha: float) -> None:
    colours = scaled(waves(3), dtype)
    pixels = np.concatenate([colours, scaled(np.full((48, 64, 1), alpha), dtype)], axis=2)
    data, without = nifcodec.encode(pixels, FAST), nifcodec.encode(colours, FAST)
    decoded = nifcodec.decode(data)
    assert (decoded[..., 3] == pixels[0, 0, 3]).all()
    if alpha == 1:
        assert len(data) == len(without) + 1
        assert np.array_equal(decoded[..., :3], nifcodec.decode(without))
    if alpha == 0 and np.dtype(dtype).kind == "u":
        assert nifcodec.inspect(data).field == "none"  # nobody sees the colours


@pytest.mark.parametrize("flat", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("alpha", [False, True])
def test_constant_colours_are_exact(flat: "tuple[int, ...]", alpha: bool) -> None:
    pixels = scaled(waves(4 if alpha else 3), np.uint8)
    pixels[..., flat] = (77, 255, 3)[: len(flat)]
    if alpha:
        pixels[..., 3] = np.clip(pixels[..., 3], 1, 254)
    decoded = nifcodec.decode(nifcodec.encode(pixels, configure(effort=1, quality=60)))
    assert np.array_equal(decoded[..., flat], pixels[..., flat])
    assert np.abs(decoded.astype(int) - pixels).max() < 30


def test_which_channels_the_field_has() -> None:
    def of(*values: "float | None") -> "list[int]":
        return Constants(values).field_channels(len(values))

    assert [of(None, 1, None), of(None, 1, 2), of(1, 2, 3), of(1), of(None, 5)] == [[0, 1, 2], [0], [], [], [0]]
    assert [of(1, 2, 3, None), of(1, 2, None, None), of(1, None, None, 9)] == [[3], [2, 3], [0, 1, 2]]
    assert Constants().field_channels(4) == [0, 1, 2, 3]


@pytest.mark.parametrize("field", ["fourier", "wavelet"])
def test_every_field_is_served(field: str, request: pytest.FixtureRequest) -> None:
    if field == "fourier":
        request.getfixturevalue("untrained")
    pixels = np.concatenate([scaled(waves(3), np.uint8), scaled(disc(48, 64)[..., None], np.uint8)], axis=2)
    pixels[..., 1] = 9
    decoded = nifcodec.decode(nifcodec.encode(pixels, configure(field=field, quality=1)))
    exact = (pixels[..., 3] == 0) | (pixels[..., 3] == 255)
    assert (decoded[..., 1] == 9).all()
    assert np.array_equal(decoded[..., 3][exact], pixels[..., 3][exact])


def test_a_target_below_a_flat_file_is_refused() -> None:
    size = len(nifcodec.encode(np.zeros((9, 9, 3), np.uint8), FAST))
    assert len(nifcodec.encode(np.zeros((9, 9, 3), np.uint8), configure(effort=1, target_size=size))) == size
    with pytest.raises(ConfigError, match="bytes are asked for"):
        nifcodec.encode(np.zeros((9, 9, 3), np.uint8), configure(effort=1, target_size=size - 1))


@pytest.mark.parametrize(
    "packed", [b"", b"\0", b"\x10", b"\x12", b"\x10\5", b"\x08\1", b"\1", b"\1\x7f", b"\x01\0\0\x80\x7f"]
)
def test_constants_that_are_malformed(packed: bytes) -> None:
    depth = 32 if len(packed) == 5 else 16
    with pytest.raises(CorruptFileError):
        constants.unpack(packed, 3, depth)


def test_a_field_where_there_is_none_to_be_and_the_other_way_round() -> None:
    file = NifFile(4, 4, 1, 8, 0, b"", b"", constants=Constants((9.0,)))
    assert container.unpack(container.pack(file)).constants == file.constants
    for wrong in (replace(file, family=3), replace(file, constants=Constants())):
        with pytest.raises(ValueError):
            container.pack(wrong)
    with pytest.raises(CorruptFileError, match="no field"):
        nifcodec.decode(container.pack(replace(file, payload=b"x")))
    with pytest.raises(CorruptFileError, match="no field"):
        nifcodec.inspect(container.pack(replace(file, description=b"x")))


# Alpha


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("colours", [1, 3])
def test_alpha_is_exact_at_nothing_and_at_full(dtype: Any, colours: int) -> None:
    alpha = scaled(disc(48, 64)[..., None], dtype)
    pixels = np.concatenate([scaled(waves(colours), dtype), alpha], axis=2)
    if np.dtype(dtype).kind == "f":
        pixels[..., :-1] *= alpha
    data = nifcodec.encode(pixels, FAST)
    decoded = nifcodec.decode(data)
    assert container.unpack(data).alpha_map
    exact = (alpha == 0) | (alpha == full(dtype))
    assert not exact.all()
    assert np.array_equal(decoded[..., -1:][exact], alpha[exact])


def test_alpha_of_two_values_is_exact_everywhere_and_no_part_of_the_field() -> None:
    alpha = scaled(disc(48, 64) > 0.5, np.uint8)
    pixels = np.concatenate([scaled(waves(3), np.uint8), alpha[..., None]], axis=2)
    data = nifcodec.encode(pixels, FAST)
    assert np.array_equal(nifcodec.decode(data)[..., 3], alpha)
    assert container.unpack(data).of_field.channels == 3
    assert len(data) < len(nifcodec.encode(pixels[..., :3], FAST)) + 120


@pytest.mark.parametrize("options", [{"scale": 0.5}, {"scale": 3}, {"crop": (9, 7, 30, 21)}, {"size": (17, 0)}])
def test_alpha_at_other_sizes(options: Any) -> None:
    alpha = scaled(disc(48, 64) > 0.5, np.uint8)
    pixels = np.concatenate([scaled(waves(3), np.uint8), alpha[..., None]], axis=2)
    decoded = nifcodec.decode(nifcodec.encode(pixels, FAST), **options)[..., 3]
    window = choose_window((64, 48), **options)
    for row in range(window.rows):
        for column in range(window.columns):
            x = window.left + window.width * (column + 0.5) / window.columns
            y = window.top + window.height * (row + 0.5) / window.rows
            half_x, half_y = (max(1.0, window.width / window.columns) / 2, max(1.0, window.height / window.rows) / 2)
            xs = np.clip(np.linspace(x - half_x, x + half_x, 98)[1:-1], 0, 63.999).astype(int)
            ys = np.clip(np.linspace(y - half_y, y + half_y, 98)[1:-1], 0, 47.999).astype(int)
            mean = alpha[np.ix_(ys, xs)].mean()
            assert abs(decoded[row, column] - mean) < 10
            if mean in (0, 255):
                assert decoded[row, column] == mean


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (16, 16), (17, 33), (70, 50)])
def test_maps_come_back(shape: "tuple[int, int]") -> None:
    for alpha in (
        scaled(disc(*shape), np.uint8),
        np.random.default_rng(1).choice(np.array([0, 9, 255], np.uint8), shape),
        np.full(shape, 255, np.uint8),
        np.where(np.arange(shape[1]) % 5 > 2, 255, 0).astype(np.uint8)[None].repeat(shape[0], axis=0),
    ):
        found = AlphaMap.of(alpha)
        again = alpha_map.unpack(found.pack(), *shape)
        assert np.array_equal(again.kinds, found.kinds) and np.array_equal(again.mixed, found.mixed)
        states = again.states((0, shape[0]), (0, shape[1]))
        assert np.array_equal(states == 1, alpha == 255) and np.array_equal(states == 0, alpha == 0)


def test_a_map_is_applied_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = scaled(disc(70, 50), np.uint8)
    found, window = AlphaMap.of(alpha), choose_window((50, 70), 0.7)
    field = np.full((window.rows, window.columns), 77, np.uint8)
    whole = found.apply(field, window)
    monkeypatch.setattr(alpha_map, "BAND", 200)
    assert np.array_equal(found.apply(field, window), whole)


def test_counts_stay_bounded_and_tables_sum_up() -> None:
    contexts = Contexts(3)
    for turn in range(9000):
        sums = contexts.cumulative(5)
        assert sums[0] == 0 and sums[-1] == 1 << 24 and min(np.diff(sums)) >= 1 << 15
        contexts.learn(5, turn % 2)
    assert sum(contexts._counts[5]) <= MOST + 3


def test_a_map_of_more_than_its_bytes_hold_is_refused() -> None:
    kinds = np.full((40, 40), MIXED, np.uint8)
    blocks = AlphaMap(640, 640, kinds, np.zeros((0, 16, 16), np.uint8))
    writer = alpha_map.Writer()
    alpha_map._code_blocks(blocks.kinds, writer)
    with pytest.raises(LimitError, match="1600 blocks in"):
        alpha_map.unpack(writer.finish(), 640, 640)
    # The cheapest that there is stays within the limit.
    straight = np.zeros((640, 640), np.uint8)
    straight[:, 8:] = 255
    alpha_map.unpack(AlphaMap.of(straight).pack(), 640, 640)


def test_damaged_maps_are_refused() -> None:
    alpha = scaled(disc(48, 64)[..., None], np.uint8)
    pixels = np.concatenate([scaled(waves(1), np.uint8), alpha], axis=2)
    file = container.unpack(nifcodec.encode(pixels, FAST))
    for wrong in (file.alpha_map + b"\0", file.alpha_map + b"\1" * 20, b"\0"):
        with pytest.raises(CorruptFileError):
            nifcodec.decode(container.pack(replace(file, alpha_map=wrong)))
    with pytest.raises(CorruptFileError, match="alpha map"):
        plain = container.unpack(nifcodec.encode(pixels[..., :1], FAST))
        container.unpack(container.pack(replace(plain, alpha_map=b"\1")))


def test_any_bytes_are_a_map_or_refused() -> None:
    """Within a bound of work: what a stream may hold follows from its length."""
    random, found = np.random.default_rng(2), 0
    for length in range(1, 60):
        height, width = random.integers(1, 200, 2).tolist()
        data = random.integers(0, 256, length, dtype=np.uint8).tobytes()
        try:
            states = alpha_map.unpack(data, height, width).states((0, height), (0, width))
        except CorruptFileError:
            continue
        assert states.shape == (height, width) and states.max() <= 2
        found += 1
    assert found > 0


def test_opaque_pictures_are_written_to_formats_without_alpha(tmp_path: Path) -> None:
    pixels = np.concatenate([scaled(waves(3), np.uint8), np.full((48, 64, 1), 255, np.uint8)], axis=2)
    write_image(from_array(pixels), tmp_path / "a.png")
    assert main(["encode", str(tmp_path / "a.png"), "-e", "1", "-q", "10", "--quiet"]) == 0
    for ending in ("jpg", "bmp", "ppm"):
        assert main(["decode", str(tmp_path / "a.nif"), "-o", str(tmp_path / f"b.{ending}"), "--quiet"]) == 0


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_light_with_a_constant_alpha(alpha: float, tmp_path: Path) -> None:
    pixels = np.concatenate([4 * waves(3), np.full((48, 64, 1), alpha)], axis=2).astype(np.float32)
    decoded = decoder.decode_image(nifcodec.encode(pixels, FAST))
    assert (decoded.pixels[..., 3] == alpha).all()
    assert decoded.pixels[..., :3].max() > 2
    if alpha:
        pytest.importorskip("imagecodecs")
        write_image(decoded, tmp_path / "a.hdr")


def test_nothing_is_separated_from_a_picture_without_constants() -> None:
    pixels = scaled(waves(4), np.uint8)
    pixels[..., 3] = np.clip(pixels[..., 3], 1, 254)
    exact, rest = separate(pixels)
    assert exact == ExactParts() and np.array_equal(rest, pixels)
