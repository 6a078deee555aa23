"""From latents to colours (FORMAT.md, "Rendering of a pyramid")."""

from __future__ import annotations

from typing import Mapping

import numpy as np

from .latents import Grid, Grids

Weights = Mapping[str, np.ndarray]
LEVELS = 7


def render(grids: Grids, weights: Weights) -> np.ndarray:
    """The colours (rows, columns, channels) at the pixel centres."""
    sizes = [grids[Grid(level)].shape for level in range(LEVELS)]
    planes = []
    for level in range(LEVELS):
        plane = grids[Grid(level)].astype(np.float64)
        if level < LEVELS - 1:
            taps = weights[f"filter {level}"]
            plane = plane + along(along(plane, taps).T, taps).T
        for finer in range(level - 1, -1, -1):
            taps = weights[f"double {finer}"]
            height, width = sizes[finer]
            plane = doubled(doubled(plane, taps)[:height].T, taps)[:width].T
        planes.append(plane)
    z = np.stack(planes)

    def dense(name: str, inputs: np.ndarray) -> np.ndarray:
        matrix, bias = weights[f"synthesis {name}"], weights[f"synthesis {name} bias"]
        return np.tensordot(matrix, inputs, 1) + bias[:, None, None]

    mixed = dense("colours", np.maximum(dense("hidden", z), 0))
    rectified = np.maximum(mixed + convolved("first", mixed, weights), 0)
    output = rectified + convolved("second", rectified, weights) + dense("linear", z)
    return np.moveaxis(output, 0, -1)


def along(lines: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Columns of samples, one beside another, filtered."""
    count = len(lines)
    around = np.pad(lines, ((3, 3), (0, 0)))
    total = taps[0] * lines
    for k in range(1, 4):
        total = total + taps[k] * (around[3 - k : 3 - k + count] + around[3 + k : 3 + k + count])
    return total


def doubled(lines: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Columns of samples, one beside another, at twice their length."""
    around = np.pad(lines, ((2, 2), (0, 0)), mode="edge")
    at = {offset: around[2 + offset : 2 + offset + len(lines)] for offset in range(-2, 3)}
    found = np.empty((2 * len(lines), lines.shape[1]))
    found[0::2] = taps[0] * at[-2] + taps[1] * at[-1] + taps[2] * at[0] + taps[3] * at[1]
    found[1::2] = taps[0] * at[2] + taps[1] * at[1] + taps[2] * at[0] + taps[3] * at[-1]
    return found


def convolved(name: str, planes: np.ndarray, weights: Weights) -> np.ndarray:
    kernel, bias = weights[f"synthesis {name}"], weights[f"synthesis {name} bias"]
    height, width = planes.shape[1:]
    around = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
    total = np.zeros(planes.shape) + bias[:, None, None]
    for v in range(3):
        for w in range(3):
            total = total + np.tensordot(kernel[:, :, v, w], around[:, v : v + height, w : w + width], 1)
    return total
