"""A field between the samples of its lattice: Lanczos interpolation."""

from __future__ import annotations

from typing import Tuple

import numpy as np

LANCZOS_LOBES = 3

Taps = Tuple[np.ndarray, np.ndarray]


def interpolate(picture: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """The interpolant: float32 (rows, columns, C) of samples (H, W, C), which the indices of the taps count."""
    lines = np.zeros((rows[0].shape[1], *picture.shape[1:]), np.float32)
    for index, weight in zip(*rows):
        lines += weight[:, None, None] * picture[index]
    out = np.zeros((len(lines), columns[0].shape[1], picture.shape[2]), np.float32)
    for index, weight in zip(*columns):
        out += weight[None, :, None] * lines[:, index]
    return out


def taps(positions: np.ndarray, count: int, reduction: int = 0) -> Taps:
    """Indices and Lanczos weights (taps, len(positions)); samples beyond the edge repeat the edge.

    Args:
        positions: fractions of a side.
        count: pixels of the side.
        reduction: how often the picture whose samples are meant is halved. Sample i lies at the centre of pixel
            i * 2^reduction.
    """
    centre = (np.asarray(positions, np.float64) * count - 0.5) / (1 << reduction)
    nearest = np.rint(centre)
    centre = np.where(np.abs(centre - nearest) < 1e-6, nearest, centre)
    first = np.floor(centre).astype(np.int64) - LANCZOS_LOBES + 1
    index = first[None, :] + np.arange(2 * LANCZOS_LOBES)[:, None]
    distance = centre[None, :] - index
    weight = np.sinc(distance) * np.sinc(distance / LANCZOS_LOBES) * (np.abs(distance) < LANCZOS_LOBES)
    weight = np.where(np.abs(weight) < 1e-12, 0.0, weight)
    weight /= weight.sum(axis=0)
    used = weight.any(axis=1)  # at pixel centres, one tap in six
    return np.clip(index[used], 0, -(-count >> reduction) - 1), weight[used].astype(np.float32)
