"""Restoration filter and colours of the native library, with bounds checked before each call.

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
KINDS = {np.dtype(kind): number for number, kind in enumerate(("f4", "i4", "i8"))}

Rectangle = Tuple[int, int, int, int]  # top, left, rows, columns


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
        forward += [grouped(whole), np.pad(bias, (0, channels[index + 1] - len(bias)))]
        backward.append(grouped(whole[::-1, ::-1].swapaxes(2, 3)))
    return PackedFilter(tuple(channels), *(np.concatenate(parts).astype(np.float32) for parts in (forward, backward)))


def grouped(kernel: np.ndarray) -> np.ndarray:
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
        library.nif_filter_workspace.restype = c_int64

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
        at: Optional[Rectangle] = None,
    ) -> np.ndarray:
        """Planes, corrected, as colours (rows, columns, C), float32, 1.0 white, not clipped.

        Args:
            planes: (C, H, W) in 1/unit steps, int32, int64 or float32; the last axis contiguous. 1 grey, 2 grey and
                alpha, 3 opponent colours, 4 with alpha.
            packed: the filter of one correction; None leaves it out.
            step: quantization step on colours of 0..1.
            unit: power of two.
            at: rectangle wanted, its top and left even; None means all.
        """
        if packed is not None and packed.corrections != 1:
            raise ValueError(f"the filter has {packed.corrections} corrections: mix them to one")
        source, where = _planes(planes, 1.0 / unit), _rectangle(planes, at)
        pixels = np.empty((where.rows, where.columns, len(planes)), np.float32)
        space = self._space(packed, 0)
        self._library.nif_filter_colours(
            _ref(source),
            None if packed is None else _ref(_filter(packed)),
            _ref(where),
            c_float(step),
            _data(pixels),
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

    def _space(self, packed: Optional[PackedFilter], backward: int) -> np.ndarray:
        if packed is None:
            return aligned(self._library.nif_filter_workspace(None, c_int32(0), c_int32(0)))
        channels = (c_int32 * len(packed.channels))(*packed.channels)
        layers = len(packed.channels) - 1
        return aligned(self._library.nif_filter_workspace(channels, c_int32(layers), c_int32(backward)))


def _ref(structure: Structure) -> Any:
    return ctypes.byref(structure)


def _data(array: np.ndarray) -> c_void_p:
    return c_void_p(array.ctypes.data)


def aligned(count: int) -> np.ndarray:
    """Floats from the start of a cache line."""
    space = np.empty(count + 16, np.float32)
    return space[-space.ctypes.data % 64 // 4 :][:count]


def _filter(packed: PackedFilter) -> _Filter:
    channels = (c_int32 * len(packed.channels))(*packed.channels)
    return _Filter(packed.weights.ctypes.data, channels, len(packed.channels) - 1)


def _corrected(planes: np.ndarray) -> int:
    return 3 if len(planes) >= 3 else 1


def _planes(planes: np.ndarray, scale: float) -> _Planes:
    kind = KINDS.get(planes.dtype)
    if kind is None or planes.ndim != 3 or not 1 <= len(planes) <= 4:
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
