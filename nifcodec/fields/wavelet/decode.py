"""A file of the family `wavelet` as something to sample: only what a sample needs is decoded and made.

A one-lattice picture is decoded down to the level that is asked for. Of a tiled one, a tile is decoded when a sample
needs it. The picture is then made in cells of a fixed grid, so that a sample has the same value in every window.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, List, Optional, Sequence

import numpy as np

from nifcodec.container import NifFile
from nifcodec.errors import LimitError, MalformedError
from nifcodec.fields.family import Samples, Summary
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.bitstream import CHECK_BYTES, decode_bands, decode_lattice
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import WaveletDescription, unpack_description
from nifcodec.fields.wavelet.interpolation import interpolate, taps
from nifcodec.fields.wavelet.lattice import HALF, UNIT, BandValues, Lattice, Subband
from nifcodec.fields.wavelet.lifting import span_below, synthesise_plane
from nifcodec.fields.wavelet.options import LARGEST_WHOLE
from nifcodec.fields.wavelet.planes import finish, plane_kinds
from nifcodec.fields.wavelet.restoration import RestorationFilter
from nifcodec.fields.wavelet.tiling import TILE_LEVELS, Span, Tiling, check_index, unpack_tiles

CELL = 256  # pixels a side: the restoration filter's margins add an eighth
CELLS = 160  # kept: 120 MiB of RGB
COMPACT = 1 << 15

Region = Callable[[Span, Span], np.ndarray]  # rows, columns -> low-pass samples, int64 (C, H, W) in 1/UNIT steps


class WaveletRender:
    """The wavelet field of a file, its description parsed and checked.

    Args:
        cell: pixels a side of the parts that the picture is made in.

    Raises CorruptFileError.
    """

    def __init__(self, file: NifFile, cell: int = CELL) -> None:
        self._file, self._cell = file, cell
        self.spec = unpack_description(file.description)
        self.prior = priors.find(self.spec.prior)
        if len(self.spec.mixture[0]) != self.prior.restoration.corrections:
            raise MalformedError("wavelet description", f"has weights of {len(self.spec.mixture[0])} corrections")
        self._conditions = Conditions(self.prior.context, self.spec.step_feature, self.spec.dependent)
        kinds = plane_kinds(file.channels)
        self.tiling: Optional[Tiling] = None
        if self.spec.tile_exponent:
            self.tiling = Tiling(file.width, file.height, kinds, 1 << self.spec.tile_exponent)
        elif file.width * file.height > LARGEST_WHOLE:
            raise LimitError(f"a picture of {file.width} x {file.height} pixels without tiles is above {LARGEST_WHOLE}")
        else:
            self.lattice = Lattice(file.width, file.height, kinds)

    @property
    def reductions(self) -> int:
        return TILE_LEVELS if self.tiling is not None else min(self.lattice.levels, len(CHECK_BYTES) - 1)

    def describe(self) -> Summary:
        file, spec = self._file, self.spec
        levels, tiles = (
            (self.lattice.levels, 1)
            if self.tiling is None
            else (TILE_LEVELS + self.tiling.root.levels, self.tiling.count)
        )
        settings = {"step": spec.step, "prior": spec.prior.hex(), "levels": levels, "tiles": tiles}
        macs = self.prior.context.macs_per_pixel(plane_kinds(file.channels)) + self.prior.restoration.macs_per_pixel()
        return Summary(file.width * file.height * file.channels, macs, settings)

    def samples(self, reduction: int = 0) -> Samples:
        """For damage inside of a tile, CorruptFileError is raised only once a sample needs it."""
        return WaveletField(
            self._file, self._region(reduction), reduction, self.spec, self.prior.restoration, cell=self._cell
        )

    def _region(self, reduction: int) -> Region:
        payload = self._file.payload
        if self.tiling is not None:
            parts = unpack_tiles(payload, 1 + self.tiling.count)
            self._check_index(parts, [self.tiling.root.levels] + [TILE_LEVELS] * self.tiling.count)
            return TiledPlanes(parts, self.tiling, self._conditions, reduction)
        self._check_index([payload], [self.lattice.levels])
        plane, _ = decode_lattice(payload, self.lattice, self._conditions, reduction)
        return lambda rows, columns: plane[:, slice(*rows), slice(*columns)]

    def _check_index(self, parts: Sequence[bytes], levels: Sequence[int]) -> None:
        if self._file.index:
            check_index(self._file.index, parts, levels)


class TiledPlanes:
    """Any part of the picture of a tiled payload, from the tiles that it touches.

    Args:
        parts: the root's payload and those of all tiles.
        reduction: finest levels to leave out.
    """

    def __init__(self, parts: Sequence[bytes], tiling: Tiling, conditions: Conditions, reduction: int) -> None:
        root, *self._payloads = parts
        self._tiling, self._conditions, self._reduction = tiling, conditions, reduction
        self._root, self._levels = decode_lattice(root, tiling.root, conditions)
        # A row of tiles needs the edges of those above and below: with three rows kept, a picture read from top to
        # bottom decodes each tile once.
        self._tile = lru_cache(maxsize=3 * (tiling.across + 2))(self._decode)

    def __call__(self, rows: Span, columns: Span) -> np.ndarray:
        """Low-pass samples at the level `reduction`, exactly those of the whole picture's synthesis."""
        spans = [(rows, columns)]
        for level in range(self._reduction, TILE_LEVELS):
            height, width = self._tiling.whole.sizes[level]
            spans.append((span_below(spans[-1][0], height), span_below(spans[-1][1], width)))
        plane = self._root[:, slice(*spans[-1][0]), slice(*spans[-1][1])]
        for level in range(TILE_LEVELS - 1, self._reduction - 1, -1):
            wanted, below = spans[level - self._reduction : level - self._reduction + 2]
            horizontal, vertical, diagonal = (self._gather(level, o, *below) * HALF for o in range(3))
            plane = synthesise_plane(plane, (horizontal, vertical, diagonal))
            (top, bottom), (left, right) = ((s[0] - 2 * b[0], s[1] - 2 * b[0]) for s, b in zip(wanted, below))
            plane = plane[:, top:bottom, left:right]
        return plane

    def _gather(self, level: int, orientation: int, rows: Span, columns: Span) -> np.ndarray:
        """Integers of the bands of an orientation, int64 (C, H, W), at these low-pass samples of the level."""
        height, width = self._tiling.whole.shape(level, Subband(0, orientation))
        (top, bottom), (left, right) = (rows[0], min(rows[1], height)), (columns[0], min(columns[1], width))
        plane_ids = self._tiling.whole.plane_ids
        out = np.zeros((len(plane_ids), max(bottom - top, 0), max(right - left, 0)), np.int64)
        side = self._tiling.side >> (level + 1)
        for row in range(top // side, -(-bottom // side)):
            for column in range(left // side, -(-right // side)):
                bands = self._tile(row * self._tiling.across + column)[level]
                y, x = max(row * side, top), max(column * side, left)
                part = out[:, y - top : (row + 1) * side - top, x - left : (column + 1) * side - left]
                y, x = y - row * side, x - column * side
                for i, plane in enumerate(plane_ids):
                    values = bands.get(Subband(plane, orientation))
                    if values is not None:
                        part[i] = values[y : y + part.shape[1], x : x + part.shape[2]]
        return out

    def _decode(self, number: int) -> List[BandValues]:
        tile = self._tiling.tile(number)
        _, levels = decode_bands(
            self._payloads[number],
            tile.lattice,
            self._conditions,
            tile.low(self._root),
            tile.coarser(self._levels),
            self._reduction,
        )
        return [{band: _compact(values) for band, values in bands.items()} for bands in levels]


def _compact(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int16) if np.abs(values).max(initial=0) < COMPACT else values


class WaveletField:
    """The field at any positions: float32 (len(vs), len(us), channels), 1.0 is white.

    Args:
        region: the planes of the picture, `reduction` times halved.
        cell: pixels a side of the parts that it is made in.
    """

    def __init__(
        self,
        file: NifFile,
        region: Region,
        reduction: int,
        spec: WaveletDescription,
        restoration: RestorationFilter,
        cell: int = CELL,
    ) -> None:
        self._region, self._reduction, self._spec = region, reduction, spec
        # The filter is made for pixels: a reduced picture is what the lattice says.
        used = not reduction and any(any(weights) for weights in spec.mixture)
        self._restoration = restoration.mixed(spec.mixture) if used else None
        self._native = restoration.native
        self._height, self._width = file.height, file.width
        self._side = cell
        self._cell = lru_cache(maxsize=CELLS)(self._make_cell)

    def __call__(self, us: np.ndarray, vs: np.ndarray) -> np.ndarray:
        rows, row_weights = taps(vs, self._height, self._reduction)
        columns, column_weights = taps(us, self._width, self._reduction)
        top, left = int(rows.min()), int(columns.min())
        picture = self._picture((top, int(rows.max()) + 1), (left, int(columns.max()) + 1))
        return interpolate(picture, (rows - top, row_weights), (columns - left, column_weights))

    def _picture(self, rows: Span, columns: Span) -> np.ndarray:
        """Colours of the samples in a rectangle, float32 (H, W, C)."""
        parts = [
            [
                self._cell(row, column)[
                    max(rows[0] - row * self._side, 0) : rows[1] - row * self._side,
                    max(columns[0] - column * self._side, 0) : columns[1] - column * self._side,
                ]
                for column in range(columns[0] // self._side, -(-columns[1] // self._side))
            ]
            for row in range(rows[0] // self._side, -(-rows[1] // self._side))
        ]
        return np.concatenate([np.concatenate(line, axis=1) for line in parts])

    def _make_cell(self, row: int, column: int) -> np.ndarray:
        sides = (-(-self._height >> self._reduction), -(-self._width >> self._reduction))
        reach = 0 if self._restoration is None else self._restoration.reach
        starts, ends = (row * self._side, column * self._side), ((row + 1) * self._side, (column + 1) * self._side)
        spans = [(max(s - reach, 0), min(e + reach, side)) for s, e, side in zip(starts, ends, sides)]
        colours = finish(
            self._region(spans[0], spans[1]), self._spec, self._restoration, UNIT << self._reduction, self._native
        )
        (y, x), (bottom, right) = ((edge - span[0] for edge, span in zip(edges, spans)) for edges in (starts, ends))
        return colours[y:bottom, x:right]
