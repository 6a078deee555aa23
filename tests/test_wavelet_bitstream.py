"""The ground of the wavelet field: lifting that inverts, neighbours that are what they are called, causality, bytes."""

from __future__ import annotations

import zlib
from typing import List, Tuple

import numpy as np
import pytest
from second_reader import Pass as SecondPass
from second_reader import Refused, read_prior
from second_reader.conventions import Bytes
from second_reader.lattice import Coding, Part, read_lattice

from nifcodec.entropy.tensors import encode_range
from nifcodec.entropy.varint import write_varint
from nifcodec.errors import ChecksumError, CorruptFileError, MalformedError, TruncatedError
from nifcodec.fields.coded_part import CodedPart
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.bitstream import decode_lattice, encode_lattice
from nifcodec.fields.wavelet.coding.dependent_quantization import to_values
from nifcodec.fields.wavelet.coding.neighbours import (
    SQUARE,
    WAVEFRONT_LAG,
    LevelFeatures,
    compand,
    feature_columns,
    near_neighbours,
)
from nifcodec.fields.wavelet.coding.wavefront import Conditions, Contexts, Pass, wavefront_scan
from nifcodec.fields.wavelet.lattice import HALF, MAX_VALUE, UNIT, BandValues, Lattice, Subband
from nifcodec.fields.wavelet.lifting import analyse_plane, synthesise_plane

BANDS = [Subband(colour, orientation) for colour in range(3) for orientation in range(3)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (3, 5), (8, 8), (7, 6), (33, 64)])
def test_integer_synthesis_inverts_the_float_analysis(shape):
    plane = np.random.default_rng(0).integers(-20000, 20000, (2, *shape))
    low, bands = analyse_plane(plane.astype(np.float64))
    rounded = tuple(np.rint(band).astype(np.int64) for band in bands)
    again = synthesise_plane(np.rint(low).astype(np.int64), rounded)
    assert again.shape == plane.shape
    assert np.abs(again - plane).max() <= 8  # what rounding the coefficients to integers leaves


def test_a_flat_plane_has_no_details_and_twice_its_value():
    low, bands = analyse_plane(np.full((1, 9, 14), 3.0))
    np.testing.assert_allclose(low, 6.0)
    assert max(float(np.abs(band).max()) for band in bands) < 1e-12


def _level(height=21, width=18):
    random = np.random.default_rng(1)
    planes = {band: random.integers(-40, 41, (height, width)) for band in BANDS}
    low = {colour: random.integers(-6000, 6000, (height, width)) for colour in range(3)}
    parents = {band: random.integers(-3, 4, ((height + 1) // 2, (width + 1) // 2)) for band in BANDS}
    return planes, low, parents, LevelFeatures((height, width), BANDS, low, parents, {})


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("index", range(9))
def test_features_are_the_neighbours_they_name(index, odd):
    planes, low, parents, features = _level()
    features.set_all(planes)
    band, y, column = BANDS[index], 10, 4
    x = 2 * column + odd
    row = features.gather(y + WAVEFRONT_LAG * index, odd, 5, 3)[index, column]
    for k, (other, (dy, dx)) in enumerate(near_neighbours(band, odd)):
        assert row[k] == compand(planes[other][y + dy, x + dx] * HALF)
    for k, (dy, dx) in enumerate(SQUARE):
        expected = compand(parents[band][y // 2 + dy, x // 2 + dx] * HALF)
        assert row[features.near_length + k] == expected
    right = low[band.plane][y, x + 1] - low[band.plane][y, x]
    assert row[features.near_length + 10 + 12] == compand(np.array(right))
    columns = feature_columns(band, odd, features.near_length)
    assert columns[-2:].tolist() == [len(row) - 2, len(row) - 1]
    assert row[-2:].tolist() == [5, 3]


def test_no_feature_depends_on_what_is_decoded_later():
    """Filling a level row by row shows each pass the same features as filling it all at once."""
    planes, low, parents, whole = _level()
    whole.set_all(planes)
    growing = LevelFeatures((21, 18), BANDS, low, parents, {})
    for row in range(growing.fronts):
        for odd in (False, True):
            seen = growing.gather(row, odd, 0, 0)
            expected = whole.gather(row, odd, 0, 0)
            values = np.zeros(seen.shape[:2], np.int64)
            for index, band in enumerate(BANDS):
                y = row - WAVEFRONT_LAG * index
                if 0 <= y < 21:
                    np.testing.assert_array_equal(seen[index], expected[index])
                    values[index] = planes[band][y, odd::2]
            growing.set_front(row, values, odd)


# Streams

SECOND_PRIOR = read_prior(priors.named().file.pack())
STEP_FEATURE = 50


def drawn(lattice: Lattice, dependent: bool, spread: float) -> Tuple[CodedPart, np.ndarray, List[BandValues]]:
    """A payload of random integers, some of them as large as they may be, and these integers."""
    rng = np.random.default_rng(lattice.levels)
    low = rng.integers(-300, 301, lattice.low_shape())
    shapes = [{band: lattice.shape(level, band) for band in lattice.bands} for level in range(lattice.levels)]
    contexts: List[Contexts] = [
        {band: np.zeros((3, *shape), np.int32) for band, shape in bands.items()} for bands in shapes
    ]

    def code_pass(part: Pass) -> np.ndarray:
        indices = np.rint(rng.laplace(0, spread, part.valid.shape)).astype(np.int64)
        indices[rng.random(indices.shape) < 0.01] = rng.choice((-MAX_VALUE, MAX_VALUE))
        for i, band in enumerate(lattice.bands):
            count = int(part.valid[i].sum())
            if count:
                where = contexts[part.level - lattice.first][band][:, part.front - WAVEFRONT_LAG * i]
                where[:, int(part.odd) :: 2] = part.contexts[:, i, :count]
        return np.where(part.valid, to_values(indices, part.contexts[2]), 0)

    conditions = Conditions(priors.named().context, STEP_FEATURE, dependent)
    _, levels = wavefront_scan(lattice, conditions, low * UNIT, (), [lattice.bands] * lattice.levels, code_pass)
    return encode_lattice(lattice, conditions, low, levels, contexts), low, levels


def second(data: bytes, lattice: Lattice, dependent: bool, seen: "List[SecondPass] | None" = None) -> Part:
    watch = None if seen is None else seen.append
    coding = Coding(SECOND_PRIOR, STEP_FEATURE, dependent, lattice.plane_ids, watch)
    return read_lattice(Bytes(data), lattice.sizes[0], coding, lattice.first)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dependent", [False, True])
@pytest.mark.parametrize("spread", [0.4, 40.0])
@pytest.mark.parametrize(
    "size", [(3, 2, [0]), (17, 9, [0, 3]), (40, 1, [0, 1, 2]), (1, 21, [0]), (20, 33, [0, 1, 2, 3])]
)
def test_any_integers_come_back(size: "Tuple[int, int, List[int]]", spread: float, dependent: bool) -> None:
    """From both readers, which need as many bytes for each level as the encoder says."""
    lattice = Lattice(*size)
    part, low, levels = drawn(lattice, dependent, spread)
    conditions = Conditions(priors.named().context, STEP_FEATURE, dependent)
    plane, again = decode_lattice(part.data, lattice, conditions)
    other = second(part.data, lattice, dependent)
    assert list(part.ends) == other.ends
    for level in range(lattice.levels):
        for band in lattice.bands:
            same = other.levels[level][band.plane, band.orientation]
            np.testing.assert_array_equal(same, levels[level][band])
            np.testing.assert_array_equal(again[level].get(band, np.zeros_like(same)), same)
    for index, colour in enumerate(lattice.plane_ids):
        np.testing.assert_array_equal(other.coarsest[colour], low[index] * UNIT)
        np.testing.assert_array_equal(other.low_pass[colour], plane[index])
    for level, end in zip(range(lattice.levels - 1, 0, -1), part.ends):
        cut = part.data[:end] + b"\xff" * (end < len(part.data))
        expected, _ = decode_lattice(part.data, lattice, conditions, level)
        np.testing.assert_array_equal(decode_lattice(cut, lattice, conditions, level)[0], expected)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("surplus", [b"\0", b"\1", b"\xff" * 9])
def test_bytes_after_a_stream_are_refused(surplus: bytes) -> None:
    lattice = Lattice(17, 9, [0])
    part, _, _ = drawn(lattice, False, 3.0)
    with pytest.raises((MalformedError, ChecksumError)):
        decode_lattice(part.data + surplus, lattice, Conditions(priors.named().context, STEP_FEATURE))
    with pytest.raises(Refused):
        second(part.data + surplus, lattice, False)


def of_one_band(width: int, check: bytes) -> bytes:
    """A payload of `width` x 1 pixels: of its bands the finest HL alone is coded, in a stream of no bytes."""
    lattice = Lattice(width, 1, [0])
    low = encode_range([np.zeros(lattice.low_shape()[1:], np.int32)])
    flags = bytes([128]) + bytes((3 * lattice.levels + 7) // 8 - 1)
    return write_varint(len(low)) + low + flags + check + bytes(min(lattice.levels, 5) - 1)


def checked(width: int) -> bytes:
    """The same under the check that belongs to it."""
    seen: List[SecondPass] = []
    with pytest.raises(Refused, match="check"):
        second(of_one_band(width, b"\0\0"), Lattice(width, 1, [0]), False, seen)
    indices = np.array([index for one in seen for index in one.indices], "<i4")
    return of_one_band(width, (zlib.crc32(indices.tobytes()) % 65536).to_bytes(2, "little"))


@pytest.mark.usefixtures("backend")
def test_a_stream_of_no_bytes_may_hold_symbols() -> None:
    """The first of their tables, which are escapes here; it is what an encoder makes of them."""
    lattice, data = Lattice(512, 1, [0]), checked(512)
    other = second(data, lattice, False)
    _, levels = decode_lattice(data, lattice, Conditions(priors.named().context, STEP_FEATURE))
    np.testing.assert_array_equal(levels[0][lattice.bands[0]], other.levels[0][0, 0])
    assert np.abs(other.levels[0][0, 0]).min() >= 2 * 12


@pytest.mark.usefixtures("backend")
def test_more_escapes_in_a_pass_than_a_stream_may_have_are_refused() -> None:
    """The pass has 129 coefficients: one more than the limit in FORMAT.md."""
    lattice, data = Lattice(516, 1, [0]), of_one_band(516, b"\0\0")
    with pytest.raises(TruncatedError, match="cannot hold"):
        decode_lattice(data, lattice, Conditions(priors.named().context, STEP_FEATURE))
    with pytest.raises(Refused, match="integers"):
        second(data, lattice, False)


@pytest.mark.usefixtures("backend")
def test_what_is_cut_is_refused() -> None:
    lattice = Lattice(17, 9, [0, 3])
    part, _, _ = drawn(lattice, True, 1.0)
    for length in range(0, len(part.data), 7):
        with pytest.raises(CorruptFileError):
            decode_lattice(
                part.data[:length], lattice, Conditions(priors.named().context, STEP_FEATURE, dependent=True)
            )
