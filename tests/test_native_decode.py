"""The native decode of the wavelet field's bands: the integers of the one in NumPy, or the same error."""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple, Type, Union

import fuzz
import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING, MODELS, NUMPY
from native_vectors import Part, golden_parts

from nifcodec.errors import CorruptFileError
from nifcodec.fields.wavelet.coding import bitstream
from nifcodec.fields.wavelet.coding.bitstream import Setting
from nifcodec.fields.wavelet.coding.companding import COMPAND_TABLE
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.kernels import Scanned
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.lattice import UNIT, BandValues, Lattice
from nifcodec.fields.wavelet.lifting import analyse_plane, synthesise_plane
from nifcodec.native.bands import LatticeShape, NativeModel
from nifcodec.native.lifting import NativeLifting

pytestmark = pytest.mark.skipif(not LIBRARIES, reason=MISSING)
LAYOUTS = ([0], [0, 3], [0, 1, 2], [0, 1, 2, 3])
SIDES = [(1, 1), (1, 9), (2, 1), (9, 2), (17, 1), (12, 18), (33, 65), (63, 40), (70, 131)]

Outcome = Union[Scanned, Type[CorruptFileError]]


def outcome(model: ContextModel, part: Part, finest: int) -> Outcome:
    """What a model makes of a stream."""
    setting = Setting(part.lattice, Conditions(model, part.step_feature, part.dependent), part.low, part.coarser)
    decode = bitstream._decode if model.kernels is None else model.kernels.decode_bands
    try:
        return decode(setting, part.stream, part.flags, finest)
    except CorruptFileError as error:
        return type(error)


def assert_same(part: Part, finest: int = 0) -> Outcome:
    """All decode to the same, or refuse alike; returns what they do."""
    expected = outcome(NUMPY, part, finest)
    for model in MODELS.values():
        found = outcome(model, part, finest)
        if isinstance(expected, type) or isinstance(found, type):
            assert found == expected
        else:
            assert_equal(found, expected, finest)
    return expected


def assert_equal(found: Scanned, expected: Scanned, finest: int) -> None:
    assert found.plane.dtype == expected.plane.dtype
    np.testing.assert_array_equal(found.plane, expected.plane)
    for mine, theirs in zip(found.levels, expected.levels):
        assert list(mine) == list(theirs)
        for band, values in mine.items():
            assert values.dtype == theirs[band].dtype
            np.testing.assert_array_equal(values, theirs[band])
    assert found.digests[finest:] == expected.digests[finest:]
    assert found.canonical == expected.canonical


def random_part(random: np.random.Generator, height: int, width: int, rough: bool) -> Tuple[Part, int]:
    """A lattice, perhaps part of a larger one, under a random stream: any bytes decode to some integers."""
    tile = bool(random.random() < 0.4)
    kinds = LAYOUTS[int(random.integers(0, 4))]
    lattice = Lattice(width, height, kinds, 5 if tile else None, int(random.integers(0, 7)))
    spread = int(random.choice([3, 200, 1 << 20] if rough else [3, 30]))
    low = random.integers(-spread, spread + 1, lattice.low_shape()) * UNIT
    coarser: List[BandValues] = []
    sides = lattice.sizes[-1]
    for _ in range(2 if tile else 0):
        sides = ((sides[0] + 1) // 2, (sides[1] + 1) // 2)
        chosen = [band for band in lattice.bands if random.random() < 0.7]
        coarser.append({band: random.integers(-9, 10, sides).astype(np.int32) for band in chosen})
    flags = random.random((lattice.levels, len(lattice.bands))) < random.choice([0.3, 0.9, 1.0])
    finest = int(random.integers(0, lattice.levels + 1)) if random.random() < 0.5 else 0
    stream = random.bytes(int(random.integers(0, 3000)))
    step, dependent = int(random.integers(0, 128)), bool(random.random() < 0.5)
    return Part("random", lattice, step, dependent, low, coarser, flags, stream), finest


@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_any_bytes_decode_to_the_same(sides: Tuple[int, int]) -> None:
    random = np.random.default_rng(sides)
    found = [assert_same(*random_part(random, *sides, rough=i % 3 == 0)) for i in range(8)]
    assert any(isinstance(each, Scanned) for each in found)


def test_golden_files_decode_to_the_same_at_every_size() -> None:
    for part in golden_parts():
        for finest in range(part.lattice.levels + 1):
            found = assert_same(part, finest)
            assert isinstance(found, Scanned)
            assert finest or found.canonical


def test_damaged_streams_decode_to_the_same_or_are_refused_alike() -> None:
    random = np.random.default_rng(3)
    for part in golden_parts():
        for _ in range(8 if part.name == "escapes" else 1):
            kept = int(random.integers(0, len(part.stream) + 1))
            changed = bytearray(part.stream[:kept] + random.bytes(int(random.integers(9))))
            if changed:
                changed[int(random.integers(0, len(changed)))] ^= 1 << int(random.integers(0, 8))
            assert_same(part._replace(stream=bytes(changed)))


def test_the_corpus_is_read_alike() -> None:
    paths = sorted(fuzz.CORPUS.glob("lattice-*.fuzz"))
    assert paths
    for path in paths:
        _, layout, *data = path.read_bytes()
        fuzz.read_by_both(layout, bytes(data))


@pytest.mark.parametrize("name", sorted(LIBRARIES))
@pytest.mark.parametrize("sides", [*SIDES, (8, 8), (256, 31)], ids=str)
def test_synthesis_is_the_same(sides: Tuple[int, int], name: str) -> None:
    random = np.random.default_rng(sides)
    height, width = sides
    up, across = (height + 1) // 2, (width + 1) // 2
    for spread in (100, 1 << 40, 1 << 62):
        shapes = [(up, across), (up, width // 2), (height // 2, across), (height // 2, width // 2)]
        low, *bands = (random.integers(-spread, spread, (3, *shape)) for shape in shapes)
        expected = synthesise_plane(low, (bands[0], bands[1], bands[2]))
        found = NativeLifting(LIBRARIES[name]).synthesise(low, (bands[0], bands[1], bands[2]))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", sorted(LIBRARIES))
@pytest.mark.parametrize("sides", [*SIDES, (8, 8), (256, 31)], ids=str)
def test_analysis_is_the_same(sides: Tuple[int, int], name: str) -> None:
    planes = np.random.default_rng(sides).normal(0, 30, (3, *sides))
    (low, bands), (expected_low, expected) = NativeLifting(LIBRARIES[name]).analyse(planes), analyse_plane(planes)
    for one, other in zip((low, *bands), (expected_low, *expected)):
        np.testing.assert_array_equal(one, other)


def packed(name: str, networks: Any = None, tables: "np.ndarray | None" = None) -> NativeModel:
    return NativeModel(
        LIBRARIES[name],
        NUMPY.networks if networks is None else networks,
        NUMPY.frequencies if tables is None else tables,
        COMPAND_TABLE,
    )


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_arrays_that_are_not_the_lattices_are_refused(name: str) -> None:
    shape = LatticeShape(20, 30, (0, 1, 2), 2, 0, 60, False)
    low, coded = np.zeros((3, 5, 8), np.int64), np.ones((2, 9), bool)
    model = packed(name)
    model.decode_bands(b"", shape, coded, low, (), 0)
    wrongs: Sequence[np.ndarray] = (low[:2], low[:, 1:], low[0])
    for wrong in wrongs:
        with pytest.raises(ValueError, match="low-pass planes"):
            model.decode_bands(b"", shape, coded, wrong, (), 0)
    with pytest.raises(ValueError, match="flags"):
        model.decode_bands(b"", shape, coded[1:], low, (), 0)
    with pytest.raises(ValueError, match="native"):
        model.decode_bands(b"", shape, coded, low, [[np.zeros((4, 4), np.int32)] * 9], 0)
    with pytest.raises(ValueError, match="make no level"):
        NativeLifting(LIBRARIES[name]).synthesise(low, (low, low, low[:, :2]))
    with pytest.raises(ValueError, match="no level"):
        NativeLifting(LIBRARIES[name]).analyse(np.zeros((3, 0, 4)))


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_a_model_that_could_overflow_is_refused(name: str) -> None:
    key = (1, 2, 0, 1)
    network = NUMPY.networks[key]
    for change in ("w1", "w2", "skip"):
        wide = dict(vars(network), **{change: np.full_like(getattr(network, change), 9000)})
        with pytest.raises(ValueError, match="cannot hold"):
            packed(name, {**NUMPY.networks, key: type(network)(**wide)})
    tables = NUMPY.frequencies.copy()
    tables[5, 0] += 1
    with pytest.raises(ValueError, match="cannot hold"):
        packed(name, tables=tables)
