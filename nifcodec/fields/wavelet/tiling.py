"""A large picture's lattice cut into a root and tiles (FORMAT.md, "Tiled payload").

The transform is one for the whole picture; only the coding is cut. The root is the lattice from level `TILE_LEVELS` on.
A tile is a part of the finer levels, coded as if there were nothing around it, so that it decodes by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np

from nifcodec.fields.parts import Span
from nifcodec.fields.wavelet.lattice import BandValues, Lattice

TILE_LEVELS = 5


@dataclass(frozen=True)
class Tile:
    """A tile: which pixels of the picture, and its lattice of TILE_LEVELS levels."""

    rows: Span
    columns: Span
    lattice: Lattice

    @property
    def pixels(self) -> int:
        """How many it has."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    def low(self, plane: np.ndarray) -> np.ndarray:
        """Its part of the root's native plane (planes, rows, columns)."""
        rows, columns = self._at(TILE_LEVELS)
        return plane[:, rows, columns]

    def coarser(self, levels: Sequence[BandValues]) -> List[BandValues]:
        """Its parts of the root's two finest levels, the parents and grandparents of its coarsest bands."""
        return [
            {band: values[self._at(TILE_LEVELS + 1 + i)] for band, values in bands.items()}
            for i, bands in enumerate(levels[:2])
        ]

    def _at(self, level: int) -> Tuple[slice, slice]:
        (top, bottom), (left, right) = (at_level(span, level) for span in (self.rows, self.columns))
        return slice(top, bottom), slice(left, right)


class Tiling:
    """The root and the tiles of a picture.

    Args:
        side: of a tile in pixels, a multiple of 128, so that the parents of its coefficients are a rectangle too.
    """

    def __init__(self, width: int, height: int, plane_ids: Sequence[int], side: int) -> None:
        self.whole = Lattice(width, height, plane_ids, TILE_LEVELS)
        rows, columns = self.whole.sizes[-1]
        self.root = Lattice(columns, rows, plane_ids, first=TILE_LEVELS)
        self.side = side
        self.down, self.across = -(-height // side), -(-width // side)

    @property
    def count(self) -> int:
        """Number of tiles; they are numbered row by row."""
        return self.down * self.across

    def tile(self, number: int) -> Tile:
        """One of them; those at the right and at the bottom may be smaller than `side`."""
        row, column = divmod(number, self.across)
        height, width = self.whole.sizes[0]
        rows = (row * self.side, min((row + 1) * self.side, height))
        columns = (column * self.side, min((column + 1) * self.side, width))
        lattice = Lattice(columns[1] - columns[0], rows[1] - rows[0], self.whole.plane_ids, TILE_LEVELS)
        return Tile(rows, columns, lattice)


def at_level(span: Span, level: int) -> Span:
    """The low-pass samples of a level, 0 the pixels, at these pixels."""
    return span[0] >> level, -(-span[1] >> level)
