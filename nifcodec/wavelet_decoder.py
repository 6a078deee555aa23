"""A file of the family `wavelet` as something to sample: only what a sample needs is decoded and made.

A one-lattice picture is decoded down to the level that is asked for. Of a tiled one, a tile is decoded when a sample
needs it. The picture is then made in cells of a fixed grid, so that a sample has the same value in every window.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, List, Tuple

import numpy as np

from nifcodec import priors
from nifcodec.coding.compand import HALF, UNIT
from nifcodec.coding.lattice import Conditions, Lattice, Planes
from nifcodec.coding.neighbours import Band
from nifcodec.coding.payload import CHECK_BYTES, decode_bands, decode_lattice
from nifcodec.coding.tiles import LARGEST_WHOLE, TILE_LEVELS, Span, Tiling, unpack_tiles
from nifcodec.container import NifFile
from nifcodec.errors import LimitError, MalformedError
from nifcodec.fields import wavelet
from nifcodec.fields.lifting import span_below, synthesise_plane
from nifcodec.fields.synthesis import SynthesisNetwork
from nifcodec.fields.wavelet import WaveletSpec

CELL = 256  # pixels a side: margins of the synthesis add a tenth
CELLS = 160  # kept: 120 MiB of RGB
COMPACT = 1 << 15

Region = Callable[[Span, Span], np.ndarray]  # rows, columns -> low-pass samples, int64 (C, H, W) in 1/UNIT steps


def reductions(file: NifFile) -> int:
    """How often the picture can be halved by decoding less. Raises CorruptFileError for what `open_wavelet` refuses."""
    spec = wavelet.unpack(file.description)
    return TILE_LEVELS if spec.tile_exponent else min(_lattice(file).levels, len(CHECK_BYTES) - 1)


def levels_and_tiles(file: NifFile) -> Tuple[int, int]:
    """Levels of the whole picture and the number of its tiles, 1 where it is one lattice."""
    spec = wavelet.unpack(file.description)
    if spec.tile_exponent:
        tiling = _tiling(file, spec)
        return TILE_LEVELS + tiling.root.levels, tiling.count
    return _lattice(file).levels, 1


def open_wavelet(file: NifFile, reduction: int) -> "WaveletField":
    """The field of a file, its finest `reduction` levels left out.

    Raises CorruptFileError; for damage inside of a tile, only once a sample needs it.
    """
    spec = wavelet.unpack(file.description)
    prior = priors.find(spec.prior)
    if len(spec.mixture[0]) != prior.synthesis.corrections:
        raise MalformedError("wavelet description", f"has weights of {len(spec.mixture[0])} corrections")
    conditions = Conditions(prior.context, spec.step_feature, spec.dependent)
    if spec.tile_exponent:
        return WaveletField(
            file,
            TiledPlanes(file.payload, _tiling(file, spec), conditions, reduction),
            reduction,
            spec,
            prior.synthesis,
        )
    plane, _ = decode_lattice(file.payload, _lattice(file), conditions, reduction)

    def region(rows: Span, columns: Span) -> np.ndarray:
        return plane[:, slice(*rows), slice(*columns)]

    return WaveletField(file, region, reduction, spec, prior.synthesis)


def _lattice(file: NifFile) -> Lattice:
    if file.width * file.height > LARGEST_WHOLE:
        raise LimitError(f"a picture of {file.width} x {file.height} pixels without tiles is above {LARGEST_WHOLE}")
    return Lattice(file.width, file.height, wavelet.colours(file.channels), synthesise_plane)


def _tiling(file: NifFile, spec: WaveletSpec) -> Tiling:
    side = 1 << spec.tile_exponent
    return Tiling(file.width, file.height, wavelet.colours(file.channels), synthesise_plane, side)


class TiledPlanes:
    """Any part of the picture of a tiled payload, from the tiles that it touches.

    Args:
        reduction: finest levels to leave out.
    """

    def __init__(self, payload: bytes, tiling: Tiling, conditions: Conditions, reduction: int) -> None:
        root, *self._payloads = unpack_tiles(payload, tiling.count)
        self._tiling, self._conditions, self._reduction = tiling, conditions, reduction
        self._root, self._levels = decode_lattice(bytes(root), tiling.root, conditions)
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
        height, width = self._tiling.whole.shape(level, Band(0, orientation))
        (top, bottom), (left, right) = (rows[0], min(rows[1], height)), (columns[0], min(columns[1], width))
        colours = self._tiling.whole.colours
        out = np.zeros((len(colours), max(bottom - top, 0), max(right - left, 0)), np.int64)
        side = self._tiling.side >> (level + 1)
        for row in range(top // side, -(-bottom // side)):
            for column in range(left // side, -(-right // side)):
                planes = self._tile(row * self._tiling.across + column)[level]
                y, x = max(row * side, top), max(column * side, left)
                part = out[:, y - top : (row + 1) * side - top, x - left : (column + 1) * side - left]
                y, x = y - row * side, x - column * side
                for i, colour in enumerate(colours):
                    values = planes.get(Band(colour, orientation))
                    if values is not None:
                        part[i] = values[y : y + part.shape[1], x : x + part.shape[2]]
        return out

    def _decode(self, number: int) -> List[Planes]:
        tile = self._tiling.tile(number)
        _, levels = decode_bands(
            bytes(self._payloads[number]),
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
    """

    def __init__(
        self, file: NifFile, region: Region, reduction: int, spec: WaveletSpec, network: SynthesisNetwork
    ) -> None:
        self._region, self._reduction, self._spec = region, reduction, spec
        # The network is made for pixels: a reduced picture is what the lattice says.
        used = not reduction and any(any(weights) for weights in spec.mixture)
        self._network = network.mixed(spec.mixture) if used else None
        self._height, self._width = file.height, file.width
        self._cell = lru_cache(maxsize=CELLS)(self._make_cell)

    def __call__(self, us: np.ndarray, vs: np.ndarray) -> np.ndarray:
        rows, row_weights = wavelet.taps(vs, self._height, self._reduction)
        columns, column_weights = wavelet.taps(us, self._width, self._reduction)
        top, left = int(rows.min()), int(columns.min())
        picture = self._picture((top, int(rows.max()) + 1), (left, int(columns.max()) + 1))
        return wavelet.interpolate(picture, (rows - top, row_weights), (columns - left, column_weights))

    def _picture(self, rows: Span, columns: Span) -> np.ndarray:
        """Colours of the samples in a rectangle, float32 (H, W, C)."""
        parts = [
            [
                self._cell(row, column)[
                    max(rows[0] - row * CELL, 0) : rows[1] - row * CELL,
                    max(columns[0] - column * CELL, 0) : columns[1] - column * CELL,
                ]
                for column in range(columns[0] // CELL, -(-columns[1] // CELL))
            ]
            for row in range(rows[0] // CELL, -(-rows[1] // CELL))
        ]
        return np.concatenate([np.concatenate(line, axis=1) for line in parts])

    def _make_cell(self, row: int, column: int) -> np.ndarray:
        sides = (-(-self._height >> self._reduction), -(-self._width >> self._reduction))
        reach = 0 if self._network is None else self._network.reach
        starts, ends = (row * CELL, column * CELL), ((row + 1) * CELL, (column + 1) * CELL)
        spans = [(max(s - reach, 0), min(e + reach, side)) for s, e, side in zip(starts, ends, sides)]
        colours = wavelet.finish(self._region(spans[0], spans[1]), self._spec, self._network, UNIT << self._reduction)
        (y, x), (bottom, right) = ((edge - span[0] for edge, span in zip(edges, spans)) for edges in (starts, ends))
        return colours[y:bottom, x:right]
