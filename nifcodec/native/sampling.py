"""Samples of a picture between its pixels, means, and integers, natively, with bounds checked before each call.

A call holds no lock while it works. Raises ValueError for arrays that do not fit each other.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_int64, c_void_p
from typing import Optional, Tuple

import numpy as np

from nifcodec.native import library

MAX_SIDE = 1 << 28
INTEGERS = {8: np.uint8, 16: np.uint16}

Taps = Tuple[np.ndarray, np.ndarray]  # indices and weights, (taps, samples)


def load_sampling() -> "Optional[NativeSampling]":
    """The functions of the installed library; None where there is none."""
    loaded = library.load()
    return None if loaded is None else NativeSampling(loaded)


class NativeSampling:
    """The functions of a loaded library.

    Args:
        loaded: a library with the symbols that sampling.h names.
    """

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._library = loaded
        loaded.nif_sample_workspace.restype = c_int64

    def sample(self, picture: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
        """Weighted sums of a picture's samples: float32 (rows, columns, C).

        Args:
            picture: float32 (H, W, C).
            rows, columns: indices, which count the picture's samples, and weights, (taps, samples) each.
        """
        if picture.ndim != 3 or max(picture.shape) > MAX_SIDE or min(picture.shape) < 1:
            raise ValueError(f"a picture is {picture.shape}")
        values = picture if _rows_whole(picture) else np.ascontiguousarray(picture, np.float32)
        height, width, channels = values.shape
        (row_index, row_weight), (column_index, column_weight) = _taps(rows, height), _taps(columns, width)
        out = np.empty((row_index.shape[1], column_index.shape[1], channels), np.float32)
        space = np.empty(self._library.nif_sample_workspace(c_int32(width), c_int32(channels)), np.float32)
        self._library.nif_sample(
            _data(values),
            c_int64(values.strides[0] // 4),
            c_int32(width),
            c_int32(channels),
            _data(row_index),
            _data(row_weight),
            c_int32(len(row_index)),
            _data(column_index),
            _data(column_weight),
            c_int32(len(column_index)),
            c_int32(len(out)),
            c_int32(out.shape[1]),
            _data(out),
            _data(space),
        )
        return out

    def average(self, samples: np.ndarray, down: int, across: int) -> np.ndarray:
        """Means of blocks: float32 (rows * down, columns * across, C) -> float32 (rows, columns, C)."""
        height, width, channels = samples.shape
        if min(down, across) < 1 or height % down or width % across or max(samples.shape) > MAX_SIDE:
            raise ValueError(f"samples {samples.shape} do not come in blocks of {down} x {across}")
        values = np.ascontiguousarray(samples, np.float32)
        out = np.empty((height // down, width // across, channels), np.float32)
        numbers = (*out.shape, down, across)
        self._library.nif_average(_data(values), *(c_int32(number) for number in numbers), _data(out))
        return out

    def to_integers(self, values: np.ndarray, depth: int) -> np.ndarray:
        """Picture values, 1.0 white -> uint8 or uint16, clipped, halves up. A NaN gives 0."""
        if depth not in INTEGERS:
            raise ValueError(f"integers have 8 or 16 bits, not {depth}")
        given = np.ascontiguousarray(values, np.float32)
        out: np.ndarray = np.empty(given.shape, INTEGERS[depth])
        self._library.nif_to_integers(_data(given), c_int64(given.size), _data(out), c_int32(depth))
        return out


def _data(array: np.ndarray) -> c_void_p:
    return c_void_p(array.ctypes.data)


def _rows_whole(picture: np.ndarray) -> bool:
    strides = picture.strides
    return picture.dtype == np.float32 and strides[1:] == (4 * picture.shape[2], 4) and strides[0] % 4 == 0


def _taps(taps: Taps, count: int) -> Taps:
    index, weight = np.ascontiguousarray(taps[0], np.int64), np.ascontiguousarray(taps[1], np.float32)
    if index.ndim != 2 or index.shape != weight.shape or not index.size or index.shape[1] > MAX_SIDE:
        raise ValueError(f"taps are {index.shape} indices and {weight.shape} weights")
    if np.min(index) < 0 or np.max(index) >= count:
        raise ValueError(f"taps reach {np.min(index)}..{np.max(index)}, outside of {count} samples")
    return index, weight
