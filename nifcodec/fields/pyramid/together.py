"""What latents do together: the part of their moves that is a linear map of the picture around each counts more.

Weights and latents have to change together, slowly and all over the picture: a grid that becomes finer, a colour that
goes from one grid to another. In a step of Adam such a move of each latent is small beside what that latent alone is
moved by. So moves are projected on maps of the colours around the latents, as first latents are one
(`first_latents.py`), and what is found is added again, `SHARE` times.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

import numpy as np

from nifcodec.fields.pyramid.chains import Latents
from nifcodec.fields.pyramid.first_latents import around, means
from nifcodec.fields.pyramid.grids import LEVELS, Grid
from nifcodec.native.planes import MARGIN, REACH, Geometry, Planes, Rows
from nifcodec.native.pyramid import AROUND, AROUND_SIDE, NativePyramid
from nifcodec.threads import in_threads

SHARE = 4.0  # what moves together is added again, so many times
TOGETHER_FROM = 10  # steps: Adam's first ones have the signs of gradients alone
RIDGE = 1e-3  # of the mean of squares
LEAST = 1024  # latents of a grid; of fewer ones a map tells nearly all moves
BLOCK = 128, 256  # rows and columns of latents whose surroundings are multiplied at once


def map_colours(colours: int) -> int:
    """How many colours of a picture of so many a map sees: one of grey, three otherwise, and no alpha."""
    return 3 if colours > 2 else 1


def colours_of(picture: np.ndarray) -> List[np.ndarray]:
    """A picture, (H, W, 1..4) of 0..1, at the sizes of all levels, less a grey: float32 (rows, columns, 1 or 3)."""
    return [level[..., : map_colours(picture.shape[2])] for level in means(picture)[:LEVELS]]


def weights_of(colours: int) -> int:
    """How many weights a map of a picture of so many colours has."""
    return map_colours(colours) * AROUND_SIDE**2 + 1


def has_map(grid: Grid, height: int, width: int) -> bool:
    """Whether what a grid's latents do together in a picture of this size is added again."""
    rows, columns = grid.size(height, width)
    return rows * columns >= LEAST


def inverse_of(colours: np.ndarray) -> np.ndarray:
    """Products of moves with the surroundings of latents -> the map nearest to the moves, float64 (weights, weights).

    Args:
        colours: of the picture at the grid's size, (rows, columns, 1 or 3). A map is (colours, 5, 5) and a constant.
    """
    height, width, count = colours.shape
    near, size = around(colours, AROUND), weights_of(count)

    def products(corner: Tuple[int, int]) -> np.ndarray:
        part = tuple(slice(first, first + length) for first, length in zip(corner, BLOCK))
        parts = np.stack([each[part] for each in near], axis=3).reshape(-1, size - 1)
        parts = np.concatenate([parts, np.ones((len(parts), 1), np.float32)], axis=1)
        return (parts.T @ parts).astype(np.float64)

    corners = [(top, left) for top in range(0, height, BLOCK[0]) for left in range(0, width, BLOCK[1])]
    total = sum(in_threads(products, corners), np.zeros((size, size)))
    return np.linalg.inv(total + RIDGE * np.trace(total) / size * np.eye(size))


def inverses_of(picture: np.ndarray) -> np.ndarray:
    """`inverse_of` all levels of a picture, (H, W, 1..4) of 0..1: float32 (LEVELS, weights, weights)."""
    return np.stack([inverse_of(each) for each in colours_of(picture)]).astype(np.float32)


class Together:
    """Moves of latents together, under the native library.

    Args:
        picture: float32 (H, W, 1..4) of 0..1.
    """

    def __init__(self, native: NativePyramid, picture: np.ndarray) -> None:
        self._native, self._size = native, picture.shape[:2]
        levels = [each for level, each in enumerate(colours_of(picture)) if has_map(Grid(level), *self._size)]
        self._planes = [_planes(each) for each in levels]
        self._inverses = [inverse_of(each) for each in levels]

    def move(self, grids: Sequence[Latents]) -> None:
        """Adds to the latents of all grids what they did together in the last step of Adam."""
        moved = [latents for latents in grids if has_map(latents.grid, *self._size)]
        jobs = [(latents, rows) for latents in moved for rows in latents.strips]

        def products(job: Tuple[Latents, Rows]) -> np.ndarray:
            latents, rows = job
            return self._native.together_products(rows, self._planes[latents.grid.level], latents.moves)

        sums: Dict[Grid, np.ndarray] = {}
        for (latents, _), found in zip(jobs, in_threads(products, jobs)):
            sums[latents.grid] = sums.get(latents.grid, 0.0) + found
        maps = {grid: (SHARE * self._inverses[grid.level] @ total).astype(np.float32) for grid, total in sums.items()}

        def add(job: Tuple[Latents, Rows]) -> None:
            latents, rows = job
            self._native.together_add(rows, self._planes[latents.grid.level], maps[latents.grid], latents.y)

        list(in_threads(add, jobs))


def _planes(colours: np.ndarray) -> Planes:
    """Of a picture, with repeated borders of `AROUND` samples."""
    height, width, count = colours.shape
    planes = Geometry(height, width).planes(count)
    padded = np.pad(colours, ((AROUND, AROUND), (AROUND, AROUND), (0, 0)), mode="edge")
    rows, columns = (slice(first - AROUND, first + size + AROUND) for first, size in ((REACH, height), (MARGIN, width)))
    planes.whole[:, rows, columns] = padded.transpose(2, 0, 1)
    return planes
