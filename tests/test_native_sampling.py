"""Native sampling, means and integers against those in NumPy."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING

from nifcodec.fields import rendering
from nifcodec.fields.interpolation import interpolate, taps
from nifcodec.native import sampling
from nifcodec.native.sampling import NativeSampling
from nifcodec.picture.window import choose_window

pytestmark = pytest.mark.skipif(not LIBRARIES, reason=MISSING)


@pytest.fixture(params=sorted(LIBRARIES))
def native(request: pytest.FixtureRequest) -> NativeSampling:
    """The functions of each build."""
    return NativeSampling(LIBRARIES[request.param])


@pytest.mark.parametrize("size", [(96, 64), (150, 100), (40, 30), (7, 5)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_are_those_of_numpy(
    native: NativeSampling, size: Tuple[int, int], channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.random.RandomState(channels).normal(0.5, 0.4, (64, 96, channels)).astype(np.float32)
    window = choose_window((96, 64), size=size)

    def places(us: np.ndarray, vs: np.ndarray) -> Tuple[sampling.Taps, sampling.Taps]:
        return taps(vs, 64), taps(us, 96)

    across, down = window.subsamples()
    at = places(window.us(across), window.vs(down))
    np.testing.assert_allclose(native.sample(picture, *at), interpolate(picture, *at), atol=1e-6)
    for depth in (8, 16):
        pictures = []
        for loaded, sample in ((None, interpolate), (native, native.sample)):
            monkeypatch.setattr(rendering, "load_sampling", lambda loaded=loaded: loaded)
            field = lambda us, vs, sample=sample: sample(picture, *places(us, vs))  # noqa: E731
            pictures.append(rendering.render(field, window, channels, depth=depth).astype(np.int64))
        off = pictures[1] - pictures[0]
        assert np.abs(off).max() <= 1
        assert np.count_nonzero(off) <= 0.01 * off.size


def test_averages_and_integers_are_those_of_numpy(native: NativeSampling) -> None:
    samples = np.random.RandomState(0).normal(0.5, 0.5, (12, 35, 3)).astype(np.float32)
    np.testing.assert_allclose(native.average(samples, 3, 5), rendering.block_means(samples, 3, 5), atol=1e-6)
    edges = np.array([np.nan, -np.inf, -1, 0, 0.5 / 255, 1, 2, np.inf], np.float32)
    for depth, white in ((8, 255), (16, 65535)):
        np.testing.assert_array_equal(native.to_integers(samples, depth), rendering.to_integers(samples, depth))
        found = native.to_integers(edges, depth)
        assert found.tolist() == [0, 0, 0, 0, found[4], white, white, white]


def test_what_does_not_fit_is_refused(native: NativeSampling) -> None:
    taps = np.zeros((1, 4), np.int64), np.ones((1, 4), np.float32)
    picture = np.zeros((4, 4, 3), np.float32)
    calls = [
        lambda: native.sample(picture, (taps[0] + 4, taps[1]), taps),
        lambda: native.sample(picture, (taps[0] - 1, taps[1]), taps),
        lambda: native.sample(picture[0], taps, taps),
        lambda: native.average(picture, 3, 1),
        lambda: native.to_integers(picture, 32),
    ]
    for call in calls:
        with pytest.raises(ValueError):
            call()
