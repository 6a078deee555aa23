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


def test_errors_at_borders_are_told_from_the_others():
    original = np.zeros((70, 100, 3), np.uint8)
    decoded = original.copy()
    decoded[:, 32 - large.NEAR : 32 + large.NEAR] = 2
    border, elsewhere = large.errors(original, decoded, 32)
    at_columns, at_rows = 3 * 8 * 70, 2 * 8 * 100  # borders at 32, 64 and 96, and at 32 and 64
    assert border == pytest.approx(4 * 8 * 70 / (at_columns + at_rows - 3 * 8 * 2 * 8))
    assert elsewhere == 0


def test_small_picture_has_no_tiles_to_measure():
    with pytest.raises(ConfigError, match="no tiles"):
        large.run([np.zeros((8, 8, 3), np.uint8)], 0.1, 40, 1, 0)
