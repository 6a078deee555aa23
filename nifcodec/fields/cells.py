"""A picture on a lattice as something to sample: made in cells of a fixed grid, and read between its samples.

A sample has the same value in every window, since each cell is always made as a whole.
"""

from __future__ import annotations

from typing import Callable, Optional, Tuple

import numpy as np

from nifcodec.fields.interpolation import interpolate, taps
from nifcodec.fields.parts import Span
from nifcodec.native.sampling import load_sampling
from nifcodec.threads import SharedCache

CELL = 232  # samples a side: a tile of the native restoration filter, whose margins add an eighth
CELLS = 64  # kept at least: 48 MiB of RGB

# The samples in these rows and columns, float32 (rows, columns, C), 1.0 white.
Make = Callable[[Span, Span], np.ndarray]


class CellField:
    """The field at any positions: float32 (len(vs), len(us), channels), 1.0 is white.

    Args:
        size: width and height of the picture in pixels.
        make: what cells are made by; threads call it side by side.
        reduction: how often the picture is halved.
        cell: samples a side of the parts that it is made in.
        native: samples by the native library where there is one.
        across: pixels of the width that are read, where that is not all of it.
    """

    def __init__(
        self,
        size: Tuple[int, int],
        make: Make,
        reduction: int = 0,
        cell: int = CELL,
        native: bool = True,
        across: Optional[int] = None,
    ) -> None:
        self._width, self._height = size
        self._make, self._reduction, self._side = make, reduction, cell
        self._sampling = load_sampling() if native else None
        # Those of four rows: of one that is asked for, those above and below, and one in work.
        row = -(-(self._width if across is None else across) // cell) + (across is not None)
        self._cells = SharedCache(self._make_cell, max(CELLS, 4 * row))

    def __call__(self, us: np.ndarray, vs: np.ndarray) -> np.ndarray:
        rows, row_weights = taps(vs, self._height, self._reduction)
        columns, column_weights = taps(us, self._width, self._reduction)
        top, left = int(rows.min()), int(columns.min())
        picture = self._picture((top, int(rows.max()) + 1), (left, int(columns.max()) + 1))
        at = (rows - top, row_weights), (columns - left, column_weights)
        return interpolate(picture, *at) if self._sampling is None else self._sampling.sample(picture, *at)

    def _picture(self, rows: Span, columns: Span) -> np.ndarray:
        """Colours of the samples in a rectangle, float32 (H, W, C)."""
        down, across = (range(span[0] // self._side, -(-span[1] // self._side)) for span in (rows, columns))
        cells = iter(self._cells([(row, column) for row in down for column in across]))
        parts = [
            [
                next(cells)[
                    max(rows[0] - row * self._side, 0) : rows[1] - row * self._side,
                    max(columns[0] - column * self._side, 0) : columns[1] - column * self._side,
                ]
                for column in across
            ]
            for row in down
        ]
        return np.concatenate([np.concatenate(line, axis=1) for line in parts])

    def _make_cell(self, place: Tuple[int, int]) -> np.ndarray:
        sides = (-(-self._height >> self._reduction), -(-self._width >> self._reduction))
        rows, columns = ((at * self._side, min((at + 1) * self._side, side)) for at, side in zip(place, sides))
        return self._make(rows, columns)
