"""What a detail network computes, as numbers that the file, NumPy, the native library and TensorFlow share.

A sample of the native lattice becomes 2x2 of the doubled one: its value, plus three details with the signs of the Haar
wavelet. So the mean of the four is the sample. The details are those of the Lanczos kernel plus what the network says.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

CHANNELS = (3, 24, 24, 24, 24, 24, 9)  # of the planes, of the hidden layers, and of three details of three planes
LAYERS = len(CHANNELS) - 1
REACH = LAYERS  # samples around one on which its details depend; at least LOBES
CONDITIONS = 2  # powers of the position of the step
INPUT_UNITS = 16.0  # units of the network in 1.0 of a plane
# Signs of a block's pixels, row by row, in the details: lower against upper, right against left, and both.
HAAR = np.array([[-1, -1, 1, 1], [-1, 1, -1, 1], [1, -1, -1, 1]], np.float32)
# Orthonormal opponent colours: rows are the sum, red against blue, and both against green.
OPPONENT = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]) / np.sqrt([[3.0], [2.0], [6.0]])
LOBES = 3
FINEST, COARSEST = -7.0, -0.5  # log2 of the steps between which a network distinguishes
MIDDLE, HALF = -3.5, 3.0


def position(log_step: float) -> float:
    """log2 of the quantization step -> what networks see of it, about -1 to 1."""
    return (min(max(log_step, FINEST), COARSEST) - MIDDLE) / HALF


def lanczos_filters() -> Tuple[np.ndarray, np.ndarray]:
    """The Lanczos kernel a quarter behind a sample, as its even and its odd part: float32 (7,) each."""
    distance = np.arange(-LOBES, LOBES + 1) - 0.25
    after = np.sinc(distance) * np.sinc(distance / LOBES) * (np.abs(distance) < LOBES)
    after /= after.sum()
    low, high = (after + after[::-1]) / 2, (after - after[::-1]) / 2
    return low.astype(np.float32), high.astype(np.float32)


def lanczos_kernels() -> np.ndarray:
    """The details that the Lanczos kernel gives a sample: float32 (3, 7, 7), over the samples around it."""
    low, high = lanczos_filters()
    return np.stack([np.outer(high, low), np.outer(low, high), np.outer(high, high)])
