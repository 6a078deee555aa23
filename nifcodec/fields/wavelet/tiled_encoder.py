"""A large picture as a root and tiles: quantized and trained one tile at a time, so that memory stays bounded."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.family import CodedField
from nifcodec.fields.hooks import Progress
from nifcodec.fields.job import EncodeJob
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.bitstream import CodedPart
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import FAMILY_ID, WaveletDescription
from nifcodec.fields.wavelet.lattice import Lattice, Planes
from nifcodec.fields.wavelet.lifting import analyse_levels
from nifcodec.fields.wavelet.picture_encoder import WIDER, bit_price, cost, finest_index, scalars
from nifcodec.fields.wavelet.planes import plane_kinds
from nifcodec.fields.wavelet.restoration_fit import MixtureFit
from nifcodec.fields.wavelet.search.rate_gradient import RateGradient, rate_gradient
from nifcodec.fields.wavelet.search.rdoq import Prices, Quantized, QuantizedBands, quantize, quantize_bands
from nifcodec.fields.wavelet.search.trellis import Start, requantize, requantize_bands
from nifcodec.fields.wavelet.tile_source import Part, size_of
from nifcodec.fields.wavelet.tiling import Tile, Tiling, pack_index, pack_tiles, unpack_tiles

if TYPE_CHECKING:
    from nifcodec.fields.checkpoint import Checkpoint, Record
    from nifcodec.fields.wavelet.training.descent import Descent

# Trained tiles are quantized dependently up to this step index: above it, little is to be gained.
DEPENDENT_UP_TO = 360


@dataclass(frozen=True)
class TiledAttempt:
    """A field at one step, or a sample of its tiles.

    Attributes:
        root, tiles: payloads.
        pixels: of the tiles.
        error: of the corrected planes of the tiles, summed, in squared steps.
    """

    spec: WaveletDescription
    root: CodedPart
    tiles: List[CodedPart]
    pixels: int
    error: float

    def trained(self, steps: int = 0) -> CodedField:
        """The parts of the file."""
        parts = [self.root, *self.tiles]
        return CodedField(
            FAMILY_ID, self.spec.pack(), pack_tiles(*(part.data for part in parts)), steps, index=pack_index(parts)
        )

    def scalars(self) -> Dict[str, float]:
        """What is shown of its tiles so far."""
        return scalars(self.error, sum(len(tile.data) for tile in self.tiles), self.spec, self.pixels)


class TiledForm:
    """A picture to be quantized at any step, tile by tile.

    Args:
        exponent: log2 of the side of a tile.

    Attributes:
        finest: the least step index for the picture.
        stopped: training was interrupted.
    """

    def __init__(self, job: EncodeJob, exponent: int) -> None:
        self.job = job
        self.prior = priors.named()
        self.exponent = exponent
        self.stopped = False
        colours = plane_kinds(job.signal.channels)
        self.tiling = Tiling(job.signal.width, job.signal.height, colours, 1 << exponent)
        self._root = np.zeros(self._root_shape())
        for number in range(self.tiling.count):
            tile = self.tiling.tile(number)
            part = Part(tile, job)
            tile.low(self._root)[...] = part.low()
        self.finest = finest_index(job, analyse_levels(self._root, self.tiling.root.levels)[0])

    def _root_shape(self) -> Tuple[int, int, int]:
        return (len(self.tiling.root.plane_ids), *self.tiling.root.sizes[0])

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
        spec = WaveletDescription(step_index, self.prior.hash, tile_exponent=self.exponent, dependent=dependent)
        conditions = Conditions(self.prior.context, spec.step_feature, dependent)
        root = self._quantize_root(spec, conditions)
        packed_root = root.pack(self.tiling.root, conditions)
        chosen = range(self.tiling.count) if numbers is None else numbers
        name, pixels, began = f"{self.prior.hash.hex()}/tiles {index}", 0, time.monotonic()
        record = None if checkpoint is None else checkpoint.load(name)
        fit, tiles = _read(record) if record is not None else (MixtureFit.none(self.prior.restoration.corrections), [])
        for done, number in enumerate(chosen):
            tile = self.tiling.tile(number)
            pixels += size_of(tile.rows) * size_of(tile.columns)
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
            if self.job.hooks.progress is not None:
                seconds = time.monotonic() - began
                psnr, bpp = seen["psnr"], seen["bits_per_pixel"]
                self.job.hooks.progress(Progress("tiles", done + 1, len(chosen), seconds, psnr, bpp))
            if self.job.hooks.watch is not None:
                self.job.hooks.watch(done + 1, seen, None)
        if checkpoint is not None:
            checkpoint.flush()
        return found

    def _quantize_root(self, spec: WaveletDescription, conditions: Conditions) -> Quantized:
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
        spec: WaveletDescription,
        conditions: Conditions,
        before: MixtureFit,
        descent: "Optional[Descent]",
        rounds: int,
    ) -> Tuple[CodedPart, MixtureFit]:
        """A tile's payload of least cost over the rounds of its training, and its part of the sums."""
        part = Part(tile, self.job)
        prices = part.prices()
        low, coarser = tile.low(root.plane), tile.coarser(root.levels)
        best: Optional[Tuple[float, CodedPart, MixtureFit]] = None
        others: Optional[RateGradient] = None
        bands: Optional[QuantizedBands] = None
        for done in range(rounds + 1):
            details = part.details(spec.step)
            given = tile.lattice, conditions, low, coarser, part.inside(details), bit_price(spec)
            bands = _quantized(*given, others, prices, bands)
            payload = bands.pack(tile.lattice, conditions)
            planes = part.rebuild(root.plane, details, bands.levels)
            fit = part.fit(planes, spec, self.prior.restoration)
            spec = replace(spec, mixture=(before + fit).mixture())
            here = cost(fit.error(spec.mixture), len(payload.data), spec)
            if best is None or here < best[0]:
                best = here, payload, fit
            if done < rounds and self.job.hooks.interrupt is not None:
                self.stopped = self.stopped or self.job.hooks.interrupt()
            if descent is None or done == rounds or self.stopped:
                break
            part.aim(descent(planes, part.target, spec))
            others = rate_gradient(tile.lattice, conditions, low, coarser, bands.levels)
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
    others: Optional[RateGradient],
    prices: Prices,
    before: Optional[QuantizedBands],
) -> QuantizedBands:
    """A tile's integers, in the kind of quantization that the conditions say, from an earlier attempt if any."""
    given = low, coarser, details, weight
    if conditions.dependent and before is not None:
        return requantize_bands(lattice, conditions, *given, Start(before.levels, before.contexts), others, prices)
    scalar = quantize_bands(lattice, _scalar(conditions), *given, others, prices)
    return _quantized(lattice, conditions, *given, others, prices, scalar) if conditions.dependent else scalar


def _record(fit: MixtureFit, tiles: Sequence[CodedPart]) -> "Record":
    """The first tiles of a picture as a record of a checkpoint, with their sums."""
    packed = np.frombuffer(pack_tiles(*(tile.data for tile in tiles)), np.uint8)
    return {**vars(fit), "count": len(tiles), "tiles": packed, "ends": np.array([tile.ends for tile in tiles])}


def _read(record: "Record") -> Tuple[MixtureFit, List[CodedPart]]:
    """The inverse of `_record`."""
    tiles = unpack_tiles(record["tiles"].tobytes(), int(record["count"]) - 1)
    ends = record["ends"].tolist()
    return MixtureFit(record["missing"], record["wanted"], record["products"]), [
        CodedPart(tile, tuple(end)) for tile, end in zip(tiles, ends)
    ]
