"""A large picture as a root and tiles: quantized and trained one tile at a time, so that memory stays bounded.

A tile is worked on with a margin around it, in which the analysis is exact for the tile, and rounded coefficients stand
for those that its neighbours will have or have had.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

import numpy as np

from nifcodec import priors
from nifcodec.coding.compand import HALF
from nifcodec.coding.influence import Influence, influence
from nifcodec.coding.lattice import Conditions, Lattice, Planes
from nifcodec.coding.rdoq import Prices, Quantized, QuantizedBands, quantize, quantize_bands
from nifcodec.coding.tiles import TILE_LEVELS, Span, Tile, Tiling, at_level, pack_tiles, unpack_tiles
from nifcodec.coding.trellis import Start, requantize, requantize_bands
from nifcodec.fields import wavelet
from nifcodec.fields.lifting import Bands, analyse_levels, synthesise_plane
from nifcodec.fields.synthesis import MixtureFit, SynthesisNetwork
from nifcodec.fields.wavelet import WaveletSpec
from nifcodec.progress import Progress
from nifcodec.task import Task, Trained
from nifcodec.wavelet_form import WIDER, bit_price, cost, finest_index, in_steps, scalars

if TYPE_CHECKING:
    from nifcodec.training.checkpoint import Checkpoint, Record
    from nifcodec.training.picture import Descent

# Analysis reaches 4 samples of each level: 124 pixels for five levels.
MARGIN = 128
DEAD_ZONE = 0.6  # from which a magnitude in the margin becomes 1
# Trained tiles are quantized dependently up to this step index: above it, little is to be gained.
DEPENDENT_UP_TO = 360
# Of a bit at a tile's border, where contexts know less: at the price of elsewhere, errors would be higher there.
BORDER_PRICE = 0.6


@dataclass(frozen=True)
class TiledAttempt:
    """A field at one step, or a sample of its tiles.

    Attributes:
        root, tiles: payloads.
        pixels: of the tiles.
        error: of the corrected planes of the tiles, summed, in squared steps.
    """

    spec: WaveletSpec
    root: bytes
    tiles: List[bytes]
    pixels: int
    error: float

    def trained(self, steps: int = 0) -> Trained:
        """The parts of the file."""
        return Trained(wavelet.FAMILY_ID, self.spec.pack(), pack_tiles(self.root, self.tiles), steps)

    def scalars(self) -> Dict[str, float]:
        """What is shown of its tiles so far."""
        return scalars(self.error, sum(map(len, self.tiles)), self.spec, self.pixels)


class TiledForm:
    """A picture to be quantized at any step, tile by tile.

    Args:
        exponent: log2 of the side of a tile.

    Attributes:
        finest: the least step index for the picture.
        stopped: training was interrupted.
    """

    def __init__(self, task: Task, exponent: int) -> None:
        self.task = task
        self.prior = priors.named()
        self.exponent = exponent
        self.stopped = False
        colours = wavelet.colours(task.wanted.shape[2])
        self.tiling = Tiling(task.image.width, task.image.height, colours, synthesise_plane, 1 << exponent)
        self._root = np.zeros(self._root_shape())
        for number in range(self.tiling.count):
            tile = self.tiling.tile(number)
            part = _Part(tile, task)
            tile.low(self._root)[...] = part.low()
        self.finest = finest_index(task, analyse_levels(self._root, self.tiling.root.levels)[0])

    def _root_shape(self) -> Tuple[int, int, int]:
        return (len(self.tiling.root.colours), *self.tiling.root.sizes[0])

    def attempt(
        self,
        index: int,
        numbers: Optional[Sequence[int]] = None,
        descent: "Optional[Descent]" = None,
        rounds: int = 0,
        checkpoint: "Optional[Checkpoint]" = None,
    ) -> TiledAttempt:
        """Integers at a step, as bytes, and the mixture of corrections that suits the picture.

        Args:
            index: of the step that scalar quantization has; that of dependent quantization is wider.
            numbers: of the tiles, where not all of them are wanted.
            descent, rounds: training of each tile.
            checkpoint: where finished tiles of the whole picture are kept, and gone on from.
        """
        dependent = rounds > 0 and index <= DEPENDENT_UP_TO
        step_index = index + WIDER * dependent
        spec = WaveletSpec(step_index, self.prior.hash, tile_exponent=self.exponent, dependent=dependent)
        conditions = Conditions(self.prior.context, spec.step_feature, dependent)
        root = self._quantize_root(spec, conditions)
        packed_root = root.pack(self.tiling.root, conditions)
        chosen = range(self.tiling.count) if numbers is None else numbers
        name, pixels, began = f"{self.prior.hash.hex()}/tiles {index}", 0, time.monotonic()
        record = None if checkpoint is None else checkpoint.load(name)
        fit, tiles = _read(record) if record is not None else (MixtureFit.none(self.prior.synthesis.corrections), [])
        for done, number in enumerate(chosen):
            tile = self.tiling.tile(number)
            pixels += _size(tile.rows) * _size(tile.columns)
            if done == len(tiles):
                payload, part = self._tile(tile, root, spec, conditions, fit, descent, rounds)
                tiles.append(payload)
                fit += part
                if checkpoint is not None and not self.stopped:
                    checkpoint.save(name, _record(fit, tiles))
            elif done < len(tiles) - 1:
                continue
            spec = replace(spec, mixture=fit.mixture())
            found = TiledAttempt(spec, packed_root, tiles, pixels, fit.error(spec.mixture))
            seen = found.scalars()
            if self.task.progress is not None:
                seconds = time.monotonic() - began
                psnr, bpp = seen["psnr"], seen["bits_per_pixel"]
                self.task.progress(Progress("tiles", done + 1, len(chosen), seconds, psnr, bpp))
            if self.task.watch is not None:
                self.task.watch(done + 1, seen, None)
        if checkpoint is not None:
            checkpoint.flush()
        return found

    def _quantize_root(self, spec: WaveletSpec, conditions: Conditions) -> Quantized:
        lattice = self.tiling.root
        low, details = analyse_levels(self._root / spec.step, lattice.levels)
        bands = lattice.by_band(details)
        scalar = quantize(lattice, _scalar(conditions), low, bands, bit_price(spec))
        if not conditions.dependent:
            return scalar
        start = Start(scalar.levels, scalar.contexts)
        return requantize(lattice, conditions, low, bands, bit_price(spec), start)

    def _tile(
        self,
        tile: Tile,
        root: Quantized,
        spec: WaveletSpec,
        conditions: Conditions,
        before: MixtureFit,
        descent: "Optional[Descent]",
        rounds: int,
    ) -> Tuple[bytes, MixtureFit]:
        """A tile's payload of least cost over the rounds of its training, and its part of the sums."""
        part = _Part(tile, self.task)
        low, coarser = tile.low(root.plane), tile.coarser(root.levels)
        best: Optional[Tuple[float, bytes, MixtureFit]] = None
        others: Optional[Influence] = None
        bands: Optional[QuantizedBands] = None
        for done in range(rounds + 1):
            details = part.details(spec.step)
            given = tile.lattice, conditions, low, coarser, part.inside(details), bit_price(spec)
            bands = _quantized(*given, others, part.prices, bands)
            payload = bands.pack(tile.lattice, conditions)
            planes = part.rebuild(root.plane, details, bands.levels)
            fit = part.fit(planes, spec, self.prior.synthesis)
            spec = replace(spec, mixture=(before + fit).mixture())
            here = cost(fit.error(spec.mixture), len(payload), spec)
            if best is None or here < best[0]:
                best = here, payload, fit
            if done < rounds and self.task.interrupt is not None:
                self.stopped = self.stopped or self.task.interrupt()
            if descent is None or done == rounds or self.stopped:
                break
            part.aim(descent(planes, part.target, spec))
            others = influence(tile.lattice, conditions, low, coarser, bands.levels)
        assert best is not None
        return best[1], best[2]


def _scalar(conditions: Conditions) -> Conditions:
    return replace(conditions, dependent=False)


def _quantized(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: Sequence[Planes],
    details: Sequence[Planes],
    weight: float,
    others: Optional[Influence],
    prices: Prices,
    before: Optional[QuantizedBands],
) -> QuantizedBands:
    """A tile's integers, in the kind of quantization that the conditions say, from an earlier attempt if any."""
    given = low, coarser, details, weight
    if conditions.dependent and before is not None:
        return requantize_bands(lattice, conditions, *given, Start(before.levels, before.contexts), others, prices)
    scalar = quantize_bands(lattice, _scalar(conditions), *given, others, prices)
    return _quantized(lattice, conditions, *given, others, prices, scalar) if conditions.dependent else scalar


def _record(fit: MixtureFit, tiles: Sequence[bytes]) -> "Record":
    """The first tiles of a picture as a record of a checkpoint, with their sums."""
    packed = np.frombuffer(pack_tiles(b"", tiles), np.uint8)
    return {**vars(fit), "count": len(tiles), "tiles": packed}


def _read(record: "Record") -> Tuple[MixtureFit, List[bytes]]:
    """The inverse of `_record`."""
    _, *tiles = unpack_tiles(record["tiles"].tobytes(), int(record["count"]))
    return MixtureFit(record["missing"], record["wanted"], record["products"]), [bytes(tile) for tile in tiles]


class _Part:
    """A tile with its margin: planes (C, H, W) on colours of 0..1 to be quantized.

    Attributes:
        target: the picture's planes.
        prices: of the bits of each coefficient, lower at the borders of the tile inside of the picture.
    """

    def __init__(self, tile: Tile, task: Task) -> None:
        self._tile = tile
        sides = (task.image.height, task.image.width)
        self.prices = [
            {band: _prices(tile, sides, lattice_shape) for band, lattice_shape in shapes}
            for shapes in (
                [(band, tile.lattice.shape(level, band)) for band in tile.lattice.bands] for level in range(TILE_LEVELS)
            )
        ]
        self._spans = [
            (max(span[0] - MARGIN, 0), min(span[1] + MARGIN, side))
            for span, side in zip((tile.rows, tile.columns), sides)
        ]
        self.target = wavelet.to_planes(task.values(slice(*self._spans[0]), slice(*self._spans[1])))
        self.aim(self.target)

    def aim(self, wanted: np.ndarray) -> None:
        """Take other planes to quantize from now on."""
        self._low, self._details = analyse_levels(wanted, TILE_LEVELS)

    def low(self) -> np.ndarray:
        """The tile's part of the low-pass plane of the coarsest of its levels."""
        return self._low[self._at(TILE_LEVELS, self._low.shape[1:])]

    def details(self, step: float) -> List[Bands]:
        """The bands of each level in steps, margin included, finest first."""
        return [(bands[0] / step, bands[1] / step, bands[2] / step) for bands in self._details]

    def inside(self, details: Sequence[Bands]) -> "List[Planes]":
        """The tile's part of its bands."""
        lattice = self._tile.lattice
        return [
            {band: values[self._at(level + 1, lattice.shape(level, band))[1:]] for band, values in bands.items()}
            for level, bands in enumerate(lattice.by_band(details))
        ]

    def rebuild(self, root: np.ndarray, details: Sequence[Bands], levels: Sequence[Planes]) -> np.ndarray:
        """Planes in steps, margin included, float32: the tile from its integers, the margin from rounded details."""
        lattice = self._tile.lattice
        (top, bottom), (left, right) = (at_level(span, TILE_LEVELS) for span in self._spans)
        plane = root[:, top:bottom, left:right]
        for level in range(TILE_LEVELS - 1, -1, -1):
            around = [2 * np.sign(band) * np.floor(np.abs(band) + 1 - DEAD_ZONE) for band in details[level]]
            for band in lattice.bands:
                where = self._at(level + 1, lattice.shape(level, band))[1:]
                around[band.orientation][lattice.colours.index(band.colour)][where] = levels[level][band]
            horizontal, vertical, diagonal = (band.astype(np.int64) * HALF for band in around)
            plane = synthesise_plane(plane, (horizontal, vertical, diagonal))
        return in_steps(plane)

    def fit(self, planes: np.ndarray, spec: WaveletSpec, network: SynthesisNetwork) -> MixtureFit:
        """The tile's part of the sums that the weights of the corrections follow from."""
        reach = network.reach
        sides = planes.shape[1:]
        starts = [span[0] - whole[0] for span, whole in zip((self._tile.rows, self._tile.columns), self._spans)]
        sizes = [_size(self._tile.rows), _size(self._tile.columns)]
        wide = [slice(max(s - reach, 0), min(s + n + reach, side)) for s, n, side in zip(starts, sizes, sides)]
        seen = planes[: wavelet.colour_planes(len(planes)), wide[0], wide[1]]
        y, x = (s - w.start for s, w in zip(starts, wide))
        change = network(seen, spec.step_feature)[..., y : y + sizes[0], x : x + sizes[1]]
        here = self._at(0, (sizes[0], sizes[1]))
        return MixtureFit.of(self.target[here] / spec.step, planes[here], change)

    def _at(self, level: int, shape: Tuple[int, ...]) -> Tuple[slice, slice, slice]:
        """Where the tile's samples of a level lie within those of the part: `shape` of them, or fewer at the end."""
        tops = [span[0] - whole[0] for span, whole in zip((self._tile.rows, self._tile.columns), self._spans)]
        ends = [-(-_size(span) >> level) for span in (self._tile.rows, self._tile.columns)]
        y, x = (top >> level for top in tops)
        return slice(None), slice(y, y + min(ends[0], shape[0])), slice(x, x + min(ends[1], shape[1]))


def _prices(tile: Tile, sides: Sequence[int], shape: Tuple[int, int]) -> np.ndarray:
    """Of a band of this shape."""
    prices = np.ones(shape, np.float32)
    for axis, (span, side) in enumerate(zip((tile.rows, tile.columns), sides)):
        lines = np.moveaxis(prices, axis, 0)
        if span[0] > 0:
            lines[:1] = BORDER_PRICE
        if span[1] < side:
            lines[-1:] = BORDER_PRICE
    return prices


def _size(span: Span) -> int:
    return span[1] - span[0]
