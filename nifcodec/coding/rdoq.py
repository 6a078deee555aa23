"""Rate-distortion optimised quantization, on the walk over the lattice: contexts come from integers already chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Mapping, Optional, Sequence

import numpy as np

from nifcodec.coding.compand import UNIT
from nifcodec.coding.influence import Influence
from nifcodec.coding.lattice import MAX_VALUE, Conditions, Contexts, Lattice, Pass, Planes, walk
from nifcodec.coding.neighbours import LAG, Band, compand
from nifcodec.coding.payload import encode_bands, encode_lattice

# Of the linear estimate of what an integer does to the bits of others: the whole of it overshoots, since neighbours
# change together (docs/wavelet-field.md).
TRUSTED = 0.5


@dataclass(frozen=True)
class QuantizedBands:
    """A lattice's integers but for its coarsest low-pass plane.

    Attributes:
        levels: integers of the bands of each level, finest first.
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
    rounded = np.clip(np.rint(low), -MAX_VALUE, MAX_VALUE).astype(np.int64)
    bands = quantize_bands(lattice, conditions, rounded * UNIT, (), details, weight, others)
    plane = lattice.rebuild(bands.low, bands.levels[0], 0) if lattice.levels else bands.low
    return Quantized(rounded, bands.levels, bands.contexts, plane)


def quantize_bands(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: Sequence[Planes],
    details: Sequence[Mapping[Band, np.ndarray]],
    weight: float,
    others: Optional[Influence] = None,
) -> QuantizedBands:
    """Integers of least squared error + weight * bits, each by itself under the context of those before it.

    A coefficient is rounded, or lowered by one where that is cheaper.

    Args:
        low, coarser: integers known before, as `walk` takes them.
        details: coefficients in steps of each level, finest first.
        weight: of a bit, in squared steps.
        others: what integers do to the bits of those that see them, estimated at an earlier attempt.
    """
    contexts: List[Contexts] = [
        {band: (np.zeros(v.shape, np.int32), np.zeros(v.shape, np.int32)) for band, v in bands.items()}
        for bands in details
    ]
    # The bands in which plain rounding leaves nothing stay out of the walk, and their contexts are never asked for.
    coded = [[band for band in lattice.bands if np.abs(bands[band]).max(initial=0) > 0.5] for bands in details]

    def exchange(part: Pass) -> np.ndarray:
        level = part.level - lattice.first
        columns = slice(1 if part.odd else 0, None, 2)
        wanted = np.zeros(part.valid.shape)
        effects = np.zeros((0 if others is None else 2, *part.valid.shape), np.float32)
        counts = part.valid.sum(axis=1).tolist()
        rows = [part.row - LAG * i for i in range(len(counts))]
        for i, (band, row) in enumerate(zip(coded[level], rows)):
            if counts[i]:
                wanted[i, : counts[i]] = details[level][band][row, columns]
                if others is not None:
                    effects[:, i, : counts[i]] = others[level][band][:, row, columns]
        rounded = np.clip(np.rint(wanted), -MAX_VALUE, MAX_VALUE).astype(np.int32)
        which = np.nonzero(rounded)
        here, scales, means = rounded[which], part.scales[which], part.means[which]
        effects = effects[:, which[0], which[1]]

        def cost(values: np.ndarray) -> np.ndarray:
            bits = conditions.model.code_length(values, scales, means)
            if others is not None:
                seen = compand(values * UNIT).astype(np.float32)
                bits += TRUSTED * (effects[0] * seen + effects[1] * np.abs(seen))
            result: np.ndarray = (wanted[which] - values) ** 2 + weight * bits
            return result

        chosen = rounded.copy()
        lowered = here - np.sign(here)
        chosen[which] = np.where(cost(lowered) < cost(here), lowered, here)
        for i, (band, row) in enumerate(zip(coded[level], rows)):
            if counts[i]:
                contexts[level][band][0][row, columns] = part.scales[i, : counts[i]]
                contexts[level][band][1][row, columns] = part.means[i, : counts[i]]
        return chosen

    plane, walked = walk(lattice, conditions, low, coarser, coded, exchange)
    levels: List[Planes] = [
        {band: planes.get(band, np.zeros(values.shape, np.int32)) for band, values in bands.items()}
        for planes, bands in zip(walked, details)
    ]
    return QuantizedBands(levels, contexts, plane)
