"""The native detail network against that in NumPy."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING

from nifcodec.fields.detail import networks
from nifcodec.fields.detail.contract import REACH, lanczos_filters
from nifcodec.fields.detail.network import DetailNetwork, layers_at
from nifcodec.native.detail import NativeDetail, pack_detail

pytestmark = pytest.mark.skipif(not LIBRARIES, reason=MISSING)


@pytest.fixture(params=sorted(LIBRARIES))
def native(request: pytest.FixtureRequest) -> NativeDetail:
    """The function of each build."""
    return NativeDetail(LIBRARIES[request.param])


@pytest.mark.parametrize("sides", [(1, 1), (1, 37), (5, 2), (23, 40), (40, 116)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_samples_are_those_of_numpy(native: NativeDetail, sides: Tuple[int, int], channels: int) -> None:
    random = np.random.RandomState(channels)
    samples = random.normal(0.5, 0.3, (*(side + 2 * REACH for side in sides), channels)).astype(np.float32)
    for log_step in (-9.0, -5.5, -2.0, 3.0):
        expected = DetailNetwork(networks.named().file, log_step).double(samples)
        found = DetailNetwork(networks.named().file, log_step, native).double(samples)
        assert found.shape == (2 * sides[0], 2 * sides[1], channels)
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_wrong_arrays_are_refused(native: NativeDetail) -> None:
    layers = layers_at(networks.named().file, -5.0)
    packed = pack_detail(layers, lanczos_filters())
    fine = np.zeros((2 * REACH + 2, 2 * REACH + 2, 3), np.float32)
    assert native.double(fine, packed).shape == (4, 4, 3)
    for wrong in (fine.astype(np.float64), fine[: 2 * REACH], fine[..., :2], fine[..., :1], fine[:, ::-1], fine[0]):
        with pytest.raises(ValueError, match="samples"):
            native.double(wrong, packed)
    for wrong_layers in (layers[:2], layers[1:], layers[:-1], [layers[0], layers[5], layers[5]]):
        with pytest.raises(ValueError, match=r"layer|details"):
            pack_detail(wrong_layers, lanczos_filters())
    with pytest.raises(ValueError, match="taps"):
        pack_detail(layers, (np.zeros(5, np.float32), np.zeros(7, np.float32)))
