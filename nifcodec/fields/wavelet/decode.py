"""A file of the family `wavelet` as something to sample: only what a sample needs is decoded and made.

A one-lattice picture is decoded down to the level that is asked for. Of a tiled one, a tile is decoded when a sample
needs it. The picture is then made in cells of a fixed grid, so that a sample has the same value in every window.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from nifcodec.container import NifFile
from nifcodec.errors import LimitError, MalformedError
from nifcodec.fields.cells import CELL, CellField
from nifcodec.fields.detail.doubling import described, enlarged
from nifcodec.fields.family import Samples, Summary
from nifcodec.fields.lattice_options import LARGEST_WHOLE
from nifcodec.fields.parts import Span, check_index, unpack_parts
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.bitstream import CHECK_BYTES, decode_bands, decode_lattice, decode_low
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import WaveletDescription, unpack_description
from nifcodec.fields.wavelet.lattice import FINE_BITS, HALF, UNIT, BandValues, Lattice, Subband
from nifcodec.fields.wavelet.lifting import span_below
from nifcodec.fields.wavelet.planes import finish, plane_ids
from nifcodec.fields.wavelet.restoration import RestorationFilter
from nifcodec.fields.wavelet.tiling import TILE_LEVELS, Tiling
from nifcodec.picture.window import Window
from nifcodec.threads import SharedCache

COMPACT = 1 << 15

# Rows, columns -> low-pass samples, int64 (C, H, W) in 1/UNIT steps, with FINE_BITS more where rendering is fine.
Region = Callable[[Span, Span], np.ndarray]


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
        kinds = plane_ids(file.channels)
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
        settings["detail"] = described(self.spec.detail)
        macs = self.prior.context.macs_per_pixel(plane_ids(file.channels)) + self.prior.restoration.macs_per_pixel()
        return Summary(file.width * file.height * file.channels, macs, settings)

    def samples(self, reduction: int = 0, window: Optional[Window] = None) -> Samples:
        """For damage inside of a tile, CorruptFileError is raised only once a sample needs it."""
        restoration = self.prior.restoration
        make = WaveletSamples(self._file, self._region(reduction), reduction, self.spec, restoration)
        native = restoration.native is not None
        field = CellField((self._file.width, self._file.height), make, reduction, cell=self._cell, native=native)
        return field if window is None else enlarged(field, self.spec.detail, window)

    def _region(self, reduction: int) -> Region:
        payload = self._file.payload
        if self.tiling is not None:
            parts = unpack_parts(payload, 1 + self.tiling.count)
            self._check_index(parts, [self.tiling.root.levels] + [TILE_LEVELS] * self.tiling.count)
            return TiledPlanes(parts, self.tiling, self._conditions, reduction, self.spec.fine)
        self._check_index([payload], [self.lattice.levels])
        plane, levels = decode_lattice(payload, self.lattice, self._conditions, reduction)
        if self.spec.fine:
            plane = _finely(payload, self.lattice, levels, self._conditions, reduction)
        return lambda rows, columns: plane[:, slice(*rows), slice(*columns)]

    def _check_index(self, parts: Sequence[bytes], levels: Sequence[int]) -> None:
        if self._file.index:
            check_index(self._file.index, parts, levels)


class TiledPlanes:
    """Any part of the picture of a tiled payload, from the tiles that it touches.

    Args:
        parts: the root's payload and those of all tiles.
        reduction: finest levels to leave out.
        fine: the planes have FINE_BITS more bits.
    """

    def __init__(
        self, parts: Sequence[bytes], tiling: Tiling, conditions: Conditions, reduction: int, fine: bool = False
    ) -> None:
        root, *self._payloads = parts
        self._tiling, self._conditions, self._reduction = tiling, conditions, reduction
        self._root, self._levels = decode_lattice(root, tiling.root, conditions)
        self._bits = FINE_BITS if fine else 0
        self._shown = _finely(root, tiling.root, self._levels, conditions) if fine else self._root
        # A row of tiles needs the edges of those above and below: with three rows kept, a picture read from top to
        # bottom decodes each tile once.
        self._tiles = SharedCache(self._decode, 3 * (tiling.across + 2))

    def __call__(self, rows: Span, columns: Span) -> np.ndarray:
        """Low-pass samples at the level `reduction`, exactly those of the whole picture's synthesis."""
        spans = [(rows, columns)]
        for level in range(self._reduction, TILE_LEVELS):
            height, width = self._tiling.whole.sizes[level]
            spans.append((span_below(spans[-1][0], height), span_below(spans[-1][1], width)))
        tiles = self._touched(spans[1:])
        plane = self._shown[:, slice(*spans[-1][0]), slice(*spans[-1][1])]
        for level in range(TILE_LEVELS - 1, self._reduction - 1, -1):
            wanted, below = spans[level - self._reduction : level - self._reduction + 2]
            horizontal, vertical, diagonal = (
                self._gather(tiles, level, o, *below) * (HALF << self._bits) for o in range(3)
            )
            plane = self._conditions.synthesis(plane, (horizontal, vertical, diagonal))
            (top, bottom), (left, right) = ((s[0] - 2 * b[0], s[1] - 2 * b[0]) for s, b in zip(wanted, below))
            plane = plane[:, top:bottom, left:right]
        return plane

    def _touched(self, spans: Sequence[Tuple[Span, Span]]) -> Dict[int, List[BandValues]]:
        """The tiles, by number, in which these rows and columns of low-pass samples lie, a pair for each level."""
        numbers = set()
        for level, (rows, columns) in enumerate(spans, self._reduction):
            down, across = (self._numbers(span, level) for span in (rows, columns))
            numbers |= {row * self._tiling.across + column for row in down for column in across}
        ordered = sorted(numbers)
        return dict(zip(ordered, self._tiles(ordered)))

    def _numbers(self, span: Span, level: int) -> range:
        """The rows or columns of tiles in which low-pass samples of a level lie."""
        side = self._tiling.side >> (level + 1)
        return range(span[0] // side, -(-span[1] // side))

    def _gather(
        self, tiles: Dict[int, List[BandValues]], level: int, orientation: int, rows: Span, columns: Span
    ) -> np.ndarray:
        """Integers of the bands of an orientation, int64 (C, H, W), at these low-pass samples of the level."""
        height, width = self._tiling.whole.shape(level, Subband(0, orientation))
        (top, bottom), (left, right) = (rows[0], min(rows[1], height)), (columns[0], min(columns[1], width))
        plane_ids = self._tiling.whole.plane_ids
        out = np.zeros((len(plane_ids), max(bottom - top, 0), max(right - left, 0)), np.int64)
        side = self._tiling.side >> (level + 1)
        for row in self._numbers((top, bottom), level):
            for column in self._numbers((left, right), level):
                bands = tiles[row * self._tiling.across + column][level]
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


def _finely(
    payload: bytes, lattice: Lattice, levels: Sequence[BandValues], conditions: Conditions, finest: int = 0
) -> np.ndarray:
    """The low-pass plane of a level of a lattice, int64 in 1/(UNIT << FINE_BITS) steps."""
    low = decode_low(payload, lattice)[0].astype(np.int64) * (UNIT << FINE_BITS)
    return lattice.rebuild_finely(low, levels, finest, conditions.synthesis)


def _compact(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int16) if np.abs(values).max(initial=0) < COMPACT else values


class WaveletSamples:
    """Colours of the samples in a rectangle, as `CellField` makes cells of them.

    Args:
        region: the planes of the picture, `reduction` times halved.
    """

    def __init__(
        self, file: NifFile, region: Region, reduction: int, spec: WaveletDescription, restoration: RestorationFilter
    ) -> None:
        self._region, self._reduction, self._spec = region, reduction, spec
        # The filter is made for pixels: a reduced picture is what the lattice says.
        used = not reduction and any(any(weights) for weights in spec.mixture)
        self._restoration = restoration.mixed(spec.mixture) if used else None
        self._native = restoration.native
        self._packed = None if self._restoration is None else self._restoration.packed(spec.step_feature)
        self._sides = (-(-file.height >> reduction), -(-file.width >> reduction))

    def __call__(self, rows: Span, columns: Span) -> np.ndarray:
        reach = 0 if self._restoration is None else self._restoration.reach
        spans = [
            (max(start - reach, 0), min(end + reach, side)) for (start, end), side in zip((rows, columns), self._sides)
        ]
        (top, bottom), (left, right) = (
            (start - span[0], end - span[0]) for (start, end), span in zip((rows, columns), spans)
        )
        unit, at = UNIT << self._reduction + FINE_BITS * self._spec.fine, (top, left, bottom - top, right - left)
        planes = self._region(*spans)
        if self._native is not None:
            return self._native.colours(planes, self._packed, self._spec.step, unit, at=at)
        return finish(planes, self._spec, self._restoration, unit, at)
