"""What coding at one step gives: a lattice's integers with all that follows from them, and a picture of lattices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Dict, List, Optional

import numpy as np

from nifcodec.fields.job import CodedField
from nifcodec.fields.parts import CodedPart, pack_index, pack_parts
from nifcodec.fields.wavelet.description import FAMILY_ID, WaveletDescription
from nifcodec.fields.wavelet.lattice import FINE_BITS
from nifcodec.fields.wavelet.planes import in_steps
from nifcodec.fields.wavelet.restoration_fit import MixtureFit
from nifcodec.fields.wavelet.search.coding import Coding, QuantizedBands
from nifcodec.fields.wavelet.search.quantize import DEPENDENT_INDICES, cost
from nifcodec.fields.wavelet.search.rate_gradient import RateGradient, rate_gradient
from nifcodec.picture.metrics import estimated_psnr


@dataclass(frozen=True)
class CodedLattice:
    """A root or a tile at one step.

    Attributes:
        spec: with the weights of the corrections that suit the picture as far as it is coded.
        plane: as rebuilt from the integers, with the margin of a tile, (C, H, W) in 1/UNIT steps: float64 where
            rendering is fine, but for a root with tiles, else int64.
        fit: sums of the restoration fit; of a root with tiles, those of the tiles.
    """

    spec: WaveletDescription
    coding: Coding
    bands: QuantizedBands
    plane: np.ndarray
    part: CodedPart
    fit: MixtureFit

    @property
    def planes(self) -> np.ndarray:
        """The rebuilt planes in steps, float32."""
        return in_steps(self.plane)

    @cached_property
    def plane_of_tiles(self) -> np.ndarray:
        """Of a root with tiles, what they are synthesised from: int64, with FINE_BITS more where rendering is fine."""
        if not self.spec.fine:
            return self.plane
        coding = self.coding
        return coding.lattice.rebuild_finely(coding.low << FINE_BITS, self.bands.levels, 0, coding.conditions.synthesis)

    @property
    def error(self) -> float:
        """Squared error of the corrected planes, summed, in squared steps."""
        return self.fit.error(self.spec.mixture)

    @property
    def cost(self) -> float:
        """What training lowers: squared error + lagrangian * bits, on colours of 0..1."""
        return cost(self.spec, self.error, len(self.part.data))

    @cached_property
    def rate_gradient(self) -> RateGradient:
        """What each integer does to the bits of those that see it."""
        return rate_gradient(self.coding, self.bands.levels)


@dataclass(frozen=True)
class CodedTile:
    """What stays of a tile: its part of the payload, and the sums of its restoration fit."""

    part: CodedPart
    fit: MixtureFit


@dataclass(frozen=True)
class Candidate:
    """A picture at one step: its root and its tiles, or some of them. An untiled picture is a root and no tiles.

    Attributes:
        pixels: of the tiles, or of the untiled picture.
    """

    root: CodedLattice
    tiles: List[CodedTile]
    pixels: int

    @property
    def size(self) -> int:
        """Bytes that code these pixels."""
        return sum(len(part.data) for part in self._parts() or [self.root.part])

    @property
    def scalar_index(self) -> int:
        """The step index that scalar quantization has at the same lambda."""
        return self.root.spec.step_index - DEPENDENT_INDICES * self.root.spec.dependent

    def coded(self, steps: int = 0, placement: Optional[str] = None) -> CodedField:
        """The parts of the file, after so many rounds of training."""
        description = self.root.spec.pack()
        if not self.tiles:
            return CodedField(FAMILY_ID, description, self.root.part.data, steps, placement)
        parts = [self.root.part, *self._parts()]
        return CodedField(FAMILY_ID, description, pack_parts(parts), steps, placement, pack_index(parts))

    def scalars(self) -> Dict[str, float]:
        """What is shown of it, by name: errors on colours of 0..1, the rate in bits."""
        # Opponent colours are orthonormal: the mean over planes is that over RGB.
        error, samples = self.root.error, 3 * self.pixels
        distortion, bits = self.root.spec.step**2 / samples * error, 8.0 * self.size
        return {
            "loss": cost(self.root.spec, error, self.size) / samples,
            "distortion": distortion,
            "rate": bits,
            "psnr": estimated_psnr(distortion),
            "bits_per_pixel": bits / self.pixels,
        }

    def with_tiles(self, tiles: List[CodedTile], pixels: int) -> "Candidate":
        """The same root with other tiles, of so many pixels, whose fit gives the weights of the corrections."""
        fit = sum((tile.fit for tile in tiles[1:]), tiles[0].fit)
        spec = replace(self.root.spec, mixture=fit.mixture())
        return Candidate(replace(self.root, spec=spec, fit=fit), tiles, pixels)

    def _parts(self) -> List[CodedPart]:
        return [tile.part for tile in self.tiles]
