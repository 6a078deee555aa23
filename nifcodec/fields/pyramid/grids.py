"""The grids of a latent pyramid: their sizes, their order, and what an entropy network sees of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

LEVELS = 7  # grids of 1/1, 1/2, ... 1/64 of the picture
HYPER_LEVELS = (4, 5, 6)  # those that have a grid for the entropy networks alone beside them
FEATURED_LEVELS = (0, 1, 2)  # whose networks see features of all coarser grids
FEATURES = 6
GROUPS = 4  # of grids, each with an entropy network: levels 0, 1, 2, and the rest

# Neighbours that are coded before a latent, rows down and columns right, in the order of how much they tell (that of
# Cool-chic, Ladune et al. 2024).
_NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-3, 0), (0, -3), (-1, -2), (-2, 1), (-2, -1))
_FURTHER = ((-1, 2), (-2, -2), (-1, -3))
NEIGHBOURS: np.ndarray = np.ascontiguousarray(np.array(_NEIGHBOURS + _FURTHER, np.int32).T)


@dataclass(frozen=True)
class Grid:
    """One grid.

    Attributes:
        level: its size is that of the picture, halved so often, halves up.
        hyper: the entropy networks alone see it.
    """

    level: int
    hyper: bool = False

    @property
    def group(self) -> int:
        """Whose entropy network it is coded under."""
        return GROUPS - 1 if self.hyper else min(self.level, GROUPS - 1)

    def size(self, height: int, width: int) -> Tuple[int, int]:
        """Rows and columns, of a picture of so many."""
        return -(-height >> self.level), -(-width >> self.level)


def all_grids() -> List[Grid]:
    """Finest first. They are coded from the last to the first."""
    grids = []
    for level in range(LEVELS):
        grids.append(Grid(level))
        if level in HYPER_LEVELS:
            grids.append(Grid(level, hyper=True))
    return grids
