"""The restoration filter's vector-Jacobian product in NumPy: the reference of the native one, and its stand-in.

Convolutions are products with all samples in one line, moved by the tap: no patches are copied. Columns at the end of
a row then mix with the next row; they are cut off.

A ReLU's derivative jumps at 0: where rounding decides the sign of its input, gradients of two implementations differ by
more than rounding. That happens at a few blocks of a photograph, between TensorFlow and NumPy too.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.restoration import to_blocks


def vjp(
    around: np.ndarray,
    kernels: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    residual: np.ndarray,
) -> Tuple[np.ndarray, np.ndarray]:
    """What a tile misses after its correction, and the product of that with the correction's Jacobian.

    Args:
        around: planes of the tile and of the filter's reach around it, float32 (1 or 3, H + 2 reach, W + 2 reach), in
            steps; H and W are even, reach is twice the number of layers.
        kernels: float32 (3, 3, in, out) of the filter of one correction, 12 channels at both ends.
        biases: float32 (out,), those of the step.
        residual: target less planes, float32 (1 or 3, H, W), in steps.

    Returns:
        missing: residual - correction, float32 (1 or 3, H, W).
        gradient: by `around`, of its shape. It may be summed over tiles.
    """
    outputs = [to_blocks(around)]
    for layer, (kernel, bias) in enumerate(zip(kernels, biases)):
        total = _convolve(outputs[-1], kernel) + bias[:, None, None]
        outputs.append(total if layer == len(kernels) - 1 else np.maximum(total, 0))
    missing = residual - _to_planes(outputs[-1])[: len(residual)]
    gradient = to_blocks(missing)
    for layer in range(len(kernels) - 1, -1, -1):
        turned = np.ascontiguousarray(kernels[layer][::-1, ::-1].swapaxes(2, 3))
        gradient = _convolve(np.pad(gradient, ((0, 0), (2, 2), (2, 2))), turned)
        if layer:
            gradient *= outputs[layer] > 0
    return missing, _to_planes(gradient)[: len(around)]


def _to_planes(blocks: np.ndarray) -> np.ndarray:
    """The inverse of `to_blocks`: always three planes."""
    _, rows, columns = blocks.shape
    return blocks.reshape(2, 2, 3, rows, columns).transpose(2, 3, 0, 4, 1).reshape(3, 2 * rows, 2 * columns)


def _convolve(samples: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Without padding: (in, rows, columns) -> (out, rows - 2, columns - 2)."""
    rows, columns = samples.shape[1:]
    line = samples.reshape(len(samples), -1)
    length = (rows - 2) * columns - 2
    out = np.zeros((kernel.shape[3], (rows - 2) * columns), np.float32)
    product = np.empty((kernel.shape[3], length), np.float32)
    for tap in range(9):
        start = tap // 3 * columns + tap % 3
        np.matmul(kernel[tap // 3, tap % 3].T, line[:, start : start + length], out=product)
        out[:, :length] += product
    return out.reshape(len(out), rows - 2, columns)[:, :, : columns - 2]
