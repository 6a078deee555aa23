"""A step of training a latent pyramid, natively: planes in, planes and sums of gradients out.

A call holds no lock while it works: threads may call at once, each for its own rows.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_uint32, c_void_p
from typing import Any, Optional, Sequence, Tuple

import numpy as np

from nifcodec.native.planes import MARGIN, REACH, Planes, Rows, data_of, plane_of, planes_of, rows_of
from nifcodec.native.synthesis import NativeSynthesis

SOFT, HARD = 0, 1
GRIDS_OF_A_SIZE = 2  # as in pyramid_features.h
AROUND = 2  # samples around a latent, as in pyramid_together.h
AROUND_SIDE = 2 * AROUND + 1


class _Entropy(Structure):
    _fields_ = [
        ("neighbours", c_int32),
        ("features", c_int32),
        ("down", POINTER(c_int32)),
        ("right", POINTER(c_int32)),
        ("weights", c_void_p),
    ]


class _Around(Structure):
    _fields_ = [("size", c_int64), ("colours", c_int32), ("picture", c_void_p)]


class _Mapped(Structure):
    _fields_ = [
        ("features", c_int32),
        ("count", c_int32),
        ("columns", c_int32),
        ("matrix", c_void_p),
        ("grids", c_void_p * GRIDS_OF_A_SIZE),
        ("by_grids", c_void_p * GRIDS_OF_A_SIZE),
    ]


class NativePyramid(NativeSynthesis):
    """The functions of a loaded library.

    Args:
        loaded: a library with the symbols that pyramid.h, pyramid_features.h, pyramid_together.h, synthesis.h and
            upsampling.h name.
    """

    def __init__(self, loaded: ctypes.CDLL) -> None:
        super().__init__(loaded)
        loaded.nif_pyramid_workspace.restype = c_int64
        loaded.nif_pyramid_bits.restype = c_double

    def quantize(
        self, rows: Rows, y: Planes, s: Planes, slope: Planes, kind: int, temperature: float, noise: float, seed: int
    ) -> None:
        """Rows of latents y -> what the networks see, s, and its derivative, where `kind` is SOFT."""
        self._library.nif_pyramid_quantize(
            plane_of(y.geometry),
            *rows_of(rows),
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
        learn: bool = True,
        each: Optional[Planes] = None,
    ) -> Tuple[float, Optional[np.ndarray], Optional[np.ndarray]]:
        """Bits of rows of latents and, at a price above 0, gradients of price * bits.

        Args:
            neighbours: int32 (2, neighbours), rows down and columns right.
            weights: of the network, float32.
            features: planes of half the size; None where all are zero.
            count: of features.
            by_features: where the gradient by the features goes.
            learn: whether the gradient by the weights is wanted.
            each: where the bits of each latent go.

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
            sums = np.empty(weights.size, np.float32) if learn else None
        space = np.empty(self._library.nif_pyramid_workspace(c_int64(weights.size)), np.float32)
        total = self._library.nif_pyramid_bits(
            plane_of(size),
            ctypes.byref(net),
            *rows_of(rows),
            s.address(),
            None if features is None else features.address(),
            None if features is None else plane_of(features.geometry),
            c_int64(0 if features is None else features.size),
            c_float(price),
            None if gradient is None else c_void_p(gradient.ctypes.data + 4 * MARGIN),
            None if by_features is None else by_features.address(),
            None if sums is None else c_void_p(sums.ctypes.data),
            c_void_p(space.ctypes.data),
            None if each is None else each.address(),
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
        moves: Planes,
    ) -> None:
        """One step of Adam on rows of latents.

        Args:
            own, below: gradients by `bits`, of these rows and of the next strip.
            moves: where goes what is added to each.
        """
        self._library.nif_pyramid_adam(
            plane_of(y.geometry),
            *rows_of(rows),
            c_void_p(own.ctypes.data + 4 * MARGIN),
            None if below is None else c_void_p(below.ctypes.data + 4 * MARGIN),
            gradient.address(),
            slope.address(),
            *(c_float(value) for value in (rate, *betas, epsilon)),
            c_int32(step),
            moments[0].address(),
            moments[1].address(),
            y.address(),
            moves.address(),
        )

    def together_products(self, rows: Rows, picture: Planes, moves: Planes) -> np.ndarray:
        """Products of moves with the picture around each, float64: of each colour AROUND_SIDE^2, then their sum."""
        around = _around(picture)
        sums = np.zeros(around.colours * AROUND_SIDE**2 + 1)
        self._library.nif_together_products(
            plane_of(moves.geometry), ctypes.byref(around), *rows_of(rows), moves.address(), data_of(sums)
        )
        return sums

    def together_add(self, rows: Rows, picture: Planes, weights: np.ndarray, y: Planes) -> None:
        """Adds a map of the picture around each latent. weights: float32, as `together_products` has them."""
        self._library.nif_together_add(
            plane_of(y.geometry), ctypes.byref(_around(picture)), *rows_of(rows), data_of(weights), y.address()
        )

    def features(
        self,
        matrix: np.ndarray,
        column: int,
        grids: Sequence[Planes],
        biases: Optional[np.ndarray],
        coarser: Optional[Planes],
        out: Planes,
    ) -> None:
        """Maps of grids of one size, and the sums of half the size -> the sums of this size.

        Args:
            matrix: float32 (features, all grids).
            column: the first grid's.
            coarser, out: planes (features, ...).
        """
        self._library.nif_features(
            *planes_of(out),
            _mapped(matrix, column, grids, ()),
            None if biases is None else data_of(biases),
            *_optional(coarser),
            out.address(),
        )

    def features_back(
        self,
        matrix: np.ndarray,
        column: int,
        grids: Sequence[Planes],
        by_grids: Sequence[Planes],
        gradient: Planes,
        coarser: Optional[Planes],
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Adds to the gradients by the grids, and writes that by the sums of half the size.

        Returns:
            Gradients by the columns of the matrix, (features, grids), and by biases, (features,).
        """
        sums, biases = np.zeros((len(matrix), len(grids))), np.zeros(len(matrix))
        self._library.nif_features_back(
            *planes_of(gradient),
            _mapped(matrix, column, grids, by_grids),
            gradient.address(),
            *_optional(coarser),
            data_of(sums),
            data_of(biases),
        )
        return sums, biases


def _around(picture: Planes) -> _Around:
    return _Around(picture.size, len(picture.whole), picture.address())


def _mapped(matrix: np.ndarray, column: int, grids: Sequence[Planes], by_grids: Sequence[Planes]) -> Any:
    first = matrix.ctypes.data + column * matrix.itemsize
    addresses = ((c_void_p * GRIDS_OF_A_SIZE)(*(each.address() for each in some)) for some in (grids, by_grids))
    return ctypes.byref(_Mapped(len(matrix), len(grids), matrix.shape[1], first, *addresses))


def _optional(planes: Optional[Planes]) -> Tuple[Any, ...]:
    if planes is None:
        return None, c_int64(0), None
    return (*planes_of(planes), planes.address())
