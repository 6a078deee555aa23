"""Rate-distortion optimised quantization, on the walk over the lattice: contexts come from integers already chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.binarization import Binarization, binarization_of
from nifcodec.fields.wavelet.coding.bitstream import CodedPart, encode_bands, encode_lattice, used_bands
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.dependent_quantization import SCALAR, to_values
from nifcodec.fields.wavelet.coding.neighbours import WAVEFRONT_LAG, compand
from nifcodec.fields.wavelet.coding.wavefront import Coded, Conditions, Contexts, Pass, wavefront_scan
from nifcodec.fields.wavelet.lattice import HALF, MAX_VALUE, UNIT, Lattice, Planes, Subband
from nifcodec.fields.wavelet.search.rate_gradient import RateGradient

Prices = Sequence[Mapping[Subband, np.ndarray]]

# Of the linear estimate of what an integer does to the bits of others: the whole of it overshoots, since neighbours
# change together (docs/wavelet-field.md).
TRUSTED = 0.5


@dataclass(frozen=True)
class QuantizedBands:
    """A lattice's integers but for its coarsest low-pass plane.

    Attributes:
        levels: integers of the bands of each level, in half steps, finest first.
        contexts: under which they are coded.
        low: the low-pass plane of the finest level, int64 (colours, rows, columns) in 1/UNIT steps.
    """

    levels: List[Planes]
    contexts: List[Contexts]
    low: np.ndarray

    def pack(self, lattice: Lattice, conditions: Conditions) -> CodedPart:
        """What a file holds of them."""
        return encode_bands(lattice, conditions.model, self.levels, self.contexts)


@dataclass(frozen=True)
class Quantized:
    """A picture's integers, and what a decoder will make of them.

    Attributes:
        low: integers of the coarsest low-pass plane, (colours, rows, columns).
        levels, contexts: as in `QuantizedBands`.
        plane: the native plane, int64 (colours, H, W) in 1/UNIT steps.
    """

    low: np.ndarray
    levels: List[Planes]
    contexts: List[Contexts]
    plane: np.ndarray

    @staticmethod
    def of(lattice: Lattice, low: np.ndarray, bands: QuantizedBands) -> "Quantized":
        """From integers of the coarsest low-pass plane and those of the bands."""
        plane = lattice.rebuild(bands.low, bands.levels[0], 0) if lattice.levels else bands.low
        return Quantized(low, bands.levels, bands.contexts, plane)

    def pack(self, lattice: Lattice, conditions: Conditions) -> CodedPart:
        """The lattice payload."""
        return encode_lattice(lattice, conditions.model, self.low, self.levels, self.contexts)


def quantize(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    details: Sequence[Mapping[Subband, np.ndarray]],
    weight: float,
    others: Optional[RateGradient] = None,
) -> Quantized:
    """A whole lattice: the low-pass plane is rounded, the bands as in `quantize_bands`.

    Args:
        low, details: coefficients in steps; `details` of each level, finest first.
        weight: of a bit, in squared steps.
    """
    rounded = rounded_low(low)
    bands = quantize_bands(lattice, conditions, rounded * UNIT, (), details, weight, others)
    return Quantized.of(lattice, rounded, bands)


def rounded_low(low: np.ndarray) -> np.ndarray:
    """Coefficients of the coarsest low-pass plane in steps -> integers."""
    return np.clip(np.rint(low), -MAX_VALUE, MAX_VALUE).astype(np.int64)


def quantize_bands(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: Sequence[Planes],
    details: Sequence[Mapping[Subband, np.ndarray]],
    weight: float,
    others: Optional[RateGradient] = None,
    prices: Optional[Prices] = None,
) -> QuantizedBands:
    """Integers of least squared error + weight * bits, each by itself under the context of those before it.

    A coefficient is rounded, or lowered by one where that is cheaper.

    Args:
        low, coarser: integers known before, as `wavefront_scan` takes them.
        details: coefficients in steps of each level, finest first.
        weight: of a bit, in squared steps.
        others: what integers do to the bits of those that see them, estimated at an earlier attempt.
        prices: of each coefficient's bits, in units of `weight`; None is 1 for all.
    """
    contexts = _blank(details)
    # The bands in which plain rounding leaves nothing stay out of the walk, and their contexts are never asked for.
    coded = [[band for band in lattice.bands if np.abs(bands[band]).max(initial=0) > 0.5] for bands in details]

    def code_pass(part: Pass) -> np.ndarray:
        wanted, weights = np.zeros(part.valid.shape), np.full(part.valid.shape, weight)
        effects = np.zeros((0 if others is None else 2, *part.valid.shape), np.float32)
        for i, count, level, band, where in _places(lattice, part, coded):
            wanted[i, :count] = details[level][band][where]
            contexts[level][band][:, where[0], where[1]] = part.contexts[:, i, :count]
            if prices is not None:
                weights[i, :count] *= prices[level][band][where]
            if others is not None:
                effects[:, i, :count] = others[level][band][:, where[0], where[1]]
        rounded = np.clip(np.rint(wanted), -MAX_VALUE, MAX_VALUE).astype(np.int32)
        which = np.nonzero(rounded)
        chosen, here = rounded.copy(), rounded[which]
        contexts_here, effects_here = (values[:, which[0], which[1]] for values in (part.contexts, effects))
        choice = Choice(wanted[which], binarization_of(*contexts_here), SCALAR, effects_here, weights[which])
        lowered = here - np.sign(here)
        costs = (choice.cost(indices, conditions.model) for indices in (lowered, here))
        chosen[which] = np.where(next(costs) < next(costs), lowered, here)
        return to_values(chosen, np.array(SCALAR))

    plane, walked = wavefront_scan(lattice, conditions, low, coarser, coded, code_pass)
    return QuantizedBands(_filled(walked, details), contexts, plane)


def contexts_of(
    lattice: Lattice, conditions: Conditions, low: np.ndarray, coarser: Sequence[Planes], levels: Sequence[Planes]
) -> QuantizedBands:
    """Integers that are chosen already, with the contexts that they have.

    Args:
        low, coarser: as `wavefront_scan` takes them.
        levels: integers of each level, finest first.
    """
    contexts = _blank(levels)
    coded = used_bands(lattice, levels)

    def code_pass(part: Pass) -> np.ndarray:
        values = np.zeros(part.valid.shape, np.int32)
        for i, count, level, band, where in _places(lattice, part, coded):
            values[i, :count] = levels[level][band][where]
            contexts[level][band][:, where[0], where[1]] = part.contexts[:, i, :count]
        return values

    plane, walked = wavefront_scan(lattice, conditions, low, coarser, coded, code_pass)
    return QuantizedBands(_filled(walked, levels), contexts, plane)


@dataclass(frozen=True)
class Choice:
    """Coefficients of which each is to become an index of one kind of quantizer.

    Attributes:
        wanted: in steps.
        where: their contexts.
        kind: of quantizer.
        effects: bits of others per unit of an integer's companded value and of its magnitude, (2, ...), or (0, ...).
        weights: of their bits, in squared steps.
    """

    wanted: np.ndarray
    where: Binarization
    kind: int
    effects: np.ndarray
    weights: np.ndarray

    def cost(self, indices: np.ndarray, model: ContextModel) -> np.ndarray:
        """Squared error + weight * bits of each."""
        values = to_values(indices, np.array(self.kind))
        bits = model.code_length(indices, self.where)
        if len(self.effects):
            seen = compand(values * HALF).astype(np.float32)
            bits += TRUSTED * (self.effects[0] * seen + self.effects[1] * np.abs(seen))
        result: np.ndarray = (self.wanted - values / 2) ** 2 + self.weights * bits
        return result

    def at(self, chosen: Tuple[np.ndarray, ...]) -> "Choice":
        """Some of them, by their rows and columns."""
        effects = self.effects[:, chosen[0], chosen[1]]
        return Choice(self.wanted[chosen], self.where.at(chosen), self.kind, effects, self.weights[chosen])


Place = Tuple[int, int, int, Subband, Tuple[int, slice]]


def _places(lattice: Lattice, part: Pass, coded: Coded) -> Iterator[Place]:
    """Of each band in a pass: its number, count of coefficients, level, the band, and where they lie in it."""
    level, columns = part.level - lattice.first, slice(1 if part.odd else 0, None, 2)
    for i, (band, count) in enumerate(zip(coded[level], part.valid.sum(axis=1).tolist())):
        if count:
            yield i, count, level, band, (part.row - WAVEFRONT_LAG * i, columns)


def _blank(planes: Sequence[Mapping[Subband, np.ndarray]]) -> List[Contexts]:
    return [{band: np.zeros((3, *values.shape), np.int32) for band, values in bands.items()} for bands in planes]


def _filled(walked: Sequence[Planes], shapes: Sequence[Mapping[Subband, np.ndarray]]) -> List[Planes]:
    """With zeros for the bands that are not coded."""
    return [
        {band: planes.get(band, np.zeros(values.shape, np.int32)) for band, values in bands.items()}
        for planes, bands in zip(walked, shapes)
    ]
