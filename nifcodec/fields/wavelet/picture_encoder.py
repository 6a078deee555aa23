"""A picture coded at any step: a root, and tiles where the picture is large. An untiled picture is a root alone.

Each thread codes one tile at a time, so that memory stays bounded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, log2
from typing import TYPE_CHECKING, List, Optional, Sequence

import numpy as np

from nifcodec.fields.detail import networks
from nifcodec.fields.detail.reference import DetailReference
from nifcodec.fields.job import EncodeJob
from nifcodec.fields.parts import CodedPart
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.candidate import Candidate, CodedLattice, CodedTile
from nifcodec.fields.wavelet.checkpoint import Kept, read_tiles, tiles_record
from nifcodec.fields.wavelet.coding.bitstream import decode_lattice, decode_low
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import (
    COARSEST_INDEX,
    FINEST_INDEX,
    INDICES_PER_OCTAVE,
    WaveletDescription,
    step_size,
    unpack_description,
)
from nifcodec.fields.wavelet.lattice import MAX_VALUE, Lattice
from nifcodec.fields.wavelet.lifting import Analysis, analyse_plane
from nifcodec.fields.wavelet.planes import plane_ids
from nifcodec.fields.wavelet.restoration_fit import MixtureFit
from nifcodec.fields.wavelet.search.coding import Coding, contexts_of
from nifcodec.fields.wavelet.search.quantize import DEPENDENT_INDICES, cost_of_bit, quantize
from nifcodec.fields.wavelet.tile_source import LatticeSource, TileSource
from nifcodec.fields.wavelet.tiling import Tile, Tiling
from nifcodec.threads import in_threads

if TYPE_CHECKING:
    from nifcodec.fields.checkpoint import Checkpoint
    from nifcodec.fields.wavelet.descent import Descent

# Trained tiles are quantized dependently up to this step index: above it, little is to be gained.
DEPENDENT_UP_TO = 360
# Rounds of training for which a gradient of the rate serves: integers move little from one to the next.
ROUNDS_PER_GRADIENT = 2
# Tiles that may be coded side by side: their mixtures know of those in earlier groups, however many threads there are.
TILES_PER_GROUP = 8


@dataclass(frozen=True)
class Training:
    """How far coefficients are trained, what with, and where the state of it is kept, if anywhere."""

    rounds: int
    descent: "Descent"
    checkpoint: "Optional[Checkpoint]" = None

    def set_target(self, source: LatticeSource, coded: CodedLattice, graded: CodedLattice) -> None:
        """Makes a source quantize the planes that the descent leads to from a candidate.

        Args:
            graded: the candidate, or one shortly before it, whose gradient of the rate serves.
        """
        source.set_target(self.descent(coded.planes, source.original, coded.spec), graded.rate_gradient)


class PictureEncoder:
    """A picture to be coded at any step.

    Args:
        tile_exponent: log2 of the side of a tile; 0 gives a picture without tiles.
        training: of the tiles, each of which is trained as it is coded. An untiled picture is trained from outside:
            by `Training.set_target` of its `source`.

    Attributes:
        source: of the root.
        finest: the least step index for the picture.
    """

    def __init__(self, job: EncodeJob, tile_exponent: int = 0, training: Optional[Training] = None) -> None:
        self._job, self._exponent, self._training = job, tile_exponent, training
        self._stopped = False
        self.prior = priors.named()
        self._nothing = MixtureFit.none(self.prior.restoration.corrections)
        kernels = self.prior.context.kernels
        self._analysis: Analysis = analyse_plane if kernels is None else kernels.analyse
        signal, kinds = job.signal, plane_ids(job.signal.channels)
        self.tiling = Tiling(signal.width, signal.height, kinds, 1 << tile_exponent) if tile_exponent else None
        if self.tiling is None:
            self.lattice = Lattice(signal.width, signal.height, kinds)
            self.source: LatticeSource = TileSource.whole(signal, self.lattice, self._analysis)
        else:
            self.lattice = self.tiling.root
            low = np.zeros((len(kinds), *self.lattice.sizes[0]))
            tiles = list(map(self.tiling.tile, range(self.tiling.count)))
            for tile, part in zip(tiles, in_threads(lambda tile: self._source(tile).low(), tiles)):
                tile.low(low)[...] = part
            self.source = LatticeSource(self.lattice, low, self._analysis)
        self.finest = _finest_index(job.signal.depth, self.source.low())

    def encode_at(
        self,
        index: int,
        factor: float = 1.0,
        start: Optional[Candidate] = None,
        sample: Optional[Sequence[int]] = None,
    ) -> Candidate:
        """The picture at a step, with the weights of the corrections that suit it.

        Args:
            index: step index for scalar quantization; dependent quantization uses index + DEPENDENT_INDICES.
            factor: on the cost of a bit of the root.
            start: an earlier candidate of an untiled picture, from whose contexts dependent quantization starts; None
                gives scalar quantization.
            sample: numbers of the tiles to code, untrained; None codes all of them.
        """
        training = self._training if sample is None else None
        trains_dependently = training is not None and index <= DEPENDENT_UP_TO
        dependent = start is not None if self.tiling is None else trains_dependently
        step_index = min(index + DEPENDENT_INDICES, COARSEST_INDEX) if dependent else index
        spec = WaveletDescription(
            step_index,
            self.prior.hash,
            tile_exponent=self._exponent,
            dependent=dependent,
            fine=True,
            detail=DetailReference.of(networks.named().hash, step_size(index)),
        )
        coding = self._root_coding(spec, self.source.low(spec.step))
        earlier = None if start is None else start.root
        root = self._encode_lattice(self.source, coding, spec, self._nothing, factor, earlier)
        candidate = Candidate(root, [], self._job.signal.pixels)
        if self.tiling is None:
            return candidate
        numbers = range(self.tiling.count) if sample is None else sample
        tiles = [self.tiling.tile(number) for number in numbers]
        kept = Kept(None if training is None else training.checkpoint, f"{self.prior.hash.hex()}/tiles {index}")
        return self._encode_tiles(candidate, tiles, training, kept)

    def decode(self, description: bytes, payload: bytes) -> Candidate:
        """The candidate of an untiled picture whose parts of the file are these."""
        spec = unpack_description(description)
        coding = self._root_coding(spec, decode_low(payload, self.lattice)[0])
        _, levels = decode_lattice(payload, self.lattice, coding.conditions)
        for level, planes in enumerate(levels):
            for band in self.lattice.bands:
                planes.setdefault(band, np.zeros(self.lattice.shape(level, band), np.int32))
        bands = contexts_of(coding, levels)
        plane = self.source.synthesise(coding, bands, spec)
        fit = self.source.fit(plane, spec, self.prior.restoration)
        return Candidate(
            CodedLattice(spec, coding, bands, plane, CodedPart(payload, ()), fit), [], self._job.signal.pixels
        )

    def _encode_lattice(
        self,
        source: LatticeSource,
        coding: Coding,
        spec: WaveletDescription,
        fit_so_far: MixtureFit,
        factor: float = 1.0,
        start: Optional[CodedLattice] = None,
    ) -> CodedLattice:
        """Analyse, quantize, synthesise, fit the restoration filter, encode.

        Args:
            fit_so_far: sums of the restoration fit over what is coded already.
            start: an earlier candidate, from whose contexts dependent quantization starts.
        """
        known = None if start is None else start.bands.at_step(spec.step_index - start.spec.step_index)
        coefficients, lagrangian = source.coefficients(spec.step), factor * cost_of_bit(spec)
        bands = quantize(coding, coefficients, lagrangian, source.gradient, source.weights, known)
        plane = source.synthesise(coding, bands, spec)
        fit = source.fit(plane, spec, self.prior.restoration)
        spec = replace(spec, mixture=(fit_so_far + fit).mixture())
        return CodedLattice(spec, coding, bands, plane, coding.encode(bands), fit)

    def _encode_tiles(
        self, candidate: Candidate, chosen: Sequence[Tile], training: Optional[Training], kept: Kept
    ) -> Candidate:
        """The candidate with these tiles. Those that a checkpoint has kept are not coded again."""
        began = time.monotonic()
        record = kept.load()
        tiles = [] if record is None else read_tiles(record)
        if tiles:
            candidate = self._with_tiles(candidate, tiles, chosen, began)
        side_by_side = in_threads if training is None or training.descent.concurrent else map
        while len(tiles) < len(chosen):
            done = len(tiles) - len(tiles) % TILES_PER_GROUP
            fit_so_far = sum((tile.fit for tile in tiles[:done]), self._nothing)
            encode = partial(self._encode_tile, root=candidate.root, fit_so_far=fit_so_far, training=training)
            for tile in side_by_side(encode, chosen[len(tiles) : done + TILES_PER_GROUP]):
                tiles = [*tiles, tile]
                if not self._stopped:
                    kept.save(tiles_record(tiles))
                candidate = self._with_tiles(candidate, tiles, chosen, began)
        kept.flush()
        return candidate

    def _encode_tile(
        self, tile: Tile, root: CodedLattice, fit_so_far: MixtureFit, training: Optional[Training]
    ) -> CodedTile:
        """The tile of least cost over the rounds of its training."""
        source = self._source(tile, root.plane_of_tiles)
        coding = Coding(tile.lattice, root.coding.conditions, tile.low(root.plane), tile.coarser(root.bands.levels))
        coded = best = graded = self._encode_lattice(source, coding, root.spec, fit_so_far)
        for done in range(0 if training is None else training.rounds):
            self._stopped = self._stopped or self._job.hooks.interrupted()
            if training is None or self._stopped:
                break
            graded = graded if done % ROUNDS_PER_GRADIENT else coded
            training.set_target(source, coded, graded)
            coded = self._encode_lattice(source, coding, coded.spec, fit_so_far, start=coded)
            best = min(best, coded, key=lambda known: known.cost)
        return CodedTile(best.part, best.fit)

    def _with_tiles(
        self, candidate: Candidate, tiles: List[CodedTile], chosen: Sequence[Tile], began: float
    ) -> Candidate:
        """The root with the tiles coded so far, which is told to the hooks."""
        done, hooks = len(tiles), self._job.hooks
        candidate = candidate.with_tiles(tiles, sum(tile.pixels for tile in chosen[:done]))
        seen = candidate.scalars()
        hooks.report("tiles", done, len(chosen), began, seen)
        if hooks.watch is not None:
            hooks.watch(done, seen, None)
        return candidate

    def _source(self, tile: Tile, root: Optional[np.ndarray] = None) -> TileSource:
        return TileSource(tile, self._job.signal, self._analysis, root)

    def _root_coding(self, spec: WaveletDescription, low: np.ndarray) -> Coding:
        return Coding.of_root(self.lattice, Conditions(self.prior.context, spec.step_feature, spec.dependent), low)


def _finest_index(depth: int, low: np.ndarray) -> int:
    """The least step index for a picture: its coarsest low-pass plane, the largest of the integers, has to fit."""
    if depth == 8:
        return 0
    octaves = log2(float(np.abs(low).max()) / (0.9 * MAX_VALUE) + 1e-9) + 8
    return max(FINEST_INDEX, ceil(INDICES_PER_OCTAVE * octaves))
