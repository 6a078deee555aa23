"""A file of the family `pyramid` to sample. Of a picture with tiles, a tile is decoded when it is needed."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from nifcodec.container import NifFile
from nifcodec.errors import LimitError
from nifcodec.fields.cells import CELL
from nifcodec.fields.detail.doubling import described, enlarged
from nifcodec.fields.family import Samples, Summary
from nifcodec.fields.lattice_options import LARGEST_WHOLE
from nifcodec.fields.parts import Span, check_index, unpack_parts
from nifcodec.fields.pyramid import priors
from nifcodec.fields.pyramid.bitstream import decode_part
from nifcodec.fields.pyramid.description import unpack_description
from nifcodec.fields.pyramid.grids import Grid
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.synthesis import Synthesis
from nifcodec.fields.pyramid.tiling import Tiling
from nifcodec.fields.pyramid.weights import QuantizedWeights, unpack_weights
from nifcodec.native import library
from nifcodec.native.synthesis import NativeSynthesis
from nifcodec.picture.window import Window
from nifcodec.threads import SharedCache

COMPACT = 1 << 15


class PyramidRender:
    """The pyramid of a file, its description parsed and checked.

    Args:
        cell: pixels a side of the parts that the picture is made in.

    Raises CorruptFileError.
    """

    # The finer grids as zeros would be a poor picture: a smaller one is the mean of samples.
    reductions = 0

    def __init__(self, file: NifFile, cell: int = CELL) -> None:
        self._file, self._cell = file, cell
        self.spec = unpack_description(file.description)
        self._layout = layout(file.channels)
        self._start = priors.find(self.spec.prior).weights(self.spec.start, self._layout)
        if not self.spec.tile_exponent and file.width * file.height > LARGEST_WHOLE:
            raise LimitError(f"a picture of {file.width} x {file.height} pixels without tiles is above {LARGEST_WHOLE}")
        self.tiling = Tiling(file.width, file.height, self.spec.tile_exponent)

    def describe(self) -> Summary:
        settings: Dict[str, Any] = {"prior": self.spec.prior.hex(), "start": self.spec.start}
        settings["tiles"] = max(self.tiling.count, 1)
        settings["detail"] = described(self.spec.detail)
        latents = self._file.width * self._file.height * 4 // 3
        return Summary(latents + self._layout.count, self._layout.macs_per_pixel, settings)

    def weights(self) -> QuantizedWeights:
        """Those of its networks. Raises CorruptFileError."""
        return unpack_weights(self._parts()[0], self._layout, self._start)

    def samples(self, reduction: int = 0, window: Optional[Window] = None) -> Samples:
        """For damage inside of a tile, CorruptFileError is raised only once a sample needs it."""
        packed, *parts = self._parts()
        weights = unpack_weights(packed, self._layout, self._start).weights()
        region = Latents(parts, self.tiling, IntegerNetwork.of(self._layout, weights))
        loaded = library.load()
        native = None if loaded is None else NativeSynthesis(loaded)
        size = self._file.width, self._file.height
        field = Synthesis(self._layout, weights, size, native).field(region, self._cell)
        return field if window is None else enlarged(field, self.spec.detail, window)

    def _parts(self) -> List[bytes]:
        """The bytes of weights, root and tiles."""
        parts = unpack_parts(self._file.payload, 2 + self.tiling.count)
        if self._file.index:
            levels = [0, self.tiling.root.levels, *[self.tiling.tile_levels] * self.tiling.count]
            check_index(self._file.index, parts, levels)
        return parts


class Latents:
    """Any part of the picture's grids, from the tiles that it touches.

    Args:
        parts: the root's stream and those of all tiles.
    """

    def __init__(self, parts: Sequence[bytes], tiling: Tiling, network: IntegerNetwork) -> None:
        root, *self._streams = parts
        self._tiling, self._network = tiling, network
        self._root = decode_part(network, root, tiling.root.shapes, {})
        # A row of cells needs the tiles above and below: with three rows kept, a picture read from top to bottom
        # decodes each tile once.
        self._tiles = SharedCache(self._decode, 3 * (tiling.across + 2))

    def __call__(self, level: int, rows: Span, columns: Span) -> np.ndarray:
        """Latents of the grid of a level in a rectangle."""
        grid = Grid(level)
        if grid in self._root:
            return self._root[grid][slice(*rows), slice(*columns)]
        out = np.empty((rows[1] - rows[0], columns[1] - columns[0]), np.int32)
        numbers = self._tiling.touched(level, rows, columns)
        for number, values in zip(numbers, self._tiles(numbers)):
            tile = self._tiling.tile(number)
            top, left = tile.rows[0] >> level, tile.columns[0] >> level
            inside = values[grid][
                max(rows[0] - top, 0) : max(rows[1] - top, 0), max(columns[0] - left, 0) : max(columns[1] - left, 0)
            ]
            at = max(top - rows[0], 0), max(left - columns[0], 0)
            out[at[0] : at[0] + inside.shape[0], at[1] : at[1] + inside.shape[1]] = inside
        return out

    def _decode(self, number: int) -> Dict[Grid, np.ndarray]:
        tile = self._tiling.tile(number)
        values = decode_part(self._network, self._streams[number], tile.shapes, tile.of(self._root))
        return {grid: _compact(each) for grid, each in values.items()}


def _compact(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int16) if np.abs(values).max(initial=0) < COMPACT else values
