"""The optimizer of a pyramid's weights."""

from __future__ import annotations

import numpy as np
import pytest

from nifcodec.fields.pyramid import soap
from nifcodec.fields.pyramid.networks import Part
from nifcodec.fields.pyramid.soap import Soap

MATRIX, BIAS = Part("matrix", 0, (4, 3)), Part("bias", 12, (4,))
COUNT = 16


def test_a_valley_that_is_turned_is_descended() -> None:
    random = np.random.RandomState(0)
    left, right = (np.linalg.qr(random.normal(size=(side, side)))[0] for side in (4, 3))
    scales = np.outer(10.0 ** np.arange(4), 10.0 ** np.arange(3))

    def gradient(weights: np.ndarray) -> np.ndarray:
        turned = left.T @ MATRIX.of(weights) @ right
        return np.concatenate([(left @ (scales * turned) @ right.T).ravel(), 100 * BIAS.of(weights)])

    optimizer, weights = Soap([MATRIX], COUNT, 0.95, 2), random.normal(size=COUNT)
    for step in range(800):
        weights = weights - 0.03 * (1 - step / 800) * optimizer.direction(gradient(weights))
    assert np.abs(weights).max() < 0.02


def test_a_record_goes_on_to_the_same_directions() -> None:
    random = np.random.RandomState(1)
    gradients = random.normal(size=(9, COUNT))
    first, second = Soap([MATRIX], COUNT, 0.95, 2), Soap([MATRIX], COUNT, 0.95, 2)
    for gradient in gradients[:5]:
        first.direction(gradient)
    second.restore(first.record())
    for gradient in gradients[5:]:
        np.testing.assert_array_equal(first.direction(gradient), second.direction(gradient))


def test_what_many_steps_share_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small gradient under noise that changes its sign moves weights further than one mean of gradients does."""
    random = np.random.RandomState(2)
    steady = 0.1 * np.sign(random.normal(size=COUNT))
    noise = random.normal(size=(400, COUNT))

    def way() -> float:
        optimizer = Soap([], COUNT, 0.95, 2)
        return float(sum(optimizer.direction(steady + each) @ steady for each in noise))

    both = way()
    monkeypatch.setattr(soap, "SLOW_SHARE", 0.0)
    assert both > 1.5 * way() > 0
