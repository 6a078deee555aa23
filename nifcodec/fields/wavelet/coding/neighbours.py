"""What the context model sees: for each coefficient, the already decoded integers around it.

A level's bands are coded together in a wavefront, a front at a time, in two passes a front: even columns first, then
odd columns, which then see both of their neighbours. Front t is row t - WAVEFRONT_LAG * b of each band b: every band
runs behind the one before it, and sees rows on both sides there. The integers are kept in a skewed array, with a row
for each front: a neighbour is the same offset for every coefficient of a band.

Everything here is integer arithmetic on integers: the same numbers on every machine.
"""

from __future__ import annotations

from typing import List, Mapping, Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.companding import COMPAND_LIMIT, COMPAND_TABLE, FEATURE_MAX
from nifcodec.fields.wavelet.lattice import HALF, Subband

WAVEFRONT_LAG = 2
BORDER = 4  # columns of zeros on both sides, at least the reach of every neighbourhood
CONSTANTS = 3  # parity of the front, step, level: the last features of every vector

Offset = Tuple[int, int]

ABOVE: List[Offset] = [(-1, dx) for dx in range(-3, 4)] + [(-2, dx) for dx in range(-2, 3)]
BESIDE: List[Offset] = [(0, -1), (0, 1), (0, -3), (0, 3)]
CROSS: List[Offset] = [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]
SQUARE: List[Offset] = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
WINDOW: List[Offset] = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if dy or dx]
STATIC = len(SQUARE) + 1 + len(WINDOW)


def compand(units: np.ndarray) -> np.ndarray:
    """Integers in 1/UNIT steps -> int8 features: nearly linear below one step, logarithmic above."""
    return COMPAND_TABLE.take(units + COMPAND_LIMIT, mode="clip")


def near_neighbours(band: Subband, odd: bool) -> "List[Tuple[Subband, Offset]]":
    """Neighbours of a coefficient in the bands of its own level, all of them decoded before it."""
    found = [(band, offset) for offset in ABOVE + (BESIDE if odd else [])]
    for orientation in range(band.orientation):
        other = Subband(band.plane, orientation)
        found += [(other, offset) for offset in (CROSS if band.is_chroma else SQUARE)]
    for plane in range(band.plane if band.is_chroma else 0):
        found += [(Subband(plane, band.orientation), offset) for offset in SQUARE]
    return found


def static_used(band: Subband) -> List[int]:
    """Which of the STATIC features a band uses: chroma sees 3x3 of the low-pass plane, the others 5x5."""
    low = [k for k, (dy, dx) in enumerate(WINDOW) if not band.is_chroma or max(abs(dy), abs(dx)) == 1]
    return list(range(len(SQUARE) + 1)) + [len(SQUARE) + 1 + k for k in low]


def feature_columns(band: Subband, odd: bool, near_length: int) -> np.ndarray:
    """Columns of `LevelFeatures.gather` that a band's network reads: signed values, their magnitudes, constants."""
    near = list(range(len(near_neighbours(band, odd))))
    signed = np.array(near + [near_length + k for k in static_used(band)])
    total = near_length + STATIC
    return np.concatenate([signed, signed + total, 2 * total + np.arange(CONSTANTS)])


def _repeat(plane: np.ndarray, factor: int, shape: Tuple[int, int]) -> np.ndarray:
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)[: shape[0], : shape[1]]


class LevelFeatures:
    """Features of all the bands of one level, for any front of it, while it fills up.

    Args:
        shape: (H, W) of the level's low-pass plane; every band has at most that size.
        bands: the bands coded together, in coding order.
        low: the low-pass plane of each plane id, integers (H, W) in 1/UNIT steps.
        parents: integers, in half steps, of each band of the next coarser level; empty at the coarsest level.
        grandparents: the same, one level further.
    """

    def __init__(
        self,
        shape: Tuple[int, int],
        bands: Sequence[Subband],
        low: Mapping[int, np.ndarray],
        parents: Mapping[Subband, np.ndarray],
        grandparents: Mapping[Subband, np.ndarray],
    ) -> None:
        self.height, self.width = shape
        self.bands = list(bands)
        self.fronts = self.height + WAVEFRONT_LAG * (len(bands) - 1)
        # One band more than there are, always zero: stands for neighbours in bands that are not coded.
        self._top = 2 + WAVEFRONT_LAG * len(bands)
        self._near = np.zeros((self.fronts + self._top, len(bands) + 1, self.width + 2 * BORDER), np.int8)
        self._static = np.zeros((self.fronts, len(bands), self.width, STATIC), np.int8)
        for index, band in enumerate(bands):
            target = self._static[WAVEFRONT_LAG * index : WAVEFRONT_LAG * index + self.height, index]
            self._fill_static(target, low[band.plane], parents.get(band), grandparents.get(band))
        self.near_length = max(len(near_neighbours(band, True)) for band in bands)
        self.length = 2 * (self.near_length + STATIC) + CONSTANTS
        self._near_index = [self._plan(False), self._plan(True)]

    def _fill_static(
        self, target: np.ndarray, low: np.ndarray, parent: "np.ndarray | None", grandparent: "np.ndarray | None"
    ) -> None:
        height, width = self.height, self.width
        if parent is not None:
            coarse = np.zeros(((height + 1) // 2 + 2, (width + 1) // 2 + 2), np.int8)
            coarse[1 : 1 + parent.shape[0], 1 : 1 + parent.shape[1]] = compand(parent * HALF)
            for k, (dy, dx) in enumerate(SQUARE):
                moved = coarse[1 + dy : coarse.shape[0] - 1 + dy, 1 + dx : coarse.shape[1] - 1 + dx]
                target[..., k] = _repeat(moved, 2, (height, width))
        if grandparent is not None:
            repeated = _repeat(compand(grandparent * HALF), 4, (height, width))
            target[: repeated.shape[0], : repeated.shape[1], len(SQUARE)] = repeated
        padded = np.pad(low.astype(np.int32), 2, mode="edge")
        centre = padded[2 : 2 + height, 2 : 2 + width]
        for k, (dy, dx) in enumerate(WINDOW):
            shifted = padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width]
            target[..., len(SQUARE) + 1 + k] = compand(shifted - centre)

    def _plan(self, odd: bool) -> np.ndarray:
        """Flat offsets (bands, columns of the pass, near_length) into the skewed array, relative to a front's start."""
        columns = np.arange(1 if odd else 0, self.width, 2)
        pitch = self._near.shape[2]
        front = self._near.shape[1] * pitch
        where = {band: i for i, band in enumerate(self.bands)}
        start = np.full((len(self.bands), self.near_length), len(self.bands) * pitch)
        moving = np.zeros_like(start)
        for i, band in enumerate(self.bands):
            for k, (other, (dy, dx)) in enumerate(near_neighbours(band, odd)):
                j = where.get(other)
                if j is not None:
                    start[i, k] = (self._top + dy + WAVEFRONT_LAG * (j - i)) * front + j * pitch + BORDER + dx
                    moving[i, k] = 1
        return start[:, None, :] + moving[:, None, :] * columns[None, :, None]

    def set_front(self, front: int, values: np.ndarray, odd: bool) -> None:
        """Enter the integers (bands, columns of the pass) decoded in a pass of a front."""
        start = BORDER + (1 if odd else 0)
        target = self._near[self._top + front, : len(self.bands), start : BORDER + self.width : 2]
        target[...] = compand(values * HALF)

    def set_all(self, planes: Mapping[Subband, np.ndarray]) -> None:
        """Enter whole bands, as an encoder can: that only decoded ones are looked at is in the offsets."""
        for index, band in enumerate(self.bands):
            height, width = planes[band].shape
            self._near[self.band_fronts(index, height), index, BORDER : BORDER + width] = compand(planes[band] * HALF)

    def near_index(self, odd: bool) -> np.ndarray:
        """Flat offsets (bands, columns, near_length) of a pass's neighbours, from the start of its front."""
        return self._near_index[1 if odd else 0]

    @property
    def near_shape(self) -> Tuple[int, int, int]:
        """Of the skewed array: fronts, bands and one of zeros, columns."""
        fronts, bands, columns = self._near.shape
        return fronts, bands, columns

    def band_fronts(self, index: int, height: int) -> slice:
        """Rows of the skewed array that hold a band."""
        return slice(self._top + WAVEFRONT_LAG * index, self._top + WAVEFRONT_LAG * index + height)

    def gather(self, front: int, odd: bool, step_feature: int, level_feature: int) -> np.ndarray:
        """Features of a pass of a front: float32 integers (bands, columns, features), at most FEATURE_MAX.

        Per coefficient: near neighbours and zeros up to `near_length`; parents (3x3), grandparent and low-pass
        differences; the magnitudes of all these; parity of the front, step and level.
        """
        index = self._near_index[1 if odd else 0]
        near, total = self.near_length, self.near_length + STATIC
        flat = self._near.reshape(-1)[front * self._near.shape[1] * self._near.shape[2] :]
        out = np.empty((*index.shape[:2], 2 * total + CONSTANTS), np.float32)
        out[..., :near] = flat.take(index)
        out[..., near:total] = self._static[front, :, (1 if odd else 0) :: 2]
        np.abs(out[..., :total], out=out[..., total : 2 * total])
        out[..., 2 * total] = FEATURE_MAX if front % 2 else 0
        out[..., 2 * total + 1] = step_feature
        out[..., 2 * total + 2] = level_feature
        return out


class LevelGradients:
    """The way back from gradients of features to the integers they were made from, as companded features.

    Args:
        features: of the level, whose plan of neighbours is followed backwards.
    """

    def __init__(self, features: LevelFeatures) -> None:
        self._features = features
        near = features.near_shape
        self._near = np.zeros((2, int(np.prod(near))), np.float32)
        shape = (2, features.fronts, len(features.bands), features.width)
        self._square = np.zeros((*shape, len(SQUARE)), np.float32)
        self._far = np.zeros(shape, np.float32)

    def add(self, front: int, odd: bool, gradients: np.ndarray) -> None:
        """Gradients (bands, columns, features) by what `LevelFeatures.gather` gave for a pass."""
        near, total = self._features.near_length, self._features.near_length + STATIC
        index = self._features.near_index(odd)
        start = front * self._features.near_shape[1] * self._features.near_shape[2]
        length = int(index.max()) + 1
        for kind, first in enumerate((0, total)):
            part = gradients[..., first : first + total]
            sums = np.bincount(index.ravel(), part[..., :near].ravel(), length)
            self._near[kind, start : start + length] += sums
            self._square[kind, front, :, (1 if odd else 0) :: 2] = part[..., near : near + len(SQUARE)]
            self._far[kind, front, :, (1 if odd else 0) :: 2] = part[..., near + len(SQUARE)]

    def own(self, index: int, shape: Tuple[int, int]) -> np.ndarray:
        """Of a band's integers, float32 (2, *shape): by the signed feature, and by its magnitude."""
        near = self._near.reshape(2, *self._features.near_shape)
        return near[:, self._features.band_fronts(index, shape[0]), index, BORDER : BORDER + shape[1]]

    def parent(self, index: int, shape: Tuple[int, int]) -> np.ndarray:
        """The same for the band one level coarser, of that shape."""
        rows, columns = (self._features.height + 1) // 2, (self._features.width + 1) // 2
        total = np.zeros((2, rows + 2, columns + 2), np.float32)
        for k, (dy, dx) in enumerate(SQUARE):
            sums = _sum_blocks(self._band(self._square[..., k], index), 2)
            total[:, 1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns] += sums
        return total[:, 1 : 1 + shape[0], 1 : 1 + shape[1]]

    def grandparent(self, index: int, shape: Tuple[int, int]) -> np.ndarray:
        """The same for the band two levels coarser."""
        return _sum_blocks(self._band(self._far, index), 4)[:, : shape[0], : shape[1]]

    def _band(self, skewed: np.ndarray, index: int) -> np.ndarray:
        return skewed[:, WAVEFRONT_LAG * index : WAVEFRONT_LAG * index + self._features.height, index]


def _sum_blocks(values: np.ndarray, side: int) -> np.ndarray:
    """(2, H, W) -> sums over squares, the last ones filled up with zeros."""
    height, width = values.shape[1:]
    padded = np.pad(values, ((0, 0), (0, -height % side), (0, -width % side)))
    return padded.reshape(2, padded.shape[1] // side, side, padded.shape[2] // side, side).sum(axis=(2, 4))
