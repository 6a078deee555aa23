"""The bands of a wavelet lattice, decoded natively (FORMAT.md, "Lattice payload"): arrays in, arrays out.

What comes from a file is checked before it is counted in memory; the native code checks every size again.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import List, Mapping, Optional, Protocol, Sequence, Tuple

import numpy as np

from nifcodec.errors import MalformedError, TruncatedError

MAX_PLANES, ALIGNMENT = 4, 64
OK, MALFORMED_STREAM, TRUNCATED, LARGE_COEFFICIENT = range(4)
WEIGHTS, BIASES = ("w1", "w2", "w3", "skip"), ("b1", "b2", "b3")

NetworkKey = Tuple[int, int, int, int]  # plane, orientation, group of levels, parity of the column
BandArrays = List[Optional[np.ndarray]]  # by plane and orientation; None where a band is all zero


class Network(Protocol):
    """Integer weights of a context network, as arrays of any type."""

    @property
    def w1(self) -> np.ndarray: ...
    @property
    def b1(self) -> np.ndarray: ...
    @property
    def w2(self) -> np.ndarray: ...
    @property
    def b2(self) -> np.ndarray: ...
    @property
    def w3(self) -> np.ndarray: ...
    @property
    def b3(self) -> np.ndarray: ...
    @property
    def skip(self) -> np.ndarray: ...


class _Lattice(ctypes.Structure):
    _fields_ = [
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("levels", ctypes.c_int32),
        ("first", ctypes.c_int32),
        ("finest", ctypes.c_int32),
        ("planes", ctypes.c_int32),
        ("plane", ctypes.c_int32 * MAX_PLANES),
        ("step_feature", ctypes.c_int32),
        ("dependent", ctypes.c_int32),
    ]


class _Coarser(ctypes.Structure):
    _fields_ = [("values", ctypes.c_void_p), ("rows", ctypes.c_int32), ("columns", ctypes.c_int32)]


class _Coder(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("offset", "width", "window", "next")]


@dataclass(frozen=True)
class LatticeShape:
    """A lattice, and what its coding depends on.

    Attributes:
        height, width: of the native planes.
        planes: of 0 luma, 1 and 2 chroma, 3 alpha.
        levels: of the lattice.
        first: what its finest level counts as in the whole picture.
        step_feature: 0 to 127.
        dependent: whether quantization is.
    """

    height: int
    width: int
    planes: Tuple[int, ...]
    levels: int
    first: int
    step_feature: int
    dependent: bool

    def side(self, level: int) -> Tuple[int, int]:
        """Rows and columns of the planes before which a level stands: of level 0 the native ones."""
        return -(-self.height >> level), -(-self.width >> level)

    def band(self, level: int, orientation: int) -> Tuple[int, int]:
        """Rows and columns of a band."""
        height, width = self.side(level)
        rows = (height + 1) // 2 if orientation == 0 else height // 2
        return rows, (width + 1) // 2 if orientation == 1 else width // 2


def aligned(size: int) -> np.ndarray:
    """Uninitialised bytes, uint8 (size,), at an address that vectors like."""
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size]


class NativeModel:
    """The context networks and tables of a prior, packed for the native code.

    Args:
        library: as `library.load` gives it.
        networks: by plane 0 to 2, orientation, group of levels and parity of the column, as a prior's file holds them.
        tables: frequencies (832, 33).
        features: those of -8192 to 8192 in 1/64 of the step, int8.

    Raises:
        ValueError: the native code cannot hold the networks: a sum may reach 2^23, or a layer has more than 64 units.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        networks: Mapping[NetworkKey, Network],
        tables: np.ndarray,
        features: np.ndarray,
    ) -> None:
        self._library = library
        ordered = [networks[key] for key in sorted(networks)]
        weights = _line(ordered, WEIGHTS, np.int16)
        biases = _line(ordered, BIASES, np.int32)
        hidden = np.array([networks[(plane, 0, 0, 0)].w2.shape for plane in range(3)], np.uint8)
        frequencies = np.ascontiguousarray(tables, np.uint32)
        seen = np.ascontiguousarray(features, np.int8)
        header = aligned(library.nifcodec_model_header_size())
        self._packed = aligned(library.nifcodec_model_size(_address(hidden), _address(header)))
        error = library.nifcodec_pack_model(
            _address(hidden),
            _address(weights),
            ctypes.c_uint64(weights.size),
            _address(biases),
            ctypes.c_uint64(biases.size),
            _address(frequencies),
            _address(seen),
            _address(self._packed),
            ctypes.c_uint64(self._packed.size),
        )
        if len(ordered) != 54 or frequencies.shape != (832, 33) or seen.shape != (16385,) or error != OK:
            raise ValueError("the native code cannot hold these context networks")

    def decode_bands(
        self,
        stream: bytes,
        shape: LatticeShape,
        coded: np.ndarray,
        low: np.ndarray,
        coarser: Sequence[BandArrays],
        finest: int = 0,
    ) -> "Tuple[np.ndarray, List[BandArrays], List[int], Tuple[int, int, int, int]]":
        """Indices of all coded bands from the coarsest level down to `finest`, and the planes above it.

        Args:
            stream: of the range coder.
            coded: bool (levels, 3 planes).
            low: the coarsest low-pass planes, int64 (planes, rows, columns) in 1/64 of the step.
            coarser: values of up to two levels beyond the coarsest, where the lattice is part of a larger one.

        Returns:
            The low-pass planes of the level `finest`, int64 (planes, rows, columns) in 1/64 of the step; for each level
            its bands, int32 in half steps; the CRC-32 of all indices up to the end of each level from `finest` on; and
            the coder's offset, width, window and bytes read.

        Raises:
            MalformedError, TruncatedError: the stream is damaged.
        """
        bands = 3 * len(shape.planes)
        if not 0 <= finest <= shape.levels:
            raise ValueError(f"the lattice has no level {finest}")
        lattice, start = lattice_of(shape, finest), low_planes(shape, low)
        flags = np.ascontiguousarray(coded, np.uint8)
        if flags.shape != (shape.levels, bands):
            raise ValueError(f"the flags of the bands {flags.shape} are not those of the lattice")
        kept, given = _coarser(coarser, bands)
        sizes = [
            (level, band, shape.band(level, band % 3))
            for level in range(finest, shape.levels)
            for band in range(bands)
            if flags[level, band]
        ]
        values = np.empty(sum(rows * columns for _, _, (rows, columns) in sizes), np.int32)
        plane = np.empty((len(shape.planes), *shape.side(min(finest + 1, shape.levels))), np.int64)
        digests = np.zeros(shape.levels, np.uint32)
        memory = aligned(self._library.nifcodec_decode_memory(ctypes.byref(lattice)))
        coder = _Coder()
        error = self._library.nifcodec_decode_bands(
            ctypes.byref(lattice),
            _address(self._packed),
            ctypes.c_char_p(stream),
            ctypes.c_uint64(len(stream)),
            _address(flags),
            _address(start),
            given,
            _address(values),
            ctypes.c_uint64(values.size),
            _address(plane),
            ctypes.c_uint64(plane.size),
            _address(digests),
            _address(memory),
            ctypes.c_uint64(memory.size),
            ctypes.byref(coder),
        )
        del kept
        check(error, len(stream))
        levels: List[BandArrays] = [[None] * bands for _ in range(shape.levels)]
        offset = 0
        for level, band, (rows, columns) in sizes:
            levels[level][band] = values[offset : offset + rows * columns].reshape(rows, columns)
            offset += rows * columns
        state = (int(coder.offset), int(coder.width), int(coder.window), int(coder.next))
        return plane, levels, digests.tolist(), state


def lattice_of(shape: LatticeShape, finest: int = 0) -> _Lattice:
    """A lattice as the native code reads it."""
    lattice = _Lattice(shape.height, shape.width, shape.levels, shape.first, finest, len(shape.planes))
    lattice.plane[: len(shape.planes)] = shape.planes
    lattice.step_feature, lattice.dependent = shape.step_feature, shape.dependent
    return lattice


def low_planes(shape: LatticeShape, low: np.ndarray) -> np.ndarray:
    """The coarsest low-pass planes, contiguous. Raises ValueError where they are not those of the lattice."""
    planes = np.ascontiguousarray(low, np.int64)
    if planes.shape != (len(shape.planes), *shape.side(shape.levels)):
        raise ValueError(f"the low-pass planes {planes.shape} are not those of the lattice")
    return planes


def _line(networks: Sequence[Network], names: Sequence[str], dtype: type) -> np.ndarray:
    line = np.concatenate([np.asarray(getattr(net, name)).ravel() for net in networks for name in names])
    limits = np.iinfo(dtype)
    if float(line.min()) < limits.min or float(line.max()) > limits.max:
        raise ValueError("the native code cannot hold these context networks")
    return line.astype(dtype)


def _coarser(coarser: Sequence[BandArrays], bands: int) -> "Tuple[List[np.ndarray], ctypes.Array[_Coarser]]":
    given = (_Coarser * (2 * bands))()
    kept = []
    for beyond, arrays in enumerate(coarser[:2]):
        for band, values in enumerate(arrays):
            if values is not None:
                array = np.ascontiguousarray(values, np.int32)
                kept.append(array)
                given[beyond * bands + band] = _Coarser(array.ctypes.data, *array.shape)
    return kept, given


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def check(error: int, stream_bytes: int) -> None:
    """Of what a function returns. Raises TruncatedError, MalformedError, ValueError."""
    if error == MALFORMED_STREAM:
        raise MalformedError("range coded stream", "belongs to no sequence of symbols")
    if error == TRUNCATED:
        raise TruncatedError(f"the coded data ends early: {stream_bytes} bytes cannot hold its escapes")
    if error == LARGE_COEFFICIENT:
        raise MalformedError("coefficient", f"is above {1 << 20}")
    if error != OK:
        raise ValueError(f"the native code refuses its arguments: {error}")
