"""The benchmark of large pictures: the picture that it makes, and the errors that it tells apart."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import large
from nifcodec.errors import ConfigError


def test_picture_is_covered_by_copies_that_differ():
    source = np.full((40, 60, 3), 128, np.uint8)
    source[:20] = 20
    picture = large.make_picture([source], 0.07, seed=1)
    assert picture.shape == (221, 316, 3)
    assert set(np.unique(np.rint(picture[5:8].mean(axis=(0, 2)) / 108))) <= {0, 1}
    assert picture[180:].std() > 10
    assert not np.array_equal(picture[:40, :60], picture[:40, 180:240])


def test_errors_at_borders_are_told_from_those_beside():
    original = np.zeros((40, 100, 3), np.uint8)
    decoded = original.copy()
    decoded[:, 64 - large.NEAR : 64 + large.NEAR] = 2
    decoded[:, 64 + large.NEAR : 64 + large.BESIDE] = 1
    overall, near, beside = large.errors(original, decoded, 64)
    assert overall == pytest.approx((4 * 8 + 12) / 100)
    assert near == 4
    assert beside == 0.5


def test_a_process_is_measured_by_itself():
    held = np.ones(300_000_000, np.uint8)
    run = large.measure("help", ["--version"])
    assert held[-1]
    assert 5 < run.megabytes < 200
    assert 0 < run.processor < 60


def test_small_picture_has_no_tiles_to_measure():
    with pytest.raises(ConfigError, match="no tiles"):
        large.run([np.zeros((8, 8, 3), np.uint8)], 0.1, 40, 1, 0)
