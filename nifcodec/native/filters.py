"""Restoration filter, colours and sampling of the native library, with bounds checked before each call.

A call holds no lock while it works: threads may call at once, each for its own rows. Raises ValueError for arrays that
do not fit each other.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from typing import Any, Optional, Sequence, Tuple

import numpy as np

GROUP = 6  # outputs in a packed group
# A row of a kernel -> its points (convolution.h).
POINTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
BLOCK_CHANNELS = 12
MAX_LAYERS = 8
MAX_SIDE = 1 << 28
KINDS = {np.dtype(kind): number for number, kind in enumerate(("f4", "i4", "i8", "u1", "u2"))}
SAMPLES = {8: np.uint8, 16: np.uint16, 32: np.float32}

Rectangle = Tuple[int, int, int, int]  # top, left, rows, columns
Taps = Tuple[np.ndarray, np.ndarray]  # indices and weights, (taps, samples)


class _Planes(Structure):
    _fields_ = [
        ("samples", c_void_p),
        ("plane_stride", c_int64),
        ("row_stride", c_int64),
        ("kind", c_int32),
        ("count", c_int32),
        ("height", c_int32),
        ("width", c_int32),
        ("scale", c_float),
    ]


class _Rectangle(Structure):
    _fields_ = [("top", c_int32), ("left", c_int32), ("rows", c_int32), ("columns", c_int32)]


class _Filter(Structure):
    _fields_ = [("weights", c_void_p), ("channels", POINTER(c_int32)), ("layers", c_int32)]


@dataclass(frozen=True)
class PackedFilter:
    """A restoration filter at a step, its weights in the order in which the native code reads them.

    Attributes:
        channels: of the input and of each layer's output, filled up to multiples of 12.
        weights: float32, of each layer: kernels as points, then biases.
        backward: float32, the kernels of each layer's transpose.
    """

    channels: Tuple[int, ...]
    weights: np.ndarray
    backward: np.ndarray

    @property
    def corrections(self) -> int:
        """How many there are."""
        return self.channels[-1] // BLOCK_CHANNELS

    @property
    def reach(self) -> int:
        """Pixels around a block of 2x2 on which its corrections depend."""
        return 2 * (len(self.channels) - 1)


def pack_filter(kernels: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> PackedFilter:
    """Packs a filter.

    Args:
        kernels: float32 (3, 3, in, out), from 12 channels to 12 for each correction.
        biases: float32 (out,), those of the step.
    """
    if not 1 <= len(kernels) <= MAX_LAYERS or len(biases) != len(kernels):
        raise ValueError(f"a filter has {len(kernels)} kernels and {len(biases)} biases: give both for 1..{MAX_LAYERS}")
    if kernels[0].shape[2] != BLOCK_CHANNELS or kernels[-1].shape[3] % BLOCK_CHANNELS:
        raise ValueError(f"a filter leads from {kernels[0].shape} to {kernels[-1].shape}: both ends are blocks of 12")
    channels = [BLOCK_CHANNELS, *(-(-kernel.shape[3] // (2 * GROUP)) * 2 * GROUP for kernel in kernels)]
    forward, backward = [], []
    for index, (kernel, bias) in enumerate(zip(kernels, biases)):
        whole = np.zeros((3, 3, channels[index], channels[index + 1]), np.float32)
        if kernel.shape[:2] != (3, 3) or kernel.shape[2] > channels[index] or bias.shape != kernel.shape[3:]:
            raise ValueError(f"layer {index} has a kernel {kernel.shape} and biases {bias.shape}")
        whole[:, :, : kernel.shape[2], : kernel.shape[3]] = kernel
        forward += [_grouped(whole), np.pad(bias, (0, channels[index + 1] - len(bias)))]
        backward.append(_grouped(whole[::-1, ::-1].swapaxes(2, 3)))
    return PackedFilter(tuple(channels), *(np.concatenate(parts).astype(np.float32) for parts in (forward, backward)))


def _grouped(kernel: np.ndarray) -> np.ndarray:
    """(3, 3, in, out) -> its points in the order (6, out / 6, 3 rows, in, 6), flat."""
    points = np.tensordot(POINTS, kernel, (1, 1)).astype(np.float32)  # (6, 3 rows, in, out)
    split = points.reshape(*points.shape[:3], kernel.shape[3] // GROUP, GROUP)
    return split.transpose(0, 3, 1, 2, 4).ravel()


class NativeFilters:
    """The functions of a loaded library.

    Args:
        library: with the symbols that filters.h names.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.nif_filter_workspace.restype = library.nif_sample_workspace.restype = c_int64

    def corrections(self, planes: np.ndarray, packed: PackedFilter, at: Optional[Rectangle] = None) -> np.ndarray:
        """Corrections float32 (corrections, 1 or 3, rows, columns), in steps.

        Args:
            planes: float32 (C, H, W), in steps. Blocks are mirrored at their borders.
            at: rectangle wanted, its top and left even; None means all.
        """
        source, where = _planes(planes, 1.0), _rectangle(planes, at)
        out = np.empty((packed.corrections, _corrected(planes), where.rows, where.columns), np.float32)
        space = self._space(packed, 0)
        self._library.nif_filter_corrections(_ref(source), _ref(_filter(packed)), _ref(where), _data(out), _data(space))
        return out

    def colours(
        self,
        planes: np.ndarray,
        packed: Optional[PackedFilter],
        step: float,
        unit: int = 1,
        depth: int = 32,
        at: Optional[Rectangle] = None,
        out: Optional[np.ndarray] = None,
    ) -> np.ndarray:
        """Planes, corrected, as colours (rows, columns, C).

        Args:
            planes: (C, H, W) in 1/unit steps, int32, int64 or float32; the last axis contiguous. 1 grey, 2 grey and
                alpha, 3 opponent colours, 4 with alpha.
            packed: the filter of one correction; None leaves it out.
            step: quantization step on colours of 0..1.
            unit: power of two.
            depth: 8 or 16 for integers, clipped, halves up; 32 for float32, 1.0 white, not clipped.
            at: rectangle wanted, its top and left even; None means all.
            out: where to put them, (rows, columns, C), each row contiguous.
        """
        if packed is not None and packed.corrections != 1:
            raise ValueError(f"the filter has {packed.corrections} corrections: mix them to one")
        source, where = _planes(planes, 1.0 / unit), _rectangle(planes, at)
        shape = (where.rows, where.columns, len(planes))
        pixels = np.empty(shape, SAMPLES[depth]) if out is None else out
        rows_touch = pixels.shape == shape and pixels[:1].flags.c_contiguous and pixels.strides[0] > 0
        if pixels.dtype != SAMPLES[depth] or not rows_touch or not pixels.flags.writeable:
            raise ValueError(f"colours go to {pixels.dtype} {pixels.shape}: give {shape} of {depth} bits, rows whole")
        space = self._space(packed, 0)
        self._library.nif_filter_colours(
            _ref(source),
            None if packed is None else _ref(_filter(packed)),
            _ref(where),
            c_float(step),
            _data(pixels),
            c_int32(KINDS[pixels.dtype]),
            c_int64(pixels.strides[0] // pixels.itemsize),
            _data(space),
        )
        return pixels

    def vjp(
        self,
        planes: np.ndarray,
        packed: PackedFilter,
        residual: np.ndarray,
        at: Optional[Rectangle] = None,
    ) -> Tuple[np.ndarray, np.ndarray]:
        """What a rectangle misses after its correction, and the product of that with the correction's Jacobian.

        Args:
            planes: float32 (C, H, W), in steps. Blocks are mirrored at their borders.
            packed: the filter of one correction.
            residual: target less planes in the rectangle, float32 (1 or 3, rows, columns), in steps.
            at: rectangle of even numbers; None means all.

        Returns:
            missing: residual - correction, float32 (1 or 3, rows, columns).
            gradient: by the planes in and `reach` pixels around the rectangle, mirrored blocks not folded back, float32
                (1 or 3, rows + 2 reach, columns + 2 reach).
        """
        source, where = _planes(planes, 1.0), _rectangle(planes, at)
        shape = (_corrected(planes), where.rows, where.columns)
        if packed.corrections != 1 or where.rows % 2 or where.columns % 2 or residual.shape != shape:
            raise ValueError(f"a residual {residual.shape} of {packed.corrections} corrections: needs one, even sides")
        wanted = np.ascontiguousarray(residual, np.float32)
        missing = np.empty(shape, np.float32)
        around = 2 * packed.reach
        gradient = np.empty((shape[0], shape[1] + around, shape[2] + around), np.float32)
        space = self._space(packed, 1)
        self._library.nif_filter_vjp(
            _ref(source),
            _ref(_filter(packed)),
            _data(packed.backward),
            _ref(where),
            _data(wanted),
            _data(missing),
            _data(gradient),
            _data(space),
        )
        return missing, gradient

    def sample(
        self, picture: np.ndarray, rows: Taps, columns: Taps, down: int = 1, across: int = 1, depth: int = 32
    ) -> np.ndarray:
        """Weighted sums of a picture's samples, averaged: (rows / down, columns / across, C).

        Args:
            picture: float32 (H, W, C).
            rows, columns: indices, which count the picture's samples, and weights, (taps, samples) each.
            down, across: samples that an output pixel averages. Where there is more than one, they are clipped to 0..1
                before.
            depth: 8 or 16 for integers, clipped, halves up; 32 for float32.
        """
        if picture.ndim != 3 or max(picture.shape) > MAX_SIDE or min(picture.shape) < 1:
            raise ValueError(f"a picture is {picture.shape}")
        values = picture if _rows_whole(picture) else np.ascontiguousarray(picture, np.float32)
        height, width, channels = values.shape
        (row_index, row_weight), (column_index, column_weight) = _taps(rows, height), _taps(columns, width)
        sizes = []
        for index, count in ((row_index, down), (column_index, across)):
            if count < 1 or index.shape[1] % count:
                raise ValueError(f"{index.shape[1]} samples do not come in blocks of {count}")
            sizes.append(index.shape[1] // count)
        out = np.empty((sizes[0], sizes[1], channels), SAMPLES[depth])
        space = _aligned(
            self._library.nif_sample_workspace(c_int32(width), c_int32(channels), c_int32(sizes[1]), c_int32(across))
        )
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
            c_int32(sizes[0]),
            c_int32(sizes[1]),
            c_int32(down),
            c_int32(across),
            _data(out),
            c_int32(KINDS[out.dtype]),
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

    def to_integers(self, values: np.ndarray, depth: int = 8) -> np.ndarray:
        """Picture values, 1.0 white -> uint8 or uint16, clipped, halves up."""
        if depth not in (8, 16):
            raise ValueError(f"integers have 8 or 16 bits, not {depth}")
        given = np.ascontiguousarray(values, np.float32)
        out = np.empty(given.shape, SAMPLES[depth])
        self._library.nif_to_integers(_data(given), c_int64(given.size), _data(out), c_int32(KINDS[out.dtype]))
        return out

    def _space(self, packed: Optional[PackedFilter], backward: int) -> np.ndarray:
        if packed is None:
            return _aligned(self._library.nif_filter_workspace(None, c_int32(0), c_int32(0)))
        channels = (c_int32 * len(packed.channels))(*packed.channels)
        layers = len(packed.channels) - 1
        return _aligned(self._library.nif_filter_workspace(channels, c_int32(layers), c_int32(backward)))


def _ref(structure: Structure) -> Any:
    return ctypes.byref(structure)


def _data(array: np.ndarray) -> c_void_p:
    return c_void_p(array.ctypes.data)


def _aligned(count: int) -> np.ndarray:
    """Floats from the start of a cache line."""
    space = np.empty(count + 16, np.float32)
    return space[-space.ctypes.data % 64 // 4 :][:count]


def _filter(packed: PackedFilter) -> _Filter:
    channels = (c_int32 * len(packed.channels))(*packed.channels)
    return _Filter(packed.weights.ctypes.data, channels, len(packed.channels) - 1)


def _corrected(planes: np.ndarray) -> int:
    return 3 if len(planes) >= 3 else 1


def _planes(planes: np.ndarray, scale: float) -> _Planes:
    kind = KINDS.get(planes.dtype, 9)
    if kind > 2 or planes.ndim != 3 or not 1 <= len(planes) <= 4:
        raise ValueError(f"planes are {planes.dtype} {planes.shape}: give 1..4 of float32, int32 or int64")
    _, height, width = planes.shape
    if not 1 <= min(height, width) <= max(height, width) <= MAX_SIDE:
        raise ValueError(f"planes of {width} x {height} pixels are empty or too large")
    size = planes.itemsize
    if (width > 1 and planes.strides[2] != size) or any(stride % size for stride in planes.strides):
        raise ValueError("a row of the planes is not contiguous")
    return _Planes(
        planes.ctypes.data,
        planes.strides[0] // size,
        planes.strides[1] // size,
        kind,
        len(planes),
        height,
        width,
        scale,
    )


def _rectangle(planes: np.ndarray, at: Optional[Rectangle]) -> _Rectangle:
    height, width = planes.shape[1:]
    top, left, rows, columns = (0, 0, height, width) if at is None else at
    inside = 0 <= top < top + rows <= height and 0 <= left < left + columns <= width
    if not inside or top % 2 or left % 2:
        raise ValueError(f"a rectangle {at} is not inside of {width} x {height} pixels, or starts at an odd one")
    return _Rectangle(top, left, rows, columns)


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
