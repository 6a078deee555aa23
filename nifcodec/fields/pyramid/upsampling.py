"""Filters of the grids and their doubling in NumPy, as upsampling.h has them.

A plane is the part of a grid that is worked on. Behind the plane's border a filter sees zeros, and doubling the last
sample again, so that a border that is not the grid's own has to be cut off.
"""

from __future__ import annotations

import numpy as np


def filtered(plane: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """A plane plus its convolution with a symmetric kernel along both sides, float32 (H, W).

    Args:
        taps: at the sample itself, and 1, 2 and 3 samples away.
    """
    return np.asarray(plane + _along(_along(plane, taps).T, taps).T)


def doubled(plane: np.ndarray, taps: np.ndarray, height: int, width: int) -> np.ndarray:
    """A plane at twice the size, (height, width), each of them even or one less.

    Args:
        taps: for the samples -2, -1, 0 and 1 beside the one that an even sample lies in; an odd one has them mirrored.
    """
    return _doubled_rows(_doubled_rows(plane, taps, height).T, taps, width).T


def _along(plane: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The convolution along the rows' direction."""
    count = len(plane)
    around = np.pad(plane, ((3, 3), (0, 0)))
    total = taps[0] * plane
    for k in range(1, 4):
        total += taps[k] * (around[3 - k : 3 - k + count] + around[3 + k : 3 + k + count])
    return total


def _doubled_rows(plane: np.ndarray, taps: np.ndarray, rows: int) -> np.ndarray:
    count = len(plane)
    around = np.pad(plane, ((2, 2), (0, 0)), mode="edge")
    out = np.empty((2 * count, plane.shape[1]), np.float32)
    out[0::2] = sum(taps[k] * around[k : k + count] for k in range(4))
    out[1::2] = sum(taps[k] * around[4 - k : 4 - k + count] for k in range(4))
    return out[:rows]
