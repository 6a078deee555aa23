"""The encoder's search over the bands of a wavelet lattice, natively: arrays in, arrays out.

Levels are lists, finest first, of lists of arrays: a level's bands by the place of their plane, then their orientation.
Arrays that come back are views of one array.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from nifcodec.native.bands import (
    OK,
    BandArrays,
    LatticeShape,
    NativeModel,
    _address,
    _coarser,
    aligned,
    lattice_of,
    low_planes,
)

Levels = List[List[np.ndarray]]


@dataclass(frozen=True)
class NativeQuantized:
    """Integers of all bands, and what goes with them.

    Attributes:
        values: int32 (rows, columns) in half steps.
        contexts: int16 (3, rows, columns): scale indices, means in eighths, kinds of quantizer; zero where a band is
            not coded.
        plane: the low-pass planes of level 0, int64 (planes, rows, columns) in 1/64 of the step.
    """

    values: Levels
    contexts: Levels
    plane: np.ndarray


@dataclass(frozen=True)
class NativeStream:
    """A coded stream.

    Attributes:
        coded: bool (levels, 3 planes), which bands it holds.
        digests: of each level, CRC-32 of the indices up to its end.
        needed: of each level, bytes of the stream that a decoder has read after it, at most.
    """

    data: bytes
    coded: np.ndarray
    digests: List[int]
    needed: List[int]


class NativeSearch:
    """The search under the context networks of a prior.

    Args:
        model: of the prior.
        lengths: bits of each symbol under each table, float64 (832, 33).
    """

    def __init__(self, model: NativeModel, lengths: np.ndarray) -> None:
        self._library, self._model = model._library, model._packed
        self._lengths = np.ascontiguousarray(lengths, np.float64)
        if self._lengths.shape != (832, 33):
            raise ValueError(f"lengths of symbols have the shape {self._lengths.shape} in place of (832, 33)")

    def quantize_bands(
        self,
        shape: LatticeShape,
        low: np.ndarray,
        coarser: Sequence[BandArrays],
        details: Sequence[Sequence[np.ndarray]],
        lagrangian: float,
        effects: Optional[Sequence[Sequence[np.ndarray]]] = None,
        prices: Optional[Sequence[Sequence[np.ndarray]]] = None,
    ) -> NativeQuantized:
        """Integers of least squared error + lagrangian * bits, each by itself under the context of those before it.

        Args:
            shape: quantization is not dependent.
            low: the coarsest low-pass planes, int64 (planes, rows, columns) in 1/64 of the step.
            coarser: values of up to two levels beyond the coarsest, where the lattice is part of a larger one.
            details: coefficients in steps, float64.
            lagrangian: of a bit, in squared steps.
            effects: bits of others by each value's feature and by its magnitude, float32 (2, rows, columns).
            prices: of each coefficient's bits in units of the lagrangian, float64.
        """
        wanted = _flat(shape, details, np.float64)
        values, contexts, plane = np.empty(wanted.size, np.int32), np.empty(3 * wanted.size, np.int16), _plane(shape)
        kept, given = _coarser(coarser, 3 * len(shape.planes))
        influence, weights = _optional(shape, effects, np.float32, 2), _optional(shape, prices, np.float64)
        self._call(
            "nifcodec_quantize_bands",
            "nifcodec_scan_memory",
            shape,
            self._lengths,
            low_planes(shape, low),
            given,
            wanted,
            ctypes.c_uint64(wanted.size),
            ctypes.c_double(lagrangian),
            influence,
            weights,
            values,
            contexts,
            plane,
            ctypes.c_uint64(plane.size),
        )
        del kept
        return NativeQuantized(_levels(shape, values), _levels(shape, contexts, 3), plane)

    def contexts_of(
        self,
        shape: LatticeShape,
        low: np.ndarray,
        coarser: Sequence[BandArrays],
        values: Sequence[Sequence[np.ndarray]],
    ) -> NativeQuantized:
        """Values that are chosen already, int32 in half steps, with the contexts that they have."""
        chosen = _flat(shape, values, np.int32)
        contexts, plane = np.empty(3 * chosen.size, np.int16), _plane(shape)
        kept, given = _coarser(coarser, 3 * len(shape.planes))
        self._call(
            "nifcodec_contexts_of",
            "nifcodec_scan_memory",
            shape,
            low_planes(shape, low),
            given,
            chosen,
            ctypes.c_uint64(chosen.size),
            contexts,
            plane,
            ctypes.c_uint64(plane.size),
        )
        del kept
        return NativeQuantized(_levels(shape, chosen), _levels(shape, contexts, 3), plane)

    def requantize_bands(
        self,
        shape: LatticeShape,
        details: Sequence[Sequence[np.ndarray]],
        lagrangian: float,
        values: Sequence[Sequence[np.ndarray]],
        contexts: Sequence[Sequence[np.ndarray]],
        effects: Optional[Sequence[Sequence[np.ndarray]]] = None,
        prices: Optional[Sequence[Sequence[np.ndarray]]] = None,
    ) -> Levels:
        """Values of dependent quantization under the contexts of an earlier attempt, int32 in half steps.

        Args:
            details, lagrangian, effects, prices: as `quantize_bands` takes them.
            values, contexts: of the earlier attempt; a band that is all zero there stays so.
        """
        wanted = _flat(shape, details, np.float64)
        start, seen = _flat(shape, values, np.int32), _flat(shape, contexts, np.int16, 3)
        influence, weights = _optional(shape, effects, np.float32, 2), _optional(shape, prices, np.float64)
        chosen = np.empty(wanted.size, np.int32)
        self._call(
            "nifcodec_requantize_bands",
            "nifcodec_requantize_memory",
            shape,
            self._lengths,
            wanted,
            ctypes.c_uint64(wanted.size),
            ctypes.c_double(lagrangian),
            start,
            seen,
            influence,
            weights,
            chosen,
        )
        return _levels(shape, chosen)

    def rate_gradient(
        self,
        shape: LatticeShape,
        low: np.ndarray,
        coarser: Sequence[BandArrays],
        values: Sequence[Sequence[np.ndarray]],
    ) -> Levels:
        """What each value does to the bits of those that see it, as `quantize_bands` takes it: `effects`."""
        chosen = _flat(shape, values, np.int32)
        effects = np.empty(2 * chosen.size, np.float32)
        kept, given = _coarser(coarser, 3 * len(shape.planes))
        self._call(
            "nifcodec_rate_gradient",
            "nifcodec_rate_gradient_memory",
            shape,
            low_planes(shape, low),
            given,
            chosen,
            ctypes.c_uint64(chosen.size),
            effects,
        )
        del kept
        return _levels(shape, effects, 2)

    def encode_bands(
        self,
        shape: LatticeShape,
        values: Sequence[Sequence[np.ndarray]],
        contexts: Sequence[Sequence[np.ndarray]],
    ) -> NativeStream:
        """The stream of the bands that hold anything but zeros, under the contexts that their values have."""
        chosen, seen = _flat(shape, values, np.int32), _flat(shape, contexts, np.int16, 3)
        coded = np.zeros((shape.levels, 3 * len(shape.planes)), np.uint8)
        digests, needed = np.zeros(shape.levels, np.uint32), np.zeros(shape.levels, np.uint64)
        capacity = self._size("nifcodec_encode_capacity", ctypes.c_uint64(chosen.size))
        stream, size = np.empty(capacity, np.uint8), ctypes.c_uint64()
        self._call(
            "nifcodec_encode_bands",
            "nifcodec_encode_memory",
            shape,
            chosen,
            seen,
            ctypes.c_uint64(chosen.size),
            coded,
            digests,
            needed,
            stream,
            ctypes.c_uint64(capacity),
            ctypes.byref(size),
        )
        return NativeStream(stream[: size.value].tobytes(), coded.astype(bool), digests.tolist(), needed.tolist())

    def _size(self, name: str, argument: Any) -> int:
        function = getattr(self._library, name)
        function.restype = ctypes.c_uint64
        return int(function(argument))

    def _call(self, name: str, memory_name: str, shape: LatticeShape, *arguments: Any) -> None:
        """Calls a function over a lattice in the memory that it needs.

        Raises ValueError: the arguments do not fit each other, or a value is above 2^21.
        """
        lattice = lattice_of(shape)
        size = self._size(memory_name, ctypes.byref(lattice))
        if not size:
            raise ValueError("the native code cannot hold this lattice")
        memory = aligned(size)
        given = (self._model, *arguments, memory)
        passed = [_address(value) if isinstance(value, np.ndarray) else value for value in given]
        error = getattr(self._library, name)(ctypes.byref(lattice), *passed, ctypes.c_uint64(size))
        if error != OK:
            raise ValueError(f"the native code refuses its arguments: {error}")


def _shapes(shape: LatticeShape) -> "List[List[Tuple[int, int]]]":
    return [[shape.band(level, band % 3) for band in range(3 * len(shape.planes))] for level in range(shape.levels)]


def _flat(shape: LatticeShape, levels: Sequence[Sequence[np.ndarray]], dtype: type, each: int = 1) -> np.ndarray:
    """Bands in one line; `each` arrays to a band."""
    shapes = [[size if each == 1 else (each, *size) for size in sizes] for sizes in _shapes(shape)]
    if [[np.shape(band) for band in bands] for bands in levels] != shapes:
        raise ValueError("the bands do not have the shapes of the lattice")
    line: List[np.ndarray] = [np.asarray(band, dtype).ravel() for bands in levels for band in bands]
    return np.concatenate(line) if line else np.zeros(0, dtype)


def _optional(
    shape: LatticeShape, levels: Optional[Sequence[Sequence[np.ndarray]]], dtype: type, each: int = 1
) -> Optional[np.ndarray]:
    return None if levels is None else _flat(shape, levels, dtype, each)


def _levels(shape: LatticeShape, line: np.ndarray, each: int = 1) -> Levels:
    levels: Levels = []
    start = 0
    for sizes in _shapes(shape):
        levels.append([])
        for rows, columns in sizes:
            end = start + each * rows * columns
            levels[-1].append(line[start:end].reshape((rows, columns) if each == 1 else (each, rows, columns)))
            start = end
    return levels


def _plane(shape: LatticeShape) -> np.ndarray:
    return np.empty((len(shape.planes), *shape.side(min(1, shape.levels))), np.int64)
