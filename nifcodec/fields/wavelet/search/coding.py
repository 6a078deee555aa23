"""What the bands of a lattice are coded under, and the integers that a search chose for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from nifcodec.fields.coded_part import CodedPart
from nifcodec.fields.wavelet.coding.bitstream import encode_bands, encode_lattice, used_bands
from nifcodec.fields.wavelet.coding.context_model import MEAN_MAX, SCALE_MAX
from nifcodec.fields.wavelet.coding.neighbours import WAVEFRONT_LAG
from nifcodec.fields.wavelet.coding.wavefront import Coded, CodePass, Conditions, Contexts, Pass, wavefront_scan
from nifcodec.fields.wavelet.description import INDICES_PER_OCTAVE
from nifcodec.fields.wavelet.lattice import MAX_VALUE, UNIT, BandArrays, BandValues, Lattice, Subband

SCALES_PER_OCTAVE = 4  # scale indices of a context

# A band in a pass: its number, count of coefficients, level, the band, and where they lie in it.
Place = Tuple[int, int, int, Subband, Tuple[int, slice]]


@dataclass(frozen=True)
class Coding:
    """All that is known before the bands of a lattice are quantized and coded.

    Attributes:
        lattice: shapes of the bands.
        conditions: the context model at the step, and whether quantization is dependent.
        low: the coarsest low-pass plane, int64 (planes, rows, columns) in 1/UNIT steps.
        coarser: integers in half steps of up to two levels beyond the coarsest, of a tile; empty for a root.
        is_root: the payload holds the low-pass plane too.
    """

    lattice: Lattice
    conditions: Conditions
    low: np.ndarray
    coarser: Sequence[BandValues] = ()
    is_root: bool = False

    @staticmethod
    def of_root(lattice: Lattice, conditions: Conditions, low: np.ndarray) -> "Coding":
        """Of a lattice that stands by itself; its low-pass plane is given in steps, and rounded here."""
        rounded = np.clip(np.rint(low), -MAX_VALUE, MAX_VALUE).astype(np.int64)
        return Coding(lattice, conditions, rounded * UNIT, is_root=True)

    def quantized_by(self, dependent: bool) -> "Coding":
        """The same with dependent or with scalar quantization."""
        return replace(self, conditions=replace(self.conditions, dependent=dependent))

    def scan(self, coded: Coded, code_pass: CodePass) -> Tuple[np.ndarray, List[BandValues]]:
        """The wavefront scan of all levels: the finest low-pass plane, and the integers of each level."""
        return wavefront_scan(self.lattice, self.conditions, self.low, self.coarser, coded, code_pass)

    def places(self, part: Pass, coded: Coded) -> Iterator[Place]:
        """Where the coefficients of a pass lie in their bands."""
        level, columns = part.level - self.lattice.first, slice(1 if part.odd else 0, None, 2)
        for i, (band, count) in enumerate(zip(coded[level], part.valid.sum(axis=1).tolist())):
            if count:
                yield i, count, level, band, (part.front - WAVEFRONT_LAG * i, columns)

    def rebuild(self, bands: "QuantizedBands") -> np.ndarray:
        """The native plane that a decoder makes of the integers, int64 (planes, H, W) in 1/UNIT steps."""
        if not self.lattice.levels:
            return bands.plane
        return self.lattice.rebuild(bands.plane, bands.levels[0], 0, self.conditions.synthesis)

    def encode(self, bands: "QuantizedBands") -> CodedPart:
        """The payload of the root or of the tile."""
        if self.is_root:
            return encode_lattice(self.lattice, self.conditions, self.low // UNIT, bands.levels, bands.contexts)
        return encode_bands(self.lattice, self.conditions, bands.levels, bands.contexts)


@dataclass(frozen=True)
class QuantizedBands:
    """The integers of a lattice's bands.

    Attributes:
        levels: integers of the bands of each level, in half steps, finest first.
        contexts: the contexts that they are coded under.
        plane: the low-pass plane of the finest level, int64 (planes, rows, columns) in 1/UNIT steps.
    """

    levels: List[BandValues]
    contexts: List[Contexts]
    plane: np.ndarray

    def at_step(self, indices: int) -> "QuantizedBands":
        """The integers with the contexts that they would have at a step so many indices coarser."""
        octaves = indices / INDICES_PER_OCTAVE

        def rescaled(context: np.ndarray) -> np.ndarray:
            scales = np.rint(context[0] - SCALES_PER_OCTAVE * octaves).clip(0, SCALE_MAX)
            means = np.rint(context[1] * 2.0**-octaves).clip(-MEAN_MAX, MEAN_MAX)
            return np.stack([scales, means, context[2]]).astype(np.int32)

        if indices == 0:
            return self
        contexts = [{band: rescaled(context) for band, context in bands.items()} for bands in self.contexts]
        return replace(self, contexts=contexts)


def contexts_of(coding: Coding, levels: Sequence[BandValues]) -> QuantizedBands:
    """Integers that are chosen already, with their contexts.

    Args:
        levels: integers of each level in half steps, finest first.
    """
    kernels = coding.conditions.model.kernels
    if kernels is not None:
        return QuantizedBands(*kernels.contexts_of(coding, levels))
    contexts = blank_contexts(levels)
    coded = used_bands(coding.lattice, levels)

    def code_pass(part: Pass) -> np.ndarray:
        values = np.zeros(part.valid.shape, np.int32)
        for i, count, level, band, where in coding.places(part, coded):
            values[i, :count] = levels[level][band][where]
            contexts[level][band][:, where[0], where[1]] = part.contexts[:, i, :count]
        return values

    plane, scanned = coding.scan(coded, code_pass)
    return QuantizedBands(filled(scanned, levels), contexts, plane)


def blank_contexts(shapes: BandArrays) -> List[Contexts]:
    """Contexts of zeros for bands of these shapes."""
    return [{band: np.zeros((3, *values.shape), np.int32) for band, values in bands.items()} for bands in shapes]


def filled(scanned: Sequence[BandValues], shapes: BandArrays) -> List[BandValues]:
    """The integers of a scan, with zeros for the bands that it left out."""
    return [
        {band: planes.get(band, np.zeros(values.shape, np.int32)) for band, values in bands.items()}
        for planes, bands in zip(scanned, shapes)
    ]
