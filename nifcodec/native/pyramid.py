"""A step of training a latent pyramid, natively: planes in, planes and sums of gradients out.

A call holds no lock while it works: threads may call at once, each for its own rows.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_uint32, c_void_p
from dataclasses import dataclass
from typing import Any, Optional, Tuple

import numpy as np

BLOCK, MARGIN, REACH = 64, 16, 4  # as in pyramid.h
SOFT, HARD = 0, 1
SPARE = 32  # floats behind a row's last block

Rows = Tuple[int, int]  # from, to


class _Plane(Structure):
    _fields_ = [("height", c_int32), ("width", c_int32), ("stride", c_int64)]


class _Entropy(Structure):
    _fields_ = [
        ("neighbours", c_int32),
        ("features", c_int32),
        ("down", POINTER(c_int32)),
        ("right", POINTER(c_int32)),
        ("weights", c_void_p),
    ]


class _Synthesis(Structure):
    _fields_ = [("grids", c_int32), ("hidden", c_int32), ("colours", c_int32), ("weights", c_void_p)]


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


@dataclass(frozen=True)
class Synthesis:
    """Weights of a synthesis, float32, in the order of synthesis.h, its hidden units and its colours."""

    weights: np.ndarray
    hidden: int
    colours: int

    @property
    def kernel(self) -> int:
        """Weights of a convolution and its biases."""
        return (9 * self.colours + 1) * self.colours


class NativePyramid:
    """The functions of a loaded library.

    Args:
        loaded: a library with the symbols that pyramid.h, synthesis.h and upsampling.h name.
    """

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._library = loaded
        loaded.nif_pyramid_workspace.restype = c_int64
        loaded.nif_pyramid_bits.restype = loaded.nif_synthesis_second.restype = c_double

    def quantize(
        self, rows: Rows, y: Planes, s: Planes, slope: Planes, kind: int, temperature: float, noise: float, seed: int
    ) -> None:
        """Rows of latents y -> what the networks see, s, and its derivative, where `kind` is SOFT."""
        self._library.nif_pyramid_quantize(
            _plane(y.geometry),
            *_rows(rows),
            c_int32(kind),
            c_float(temperature),
            c_float(noise),
            c_uint32(seed & 0xFFFFFFFF),
            y.address(),
            s.address(),
            slope.address(),
        )

    def bits(
        self,
        rows: Rows,
        s: Planes,
        neighbours: np.ndarray,
        weights: np.ndarray,
        features: Optional[Planes],
        count: int,
        price: float = 0.0,
        by_features: Optional[Planes] = None,
        hidden: bool = True,
    ) -> Tuple[float, Optional[np.ndarray], Optional[np.ndarray]]:
        """Bits of rows of latents and, at a price above 0, gradients of price * bits.

        Args:
            neighbours: int32 (2, neighbours), rows down and columns right.
            weights: of the network, float32.
            features: planes of half the size; None where all are zero.
            count: of features.
            by_features: where the gradient by the features goes.
            hidden: whether gradients by the hidden layers' matrices are wanted; they are 0 otherwise.

        Returns:
            Bits; the gradient by the latents, (rows + REACH, stride) with the rows above first; by the weights.
        """
        size = s.geometry
        net = _Entropy(
            neighbours.shape[1],
            count,
            neighbours[0].ctypes.data_as(POINTER(c_int32)),
            neighbours[1].ctypes.data_as(POINTER(c_int32)),
            weights.ctypes.data,
        )
        gradient = sums = None
        if price > 0:
            gradient = np.zeros((rows[1] - rows[0] + REACH, size.stride), np.float32)
            sums = np.empty(weights.size, np.float32)
        space = np.empty(self._library.nif_pyramid_workspace(c_int64(weights.size)), np.float32)
        total = self._library.nif_pyramid_bits(
            _plane(size),
            ctypes.byref(net),
            *_rows(rows),
            s.address(),
            None if features is None else features.address(),
            None if features is None else _plane(features.geometry),
            c_int64(0 if features is None else features.size),
            c_float(price),
            c_int32(hidden),
            None if gradient is None else c_void_p(gradient.ctypes.data + 4 * MARGIN),
            None if by_features is None else by_features.address(),
            None if sums is None else c_void_p(sums.ctypes.data),
            c_void_p(space.ctypes.data),
        )
        return float(total), gradient, sums

    def adam(
        self,
        rows: Rows,
        own: np.ndarray,
        below: Optional[np.ndarray],
        gradient: Planes,
        slope: Planes,
        moments: Tuple[Planes, Planes],
        y: Planes,
        rate: float,
        betas: Tuple[float, float],
        epsilon: float,
        step: int,
    ) -> None:
        """One step of Adam on rows of latents. own, below: gradients by `bits`, of these rows and of the next strip."""
        self._library.nif_pyramid_adam(
            _plane(y.geometry),
            *_rows(rows),
            c_void_p(own.ctypes.data + 4 * MARGIN),
            None if below is None else c_void_p(below.ctypes.data + 4 * MARGIN),
            gradient.address(),
            slope.address(),
            *(c_float(value) for value in (rate, *betas, epsilon)),
            c_int32(step),
            moments[0].address(),
            moments[1].address(),
            y.address(),
        )

    def mix(self, rows: Rows, net: Synthesis, z: Planes, colours: Planes, linear: Planes) -> None:
        """Rows of the grids -> colours before the convolutions, and the linear branch."""
        self._library.nif_synthesis_mix(*_planes(z), _synthesis(net, z), *_rows(rows), *_addresses(z, colours, linear))

    def first(self, rows: Rows, net: Synthesis, z: Planes, colours: Planes, out: Planes) -> None:
        """The first convolution and its ReLU."""
        self._library.nif_synthesis_first(*_planes(z), _synthesis(net, z), *_rows(rows), *_addresses(colours, out))

    def second(
        self,
        rows: Rows,
        net: Synthesis,
        z: Planes,
        rectified: Planes,
        linear: Planes,
        target: Planes,
        out: Planes,
        white: float = 0.0,
    ) -> float:
        """The second convolution -> the sum of squared errors; out: the gradient or, with `white`, the picture."""
        return float(
            self._library.nif_synthesis_second(
                *_planes(z),
                _synthesis(net, z),
                *_rows(rows),
                c_float(white),
                *_addresses(rectified, linear, target, out),
            )
        )

    def back_second(
        self,
        rows: Rows,
        net: Synthesis,
        z: Planes,
        rectified: Planes,
        gradient: Planes,
        inner: Planes,
    ) -> np.ndarray:
        """Back through the second convolution; returns sums of gradients by its kernel and biases."""
        sums = np.empty(net.kernel, np.float32)
        space = np.empty(net.colours * z.geometry.stride + 2 * MARGIN, np.float32)
        self._library.nif_synthesis_back_second(
            *_planes(z),
            _synthesis(net, z),
            *_rows(rows),
            *_addresses(rectified, gradient, inner),
            c_void_p(sums.ctypes.data),
            c_void_p(space.ctypes.data),
        )
        return sums

    def back_first(
        self,
        rows: Rows,
        net: Synthesis,
        z: Planes,
        colours: Planes,
        inner: Planes,
        gradient: Planes,
        by_z: Planes,
    ) -> np.ndarray:
        """Back through the rest; returns sums of gradients by all weights but the second kernel and its biases."""
        sums = np.empty(net.weights.size - net.kernel, np.float32)
        turned = sums.size  # more than the turned weights take
        space = np.empty(sums.size * 8 + net.colours * z.geometry.stride + 2 * MARGIN + turned, np.float32)
        self._library.nif_synthesis_back_first(
            *_planes(z),
            _synthesis(net, z),
            *_rows(rows),
            *_addresses(z, colours, inner, gradient, by_z),
            c_void_p(sums.ctypes.data),
            c_void_p(space.ctypes.data),
        )
        return sums

    def filter_grid(self, taps: np.ndarray, source: Planes, between: Planes, out: Planes, plane: int = 0) -> None:
        """A grid, filtered at its own size, into a plane of `out`."""
        self._library.nif_filter_grid(
            _plane(source.geometry), _data(taps), source.address(), between.address(), out.address(plane)
        )

    def filter_grid_back(
        self,
        taps: np.ndarray,
        source: Planes,
        between: Planes,
        gradient: Planes,
        plane: int,
        turned: Planes,
        by: Planes,
    ) -> np.ndarray:
        """Adds to the gradient by the grid; returns that by the taps."""
        sums = np.zeros(4)
        self._library.nif_filter_grid_back(
            _plane(source.geometry),
            _data(taps),
            source.address(),
            between.address(),
            gradient.address(plane),
            turned.address(),
            by.address(),
            _data(sums),
        )
        return sums

    def double(self, taps: np.ndarray, source: Planes, between: Planes, out: Planes, plane: int = 0) -> None:
        """A plane, doubled into a plane of `out`."""
        half = source.geometry
        line = np.empty(2 * half.stride + 2 * MARGIN, np.float32)
        self._library.nif_double(
            _plane(half),
            _plane(out.geometry),
            _data(taps),
            source.address(),
            between.address(),
            out.address(plane),
            _data(line),
        )

    def double_back(
        self, taps: np.ndarray, source: Planes, between: Planes, gradient: Planes, plane: int, by: Planes
    ) -> np.ndarray:
        """Writes the gradient by the smaller plane; returns that by the taps."""
        half, sums = source.geometry, np.zeros(4)
        line = np.zeros(3 * half.stride + 2 * MARGIN, np.float32)
        self._library.nif_double_back(
            _plane(half),
            _plane(gradient.geometry),
            _data(taps),
            source.address(),
            between.address(),
            gradient.address(plane),
            by.address(),
            _data(sums),
            _data(line),
        )
        return sums


def _plane(geometry: Geometry) -> Any:
    return ctypes.byref(_Plane(geometry.height, geometry.width, geometry.stride))


def _planes(planes: Planes) -> "Tuple[Any, c_int64]":
    return _plane(planes.geometry), c_int64(planes.size)


def _rows(rows: Rows) -> "Tuple[c_int32, c_int32]":
    return c_int32(rows[0]), c_int32(rows[1])


def _synthesis(net: Synthesis, z: Planes) -> Any:
    return ctypes.byref(_Synthesis(len(z.whole), net.hidden, net.colours, net.weights.ctypes.data))


def _addresses(*planes: Planes) -> "Tuple[c_void_p, ...]":
    return tuple(each.address() for each in planes)


def _data(array: np.ndarray) -> c_void_p:
    return c_void_p(array.ctypes.data)
