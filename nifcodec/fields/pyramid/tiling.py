"""Which parts a pyramid is coded in: one, or of a large picture a root, the coarse grids, and tiles of the finer ones.

The networks and the grids are one for the whole picture; only the coding is cut. A tile is coded as if its grids had
nothing around them, and after the root, so that it decodes by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Tuple

import numpy as np

from nifcodec.fields.parts import Span
from nifcodec.fields.pyramid.grids import Grid, all_grids

ROOT_LEVEL = 5  # the finest of the root's
TILE_EXPONENTS = range(7, 12)  # log2 of a tile's side in pixels

Shapes = Dict[Grid, Tuple[int, int]]


@dataclass(frozen=True)
class Part:
    """A part of the picture: its grids, finest first, and its place in pixels."""

    grids: List[Grid]
    rows: Span
    columns: Span

    @property
    def shapes(self) -> Shapes:
        """Rows and columns of its grids."""
        height, width = (span[1] - span[0] for span in (self.rows, self.columns))
        return {grid: grid.size(height, width) for grid in self.grids}

    @property
    def levels(self) -> int:
        """How many it has."""
        return len({grid.level for grid in self.grids})

    def of(self, grids: Mapping[Grid, np.ndarray]) -> Dict[Grid, np.ndarray]:
        """Of grids of the whole picture, what lies in the part's place."""
        return {grid: values[self._at(grid.level)] for grid, values in grids.items()}

    def _at(self, level: int) -> Tuple[slice, slice]:
        (top, bottom), (left, right) = (at_level(span, level) for span in (self.rows, self.columns))
        return slice(top, bottom), slice(left, right)


class Tiling:
    """The parts of a picture.

    Args:
        exponent: log2 of the side of a tile; 0 where the picture is one part.

    Attributes:
        root: the first part.
        down, across: rows and columns of tiles.
    """

    def __init__(self, width: int, height: int, exponent: int) -> None:
        self._width, self._height = width, height
        self.exponent = exponent
        self.down, self.across = (-(-side >> exponent) if exponent else 0 for side in (height, width))
        grids = [grid for grid in all_grids() if grid.level >= ROOT_LEVEL or not exponent]
        self.root = Part(grids, (0, height), (0, width))

    @property
    def count(self) -> int:
        """Number of tiles; they are numbered row by row."""
        return self.down * self.across

    @property
    def tile_levels(self) -> int:
        """The finest levels, those of the tiles."""
        return ROOT_LEVEL if self.exponent else 0

    def tile(self, number: int) -> Part:
        """One of them; those at the right and at the bottom may be smaller than the others."""
        row, column = divmod(number, self.across)
        rows, columns = (
            (at << self.exponent, min(at + 1 << self.exponent, side))
            for at, side in ((row, self._height), (column, self._width))
        )
        return Part([grid for grid in all_grids() if grid.level < ROOT_LEVEL], rows, columns)

    def touched(self, level: int, rows: Span, columns: Span) -> List[int]:
        """The tiles in which these latents of a level lie."""
        shift = self.exponent - level
        down, across = (range(span[0] >> shift, -(-span[1] >> shift)) for span in (rows, columns))
        return [row * self.across + column for row in down for column in across]


def at_level(span: Span, level: int) -> Span:
    """The latents of a level, 0 the pixels', at these pixels."""
    return span[0] >> level, -(-span[1] >> level)
