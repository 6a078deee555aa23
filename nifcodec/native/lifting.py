"""The lifting steps of the native library: one level of the wavelet transform, and its inverse."""

from __future__ import annotations

import ctypes
from typing import Sequence, Tuple

import numpy as np

from nifcodec.native.bands import OK

Bands = Tuple[np.ndarray, np.ndarray, np.ndarray]  # HL, LH, HH


class NativeLifting:
    """The functions of a loaded library. Raises ValueError for arrays that make no level."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def analyse(self, planes: np.ndarray) -> Tuple[np.ndarray, Bands]:
        """One level: float64 planes (planes, rows, columns) -> low-pass planes and their bands, float64."""
        given = np.ascontiguousarray(planes, np.float64)
        if given.ndim != 3 or not given.size:
            raise ValueError(f"planes of the shape {given.shape} have no level")
        low, *bands = (np.empty(shape, np.float64) for shape in _shapes(*given.shape))
        self._call("nifcodec_analyse", given.shape, np.float64, [given, low, *bands])
        return low, (bands[0], bands[1], bands[2])

    def synthesise(self, low: np.ndarray, details: Bands) -> np.ndarray:
        """A level's inverse transform: int64 low-pass planes (planes, rows, columns) and bands -> planes, int64."""
        arrays = [np.ascontiguousarray(array, np.int64) for array in (low, *details)]
        (planes, up, across), (_, down, _), (_, _, beside) = (arrays[i].shape for i in (0, 2, 1))
        out = np.empty((planes, up + down, across + beside), np.int64)
        if [array.shape for array in arrays] != _shapes(*out.shape) or not out.size:
            raise ValueError(f"bands of the shapes {[array.shape for array in arrays]} make no level")
        self._call("nifcodec_synthesise", out.shape, np.int64, [*arrays, out])
        return out

    def _call(self, name: str, shape: Tuple[int, ...], dtype: type, arrays: Sequence[np.ndarray]) -> None:
        planes, height, width = shape
        room: np.ndarray = np.empty(height * width, dtype)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, room)]
        error = getattr(self._library, name)(planes, height, width, *pointers, ctypes.c_uint64(room.size))
        if error != OK:
            raise ValueError(f"the native code refuses its arguments: {error}")


def _shapes(planes: int, height: int, width: int) -> "list[Tuple[int, ...]]":
    """Of the low-pass planes and the bands of planes of this shape."""
    up, across = (height + 1) // 2, (width + 1) // 2
    down, beside = height // 2, width // 2
    return [(planes, up, across), (planes, up, beside), (planes, down, across), (planes, down, beside)]
