"""The native decode of the wavelet field's bands: the integers of the one in Python, or the same error."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type

import numpy as np
import pytest
from make_golden import FOLDER
from native_variants import libraries
from nifcodec.coding import payload
from nifcodec.coding.coder import Decoder
from nifcodec.coding.compand import COMPAND_TABLE, UNIT
from nifcodec.coding.escapes import _SLACK_BITS, PREFIX_FREQUENCIES
from nifcodec.coding.lattice import Conditions, Lattice
from nifcodec.coding.neighbours import Band
from nifcodec.coding.tiles import Tiling
from nifcodec.fields.lifting import synthesise_plane

from nifcodec import container, decoder, priors, wavelet_decoder
from nifcodec.errors import CorruptFileError, TruncatedError
from nifcodec.fields import wavelet
from nifcodec.native.bands import LatticeShape, NativeModel, synthesise

Planes = Dict[Band, np.ndarray]
Decoded = Tuple[np.ndarray, List[Planes], List[int]]

LIBRARIES = libraries()
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="the native library was not built")
LAYOUTS = ([0], [0, 3], [0, 1, 2], [0, 1, 2, 3])


def packed(library: ctypes.CDLL) -> NativeModel:
    tables = priors.arrays_of(priors.DEFAULT)["tables"]
    return NativeModel(library, priors.named().context.networks, tables, COMPAND_TABLE)


MODELS = {name: packed(library) for name, library in LIBRARIES.items()}


class Anything:
    """Equal to every check."""

    def __ne__(self, other: object) -> bool:
        return False


class Unsigned(Decoder):
    """A decoder whose escapes take their sign from the symbol."""

    last = np.zeros(0, np.int32)

    def get_each(self, ids: np.ndarray, models: Any) -> np.ndarray:
        self.last = super().get_each(ids, models)
        return self.last


def unsigned_escapes(stream: Unsigned, count: int, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """`get_escapes` without a second sign."""
    if count > 8 * size + _SLACK_BITS:
        raise TruncatedError("too many escapes")
    lengths = stream.get(count, payload.Model(PREFIX_FREQUENCIES))
    if int(lengths.sum()) > 8 * size + _SLACK_BITS:
        raise TruncatedError("too many bits")
    bits = stream.get(int(lengths.sum()), payload._uniform(1)).tolist()
    excess = []
    for length in lengths.tolist():
        word = 1
        for _ in range(length):
            word = 2 * word + bits.pop(0)
        excess.append(word - 1)
    return np.array(excess, np.int64), stream.last[(stream.last == 0) | (stream.last == 32)] == 0


def in_python(
    data: bytes,
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: Sequence[Planes],
    finest: int,
    sign: bool,
) -> Decoded:
    """`payload.decode_bands` without its checks, and the digests that it would check."""
    digests = [0] * lattice.levels

    def check(level: int, digest: int) -> Any:
        digests[level] = digest
        return Anything()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "_check", check)
        patch.setattr(payload, "CHECK_BYTES", (0,) * lattice.levels)
        if not sign:
            patch.setattr(payload, "Decoder", Unsigned)
            patch.setattr(payload, "get_escapes", unsigned_escapes)
        plane, levels = payload.decode_bands(data, lattice, conditions, low, coarser, finest)
    return plane, levels, digests


def natively(
    model: NativeModel,
    data: bytes,
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: Sequence[Planes],
    finest: int,
    sign: bool,
) -> Decoded:
    count = lattice.levels * len(lattice.bands)
    flags = np.unpackbits(np.frombuffer(data, np.uint8, (count + 7) // 8))[:count]
    shape = LatticeShape(
        *lattice.sizes[0], tuple(lattice.colours), lattice.levels, lattice.first, conditions.step_feature,
        conditions.dependent, sign
    )  # fmt: skip
    plane, levels, digests = model.decode_bands(
        data[(count + 7) // 8 :],
        shape,
        flags.reshape(lattice.levels, len(lattice.bands)),
        low,
        [[bands.get(band) for band in lattice.bands] for bands in coarser],
        finest,
    )
    named = [{band: v for band, v in zip(lattice.bands, values) if v is not None} for values in levels]
    return plane, named, digests


def outcome(decode: Callable[..., Decoded], *arguments: Any) -> "Decoded | Type[CorruptFileError]":
    try:
        return decode(*arguments)
    except CorruptFileError as error:
        return type(error)


def assert_same(*arguments: Any) -> Optional[type]:
    """All decode to the same, or refuse alike; returns the error."""
    expected = outcome(in_python, *arguments)
    for model in MODELS.values():
        found = outcome(natively, model, *arguments)
        if isinstance(expected, type) or isinstance(found, type):
            assert found == expected
        else:
            assert_equal(found, expected, arguments[-2])
    return expected if isinstance(expected, type) else None


def assert_equal(found: Decoded, expected: Decoded, finest: int) -> None:
    assert found[0].dtype == expected[0].dtype
    np.testing.assert_array_equal(found[0], expected[0])
    for mine, theirs in zip(found[1], expected[1]):
        assert list(mine) == list(theirs)
        for band, values in mine.items():
            assert values.dtype == theirs[band].dtype
            np.testing.assert_array_equal(values, theirs[band])
    assert found[2][finest:] == expected[2][finest:]


def random_case(random: np.random.Generator, height: int, width: int, rough: bool) -> Tuple[Any, ...]:
    """A lattice, perhaps part of a larger one, under a random stream: any bytes decode to some integers."""
    colours = LAYOUTS[int(random.integers(0, 4))]
    tile = bool(random.random() < 0.4)
    lattice = Lattice(width, height, colours, synthesise_plane, 5 if tile else None, int(random.integers(0, 7)))
    conditions = Conditions(priors.named().context, int(random.integers(0, 128)), bool(random.random() < 0.5))
    spread = int(random.choice([3, 200, 1 << 20] if rough else [3, 30]))
    low = random.integers(-spread, spread + 1, lattice.low_shape()) * UNIT
    coarser: List[Planes] = []
    sides = lattice.sizes[-1]
    for _ in range(2 if tile else 0):
        sides = ((sides[0] + 1) // 2, (sides[1] + 1) // 2)
        chosen = [band for band in lattice.bands if random.random() < 0.7]
        coarser.append({band: random.integers(-9, 10, sides).astype(np.int32) for band in chosen})
    count = lattice.levels * len(lattice.bands)
    flags = np.packbits(random.random(count) < random.choice([0.3, 0.9, 1.0])).tobytes()
    finest = int(random.integers(0, lattice.levels + 1)) if random.random() < 0.5 else 0
    data = flags + random.bytes(int(random.integers(0, 3000)))
    return data, lattice, conditions, low, coarser, finest, bool(random.random() < 0.5)


SIDES = [(1, 1), (1, 9), (2, 1), (9, 2), (17, 1), (12, 18), (33, 65), (63, 40), (70, 131)]


@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_any_bytes_decode_to_the_same(sides: Tuple[int, int]) -> None:
    random = np.random.default_rng(sides)
    errors = [assert_same(*random_case(random, *sides, rough=i % 3 == 0)) for i in range(8)]
    assert None in errors


def golden_cases() -> List[Tuple[str, Tuple[Any, ...]]]:
    """The bands of the untiled golden files, and of the roots and tiles of the others."""
    cases = []
    names = sorted(path.stem for path in FOLDER.glob("*.nif"))
    for name in names:
        file = container.unpack((FOLDER / f"{name}.nif").read_bytes())
        if decoder.FAMILIES[file.family].name != "wavelet":
            continue
        spec = wavelet.unpack(file.description)
        conditions = Conditions(priors.named().context, spec.step_feature, spec.dependent)
        parts: List[Tuple[bytes, Lattice, np.ndarray, Sequence[Planes]]] = []
        if spec.tile_exponent:
            tiling: Tiling = wavelet_decoder._tiling(file, spec)
            root, *tiles = payload_tiles(file.payload, tiling)
            low, rest = payload.decode_low(root, tiling.root)
            parts.append((rest, tiling.root, low * UNIT, ()))
            plane, levels = payload.decode_lattice(root, tiling.root, conditions)
            for number, data in enumerate(tiles):
                tile = tiling.tile(number)
                parts.append((data, tile.lattice, tile.low(plane), tile.coarser(levels)))
        else:
            lattice = wavelet_decoder._lattice(file)
            low, rest = payload.decode_low(file.payload, lattice)
            parts.append((rest, lattice, low * UNIT, ()))
        for data, lattice, start, coarser in parts:
            count = (lattice.levels * len(lattice.bands) + 7) // 8
            checks = sum(payload.CHECK_BYTES[: lattice.levels])
            cases.append((name, (data[:count] + data[count + checks :], lattice, conditions, start, coarser)))
    return cases


def payload_tiles(data: bytes, tiling: Tiling) -> List[bytes]:
    return [bytes(part) for part in wavelet_decoder.unpack_tiles(data, tiling.count)]


GOLDEN = golden_cases()


def test_golden_files_decode_to_the_same_at_every_size() -> None:
    for _, (data, lattice, conditions, low, coarser) in GOLDEN:
        for finest in range(lattice.levels + 1):
            assert assert_same(data, lattice, conditions, low, coarser, finest, True) is None


def test_damaged_streams_decode_to_the_same_or_are_refused_alike() -> None:
    random = np.random.default_rng(3)
    for case, (data, *rest) in GOLDEN:
        for _ in range(1 if case != "escapes" else 8):
            changed = bytearray(data[: int(random.integers(0, len(data) + 1))] + random.bytes(int(random.integers(9))))
            flags = (rest[0].levels * len(rest[0].bands) + 7) // 8
            changed[: len(data[:flags])] = data[:flags]
            if len(changed) > flags:
                changed[int(random.integers(flags, len(changed)))] ^= 1 << int(random.integers(0, 8))
            assert_same(bytes(changed), *rest, 0, True)


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
        np.testing.assert_array_equal(synthesise(LIBRARIES[name], low, (bands[0], bands[1], bands[2])), expected)


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_arrays_that_are_not_the_lattices_are_refused(name: str) -> None:
    shape = LatticeShape(20, 30, (0, 1, 2), 2, 0, 60, False)
    low, coded = np.zeros((3, 5, 8), np.int64), np.ones((2, 9), bool)
    model = MODELS[name]
    model.decode_bands(b"", shape, coded, low, (), 0)
    for wrong in (low[:2], low[:, 1:], low[0]):
        with pytest.raises(ValueError, match="low-pass planes"):
            model.decode_bands(b"", shape, coded, wrong, (), 0)
    with pytest.raises(ValueError, match="flags"):
        model.decode_bands(b"", shape, coded[1:], low, (), 0)
    with pytest.raises(ValueError, match="native"):
        model.decode_bands(b"", shape, coded, low, [[np.zeros((4, 4), np.int32)] * 9], 0)
    with pytest.raises(ValueError, match="make no level"):
        synthesise(LIBRARIES[name], low, (low, low, low[:, :2]))


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_a_model_that_could_overflow_is_refused(name: str) -> None:
    prior = priors.named().context
    tables = priors.arrays_of(priors.DEFAULT)["tables"].copy()
    key = (1, 2, 0, 1)
    network = prior.networks[key]
    for change in ("w1", "w2", "skip"):
        wide = dict(vars(network), **{change: np.full_like(getattr(network, change), 9000)})
        with pytest.raises(ValueError, match="cannot hold"):
            NativeModel(LIBRARIES[name], {**prior.networks, key: type(network)(**wide)}, tables, COMPAND_TABLE)
    tables[5, 0] += 1
    with pytest.raises(ValueError, match="cannot hold"):
        NativeModel(LIBRARIES[name], prior.networks, tables, COMPAND_TABLE)
