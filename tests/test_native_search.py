"""The native search against the one in NumPy, which is the reference: the same integers, the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING, MODELS, NUMPY

from nifcodec.fields.wavelet.coding.bitstream import decode_bands, encode_bands
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.kernels import Kernels
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.lattice import MAX_VALUE, UNIT, BandValues, Lattice, Subband
from nifcodec.fields.wavelet.lifting import analyse_levels
from nifcodec.fields.wavelet.planes import to_planes
from nifcodec.fields.wavelet.search.coding import Coding, QuantizedBands, contexts_of
from nifcodec.fields.wavelet.search.quantize import quantize_bands, requantize_bands
from nifcodec.fields.wavelet.search.rate_gradient import rate_gradient
from nifcodec.picture.read import read_image

pytestmark = pytest.mark.skipif(not LIBRARIES, reason=MISSING)

SAMPLES = Path(__file__).parents[1] / "sample_images"
LAGRANGIAN = 0.1
STEP_FEATURE = 70
SIZES = [(1, 1), (1, 9), (7, 2), (16, 16), (33, 47), (70, 35)]
PLANES = [(0,), (0, 3), (0, 1, 2), (0, 1, 2, 3)]
CASES = [(size, PLANES[(i + j) % 4]) for i, size in enumerate(SIZES) for j in (1, 2)]

Details = List[Dict[Subband, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """A lattice of random coefficients, in steps, for all back ends."""

    coding: Coding  # by NumPy
    details: Details

    def natively(self) -> Iterator[Coding]:
        """The same by each build of the native library."""
        return (self.by(model) for model in MODELS.values())

    def by(self, model: ContextModel) -> Coding:
        return replace(self.coding, conditions=replace(self.coding.conditions, model=model))

    def like(self, draw: Sequence[np.ndarray]) -> Details:
        """Arrays of the bands' shapes."""
        drawn = iter(draw)
        return [{band: next(drawn) for band in bands} for bands in self.details]

    def shapes(self) -> List[Tuple[int, ...]]:
        return [values.shape for bands in self.details for values in bands.values()]


def make(
    rng: np.random.Generator,
    size: Tuple[int, int],
    planes: Sequence[int],
    dependent: bool = False,
    spread: float = 1.0,
    levels: Optional[int] = None,
) -> Case:
    """Coefficients of which some regions are empty, most are small and a few are as large as they may be."""
    lattice = Lattice(size[1], size[0], planes, levels)
    details: Details = []
    for level in range(lattice.levels):
        details.append({})
        for band in lattice.bands:
            rows, columns = lattice.shape(level, band)
            scales = spread * np.exp(3 * np.sin(np.arange(rows)[:, None] / 9 + band.plane) + rng.normal())
            values = rng.laplace(0, 1, (rows, columns)) * scales
            values[rng.random((rows, columns)) < 0.005] *= 1e4
            details[-1][band] = values * (rng.random() < 0.85)
    coarser: List[BandValues] = []
    if levels is not None:
        for beyond in range(2):
            height, width = (-(-side >> beyond) for side in lattice.sizes[-1])
            shape = (height + 1) // 2, (width + 1) // 2
            coarser.append({band: rng.integers(-9, 9, shape).astype(np.int32) for band in lattice.bands[::2]})
    low = rng.normal(0, 300, lattice.low_shape())
    conditions = Conditions(NUMPY, STEP_FEATURE, dependent)
    coding = replace(Coding.of_root(lattice, conditions, low), coarser=coarser, is_root=levels is None)
    return Case(coding, details)


def check(found: QuantizedBands, expected: QuantizedBands) -> None:
    """The same integers and low-pass planes, and the same contexts where a band is coded."""
    for mine, theirs, contexts, wanted in zip(found.levels, expected.levels, found.contexts, expected.contexts):
        for band, values in theirs.items():
            np.testing.assert_array_equal(mine[band], values)
            if values.any():
                np.testing.assert_array_equal(contexts[band], wanted[band])
    np.testing.assert_array_equal(found.plane, expected.plane)


def check_stream(case: Case, expected: QuantizedBands) -> None:
    """The same payload, which comes back."""
    coding, lattice = case.coding, case.coding.lattice
    part = encode_bands(lattice, coding.conditions, expected.levels, expected.contexts)
    for native in case.natively():
        assert encode_bands(lattice, native.conditions, expected.levels, expected.contexts) == part
        _, levels = decode_bands(part.data, lattice, native.conditions, coding.low, coding.coarser)
        for bands, wanted in zip(levels, expected.levels):
            for band, values in bands.items():
                np.testing.assert_array_equal(values, wanted[band])


def check_gradient(case: Case, levels: List[BandValues]) -> None:
    """The same gradients but for rounding."""
    expected = rate_gradient(case.coding, levels)
    for native in case.natively():
        for bands, wanted in zip(rate_gradient(native, levels), expected):
            for band, values in wanted.items():
                tolerance = 1e-4 * (1e-3 + np.abs(values).max(initial=0))
                np.testing.assert_allclose(bands[band], values, rtol=1e-3, atol=tolerance)


@pytest.mark.parametrize(("size", "planes"), CASES, ids=str)
def test_quantize(size: Tuple[int, int], planes: Sequence[int]) -> None:
    rng = np.random.default_rng(size[0] * 100 + len(planes))
    for spread in (0.3, 3.0, 300.0):
        case = make(rng, size, planes, spread=spread)
        expected = quantize_bands(case.coding, case.details, LAGRANGIAN)
        for native in case.natively():
            check(quantize_bands(native, case.details, LAGRANGIAN), expected)
        check_stream(case, expected)


@pytest.mark.parametrize("planes", PLANES, ids=str)
def test_quantize_with_weights_and_gradients(planes: Sequence[int]) -> None:
    rng = np.random.default_rng(len(planes))
    case = make(rng, (40, 50), planes)
    weights = case.like([np.abs(rng.laplace(0, 2.0, shape)) for shape in case.shapes()])
    gradient = case.like([rng.normal(0, 0.1, (2, *shape)).astype(np.float32) for shape in case.shapes()])
    expected = quantize_bands(case.coding, case.details, LAGRANGIAN, gradient, weights)
    for native in case.natively():
        check(quantize_bands(native, case.details, LAGRANGIAN, gradient, weights), expected)


def test_a_part_of_a_larger_lattice() -> None:
    rng = np.random.default_rng(5)
    for size in ((64, 96), (33, 40)):
        case = make(rng, size, (0, 1, 2), levels=3)
        expected = quantize_bands(case.coding, case.details, LAGRANGIAN)
        for native in case.natively():
            check(quantize_bands(native, case.details, LAGRANGIAN), expected)
            check(contexts_of(native, expected.levels), expected)
        check_stream(case, expected)
        check_gradient(case, expected.levels)


def test_magnitudes_at_the_limit() -> None:
    case = make(np.random.default_rng(6), (40, 40), (0, 1, 2), spread=1e6)
    expected = quantize_bands(case.coding, case.details, LAGRANGIAN)
    assert max(np.abs(values).max() for bands in expected.levels for values in bands.values()) == 2 * MAX_VALUE
    for native in case.natively():
        check(quantize_bands(native, case.details, LAGRANGIAN), expected)
    check_stream(case, expected)


@pytest.mark.parametrize(("size", "planes"), CASES, ids=str)
def test_dependent(size: Tuple[int, int], planes: Sequence[int]) -> None:
    rng = np.random.default_rng(size[0] * 100 + len(planes) + 50)
    for spread, given in ((0.3, False), (3.0, True), (300.0, False)):
        case = make(rng, size, planes, dependent=True, spread=spread)
        scalar = case.coding.quantized_by(dependent=False)
        first = quantize_bands(scalar, case.details, LAGRANGIAN)
        start = first.at_step(18)
        gradient = weights = None
        if given:
            weights = case.like([np.abs(rng.laplace(0, 2.0, shape)) for shape in case.shapes()])
            gradient = rate_gradient(scalar, first.levels)
        expected = requantize_bands(case.coding, case.details, LAGRANGIAN, start, gradient, weights)
        for native in case.natively():
            check(requantize_bands(native, case.details, LAGRANGIAN, start, gradient, weights), expected)
        check_stream(case, expected)
        check_gradient(case, expected.levels)


def test_a_picture() -> None:
    pixels = read_image(str(SAMPLES / "chelsea.png")).pixels[:150, :201, :3] / 255.0
    wanted = to_planes(pixels)
    lattice = Lattice(wanted.shape[2], wanted.shape[1], (0, 1, 2))
    low, details = analyse_levels(wanted, lattice.levels)
    coding = Coding.of_root(lattice, Conditions(NUMPY, STEP_FEATURE), low * 20)
    case = Case(coding, [{b: values * 20 for b, values in bands.items()} for bands in lattice.by_band(details)])
    expected = quantize_bands(coding, case.details, LAGRANGIAN)
    for native in case.natively():
        check(quantize_bands(native, case.details, LAGRANGIAN), expected)
    check_stream(case, expected)
    check_gradient(case, expected.levels)


def test_integers_that_are_chosen_already() -> None:
    case = make(np.random.default_rng(8), (21, 30), (0, 1, 2, 3), dependent=True)
    levels = [
        {band: np.rint(values.clip(-2e6, 2e6)).astype(np.int32) for band, values in bands.items()}
        for bands in case.details
    ]
    expected = contexts_of(case.coding, levels)
    for native in case.natively():
        check(contexts_of(native, levels), expected)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_wrong_arguments(name: str) -> None:
    case = make(np.random.default_rng(9), (20, 20), (0,))
    native = case.by(MODELS[name])
    kernels = MODELS[name].kernels
    assert isinstance(kernels, Kernels)
    with pytest.raises(ValueError, match="shapes of the lattice"):
        quantize_bands(native, case.details[:-1], LAGRANGIAN)
    with pytest.raises(ValueError, match="low-pass planes"):
        quantize_bands(replace(native, low=native.low[:, :1] // UNIT), case.details, LAGRANGIAN)
    found = quantize_bands(native, case.details, LAGRANGIAN)
    found.levels[0][native.lattice.bands[0]][0, 0] = 1 << 30
    with pytest.raises(ValueError, match="refuses"):
        contexts_of(native, found.levels)
    with pytest.raises(ValueError, match="refuses"):
        rate_gradient(native, found.levels)
    with pytest.raises(ValueError, match="refuses"):
        kernels.encode_bands(native, found.levels, found.contexts)
