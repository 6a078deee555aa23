"""The native scan of a pyramid's latents: integers, bytes and errors of the one in NumPy."""

from __future__ import annotations

import dataclasses
from typing import Dict, List, Mapping, Tuple, Type, Union

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING

from nifcodec.errors import CorruptFileError, LimitError, MalformedError, TruncatedError
from nifcodec.fields.parts import CodedPart
from nifcodec.fields.pyramid.bitstream import decode_part, encode_part
from nifcodec.fields.pyramid.grids import GROUPS, Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.kernels import Kernels
from nifcodec.fields.pyramid.laplacians import VALUE_LIMIT
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.scan import Scan
from nifcodec.native.latents import NativeLatents

pytestmark = pytest.mark.skipif(not LIBRARIES, reason=MISSING)
LAYOUT = layout(3)
SIZES = [(1, 1), (1, 37), (41, 1), (2, 3), (17, 16), (70, 45)]

Grids = Mapping[Grid, np.ndarray]
Outcome = Union[Dict[Grid, np.ndarray], Type[CorruptFileError]]


def network_of(seed: int, scale: float) -> IntegerNetwork:
    """In NumPy. `scale`: natural logarithm of about what latents are predicted to spread by."""
    random = np.random.RandomState(seed)
    weights = LAYOUT.initial(seed) + random.normal(0, random.choice([0.02, 0.3]), LAYOUT.count).astype(np.float32)
    for group in range(GROUPS):
        LAYOUT.parts[f"entropy {group} last bias"].of(weights)[...] = [random.normal(0, 3), scale]
    return IntegerNetwork.of(LAYOUT, weights, native=False)


def natively(network: IntegerNetwork) -> "List[IntegerNetwork]":
    return [
        dataclasses.replace(
            network, kernels=Kernels(built, [(each.layers, each.linear) for each in network.groups], network.features)
        )
        for built in LIBRARIES.values()
    ]


def drawn(random: np.random.RandomState, size: Tuple[int, int], spread: float) -> Dict[Grid, np.ndarray]:
    values = {grid: np.rint(random.laplace(0, spread, grid.size(*size))) for grid in all_grids()}
    return {grid: np.clip(each, -VALUE_LIMIT, VALUE_LIMIT).astype(np.int32) for grid, each in values.items()}


def coded_by_all(network: IntegerNetwork, values: Grids, known: Grids) -> CodedPart:
    expected = encode_part(network, values, known)
    for native in natively(network):
        assert encode_part(native, values, known) == expected
    return expected


def decoded_by_all(network: IntegerNetwork, data: bytes, values: Grids, known: Grids, finest: int = 0) -> Outcome:
    """What all make of a stream of grids of these sizes, where it is the same."""
    shapes = {grid: (each.shape[0], each.shape[1]) for grid, each in values.items()}
    outcomes: List[Outcome] = []
    for each in (network, *natively(network)):
        try:
            outcomes.append(decode_part(each, data, shapes, known, finest))
        except CorruptFileError as error:
            outcomes.append(type(error))
    expected = outcomes[0]
    for found in outcomes[1:]:
        if isinstance(expected, type) or isinstance(found, type):
            assert found == expected
        else:
            assert list(found) == list(expected)
            for grid, array in found.items():
                assert array.dtype == np.int32
                np.testing.assert_array_equal(array, expected[grid])
    return expected


def assert_decoded(found: Outcome, values: Grids, finest: int = 0) -> None:
    assert not isinstance(found, type)
    assert set(found) == {grid for grid in values if grid.level >= finest}
    for grid, array in found.items():
        np.testing.assert_array_equal(array, values[grid])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("spread, scale", [(0.4, -1.0), (30.0, 0.0), (30.0, 4.0), (40000.0, 5.0)])
def test_streams_are_the_same(size: Tuple[int, int], spread: float, scale: float) -> None:
    random = np.random.RandomState(size[0])
    network, values = network_of(size[1], scale), drawn(random, size, spread)
    part = coded_by_all(network, values, {})
    assert_decoded(decoded_by_all(network, part.data, values, {}), values)
    for index, level in enumerate(range(6, -1, -1)):
        assert_decoded(decoded_by_all(network, part.data[: part.ends[index]], values, {}, level), values, level)
    assert part.ends[-1] == len(part.data)


def test_a_tile_knows_what_was_coded_elsewhere() -> None:
    network, values = network_of(3, 1.0), drawn(np.random.RandomState(3), (50, 61), 2.0)
    for first in range(1, len(all_grids())):
        finer, coarser = all_grids()[:first], all_grids()[first:]
        tile, known = ({grid: values[grid] for grid in grids} for grids in (finer, coarser))
        part = coded_by_all(network, tile, known)
        assert len(part.ends) == finer[-1].level + 1
        assert_decoded(decoded_by_all(network, part.data, tile, known), tile)
        root = coded_by_all(network, known, {})
        assert_decoded(decoded_by_all(network, root.data, known, {}), known)


def test_damaged_and_random_streams_are_read_alike() -> None:
    random = np.random.RandomState(4)
    found = []
    for number in range(30):
        size = SIZES[number % len(SIZES)]
        network, values = network_of(number, float(random.choice([-3, 1, 4]))), drawn(random, size, 20.0)
        data = bytearray(encode_part(network, values, {}).data[: random.randint(1, 4000)])
        data[random.randint(len(data))] ^= 1 << random.randint(8)
        streams = [bytes(data), random.bytes(random.randint(200)), b"", b"\xff" * random.randint(1, 50)]
        found += [decoded_by_all(network, stream, values, {}, int(random.randint(3))) for stream in streams]
    assert {MalformedError} < {each if isinstance(each, type) else dict for each in found}


def test_a_stream_too_short_for_its_escapes_is_refused() -> None:
    # The zeros behind an end are escapes; more of them lie on a diagonal than a state of the coder could hold.
    network, values = network_of(5, 0.0), {Grid(6): np.zeros((400, 400), np.int32)}
    assert decoded_by_all(network, b"", values, {}) is TruncatedError
    assert decoded_by_all(network, bytes(8), values, {}) is MalformedError


def test_a_stream_that_names_large_latents_is_refused() -> None:
    network, values = network_of(5, 5.0), drawn(np.random.RandomState(5), (9, 9), 1.0)
    limit = {**values, Grid(0): np.full((9, 9), VALUE_LIMIT, np.int32)}
    part = coded_by_all(network, limit, {})
    assert_decoded(decoded_by_all(network, part.data, limit, {}), limit)
    beyond = {**values, Grid(0): np.full((9, 9), -VALUE_LIMIT - 1, np.int32)}
    for each in (network, *natively(network)):
        with pytest.raises(LimitError, match="latent"):
            encode_part(each, beyond, {})
        with pytest.raises(LimitError, match="latent"):
            decode_part(each, b"", {Grid(6): (1, 1)}, {Grid(6, True): np.full((1, 1), VALUE_LIMIT + 1)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nifcodec.fields.pyramid.bitstream.VALUE_LIMIT", 1 << 20)
        data = encode_part(network, beyond, {}).data
    assert decoded_by_all(network, data, values, {}) is MalformedError


def test_grids_that_do_not_belong_together_are_refused() -> None:
    network, values = network_of(6, 0.0), drawn(np.random.RandomState(6), (20, 20), 1.0)
    for each in (network, *natively(network)):
        with pytest.raises(ValueError, match="follow"):
            encode_part(each, {grid: values[grid] for grid in (Grid(3), Grid(5))}, {})
        with pytest.raises(ValueError, match="follow"):
            encode_part(each, {}, values)
        with pytest.raises(ValueError, match="missing"):
            encode_part(each, {Grid(2): values[Grid(2)]}, {Grid(3): values[Grid(3)]})
        with pytest.raises(ValueError, match="belong"):
            encode_part(each, {**values, Grid(4): values[Grid(3)]}, {})
        with pytest.raises(ValueError, match="belong"):
            decode_part(each, b"", {Grid(6): (0, 1)}, {})


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_networks_and_arrays_that_are_none_are_refused(name: str) -> None:
    network = network_of(7, 0.0)
    neighbours, tables = np.tile([[0], [-1]], 14), np.full((969, 33), 1)

    def packed(change: int, value: float, places: np.ndarray = neighbours) -> NativeLatents:
        layers = [(matrix.copy(), bias.copy()) for matrix, bias in network.groups[0].layers]
        layers[change % 3][change // 3].ravel()[-1] = value
        return NativeLatents(LIBRARIES[name], [(layers, network.groups[0].linear)], places, tables)

    packed(0, 4).decoder(b"").get(2, 2, 0, None)
    for change in range(6):
        for value in (1.0 * (1 << 31) - 4096, float("nan")):
            with pytest.raises(ValueError, match="cannot hold"):
                packed(change, value)
    for place in ([[1], [0]], [[0], [0]], [[-1], [3]], [[-5], [0]], [[-4], [-4]]):
        with pytest.raises(ValueError, match="cannot hold"):
            packed(0, 4, np.tile(place, 14))
    with pytest.raises(ValueError, match="shapes"):
        NativeLatents(LIBRARIES[name], [(network.groups[0].layers[:2], network.groups[0].linear)], neighbours, tables)
    with pytest.raises(ValueError, match="features of"):
        packed(0, 4).decoder(b"").get(4, 4, 0, np.zeros((2, 1, 8), np.int16))
    with pytest.raises(ValueError, match="refuses"):
        packed(0, 4).decoder(b"").get(0, 4, 0, None)
    with pytest.raises(ValueError, match="refuses"):
        packed(0, 4).encoder(3).put(np.zeros((4, 4), np.int32), 0, None)
    with pytest.raises(ValueError, match="refuses"):
        grids = [(0, np.zeros((5, 4), np.int32)), (1, np.zeros((2, 2), np.int32))]
        packed(0, 4).features((np.zeros((6, 2)), np.zeros(6)), grids)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_features_are_the_same(size: Tuple[int, int]) -> None:
    network, values = network_of(8, 0.0), drawn(np.random.RandomState(8), size, 50000.0)
    for level in range(3):
        expected = Scan(network).features(level, values)
        for native in natively(network):
            assert native.kernels is not None
            found = native.kernels.features(level, values)
            np.testing.assert_array_equal(found[..., :6].transpose(2, 0, 1), expected)
            assert not found[..., 6:].any()
