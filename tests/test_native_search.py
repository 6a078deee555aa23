"""The native search against the one in NumPy, which is the reference: the same integers, the same bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nifcodec import priors
from nifcodec.coding.coder import PRECISION
from nifcodec.coding.compand import COMPAND_TABLE, UNIT
from nifcodec.coding.influence import influence
from nifcodec.coding.lattice import MAX_VALUE, Conditions, Lattice
from nifcodec.coding.payload import decode_bands, encode_bands
from nifcodec.coding.rdoq import quantize_bands, rounded_low, settle
from nifcodec.coding.trellis import Start, requantize_bands
from nifcodec.fields import wavelet
from nifcodec.fields.lifting import analyse_levels, synthesise_plane
from nifcodec.native import library
from nifcodec.native.bands import LatticeShape, NativeModel
from nifcodec.native.search import NativeSearch

pytestmark = pytest.mark.skipif(library.load() is None, reason="the native library was not built")

SAMPLES = Path(__file__).parents[1] / "sample_images"
LAGRANGIAN = 0.1
SHAPES = [(1, 1), (1, 9), (7, 2), (16, 16), (33, 47), (70, 35)]
PLANES = [(0,), (0, 3), (0, 1, 2), (0, 1, 2, 3)]


@dataclass
class Case:
    """A lattice of random coefficients, for both."""

    lattice: Lattice
    conditions: Conditions
    shape: LatticeShape
    low: np.ndarray
    details: list
    coarser: list

    def listed(self, levels):
        return [[bands[band] for band in self.lattice.bands] for bands in levels]

    def beyond(self):
        return [[bands.get(band) for band in self.lattice.bands] for bands in self.coarser]

    def random(self, rng, scale):
        return [{band: rng.laplace(0, scale, values.shape) for band, values in bands.items()} for bands in self.details]


@pytest.fixture(scope="module")
def search():
    context, tables = priors.named().context, priors.arrays_of("photo")["tables"]
    model = NativeModel(library.load(), context.networks, tables, COMPAND_TABLE)
    return NativeSearch(model, PRECISION - np.log2(tables.astype(np.float64)))


def make(rng, size, planes, dependent=False, spread=1.0, levels=None, first=0):
    """Coefficients of which some regions are empty, most are small and a few are as large as they may be."""
    lattice = Lattice(size[1], size[0], planes, synthesise_plane, levels, first)
    details = []
    for level in range(lattice.levels):
        bands = {}
        for band in lattice.bands:
            rows, columns = lattice.shape(level, band)
            scales = spread * np.exp(3 * np.sin(np.arange(rows)[:, None] / 9 + band.colour) + rng.normal())
            values = rng.laplace(0, 1, (rows, columns)) * scales
            values[rng.random((rows, columns)) < 0.005] *= 1e4
            bands[band] = values * (rng.random() < 0.85)
        details.append(bands)
    low = rounded_low(rng.normal(0, 300, lattice.low_shape())) * UNIT
    coarser = []
    if levels is not None:
        for beyond in range(2):
            height, width = (-(-side >> beyond) for side in lattice.sizes[-1])
            shape = (height + 1) // 2, (width + 1) // 2
            coarser.append({band: rng.integers(-9, 9, shape).astype(np.int32) for band in lattice.bands[::2]})
    shape = LatticeShape(size[0], size[1], tuple(planes), lattice.levels, first, 70, dependent, escape_has_sign=True)
    return Case(lattice, Conditions(priors.named().context, 70, dependent), shape, low, details, coarser)


def check(case, expected, found):
    """The same integers and contexts, and the same low-pass plane."""
    for level in range(case.lattice.levels):
        for number, band in enumerate(case.lattice.bands):
            np.testing.assert_array_equal(found.values[level][number], expected.levels[level][band])
            np.testing.assert_array_equal(found.contexts[level][number], expected.contexts[level][band])
    np.testing.assert_array_equal(found.plane, expected.low)


def check_stream(search, case, expected):
    """The same payload, which comes back."""
    found = search.encode_bands(case.shape, case.listed(expected.levels), case.listed(expected.contexts))
    payload = encode_bands(case.lattice, case.conditions.model, expected.levels, expected.contexts)
    flags = np.packbits(found.coded.ravel()).tobytes()
    checks = b"".join(digest.to_bytes(4, "little")[:size] for digest, size in zip(found.digests, (2, 1, 1, 1, 1)))
    assert flags + checks + found.data == payload
    assert found.needed == sorted(found.needed, reverse=True)
    _, levels = decode_bands(payload, case.lattice, case.conditions, case.low, case.coarser)
    for level, bands in enumerate(levels):
        for band, values in bands.items():
            np.testing.assert_array_equal(values, expected.levels[level][band])
        if level and found.needed[level] < len(found.data):
            short = payload[: len(payload) - len(found.data) + found.needed[level]]
            decode_bands(short, case.lattice, case.conditions, case.low, case.coarser, level)


@pytest.mark.parametrize("planes", PLANES)
@pytest.mark.parametrize("size", SHAPES)
def test_quantize(search, size, planes):
    rng = np.random.default_rng(size[0] * 100 + len(planes))
    for spread in (0.3, 3.0, 300.0):
        case = make(rng, size, planes, spread=spread)
        expected = quantize_bands(case.lattice, case.conditions, case.low, (), case.details, LAGRANGIAN)
        found = search.quantize_bands(case.shape, case.low, (), case.listed(case.details), LAGRANGIAN)
        check(case, expected, found)
        check_stream(search, case, expected)


@pytest.mark.parametrize("planes", PLANES)
def test_quantize_with_prices_and_effects(search, planes):
    rng = np.random.default_rng(len(planes))
    case = make(rng, (40, 50), planes)
    prices = [{band: np.abs(values) for band, values in bands.items()} for bands in case.random(rng, 2.0)]
    effects = [
        {band: rng.normal(0, 0.1, (2, *values.shape)).astype(np.float32) for band, values in bands.items()}
        for bands in case.details
    ]
    expected = quantize_bands(case.lattice, case.conditions, case.low, (), case.details, LAGRANGIAN, effects, prices)
    found = search.quantize_bands(
        case.shape, case.low, (), case.listed(case.details), LAGRANGIAN, case.listed(effects), case.listed(prices)
    )
    check(case, expected, found)


def test_a_part_of_a_larger_lattice(search):
    rng = np.random.default_rng(5)
    for size in ((64, 96), (33, 40)):
        case = make(rng, size, (0, 1, 2), levels=3)
        expected = quantize_bands(case.lattice, case.conditions, case.low, case.coarser, case.details, LAGRANGIAN)
        details = case.listed(case.details)
        found = search.quantize_bands(case.shape, case.low, case.beyond(), details, LAGRANGIAN)
        check(case, expected, found)
        check(case, expected, search.contexts_of(case.shape, case.low, case.beyond(), found.values))
        check_stream(search, case, expected)
        check_gradient(search, case, expected.levels)


def test_magnitudes_at_the_limit(search):
    rng = np.random.default_rng(6)
    case = make(rng, (40, 40), (0, 1, 2), spread=1e6)
    expected = quantize_bands(case.lattice, case.conditions, case.low, (), case.details, LAGRANGIAN)
    assert max(np.abs(values).max() for bands in expected.levels for values in bands.values()) == 2 * MAX_VALUE
    check(case, expected, search.quantize_bands(case.shape, case.low, (), case.listed(case.details), LAGRANGIAN))
    check_stream(search, case, expected)


@pytest.mark.parametrize("planes", PLANES)
@pytest.mark.parametrize("size", SHAPES)
def test_dependent(search, size, planes):
    rng = np.random.default_rng(size[0] * 100 + len(planes) + 50)
    for spread, given in ((0.3, False), (3.0, True), (300.0, False)):
        case = make(rng, size, planes, dependent=True, spread=spread)
        scalar = make(np.random.default_rng(0), size, planes)
        first = quantize_bands(scalar.lattice, scalar.conditions, case.low, (), case.details, LAGRANGIAN)
        start = Start(first.levels, first.contexts).at_step(18)
        effects = prices = None
        if given:
            prices = [{band: np.abs(values) for band, values in bands.items()} for bands in case.random(rng, 2.0)]
            effects = influence(scalar.lattice, scalar.conditions, case.low, (), first.levels)
        expected = requantize_bands(
            case.lattice, case.conditions, case.low, (), case.details, LAGRANGIAN, start, effects, prices
        )
        found = search.requantize_bands(
            case.shape,
            case.listed(case.details),
            LAGRANGIAN,
            case.listed(start.levels),
            case.listed(start.contexts),
            None if effects is None else case.listed(effects),
            None if prices is None else case.listed(prices),
        )
        check(case, expected, search.contexts_of(case.shape, case.low, (), found))
        check_stream(search, case, expected)
        check_gradient(search, case, expected.levels)


def check_gradient(search, case, levels):
    """The same gradients but for rounding."""
    expected = influence(case.lattice, case.conditions, case.low, case.coarser, levels)
    found = search.rate_gradient(case.shape, case.low, case.beyond(), case.listed(levels))
    for bands, arrays in zip(expected, found):
        for band, array in zip(case.lattice.bands, arrays):
            tolerance = 1e-4 * (1e-3 + np.abs(bands[band]).max(initial=0))
            np.testing.assert_allclose(array, bands[band], rtol=1e-3, atol=tolerance)


def test_a_picture(search):
    from nifcodec.image import read_image

    image = read_image(str(SAMPLES / "chelsea.png"))
    pixels = np.asarray(image.pixels)[:150, :201, :3] / 255.0
    wanted = wavelet.to_planes(pixels)
    lattice = Lattice(wanted.shape[2], wanted.shape[1], (0, 1, 2), synthesise_plane)
    low, details = analyse_levels(wanted, lattice.levels)
    case = make(np.random.default_rng(0), wanted.shape[1:], (0, 1, 2))
    case.low = rounded_low(low * 20) * UNIT
    case.details = [{band: values * 20 for band, values in bands.items()} for bands in lattice.by_band(details)]
    expected = quantize_bands(lattice, case.conditions, case.low, (), case.details, LAGRANGIAN)
    check(case, expected, search.quantize_bands(case.shape, case.low, (), case.listed(case.details), LAGRANGIAN))
    check_stream(search, case, expected)
    check_gradient(search, case, expected.levels)


def test_settled_integers(search):
    rng = np.random.default_rng(8)
    case = make(rng, (21, 30), (0, 1, 2, 3), dependent=True)
    levels = [
        {band: np.rint(values.clip(-2e6, 2e6)).astype(np.int32) for band, values in bands.items()}
        for bands in case.details
    ]
    expected = settle(case.lattice, case.conditions, case.low, (), levels)
    check(case, expected, search.contexts_of(case.shape, case.low, (), case.listed(levels)))


def test_wrong_arguments(search):
    case = make(np.random.default_rng(9), (20, 20), (0,))
    details = case.listed(case.details)
    with pytest.raises(ValueError, match="shapes of the lattice"):
        search.quantize_bands(case.shape, case.low, (), details[:-1], LAGRANGIAN)
    with pytest.raises(ValueError, match="low-pass planes"):
        search.quantize_bands(case.shape, case.low[:, :1], (), details, LAGRANGIAN)
    found = search.quantize_bands(case.shape, case.low, (), details, LAGRANGIAN)
    found.values[0][0][0, 0] = 1 << 30
    with pytest.raises(ValueError, match="refuses"):
        search.contexts_of(case.shape, case.low, (), found.values)
    with pytest.raises(ValueError, match="refuses"):
        search.encode_bands(case.shape, found.values, found.contexts)
