"""The detail network at a step, in NumPy or natively: samples of a lattice -> those of the doubled one."""

from __future__ import annotations

from typing import List, Optional, Tuple

import numpy as np

from nifcodec.fields.detail.contract import (
    CONDITIONS,
    HAAR,
    INPUT_UNITS,
    LAYERS,
    LOBES,
    OPPONENT,
    REACH,
    lanczos_filters,
    position,
)
from nifcodec.fields.detail.detail_file import DetailFile
from nifcodec.native.detail import NativeDetail, PackedDetail, pack_detail

Layer = Tuple[np.ndarray, np.ndarray]  # kernel (3, 3, in, out) and bias (out,)


class DetailNetwork:
    """A network, its layers as they are at a step.

    Args:
        log_step: log2 of the quantization step on colours of 0..1.
        native: what computes it; None is NumPy.
    """

    def __init__(self, file: DetailFile, log_step: float, native: Optional[NativeDetail] = None) -> None:
        self._layers = layers_at(file, log_step)
        self._native = native
        self._packed: Optional[PackedDetail] = None if native is None else pack_detail(self._layers, lanczos_filters())

    def double(self, samples: np.ndarray) -> np.ndarray:
        """Samples with REACH more on every side, float32 (H, W, C) -> doubled (2 (H - 2 REACH), 2 (W - 2 REACH), C).

        Colours are doubled together, and alpha as a grey picture. The mean of 2x2 is the sample that they came from.
        """
        count = samples.shape[2]
        colours = 3 if count >= 3 else 1
        parts = [samples[..., :colours], *([samples[..., colours:]] if count > colours else [])]
        doubled = [self._double(np.ascontiguousarray(part, np.float32)) for part in parts]
        return doubled[0] if len(doubled) == 1 else np.concatenate(doubled, axis=2)

    def _double(self, colours: np.ndarray) -> np.ndarray:
        if self._native is not None and self._packed is not None:
            return self._native.double(colours, self._packed)
        planes = to_planes(colours)
        details = kernel_details(planes) + corrections(planes, self._layers)
        rows, columns = details.shape[1:3]
        changes = np.tensordot(HAAR.T, from_planes(details, colours.shape[2]), 1)  # (4, rows, columns, C)
        blocks = colours[REACH : REACH + rows, REACH : REACH + columns] + changes
        split = blocks.reshape(2, 2, rows, columns, -1).transpose(2, 0, 3, 1, 4)
        return np.ascontiguousarray(split.reshape(2 * rows, 2 * columns, -1))


def layers_at(file: DetailFile, log_step: float) -> List[Layer]:
    """Kernels and biases at a step, gains and units of input and output within them."""
    powers = (position(log_step) ** np.arange(1, CONDITIONS + 1)).astype(np.float32)
    found = []
    for layer in range(LAYERS):
        kernel, bias, gain, shift = (file.weights[f"{name}{layer}"] for name in ("kernel", "bias", "gain", "shift"))
        kernel, bias = kernel * (1 + powers @ gain), bias + powers @ shift
        if layer == 0:
            kernel = kernel * np.float32(INPUT_UNITS)
        if layer == LAYERS - 1:
            kernel, bias = kernel / np.float32(INPUT_UNITS), bias / np.float32(INPUT_UNITS)
        found.append((kernel.astype(np.float32), bias.astype(np.float32)))
    return found


def to_planes(colours: np.ndarray) -> np.ndarray:
    """Colours (H, W, 1 or 3) -> opponent planes float32 (3, H, W); a grey picture has no chroma."""
    if colours.shape[2] == 3:
        return np.tensordot(OPPONENT.astype(np.float32), np.moveaxis(colours, -1, 0), 1)
    planes = np.zeros((3, *colours.shape[:2]), np.float32)
    planes[0] = colours[..., 0] * np.float32(np.sqrt(3.0))
    return planes


def from_planes(planes: np.ndarray, colours: int) -> np.ndarray:
    """Differences of planes (N, H, W, 3) -> those of colours (N, H, W, 1 or 3)."""
    if colours == 3:
        return planes @ OPPONENT.astype(np.float32)
    return planes[..., :1] / np.float32(np.sqrt(3.0))


def kernel_details(planes: np.ndarray) -> np.ndarray:
    """The details of the Lanczos kernel: planes (3, H, W) -> (3, H - 2 REACH, W - 2 REACH, 3)."""
    low, high = lanczos_filters()
    near = REACH - LOBES
    around = planes[:, near : planes.shape[1] - near, near : planes.shape[2] - near]
    across_low, across_high = _filtered(around, low, 2), _filtered(around, high, 2)
    details = _filtered(across_low, high, 1), _filtered(across_high, low, 1), _filtered(across_high, high, 1)
    return np.stack([np.moveaxis(detail, 0, -1) for detail in details])


def corrections(planes: np.ndarray, layers: List[Layer]) -> np.ndarray:
    """What the network adds to them: planes (3, H, W) -> (3, H - 2 REACH, W - 2 REACH, 3)."""
    hidden = planes
    for number, (kernel, bias) in enumerate(layers):
        rows, columns = hidden.shape[1] - 2, hidden.shape[2] - 2
        total = np.zeros((kernel.shape[3], rows * columns), np.float32)
        for tap in range(9):
            y, x = divmod(tap, 3)
            part = np.ascontiguousarray(hidden[:, y : y + rows, x : x + columns]).reshape(len(hidden), -1)
            total += kernel[y, x].T @ part
        total += bias[:, None]
        hidden = (total if number == LAYERS - 1 else np.maximum(total, 0)).reshape(-1, rows, columns)
    return np.moveaxis(hidden.reshape(3, 3, *hidden.shape[1:]), 1, -1)


def _filtered(planes: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Sums of a sample and its neighbours along an axis, without those at the border."""
    count = planes.shape[axis] - len(weights) + 1
    out = np.zeros_like(np.take(planes, range(count), axis))
    for offset, weight in enumerate(weights):
        out += weight * np.take(planes, range(offset, offset + count), axis)
    return out
