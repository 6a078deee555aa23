"""Planes of samples as the native library has them: rows with margins, one plane behind the other."""

from __future__ import annotations

import ctypes
from ctypes import Structure, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from typing import Any, Tuple

import numpy as np

BLOCK, MARGIN, REACH = 64, 16, 4  # as in pyramid.h
SPARE = 32  # floats behind a row's last block

Rows = Tuple[int, int]  # from, to


class _Plane(Structure):
    _fields_ = [("height", c_int32), ("width", c_int32), ("stride", c_int64)]


@dataclass(frozen=True)
class Geometry:
    """The size of a plane, and how its rows lie: NIF_MARGIN floats before each, a block's rest and more behind it."""

    height: int
    width: int

    @property
    def stride(self) -> int:
        """Floats from one row to the next."""
        return MARGIN + -(-self.width // BLOCK) * BLOCK + SPARE

    def planes(self, count: int) -> "Planes":
        """So many planes of zeros."""
        return Planes(self, np.zeros((count, self.height + 2 * REACH, self.stride), np.float32))


@dataclass(frozen=True)
class Planes:
    """Planes with their margins, (planes, REACH + height + REACH, stride)."""

    geometry: Geometry
    whole: np.ndarray

    @property
    def inner(self) -> np.ndarray:
        """The samples: a view (planes, height, width)."""
        size = self.geometry
        return self.whole[:, REACH : REACH + size.height, MARGIN : MARGIN + size.width]

    @property
    def size(self) -> int:
        """Floats from one plane to the next."""
        return int(self.whole[0].size)

    def address(self, plane: int = 0) -> c_void_p:
        """Of the first sample of a plane."""
        offset = plane * self.size + REACH * self.geometry.stride + MARGIN
        return c_void_p(self.whole.ctypes.data + 4 * offset)


def plane_of(geometry: Geometry) -> Any:
    """A `nif_plane *`."""
    return ctypes.byref(_Plane(geometry.height, geometry.width, geometry.stride))


def planes_of(planes: Planes) -> "Tuple[Any, c_int64]":
    """A `nif_plane *` and the floats from one plane to the next."""
    return plane_of(planes.geometry), c_int64(planes.size)


def rows_of(rows: Rows) -> "Tuple[c_int32, c_int32]":
    """The first row, and that behind the last."""
    return c_int32(rows[0]), c_int32(rows[1])


def addresses(*planes: Planes) -> "Tuple[c_void_p, ...]":
    """Of the first samples."""
    return tuple(each.address() for each in planes)


def data_of(array: np.ndarray) -> c_void_p:
    """Of an array's first value."""
    return c_void_p(array.ctypes.data)
