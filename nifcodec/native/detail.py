"""The detail network of the native library, with bounds checked before each call.

A call holds no lock while it works.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np

from nifcodec.native import library
from nifcodec.native.filters import GROUP, aligned, grouped

MAX_LAYERS = 8  # NIF_DETAIL_LAYERS
LEAST_LAYERS = 3  # so that the kernel reaches no farther than the network
TAPS = 7
PLANES = 3
MAX_SIDE = 1 << 14


class _Detail(Structure):
    _fields_ = [
        ("weights", c_void_p),
        ("channels", POINTER(c_int32)),
        ("layers", c_int32),
        ("low", c_float * TAPS),
        ("high", c_float * TAPS),
    ]


@dataclass(frozen=True)
class PackedDetail:
    """A detail network at a step, its weights in the order in which the native code reads them.

    Attributes:
        channels: of the input and of each layer's output, these filled up to multiples of 12.
        weights: float32, of each layer: kernels as points, then biases.
        low, high: even and odd part of the interpolation kernel, float32 (7,).
    """

    channels: Tuple[int, ...]
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray


def pack_detail(layers: Sequence[Tuple[np.ndarray, np.ndarray]], kernel: Tuple[np.ndarray, np.ndarray]) -> PackedDetail:
    """Packs a network.

    Args:
        layers: kernels float32 (3, 3, in, out) and biases (out,), from 3 planes to 9 details.
        kernel: its even and its odd part.
    """
    if not LEAST_LAYERS <= len(layers) <= MAX_LAYERS or layers[0][0].shape[2] != PLANES:
        raise ValueError(f"a detail network has {len(layers)} layers: give {LEAST_LAYERS}..{MAX_LAYERS} of 3 planes")
    if layers[-1][0].shape[3] != 3 * PLANES or any(part.shape != (TAPS,) for part in kernel):
        raise ValueError(f"a detail network gives {layers[-1][0].shape[3]} details over {len(kernel[0])} taps")
    channels, parts = [PLANES], []
    for index, (weights, bias) in enumerate(layers):
        outputs = -(-weights.shape[3] // (2 * GROUP)) * 2 * GROUP
        if weights.shape[:2] != (3, 3) or weights.shape[2] > channels[-1] or bias.shape != weights.shape[3:]:
            raise ValueError(f"layer {index} has a kernel {weights.shape} and biases {bias.shape}")
        whole = np.zeros((3, 3, channels[-1], outputs), np.float32)
        whole[:, :, : weights.shape[2], : weights.shape[3]] = weights
        parts += [grouped(whole), np.pad(bias, (0, outputs - len(bias)))]
        channels.append(outputs)
    low, high = (np.ascontiguousarray(part, np.float32) for part in kernel)
    return PackedDetail(tuple(channels), np.concatenate(parts).astype(np.float32), low, high)


def load_detail() -> "Optional[NativeDetail]":
    """The function of the installed library; None where there is none."""
    loaded = library.load()
    return None if loaded is None else NativeDetail(loaded)


class NativeDetail:
    """The function of a loaded library.

    Args:
        loaded: with the symbols that detail.h names.
    """

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._library = loaded
        loaded.nif_detail_workspace.restype = c_int64

    def double(self, samples: np.ndarray, packed: PackedDetail) -> np.ndarray:
        """Samples with a margin of as many as there are layers -> the doubled ones, float32 (2 rows, 2 columns, C).

        Args:
            samples: float32 (rows + 2 layers, columns + 2 layers, 1 or 3), contiguous.

        Raises ValueError for arrays that do not fit.
        """
        layers = len(packed.channels) - 1
        rows, columns = (side - 2 * layers for side in samples.shape[:2])
        if samples.ndim != 3 or samples.dtype != np.float32 or not samples.flags.c_contiguous:
            raise ValueError(f"samples are {samples.dtype} {samples.shape}: give float32, contiguous")
        if not 1 <= min(rows, columns) <= max(rows, columns) <= MAX_SIDE or samples.shape[2] not in (1, PLANES):
            raise ValueError(f"samples {samples.shape} are empty or too large with a margin of {layers}")
        channels = (c_int32 * len(packed.channels))(*packed.channels)
        parts = ((c_float * TAPS)(*part.tolist()) for part in (packed.low, packed.high))
        network = ctypes.byref(_Detail(packed.weights.ctypes.data, channels, layers, *parts))
        size = c_int32(rows), c_int32(columns)
        space = aligned(self._library.nif_detail_workspace(network, *size))
        out = np.empty((2 * rows, 2 * columns, samples.shape[2]), np.float32)
        self._library.nif_detail_double(
            network,
            c_void_p(samples.ctypes.data),
            *size,
            c_int32(samples.shape[2]),
            c_void_p(out.ctypes.data),
            c_void_p(space.ctypes.data),
        )
        return out
