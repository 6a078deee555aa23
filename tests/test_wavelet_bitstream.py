"""The ground of the wavelet field: lifting that inverts, neighbours that are what they are called, causality."""

from __future__ import annotations

import numpy as np
import pytest

from nifcodec.fields.wavelet.coding.neighbours import (
    SQUARE,
    WAVEFRONT_LAG,
    LevelFeatures,
    compand,
    feature_columns,
    near_neighbours,
)
from nifcodec.fields.wavelet.lattice import HALF, Subband
from nifcodec.fields.wavelet.lifting import analyse_plane, synthesise_plane

BANDS = [Subband(colour, orientation) for colour in range(3) for orientation in range(3)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (3, 5), (8, 8), (7, 6), (33, 64)])
def test_integer_synthesis_inverts_the_float_analysis(shape):
    plane = np.random.default_rng(0).integers(-20000, 20000, (2, *shape))
    low, bands = analyse_plane(plane.astype(np.float64))
    rounded = tuple(np.rint(band).astype(np.int64) for band in bands)
    again = synthesise_plane(np.rint(low).astype(np.int64), rounded)
    assert again.shape == plane.shape
    assert np.abs(again - plane).max() <= 8  # what rounding the coefficients to integers leaves


def test_a_flat_plane_has_no_details_and_twice_its_value():
    low, bands = analyse_plane(np.full((1, 9, 14), 3.0))
    np.testing.assert_allclose(low, 6.0)
    assert max(float(np.abs(band).max()) for band in bands) < 1e-12


def _level(height=21, width=18):
    random = np.random.default_rng(1)
    planes = {band: random.integers(-40, 41, (height, width)) for band in BANDS}
    low = {colour: random.integers(-6000, 6000, (height, width)) for colour in range(3)}
    parents = {band: random.integers(-3, 4, ((height + 1) // 2, (width + 1) // 2)) for band in BANDS}
    return planes, low, parents, LevelFeatures((height, width), BANDS, low, parents, {})


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("index", range(9))
def test_features_are_the_neighbours_they_name(index, odd):
    planes, low, parents, features = _level()
    features.set_all(planes)
    band, y, column = BANDS[index], 10, 4
    x = 2 * column + odd
    row = features.gather(y + WAVEFRONT_LAG * index, odd, 5, 3)[index, column]
    for k, (other, (dy, dx)) in enumerate(near_neighbours(band, odd)):
        assert row[k] == compand(planes[other][y + dy, x + dx] * HALF)
    for k, (dy, dx) in enumerate(SQUARE):
        expected = compand(parents[band][y // 2 + dy, x // 2 + dx] * HALF)
        assert row[features.near_length + k] == expected
    right = low[band.plane][y, x + 1] - low[band.plane][y, x]
    assert row[features.near_length + 10 + 12] == compand(np.array(right))
    columns = feature_columns(band, odd, features.near_length)
    assert columns[-2:].tolist() == [len(row) - 2, len(row) - 1]
    assert row[-2:].tolist() == [5, 3]


def test_no_feature_depends_on_what_is_decoded_later():
    """Filling a level row by row shows each pass the same features as filling it all at once."""
    planes, low, parents, whole = _level()
    whole.set_all(planes)
    growing = LevelFeatures((21, 18), BANDS, low, parents, {})
    for row in range(growing.rows):
        for odd in (False, True):
            seen = growing.gather(row, odd, 0, 0)
            expected = whole.gather(row, odd, 0, 0)
            values = np.zeros(seen.shape[:2], np.int64)
            for index, band in enumerate(BANDS):
                y = row - WAVEFRONT_LAG * index
                if 0 <= y < 21:
                    np.testing.assert_array_equal(seen[index], expected[index])
                    values[index] = planes[band][y, odd::2]
            growing.set_row(row, values, odd)
