"""BD-rate: against the bjontegaard package, and where there is nothing to compare."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.bdrate import bd_rate, front


def random_curve(rng: np.random.Generator, points: int) -> "tuple[np.ndarray, np.ndarray]":
    return np.cumsum(rng.uniform(0.02, 0.5, points)), rng.uniform(22, 30) + np.cumsum(rng.uniform(0.2, 3, points))


@pytest.mark.parametrize("points", [2, 3, 4, 8])
@pytest.mark.filterwarnings("ignore:Insufficient curve overlap", "ignore:Curves do not overlap")
def test_bd_rate_equals_the_bjontegaard_package(points: int) -> None:
    bjontegaard = pytest.importorskip("bjontegaard")
    rng = np.random.default_rng(points)
    compared = 0
    for _ in range(20):
        anchor, test = random_curve(rng, 5), random_curve(rng, points)
        expected = bjontegaard.bd_rate(*anchor, *test, method="pchip", require_matching_points=False)
        ours = bd_rate(*anchor, *test)
        assert math.isnan(ours) == math.isnan(expected)
        if not math.isnan(ours):
            assert ours == pytest.approx(expected, rel=1e-9, abs=1e-9)
            compared += 1
    assert compared > 5


def test_half_the_bits_at_every_quality_is_minus_fifty_percent() -> None:
    rate, quality = np.array([0.1, 0.3, 0.5, 1.2]), np.array([25.0, 29, 31, 36])
    assert bd_rate(rate, quality, rate / 2, quality) == pytest.approx(-50)
    assert bd_rate(rate / 2, quality, rate, quality) == pytest.approx(100)


def test_bd_rate_ignores_the_order_and_points_that_another_point_beats() -> None:
    rate, quality = np.array([0.1, 0.3, 0.5, 1.2]), np.array([25.0, 29, 31, 36])
    other = np.array([0.2, 0.5, 0.9, 2.0])
    worse = bd_rate(np.append(rate, 0.4)[::-1], np.append(quality, 28.0)[::-1], other, quality)
    assert worse == bd_rate(rate, quality, other, quality)


def test_bd_rate_is_unknown_without_overlap_or_with_one_point() -> None:
    rate = np.array([0.1, 0.3])
    assert math.isnan(bd_rate(rate, np.array([20.0, 25]), rate, np.array([26.0, 30])))
    assert math.isnan(bd_rate(rate, np.array([20.0, 25]), rate[:1], np.array([22.0])))
    assert math.isnan(bd_rate(rate, np.array([20.0, math.inf]), rate, np.array([20.0, 25])))


def test_front_of_nothing_is_empty() -> None:
    assert [len(part) for part in front(np.array([]), np.array([]))] == [0, 0]
