"""What the context model sees: for each coefficient, the already decoded integers around it.

A level's bands are coded together, a row at a time, in two passes a row: even columns first, then odd columns, which
then see both of their neighbours. Band b runs `LAG` rows behind band b - 1, so that a band sees rows on both sides in
the bands before it. The integers are kept in a skewed array, whose row t holds row t - LAG * b of band b: all that one
pass codes lies in one row, and a neighbour is the same offset for every coefficient of a band.

Everything here is integer arithmetic on integers: the same numbers on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Mapping, Sequence, Tuple

import numpy as np

from nifcodec.coding.compand import COMPAND_LIMIT, COMPAND_TABLE, FEATURE_MAX, UNIT

LAG = 2
MARGIN = 4  # columns of zeros on both sides, at least the reach of every neighbourhood
CONSTANTS = 3  # parity of the row, step, level: the last features of every vector

Offset = Tuple[int, int]

ABOVE: List[Offset] = [(-1, dx) for dx in range(-3, 4)] + [(-2, dx) for dx in range(-2, 3)]
BESIDE: List[Offset] = [(0, -1), (0, 1), (0, -3), (0, 3)]
CROSS: List[Offset] = [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]
SQUARE: List[Offset] = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
WINDOW: List[Offset] = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if dy or dx]
STATIC = len(SQUARE) + 1 + len(WINDOW)


@dataclass(frozen=True)
class Band:
    """One band of a level: `colour` 0 luma, 1 and 2 chroma, 3 alpha; `orientation` 0 HL, 1 LH, 2 HH."""

    colour: int
    orientation: int

    @property
    def is_chroma(self) -> bool:
        return self.colour in (1, 2)


def compand(units: np.ndarray) -> np.ndarray:
    """Integers in 1/UNIT steps -> int8 features: nearly linear below one step, logarithmic above."""
    return COMPAND_TABLE.take(units + COMPAND_LIMIT, mode="clip")


def near_neighbours(band: Band, odd: bool) -> "List[Tuple[Band, Offset]]":
    """Neighbours of a coefficient in the bands of its own level, all of them decoded before it."""
    found = [(band, offset) for offset in ABOVE + (BESIDE if odd else [])]
    for orientation in range(band.orientation):
        other = Band(band.colour, orientation)
        found += [(other, offset) for offset in (CROSS if band.is_chroma else SQUARE)]
    for colour in range(band.colour if band.is_chroma else 0):
        found += [(Band(colour, band.orientation), offset) for offset in SQUARE]
    return found


def static_used(band: Band) -> List[int]:
    """Which of the STATIC features a band uses: chroma sees 3x3 of the low-pass plane, the others 5x5."""
    low = [k for k, (dy, dx) in enumerate(WINDOW) if not band.is_chroma or max(abs(dy), abs(dx)) == 1]
    return list(range(len(SQUARE) + 1)) + [len(SQUARE) + 1 + k for k in low]


def feature_columns(band: Band, odd: bool, near_length: int) -> np.ndarray:
    """Columns of `LevelFeatures.gather` that a band's network reads: signed values, their magnitudes, constants."""
    near = list(range(len(near_neighbours(band, odd))))
    signed = np.array(near + [near_length + k for k in static_used(band)])
    total = near_length + STATIC
    return np.concatenate([signed, signed + total, 2 * total + np.arange(CONSTANTS)])


def _repeat(plane: np.ndarray, factor: int, shape: Tuple[int, int]) -> np.ndarray:
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)[: shape[0], : shape[1]]


class LevelFeatures:
    """Features of all the bands of one level, for any row of it, while it fills up.

    Args:
        shape: (H, W) of the level's low-pass plane; every band has at most that size.
        bands: the bands coded together, in coding order.
        low: the low-pass plane of each colour, integers (H, W) in 1/UNIT steps.
        parents: integers of each band of the next coarser level; empty at the coarsest level.
        grandparents: the same, one level further.
    """

    def __init__(
        self,
        shape: Tuple[int, int],
        bands: Sequence[Band],
        low: Mapping[int, np.ndarray],
        parents: Mapping[Band, np.ndarray],
        grandparents: Mapping[Band, np.ndarray],
    ) -> None:
        self.height, self.width = shape
        self.bands = list(bands)
        self.rows = self.height + LAG * (len(bands) - 1)
        # One band more than there are, always zero: stands for neighbours in bands that are not coded.
        self._top = 2 + LAG * len(bands)
        self._near = np.zeros((self.rows + self._top, len(bands) + 1, self.width + 2 * MARGIN), np.int8)
        self._static = np.zeros((self.rows, len(bands), self.width, STATIC), np.int8)
        for index, band in enumerate(bands):
            target = self._static[LAG * index : LAG * index + self.height, index]
            self._fill_static(target, low[band.colour], parents.get(band), grandparents.get(band))
        self.near_length = max(len(near_neighbours(band, True)) for band in bands)
        self.length = 2 * (self.near_length + STATIC) + CONSTANTS
        self._near_index = [self._plan(False), self._plan(True)]

    def _fill_static(
        self, target: np.ndarray, low: np.ndarray, parent: "np.ndarray | None", grandparent: "np.ndarray | None"
    ) -> None:
        height, width = self.height, self.width
        if parent is not None:
            coarse = np.zeros(((height + 1) // 2 + 2, (width + 1) // 2 + 2), np.int8)
            coarse[1 : 1 + parent.shape[0], 1 : 1 + parent.shape[1]] = compand(parent * UNIT)
            for k, (dy, dx) in enumerate(SQUARE):
                moved = coarse[1 + dy : coarse.shape[0] - 1 + dy, 1 + dx : coarse.shape[1] - 1 + dx]
                target[..., k] = _repeat(moved, 2, (height, width))
        if grandparent is not None:
            repeated = _repeat(compand(grandparent * UNIT), 4, (height, width))
            target[: repeated.shape[0], : repeated.shape[1], len(SQUARE)] = repeated
        padded = np.pad(low.astype(np.int32), 2, mode="edge")
        centre = padded[2 : 2 + height, 2 : 2 + width]
        for k, (dy, dx) in enumerate(WINDOW):
            shifted = padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width]
            target[..., len(SQUARE) + 1 + k] = compand(shifted - centre)

    def _plan(self, odd: bool) -> np.ndarray:
        """Flat offsets (bands, columns of the pass, near_length) into the skewed array, relative to a row's start."""
        columns = np.arange(1 if odd else 0, self.width, 2)
        pitch = self._near.shape[2]
        row = self._near.shape[1] * pitch
        where = {band: i for i, band in enumerate(self.bands)}
        start = np.full((len(self.bands), self.near_length), len(self.bands) * pitch)
        moving = np.zeros_like(start)
        for i, band in enumerate(self.bands):
            for k, (other, (dy, dx)) in enumerate(near_neighbours(band, odd)):
                j = where.get(other)
                if j is not None:
                    start[i, k] = (self._top + dy + LAG * (j - i)) * row + j * pitch + MARGIN + dx
                    moving[i, k] = 1
        return start[:, None, :] + moving[:, None, :] * columns[None, :, None]

    def set_row(self, row: int, values: np.ndarray, odd: bool) -> None:
        """Enter the integers (bands, columns of the pass) decoded at a row of the skewed array."""
        start = MARGIN + (1 if odd else 0)
        target = self._near[self._top + row, : len(self.bands), start : MARGIN + self.width : 2]
        target[...] = compand(values * UNIT)

    def set_all(self, planes: Mapping[Band, np.ndarray]) -> None:
        """Enter whole bands, as an encoder can: that only decoded ones are looked at is in the offsets."""
        for index, band in enumerate(self.bands):
            height, width = planes[band].shape
            rows = slice(self._top + LAG * index, self._top + LAG * index + height)
            self._near[rows, index, MARGIN : MARGIN + width] = compand(planes[band] * UNIT)

    def gather(self, row: int, odd: bool, step_feature: int, level_feature: int) -> np.ndarray:
        """Features at one row of the skewed array: float32 integers (bands, columns, features), at most FEATURE_MAX.

        Per coefficient: near neighbours and zeros up to `near_length`; parents (3x3), grandparent and low-pass
        differences; the magnitudes of all these; parity of the row, step and level.
        """
        index = self._near_index[1 if odd else 0]
        near, total = self.near_length, self.near_length + STATIC
        flat = self._near.reshape(-1)[row * self._near.shape[1] * self._near.shape[2] :]
        out = np.empty((*index.shape[:2], 2 * total + CONSTANTS), np.float32)
        out[..., :near] = flat.take(index)
        out[..., near:total] = self._static[row, :, (1 if odd else 0) :: 2]
        np.abs(out[..., :total], out=out[..., total : 2 * total])
        out[..., 2 * total] = FEATURE_MAX if row % 2 else 0
        out[..., 2 * total + 1] = step_feature
        out[..., 2 * total + 2] = level_feature
        return out
