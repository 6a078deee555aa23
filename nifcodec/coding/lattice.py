"""The wavelet lattice: its shapes, and the walk over its levels under the context model.

One walk over the levels serves the encoder, which knows the integers, and the decoder, which asks the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from nifcodec.coding.compand import HALF
from nifcodec.coding.context import ContextModel
from nifcodec.coding.neighbours import LAG, Band, LevelFeatures
from nifcodec.coding.states import States

Planes = Dict[Band, np.ndarray]  # integers in half steps
Contexts = Dict[Band, np.ndarray]  # scale indices, means and kinds of quantizer, int32 (3, rows, columns)
Synthesis = Callable[[np.ndarray, "Tuple[np.ndarray, np.ndarray, np.ndarray]"], np.ndarray]

LEVEL_FEATURE, COARSEST_FEATURE = 20, 6
MAX_VALUE = 2**20  # of an index of a quantizer


@dataclass(frozen=True)
class Pass:
    """What is coded at once: every other column of a row of each band of a level, under its contexts.

    Attributes:
        level: in the whole picture's lattice.
        row: of the skewed array; band b is at its row `row` - LAG * b.
        contexts: scale indices, means and kinds of quantizer, int32 (3, bands, columns).
        valid: which of them are coefficients of the picture.
    """

    level: int
    row: int
    odd: bool
    contexts: np.ndarray
    valid: np.ndarray


Exchange = Callable[[Pass], np.ndarray]  # a pass's contexts -> its integers, zero where not valid
Coded = Sequence[Sequence[Band]]  # of each level, the bands that are not all zero


@dataclass(frozen=True)
class Conditions:
    """The context model, the step it works under, and whether quantization is dependent."""

    model: ContextModel
    step_feature: int
    dependent: bool = False


class Lattice:
    """Shapes of a picture's lattice, or of a part of it.

    Args:
        width, height: of the native plane.
        colours: the planes, of 0 luma, 1 and 2 chroma, 3 alpha.
        synthesise: one level of the integer inverse transform, (..., H, W) low and three bands -> plane.
        levels: how many; None goes on until both sides of the low-pass plane are at most 8.
        first: what the finest level counts as in the whole picture's lattice.
    """

    def __init__(
        self,
        width: int,
        height: int,
        colours: Sequence[int],
        synthesise: Synthesis,
        levels: Optional[int] = None,
        first: int = 0,
    ) -> None:
        self.colours = list(colours)
        self.synthesise = synthesise
        self.first = first
        self.sizes = [(height, width)]
        while len(self.sizes) <= levels if levels is not None else max(self.sizes[-1]) > 8:
            self.sizes.append(((self.sizes[-1][0] + 1) // 2, (self.sizes[-1][1] + 1) // 2))
        self.levels = len(self.sizes) - 1
        self.bands = [Band(colour, orientation) for colour in self.colours for orientation in range(3)]

    def shape(self, level: int, band: Band) -> Tuple[int, int]:
        """Rows and columns of a band; level 0 is the finest."""
        height, width = self.sizes[level]
        rows = (height // 2) if band.orientation in (1, 2) else (height + 1) // 2
        columns = (width // 2) if band.orientation in (0, 2) else (width + 1) // 2
        return rows, columns

    def low_shape(self) -> Tuple[int, int, int]:
        """(colours, rows, columns) of the coarsest low-pass plane."""
        return (len(self.colours), *self.sizes[-1])

    def by_band(self, details: "Sequence[Tuple[np.ndarray, np.ndarray, np.ndarray]]") -> "List[Planes]":
        """The three bands (colours, rows, columns) of each level, as an analysis gives them, one by one."""
        places = [(band, self.colours.index(band.colour)) for band in self.bands]
        return [{band: bands[band.orientation][index] for band, index in places} for bands in details]

    def rebuild(self, low: np.ndarray, planes: Planes, level: int) -> np.ndarray:
        """The next finer low-pass plane, int64 in 1/UNIT steps; absent bands are zero.

        Args:
            low: the low-pass plane of `level`, in 1/UNIT steps.
        """
        bands = []
        for orientation in range(3):
            zero = np.zeros(self.shape(level, Band(0, orientation)), np.int64)
            bands.append(
                np.stack([planes.get(Band(c, orientation), zero) for c in self.colours]).astype(np.int64) * HALF
            )
        return self.synthesise(low, (bands[0], bands[1], bands[2]))


def walk(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: "Sequence[Planes]",
    coded: Coded,
    exchange: Exchange,
    finest: int = 0,
) -> "Tuple[np.ndarray, List[Planes]]":
    """Visit every coefficient in coding order.

    Args:
        low: the coarsest low-pass plane, int64 (colours, rows, columns) in 1/UNIT steps.
        coarser: integers of up to two levels beyond the coarsest, where the lattice is part of a larger one.
        exchange: given each pass's contexts, returns its integers.
        finest: the level to end with.

    Returns:
        The low-pass plane of the level `finest`, int64 in 1/UNIT steps, and the integers of each level.
    """
    plane = low
    known: "List[Planes]" = [*({} for _ in range(lattice.levels)), *coarser, {}, {}]
    for level in range(lattice.levels - 1, finest - 1, -1):
        if level < lattice.levels - 1:
            plane = lattice.rebuild(plane, known[level + 1], level + 1)
        bands = list(coded[level])
        if bands:
            where = {colour: plane[i] for i, colour in enumerate(lattice.colours)}
            shape = lattice.sizes[level + 1]
            features = LevelFeatures(shape, bands, where, known[level + 1], known[level + 2])
            known[level] = _walk_level(
                [lattice.shape(level, band) for band in bands], lattice.first + level, features, conditions, exchange
            )
    return plane, known[: lattice.levels]


def _walk_level(
    shapes: "Sequence[Tuple[int, int]]",
    level: int,
    features: LevelFeatures,
    conditions: Conditions,
    exchange: Exchange,
) -> Planes:
    planes = {band: np.zeros(shape, np.int32) for band, shape in zip(features.bands, shapes)}
    networks = conditions.model.level(features.bands, level, features.near_length, features.length)
    states = States(len(shapes), features.width, conditions.dependent)
    for row in range(features.rows):
        inside = [0 <= row - LAG * i < shape[0] for i, shape in enumerate(shapes)]
        for odd in (False, True):
            counts = [(shape[1] + (0 if odd else 1)) // 2 if here else 0 for shape, here in zip(shapes, inside)]
            if not any(counts):
                continue
            seen = features.gather(row, odd, conditions.step_feature, level_feature(level))
            kinds = states.kinds(seen.shape[1])
            contexts = np.stack([*networks(seen, odd), kinds])
            valid = np.arange(seen.shape[1])[None, :] < np.array(counts)[:, None]
            values = exchange(Pass(level, row, odd, contexts, valid))
            states.advance(values, kinds, valid)
            features.set_row(row, values, odd)
            for i, band in enumerate(features.bands):
                if counts[i]:
                    planes[band][row - LAG * i, (1 if odd else 0) :: 2] = values[i, : counts[i]]
    return planes


def level_feature(level: int) -> int:
    """A level as an input of the networks."""
    return min(level, COARSEST_FEATURE) * LEVEL_FEATURE
