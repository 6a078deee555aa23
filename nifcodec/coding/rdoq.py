"""Rate-distortion optimised quantization, on the walk over the lattice: contexts come from integers already chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nifcodec.coding.cells import Frame, frame
from nifcodec.coding.compand import HALF, UNIT
from nifcodec.coding.context import ContextModel
from nifcodec.coding.influence import Influence
from nifcodec.coding.lattice import MAX_VALUE, Coded, Conditions, Contexts, Lattice, Pass, Planes, walk
from nifcodec.coding.neighbours import LAG, Band, compand
from nifcodec.coding.payload import encode_bands, encode_lattice, used_bands
from nifcodec.coding.states import SCALAR, to_values

Prices = Sequence[Mapping[Band, np.ndarray]]

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

    def pack(self, lattice: Lattice, conditions: Conditions) -> bytes:
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

    def pack(self, lattice: Lattice, conditions: Conditions) -> bytes:
        """The lattice payload."""
        return encode_lattice(lattice, conditions.model, self.low, self.levels, self.contexts)


def quantize(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    details: Sequence[Mapping[Band, np.ndarray]],
    weight: float,
    others: Optional[Influence] = None,
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
    details: Sequence[Mapping[Band, np.ndarray]],
    weight: float,
    others: Optional[Influence] = None,
    prices: Optional[Prices] = None,
) -> QuantizedBands:
    """Integers of least squared error + weight * bits, each by itself under the context of those before it.

    A coefficient is rounded, or lowered by one where that is cheaper.

    Args:
        low, coarser: integers known before, as `walk` takes them.
        details: coefficients in steps of each level, finest first.
        weight: of a bit, in squared steps.
        others: what integers do to the bits of those that see them, estimated at an earlier attempt.
        prices: of each coefficient's bits, in units of `weight`; None is 1 for all.
    """
    contexts = _blank(details)
    # The bands in which plain rounding leaves nothing stay out of the walk, and their contexts are never asked for.
    coded = [[band for band in lattice.bands if np.abs(bands[band]).max(initial=0) > 0.5] for bands in details]

    def exchange(part: Pass) -> np.ndarray:
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
        choice = Choice(wanted[which], frame(*contexts_here), SCALAR, effects_here, weights[which])
        lowered = here - np.sign(here)
        costs = (choice.cost(indices, conditions.model) for indices in (lowered, here))
        chosen[which] = np.where(next(costs) < next(costs), lowered, here)
        return to_values(chosen, np.array(SCALAR))

    plane, walked = walk(lattice, conditions, low, coarser, coded, exchange)
    return QuantizedBands(_filled(walked, details), contexts, plane)


def settle(
    lattice: Lattice, conditions: Conditions, low: np.ndarray, coarser: Sequence[Planes], levels: Sequence[Planes]
) -> QuantizedBands:
    """Integers that are chosen already, with the contexts that they have.

    Args:
        low, coarser: as `walk` takes them.
        levels: integers of each level, finest first.
    """
    contexts = _blank(levels)
    coded = used_bands(lattice, levels)

    def exchange(part: Pass) -> np.ndarray:
        values = np.zeros(part.valid.shape, np.int32)
        for i, count, level, band, where in _places(lattice, part, coded):
            values[i, :count] = levels[level][band][where]
            contexts[level][band][:, where[0], where[1]] = part.contexts[:, i, :count]
        return values

    plane, walked = walk(lattice, conditions, low, coarser, coded, exchange)
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
    where: Frame
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


Place = Tuple[int, int, int, Band, Tuple[int, slice]]


def _places(lattice: Lattice, part: Pass, coded: Coded) -> Iterator[Place]:
    """Of each band in a pass: its number, count of coefficients, level, the band, and where they lie in it."""
    level, columns = part.level - lattice.first, slice(1 if part.odd else 0, None, 2)
    for i, (band, count) in enumerate(zip(coded[level], part.valid.sum(axis=1).tolist())):
        if count:
            yield i, count, level, band, (part.row - LAG * i, columns)


def _blank(planes: Sequence[Mapping[Band, np.ndarray]]) -> List[Contexts]:
    return [{band: np.zeros((3, *values.shape), np.int32) for band, values in bands.items()} for bands in planes]


def _filled(walked: Sequence[Planes], shapes: Sequence[Mapping[Band, np.ndarray]]) -> List[Planes]:
    """With zeros for the bands that are not coded."""
    return [
        {band: planes.get(band, np.zeros(values.shape, np.int32)) for band, values in bands.items()}
        for planes, bands in zip(walked, shapes)
    ]
