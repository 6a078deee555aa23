"""Positions as a network sees them, and the fixed colour matrices of its output.

A position is (u, v) with u = (column + 0.5) / W and v = (row + 0.5) / H. Every encoding is a function of one axis at a
time (Gaussian features through the sum formulas of sine and cosine), so that a grid costs one sine a column and a row.
"""

from __future__ import annotations

import math
from typing import Dict, Tuple

import numpy as np

from nifcodec.fields.mlp.description import MlpDescription

# Columns of the matrices are the network's components, rows are R, G, B: rgb = matrix @ (first, second, third).
# YUV with the luma weights of BT.601 and Y'UV's 0.492 (B - Y), 0.877 (R - Y); Y and YCoCg as in ITU-T H.264.
_KR, _KG, _KB = 0.299, 0.587, 0.114
_MATRICES: Dict[str, Tuple[Tuple[float, float, float], ...]] = {
    "rgb": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "ycocg": ((1.0, 1.0, -1.0), (1.0, 0.0, 1.0), (1.0, -1.0, -1.0)),
    "yuv": ((1.0, 0.0, 1 / 0.877), (1.0, -_KB / _KG / 0.492, -_KR / _KG / 0.877), (1.0, 1 / 0.492, 0.0)),
}


def colour_matrix(spec: MlpDescription) -> np.ndarray:
    """(channels, channels) float32 `M` with picture values = M @ network output; alpha and grey pass through."""
    matrix = np.eye(spec.channels, dtype=np.float32)
    if spec.channels >= 3:
        matrix[:3, :3] = _MATRICES[spec.colour]
    return matrix


def power_frequencies(spec: MlpDescription) -> np.ndarray:
    """(dimension,) float64 sigma^i, radians a unit of p = 2u - 1."""
    return np.asarray([spec.sigma**i for i in range(spec.dimension)], dtype=np.float64)


def gaussian_frequencies(spec: MlpDescription) -> np.ndarray:
    """(features, 2) float64 frequency vectors over (u, v), radians a picture (Tancik et al. 2020, section 6).

    Entry k in row-major order is 2 pi scale (S - 393210) / 65536, where S is the sum of the twelve 16-bit words of
    outputs 3k, 3k + 1 and 3k + 2 of SplitMix64 started from `seed`: the same integers everywhere, of variance 1.
    """
    count = 2 * spec.features
    outputs = _splitmix64(spec.seed, 3 * count)
    words = sum((outputs >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    sums = np.asarray(words, dtype=np.int64).reshape(count, 3).sum(axis=1)
    normal = (sums - 393210) / 65536.0
    return np.asarray(2 * math.pi * spec.scale * normal.reshape(spec.features, 2), dtype=np.float64)


def _splitmix64(seed: int, count: int) -> np.ndarray:
    """The first `count` outputs of SplitMix64 (Steele et al. 2014), uint64."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    state = np.uint64(seed) + golden * np.arange(1, count + 1, dtype=np.uint64)
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def encode_grid(spec: MlpDescription, us: np.ndarray, vs: np.ndarray) -> np.ndarray:
    """Encoded positions of the grid vs x us.

    Args:
        us, vs: (columns,) and (rows,) float64 coordinates, any real numbers.

    Returns:
        (rows, columns, spec.inputs) float32: [sin(c p_u), sin(c p_v), cos(c p_u), cos(c p_v)] for "powers",
        [sin(b.x), cos(b.x)] for "gaussian", [p_u, p_v] for "none", with p = 2u - 1.
    """
    if spec.encoding == "gaussian":
        frequencies = gaussian_frequencies(spec)
        by_column = np.multiply.outer(us, frequencies[:, 0])
        by_row = np.multiply.outer(vs, frequencies[:, 1])
        sin_u, cos_u = (f(by_column).astype(np.float32)[None] for f in (np.sin, np.cos))
        sin_v, cos_v = (f(by_row).astype(np.float32)[:, None] for f in (np.sin, np.cos))
        return np.concatenate([sin_u * cos_v + cos_u * sin_v, cos_u * cos_v - sin_u * sin_v], axis=-1)
    p_u, p_v = 2.0 * us - 1.0, 2.0 * vs - 1.0
    if spec.encoding == "none":
        by_axis = [(p_u[:, None], p_v[:, None])]
    else:
        frequencies = power_frequencies(spec)
        angle_u, angle_v = np.multiply.outer(p_u, frequencies), np.multiply.outer(p_v, frequencies)
        by_axis = [(np.sin(angle_u), np.sin(angle_v)), (np.cos(angle_u), np.cos(angle_v))]
    out = np.empty((len(vs), len(us), spec.inputs), dtype=np.float32)
    start = 0
    for along_u, along_v in by_axis:
        width = along_u.shape[1]
        out[:, :, start : start + width] = along_u[None]
        out[:, :, start + width : start + 2 * width] = along_v[:, None]
        start += 2 * width
    return out
