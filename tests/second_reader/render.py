"""From planes to colours (FORMAT.md, "Rendering")."""

from __future__ import annotations

import math
from typing import List

import numpy as np

from .lattice import Planes
from .prior import Layer


def render(finest: Planes, layers: List[Layer], weights: np.ndarray, step_feature: int, step: float) -> np.ndarray:
    """The colours (rows, columns, channels) at the pixel centres.

    Args:
        finest: the planes after level 0.
        weights: (2, corrections), for luma and for chroma.
    """
    planes = {plane: samples / 64 for plane, samples in finest.items()}
    filtered = sorted(planes.keys() - {3})
    rows, columns = planes[0].shape
    even = np.zeros((rows + rows % 2, columns + columns % 2, 3))
    for plane in filtered:
        even[..., plane] = np.pad(planes[plane], ((0, rows % 2), (0, columns % 2)), mode="edge")
    blocks = even.reshape(len(even) // 2, 2, -1, 2, 3).transpose(0, 2, 1, 3, 4)
    outputs = restored(blocks.reshape(*blocks.shape[:2], 12), layers, step_feature)
    corrections = outputs.reshape(*blocks.shape[:2], -1, 2, 2, 3).transpose(2, 0, 3, 1, 4, 5)
    corrections = corrections.reshape(-1, *even.shape)[:, :rows, :columns]
    for plane in filtered:
        planes[plane] = planes[plane] + np.tensordot(weights[min(plane, 1)], corrections[..., plane], 1)

    coloured = {plane: step * samples for plane, samples in planes.items()}
    luma = coloured[0] / math.sqrt(3)
    if 1 in coloured:
        a, b = coloured[1] / math.sqrt(2), coloured[2] / math.sqrt(6)
        found = [luma + a + b, luma - 2 * b, luma - a + b]
    else:
        found = [luma]
    if 3 in coloured:
        found.append(coloured[3] / math.sqrt(3))
    return np.stack(found, axis=-1) + 0.5


def restored(blocks: np.ndarray, layers: List[Layer], step_feature: int) -> np.ndarray:
    """The last layer's outputs for each block."""
    e = (step_feature - 64) / 32
    x = np.pad(blocks, ((len(layers), len(layers)), (len(layers), len(layers)), (0, 0)), mode="symmetric")
    for layer in layers:
        rows, columns = x.shape[0] - 2, x.shape[1] - 2
        y = np.zeros((rows, columns, len(layer.bias))) + layer.bias
        for row in range(3):
            for column in range(3):
                y += x[row : row + rows, column : column + columns] @ layer.kernel[row, column]
        if len(layer.conditioning):
            y = np.maximum(y + layer.conditioning[0] * e + layer.conditioning[1] * e * e, 0)
        x = y
    return x
