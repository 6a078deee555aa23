"""The upsampling and the synthesis of a latent pyramid, natively, forward and backward.

A call holds no lock while it works: threads may call at once, each for its own rows.
"""

from __future__ import annotations

import ctypes
from ctypes import Structure, c_double, c_float, c_int32, c_void_p
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from nifcodec.native.planes import MARGIN, Planes, Rows, addresses, data_of, plane_of, planes_of, rows_of


class _Synthesis(Structure):
    _fields_ = [("grids", c_int32), ("hidden", c_int32), ("colours", c_int32), ("weights", c_void_p)]


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


class NativeSynthesis:
    """The functions of a loaded library.

    Args:
        loaded: a library with the symbols that synthesis.h and upsampling.h name.
    """

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._library = loaded
        loaded.nif_synthesis_second.restype = c_double

    def mix(self, rows: Rows, net: Synthesis, z: Planes, colours: Planes, linear: Planes) -> None:
        """Rows of the grids -> colours before the convolutions, and the linear branch."""
        self._library.nif_synthesis_mix(
            *planes_of(z), _synthesis(net, z), *rows_of(rows), *addresses(z, colours, linear)
        )

    def first(self, rows: Rows, net: Synthesis, z: Planes, colours: Planes, out: Planes) -> None:
        """The first convolution and its ReLU."""
        self._library.nif_synthesis_first(*planes_of(z), _synthesis(net, z), *rows_of(rows), *addresses(colours, out))

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
                *planes_of(z),
                _synthesis(net, z),
                *rows_of(rows),
                c_float(white),
                *addresses(rectified, linear, target, out),
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
        learn: bool = True,
    ) -> Optional[np.ndarray]:
        """Back through the second convolution; returns sums of gradients by its kernel and biases, to learn from."""
        sums = np.empty(net.kernel, np.float32) if learn else None
        space = np.empty(net.colours * z.geometry.stride + 2 * MARGIN, np.float32)
        self._library.nif_synthesis_back_second(
            *planes_of(z),
            _synthesis(net, z),
            *rows_of(rows),
            *addresses(rectified, gradient, inner),
            None if sums is None else data_of(sums),
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
        learn: bool = True,
    ) -> Optional[np.ndarray]:
        """Back through the rest; returns sums of gradients by all weights but the second kernel and its biases."""
        count = net.weights.size - net.kernel
        sums = np.empty(count, np.float32) if learn else None
        turned = count  # more than the turned weights take
        space = np.empty(count * 8 + net.colours * z.geometry.stride + 2 * MARGIN + turned, np.float32)
        self._library.nif_synthesis_back_first(
            *planes_of(z),
            _synthesis(net, z),
            *rows_of(rows),
            *addresses(z, colours, inner, gradient, by_z),
            None if sums is None else data_of(sums),
            c_void_p(space.ctypes.data),
        )
        return sums

    def filter_grid(self, taps: np.ndarray, source: Planes, between: Planes, out: Planes, plane: int = 0) -> None:
        """A grid, filtered at its own size, into a plane of `out`."""
        self._library.nif_filter_grid(
            plane_of(source.geometry), data_of(taps), source.address(), between.address(), out.address(plane)
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
            plane_of(source.geometry),
            data_of(taps),
            source.address(),
            between.address(),
            gradient.address(plane),
            turned.address(),
            by.address(),
            data_of(sums),
        )
        return sums

    def double(self, taps: np.ndarray, source: Planes, between: Planes, out: Planes, plane: int = 0) -> None:
        """A plane, doubled into a plane of `out`."""
        half = source.geometry
        line = np.empty(2 * half.stride + 2 * MARGIN, np.float32)
        self._library.nif_double(
            plane_of(half),
            plane_of(out.geometry),
            data_of(taps),
            source.address(),
            between.address(),
            out.address(plane),
            data_of(line),
        )

    def double_back(
        self, taps: np.ndarray, source: Planes, between: Planes, gradient: Planes, plane: int, by: Planes
    ) -> np.ndarray:
        """Writes the gradient by the smaller plane; returns that by the taps."""
        half, sums = source.geometry, np.zeros(4)
        line = np.zeros(3 * half.stride + 2 * MARGIN, np.float32)
        self._library.nif_double_back(
            plane_of(half),
            plane_of(gradient.geometry),
            data_of(taps),
            source.address(),
            between.address(),
            gradient.address(plane),
            by.address(),
            data_of(sums),
            data_of(line),
        )
        return sums


def _synthesis(net: Synthesis, z: Planes) -> Any:
    return ctypes.byref(_Synthesis(len(z.whole), net.hidden, net.colours, net.weights.ctypes.data))
