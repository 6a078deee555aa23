"""Latents while they are trained, and what becomes of them on their way to the networks: features, upsampled planes."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.pyramid.grids import FEATURES, LEVELS, Grid
from nifcodec.fields.pyramid.networks import Layout, Part
from nifcodec.native.planes import MARGIN, REACH, Geometry, Planes, Rows
from nifcodec.native.pyramid import NativePyramid

STRIP = 32  # rows that a thread works on at a time, an even number


class Latents:
    """The latents of one grid, and what training keeps of each."""

    def __init__(self, grid: Grid, height: int, width: int) -> None:
        self.grid = grid
        self.geometry = Geometry(*grid.size(height, width))
        made = [self.geometry.planes(1) for _ in range(7)]
        self.y, self.s, self.slope, self.gradient, self.moves = made[:5]
        self.moments = made[5], made[6]
        self.own: List[np.ndarray] = []  # gradients by the entropy network, of each strip
        self.bits: Optional[Planes] = None  # of each latent, once they were asked for

    def by_seen(self) -> np.ndarray:
        """The gradient by what the networks saw of them in the last step, float32 (rows, columns)."""
        total, size = self.gradient.inner[0].copy(), self.geometry
        for (first, last), own in zip(self.strips, self.own):
            above = min(first, REACH)
            total[first - above : last] += own[REACH - above :, MARGIN : MARGIN + size.width]
        return total

    @property
    def strips(self) -> List[Rows]:
        """Rows of each strip."""
        return strips_of(self.geometry.height)


class Features:
    """What the entropy network of a grid sees of all coarser ones, summed from size to size.

    Attributes:
        out: planes (FEATURES, ...) of half the grid's size.
        by_out: the gradient by them.
    """

    def __init__(self, level: int, grids: Sequence[Latents]) -> None:
        self._name = f"features {level}"
        coarser = [latents for latents in grids if latents.grid.level > level]
        # Of each size, coarsest first: its grids, the column of the first one, and its planes.
        self._sizes = [
            [number for number, latents in enumerate(coarser) if latents.grid.level == at]
            for at in range(LEVELS - 1, level, -1)
        ]
        self._grids = [[coarser[number] for number in numbers] for numbers in self._sizes]
        self._sums = [some[0].geometry.planes(FEATURES) for some in self._grids]
        self._by_sums = [some[0].geometry.planes(FEATURES) for some in self._grids]
        self.out, self.by_out = self._sums[-1], self._by_sums[-1]

    def forward(self, native: NativePyramid, parts: Layout, weights: np.ndarray) -> None:
        """Writes `out`."""
        matrix, biases = (np.ascontiguousarray(part.of(weights)) for part in self._parts(parts))
        coarser: Optional[Planes] = None
        for numbers, some, sums in zip(self._sizes, self._grids, self._sums):
            native.features(
                *(matrix, numbers[0], [latents.s for latents in some]),
                *(biases if sums is self.out else None, coarser, sums),
            )
            coarser = sums

    def back(self, native: NativePyramid, parts: Layout, weights: np.ndarray) -> List[Tuple[Part, np.ndarray]]:
        """Adds to the gradients by all coarser grids; returns those by matrix and biases."""
        part, bias_part = self._parts(parts)
        matrix = np.ascontiguousarray(part.of(weights))
        by_matrix, by_biases = np.zeros(matrix.shape), np.zeros(FEATURES)
        for at in range(len(self._sums) - 1, -1, -1):
            numbers, some = self._sizes[at], self._grids[at]
            sums, biases = native.features_back(
                *(matrix, numbers[0], [latents.s for latents in some], [latents.gradient for latents in some]),
                *(self._by_sums[at], self._by_sums[at - 1] if at else None),
            )
            by_matrix[:, numbers] = sums
            if self._by_sums[at] is self.by_out:
                by_biases = biases
        return [(part, by_matrix), (bias_part, by_biases)]

    def _parts(self, parts: Layout) -> Tuple[Part, Part]:
        return parts.parts[self._name], parts.parts[f"{self._name} bias"]


class Chain:
    """The upsampling of one grid, and the planes on its way."""

    def __init__(self, latents: Latents, seen: List[Latents]) -> None:
        self._latents, level = latents, latents.grid.level
        self._sizes = [each.geometry for each in seen[: level + 1]]
        # By level: the plane, its gradient, and the half-way plane of its filter. The finest plane lies in z.
        self._planes = [size.planes(1) for size in self._sizes]
        self._by = [size.planes(1) for size in self._sizes]
        self._between = [
            Geometry(fine.height, coarse.width).planes(1) for fine, coarse in zip(self._sizes, self._sizes[1:])
        ]
        self._filtered, self._turned = self._sizes[level].planes(1), self._sizes[level].planes(1)
        self._is_last = latents.grid.level == LEVELS - 1

    def forward(self, native: NativePyramid, parts: Layout, weights: np.ndarray, z: Planes) -> None:
        """Writes the grid's plane of z."""
        level = self._latents.grid.level
        if not self._is_last:
            out = (z, 0) if level == 0 else (self._planes[level], 0)
            native.filter_grid(_taps(parts, weights, f"filter {level}"), self._latents.s, self._filtered, *out)
        for at in range(level - 1, -1, -1):
            source = self._latents.s if self._is_last and at == level - 1 else self._planes[at + 1]
            out = (self._planes[at], 0) if at else (z, level)
            native.double(_taps(parts, weights, f"double {at}"), source, self._between[at], *out)

    def back(
        self, native: NativePyramid, parts: Layout, weights: np.ndarray, by_z: Planes
    ) -> List[Tuple[Part, np.ndarray]]:
        """Writes the gradient by the latents; returns that by the taps."""
        level = self._latents.grid.level
        sums: List[Tuple[Part, np.ndarray]] = []
        gradient = self._latents.gradient
        gradient.whole[...] = 0
        for at in range(level):
            source = self._latents.s if self._is_last and at == level - 1 else self._planes[at + 1]
            by = gradient if self._is_last and at == level - 1 else self._by[at + 1]
            over = (self._by[at], 0) if at else (by_z, level)
            name = f"double {at}"
            taps = _taps(parts, weights, name)
            sums.append((parts.parts[name], native.double_back(taps, source, self._between[at], *over, by)))
        if not self._is_last:
            over = (self._by[level], 0) if level else (by_z, 0)
            name = f"filter {level}"
            taps = _taps(parts, weights, name)
            found = native.filter_grid_back(taps, self._latents.s, self._filtered, *over, self._turned, gradient)
            sums.append((parts.parts[name], found))
        return sums


def strips_of(height: int) -> List[Rows]:
    """Rows of a plane, cut into strips."""
    return [(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]


def _taps(parts: Layout, weights: np.ndarray, name: str) -> np.ndarray:
    return np.ascontiguousarray(parts.parts[name].of(weights))
