"""The entropy network of a pyramid and its streams (FORMAT.md, "Grids", "Entropy network" and "Latents")."""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from .conventions import require
from .entropy import Stream, cumulated, product

Size = Tuple[int, int]
"""Rows and columns."""


class Grid(NamedTuple):
    level: int
    hyper: bool = False

    def size(self, height: int, width: int) -> Size:
        return -(-height >> self.level), -(-width >> self.level)


ORDER = [Grid(level, hyper) for level in range(6, -1, -1) for hyper in (True, False) if level >= 4 or not hyper]
"""Of coding."""
Grids = Mapping[Grid, np.ndarray]

NEIGHBOURS = [(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-3, 0), (0, -3), (-1, -2), (-2, 1), (-2, -1)]
NEIGHBOURS += [(-1, 2), (-2, -2), (-1, -3)]
AROUND = 3
"""Zeros around a grid that neighbours may lie in."""


def coarser_grids(level: int) -> List[Grid]:
    """In the order of the features' weights."""
    return sorted(ORDER[: ORDER.index(Grid(level))])


# The network


def integers(weights: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(weights * 2**bits).astype(np.int64)


class Layers(NamedTuple):
    """The network of a group of grids."""

    a: np.ndarray
    a_bias: np.ndarray
    b: np.ndarray
    b_bias: np.ndarray
    c: np.ndarray
    c_bias: np.ndarray
    d: np.ndarray


class Network:
    """In integers; made of all weights by name."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self.groups = []
        for group in range(4):
            found = []
            for name in ("first", "second", "last"):
                found.append(integers(weights[f"entropy {group} {name}"], 11))
                found.append(integers(weights[f"entropy {group} {name} bias"], 17))
            self.groups.append(Layers(*found, integers(weights[f"entropy {group} linear"], 11)))
        self.features = [
            (integers(weights[f"features {level}"], 11), integers(weights[f"features {level} bias"], 11))
            for level in range(3)
        ]
        for a, a_bias, b, b_bias, c, c_bias, d in self.groups:
            for matrix, bias in ((a, a_bias), (b, b_bias), (np.hstack([c, d]), c_bias)):
                sums = 16383 * np.abs(matrix).sum(axis=1) + np.abs(bias)
                require(bool((sums < 2**31 - 2**12).all()), "weights of the entropy network")
        for matrix, bias in self.features:
            require(bool((np.abs(matrix).sum(axis=1) + np.abs(bias) <= 2**17).all()), "weights of a feature")

    def features_of(self, grid: Grid, rows: np.ndarray, columns: np.ndarray, known: Grids) -> np.ndarray:
        """Inputs 14 to 19 of latents, (latents, 6)."""
        if grid.hyper or grid.level > 2:
            return np.zeros((len(rows), 6), np.int64)
        matrix, bias = self.features[grid.level]
        coarser = coarser_grids(grid.level)
        shifts = [other.level - grid.level for other in coarser]
        seen = np.stack([known[g][rows >> shift, columns >> shift] for g, shift in zip(coarser, shifts)], axis=1)
        return np.clip((seen @ matrix.T + bias + 16) >> 5, -16383, 16383)

    def means_and_scales(self, grid: Grid, x: np.ndarray) -> "Tuple[List[int], List[int]]":
        """Of inputs (latents, 20)."""
        a, a_bias, b, b_bias, c, c_bias, d = self.groups[min(grid.level, 3)]
        h1 = np.clip(((x @ a.T + a_bias + 2**10) >> 11) + x, 0, 16383)
        h2 = np.clip(((h1 @ b.T + b_bias + 2**10) >> 11) + h1, 0, 16383)
        out = h2 @ c.T + x @ d.T + c_bias
        mean = np.clip((out[:, 0] + 2**11) >> 12, -16383, 16383)
        scale = np.clip(((11819 * out[:, 1] + 2**26) >> 27) + 40, 0, 96)
        return mean.tolist(), scale.tolist()


# Laplace tables


def power(x: int) -> int:
    """2^-(x / 2^16) in units of 2^-30."""
    coarse, fine = product((x >> 8) % 256, 0) >> 32, product(x % 256, 8) >> 32
    return ((coarse * fine) >> 30) >> (x >> 16)


@lru_cache(maxsize=None)
def frequencies_of_laplacian(number: int) -> List[int]:
    low_scale, distance = divmod(number, 17)
    rate = (3025536 * power(8192 * (low_scale % 8))) >> (30 + low_scale // 8)
    below = []
    for k in range(34):
        border = 32 * (2 * (k - 16) - 1) - 2 * distance
        tail = power(rate * abs(border) // 64) >> 1
        below.append(2**30 - tail if border > 0 else tail)
    masses = [upper - lower for lower, upper in zip(below, below[1:])]
    frequencies = [256 + mass * (2**24 - 33 * 256) // sum(masses) for mass in masses]
    frequencies[frequencies.index(max(frequencies))] += 2**24 - sum(frequencies)
    return frequencies


@lru_cache(maxsize=None)
def table_of_laplacian(number: int) -> List[int]:
    return cumulated(frequencies_of_laplacian(number))


class Frame(NamedTuple):
    """How a latent is coded."""

    base: int
    mirrored: bool
    shift: int
    table: int


def frame(mean: int, scale: int) -> Frame:
    base = (mean + 16) >> 5
    fraction = mean - 32 * base
    shift = (scale - 49) // 8 if scale >= 57 else 0
    distance = abs(fraction) if shift == 0 else 0
    return Frame(base, fraction < 0, shift, 17 * (scale - 8 * shift) + distance)


def read_diagonal(stream: Stream, frames: List[Frame]) -> List[int]:
    symbols = [stream.symbol(table_of_laplacian(one.table)) for one in frames]
    residuals = [symbol - 16 for symbol in symbols]
    escaped = [position for position, symbol in enumerate(symbols) if symbol in (0, 32)]
    for position, (_, excess) in zip(escaped, stream.exp_golomb(len(escaped), signed=False)):
        residuals[position] = 16 + excess if symbols[position] == 32 else -16 - excess
    for shift in sorted({one.shift for one in frames} - {0}):
        for position, one in enumerate(frames):
            if one.shift == shift:
                residuals[position] = residuals[position] * 2**shift + stream.raw(shift) - 2 ** (shift - 1)
    return [one.base - r if one.mirrored else one.base + r for one, r in zip(frames, residuals)]


# Streams


class LatentPart(NamedTuple):
    """A decoded root or tile."""

    grids: Dict[Grid, np.ndarray]
    ends: List[int]
    """Bytes of the part that each level needs, from the coarsest."""


def read_latents(data: bytes, network: Network, grids: List[Grid], size: Size, known: Grids) -> LatentPart:
    """A stream of grids in coding order.

    Args:
        size: of the part in pixels.
        known: the grids of the root, where it is a tile.
    """
    stream, found = Stream(data), dict(known)
    ends: Dict[int, int] = {}
    for grid in grids:
        found[grid] = read_grid(stream, network, grid, grid.size(*size), found)
        ends[grid.level] = min(4 * stream.words + 8, len(data))
    stream.finish()
    return LatentPart({grid: found[grid] for grid in grids}, list(ends.values()))


def read_grid(stream: Stream, network: Network, grid: Grid, size: Size, known: Grids) -> np.ndarray:
    height, width = size
    padded = np.zeros((height + AROUND, width + 2 * AROUND), np.int64)
    for t in range(width + 3 * (height - 1)):
        rows = np.array([row for row in range(height) if 0 <= t - 3 * row < width], np.int64)
        if not len(rows):
            continue
        columns = t - 3 * rows
        seen = [padded[rows + AROUND + down, columns + AROUND + right] for down, right in NEIGHBOURS]
        neighbours = np.clip(64 * np.stack(seen, axis=1), -16383, 16383)
        x = np.hstack([neighbours, network.features_of(grid, rows, columns, known)])
        values = read_diagonal(stream, [frame(*both) for both in zip(*network.means_and_scales(grid, x))])
        require(max(map(abs, values)) <= 2**18, "magnitude of a latent")
        padded[rows + AROUND, columns + AROUND] = values
    return padded[AROUND:, AROUND : AROUND + width]
