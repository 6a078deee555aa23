"""The native restoration filter and colours against those in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Tuple

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING

from nifcodec.fields.wavelet import planes as colours_of
from nifcodec.fields.wavelet import priors, restoration_vjp
from nifcodec.fields.wavelet.descent import CpuDescent
from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.fields.wavelet.restoration import RestorationFilter, is_strip
from nifcodec.native.filters import NativeFilters, PackedFilter, pack_filter

pytestmark = pytest.mark.skipif(not LIBRARIES, reason=MISSING)
PRIOR = priors.named()
# The one in NumPy.
NETWORK = RestorationFilter(PRIOR.restoration.kernels, PRIOR.restoration.biases, PRIOR.restoration.conditioning)
MIXTURE = ((30, 9, -4, 2, 0, 1), (28, -7, 3, 0, 5, 1))
SPEC = WaveletDescription(330, PRIOR.hash, MIXTURE)
MIXED = NETWORK.mixed(MIXTURE)
UNIT = 64
# Sides below the filter's reach, odd ones, and pictures of more than one tile.
SIZES = [(1, 1, 1), (1, 7, 2), (3, 2, 3), (1, 33, 47), (3, 64, 96), (3, 6, 601)]


@pytest.fixture(params=sorted(LIBRARIES))
def native(request: pytest.FixtureRequest) -> NativeFilters:
    """The functions of each build."""
    return NativeFilters(LIBRARIES[request.param])


def biases_of(network: RestorationFilter) -> List[np.ndarray]:
    return network.biases_at(SPEC.step_feature)


def packed(network: RestorationFilter) -> PackedFilter:
    return pack_filter(network.kernels, biases_of(network))


def planes_of(count: int, height: int, width: int) -> np.ndarray:
    """Smooth planes with noise, float32, in steps."""
    generator = np.random.RandomState(height * width)
    smooth = np.sin(np.arange(height) / 9)[:, None] * np.cos(np.arange(width) / 7)
    return (10 * smooth + generator.normal(0, 2, (count, height, width))).astype(np.float32)


def problem(height: int, width: int, colours: int = 3) -> Tuple[np.ndarray, np.ndarray]:
    """Planes with the reach around them, and a residual."""
    around = planes_of(colours, height + 2 * MIXED.reach, width + 2 * MIXED.reach)
    generator = np.random.RandomState(height)
    residual = generator.normal(0, 0.5, (colours, height, width)).astype(np.float32)
    return around, residual


@pytest.mark.parametrize("network", [NETWORK, MIXED], ids=["all", "mixed"])
@pytest.mark.parametrize("size", SIZES)
def test_corrections_are_those_of_numpy(
    native: NativeFilters, size: Tuple[int, int, int], network: RestorationFilter
) -> None:
    planes = planes_of(*size)
    found = native.corrections(planes, packed(network))
    np.testing.assert_allclose(found, network(planes, SPEC.step_feature), atol=1e-5)


@pytest.mark.parametrize("network", [NETWORK, MIXED], ids=["all", "mixed"])
@pytest.mark.parametrize("size", [(1, 40, 1), (3, 90, 7), (3, 601, 30)])
def test_a_high_and_narrow_picture_is_corrected_alike(
    native: NativeFilters, size: Tuple[int, int, int], network: RestorationFilter
) -> None:
    planes, turning = planes_of(*size), replace(network, native=native)
    assert is_strip(planes)
    for at in (None, (4, 0, size[1] - 4, size[2])):
        found = turning(planes, SPEC.step_feature, at)
        np.testing.assert_allclose(found, network(planes, SPEC.step_feature, at), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 40, 2), (3, 90, 7), (3, 700, 30)])
def test_a_high_and_narrow_picture_is_trained_alike(native: NativeFilters, size: Tuple[int, int, int]) -> None:
    planes = planes_of(*size).astype(np.float64) * SPEC.step
    target = planes + np.random.RandomState(1).normal(0, 0.3 * SPEC.step, size)
    found = [CpuDescent(replace(NETWORK, native=own))(planes / SPEC.step, target, SPEC) for own in (native, None)]
    # A ReLU's derivative jumps where rounding decides.
    assert np.quantile(np.abs(found[0] - found[1]), 0.99) < 1e-3 * SPEC.step


def test_layers_of_any_width(native: NativeFilters) -> None:
    generator = np.random.RandomState(0)
    widths = [12, 20, 7, 24]
    kernels = [generator.normal(0, 0.1, (3, 3, a, b)).astype(np.float32) for a, b in zip(widths, widths[1:])]
    biases = [generator.normal(0, 0.1, width).astype(np.float32) for width in widths[1:]]
    network = RestorationFilter(kernels, biases, [np.zeros((2, width), np.float32) for width in widths[1:-1]])
    planes = planes_of(3, 40, 50)
    np.testing.assert_allclose(native.corrections(planes, pack_filter(kernels, biases)), network(planes, 64), atol=1e-5)


@pytest.mark.parametrize("size", [(4, 64, 96), (2, 33, 47), *SIZES])
@pytest.mark.parametrize("network", [None, MIXED], ids=["none", "mixed"])
def test_colours_are_those_of_numpy(
    native: NativeFilters, size: Tuple[int, int, int], network: Optional[RestorationFilter]
) -> None:
    planes = np.rint(planes_of(*size) * UNIT).astype(np.int64)
    wanted = colours_of.finish(planes, SPEC, network, UNIT, (0, 0, *size[1:]))
    given = None if network is None else packed(network)
    found = native.colours(planes, given, SPEC.step, UNIT)
    np.testing.assert_allclose(found, wanted, atol=4e-6)
    np.testing.assert_array_equal(native.colours(planes.astype(np.int32), given, SPEC.step, UNIT), found)


def test_a_rectangle_is_the_same_as_in_the_whole(native: NativeFilters) -> None:
    planes = np.rint(planes_of(3, 70, 300) * UNIT).astype(np.int32)
    whole = native.colours(planes, packed(MIXED), SPEC.step, UNIT)
    for top, left, rows, columns in [(0, 0, 70, 300), (10, 2, 7, 291), (68, 256, 2, 44), (2, 298, 1, 1)]:
        part = native.colours(planes, packed(MIXED), SPEC.step, UNIT, (top, left, rows, columns))
        np.testing.assert_array_equal(part, whole[top : top + rows, left : left + columns])
    # Of planes that begin at every eighth pixel, with 24 pixels on the right.
    region = planes[:, 20:, 104:156]
    np.testing.assert_array_equal(
        native.colours(region, packed(MIXED), SPEC.step, UNIT, at=(8, 8, 20, 20)), whole[28:48, 112:132]
    )


@pytest.mark.parametrize("sides", [(2, 2), (16, 24), (12, 300)])
@pytest.mark.parametrize("colours", [1, 3])
def test_vjp_is_that_of_numpy(native: NativeFilters, sides: Tuple[int, int], colours: int) -> None:
    around, residual = problem(*sides, colours)
    found = native.vjp(around, packed(MIXED), residual, (MIXED.reach, MIXED.reach, *sides))
    wanted = restoration_vjp.vjp(around, MIXED.kernels, biases_of(MIXED), residual)
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_vjp_of_parts_adds_up(native: NativeFilters) -> None:
    planes, reach = planes_of(3, 40, 280), MIXED.reach
    residual = np.random.RandomState(1).normal(0, 0.5, planes.shape).astype(np.float32)
    missing, gradient = native.vjp(planes, packed(MIXED), residual)
    total = np.zeros_like(gradient)
    for top, rows in ((0, 6), (6, 30), (36, 4)):
        at = (top, 0, rows, 280)
        part, pulled = native.vjp(planes, packed(MIXED), residual[:, top : top + rows], at)
        np.testing.assert_array_equal(part, missing[:, top : top + rows])
        total[:, top : top + rows + 2 * reach] += pulled
    np.testing.assert_allclose(total, gradient, atol=1e-5)


def test_what_does_not_fit_is_refused(native: NativeFilters) -> None:
    planes, one = planes_of(3, 16, 20), packed(MIXED)
    calls = [
        lambda: native.corrections(planes.astype(np.float64), one),
        lambda: native.corrections(planes[:, :, ::2], one),
        lambda: native.corrections(planes[:, :0], one),
        lambda: native.corrections(planes, one, (1, 0, 2, 2)),
        lambda: native.corrections(planes, one, (0, 0, 17, 20)),
        lambda: native.corrections(planes, one, (0, 0, 0, 20)),
        lambda: native.colours(planes, packed(NETWORK), 0.1),
        lambda: native.vjp(planes, one, planes[:, :15], (0, 0, 15, 20)),
        lambda: native.vjp(planes, one, planes[0]),
        lambda: pack_filter(MIXED.kernels, biases_of(MIXED)[:-1]),
        lambda: pack_filter(MIXED.kernels[1:], biases_of(MIXED)[1:]),
    ]
    for call in calls:
        with pytest.raises(ValueError):
            call()
