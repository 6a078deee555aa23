"""The wavefront scan: every coefficient of a lattice in coding order, under the context model.

One scan serves the encoder, which knows the integers, and the decoder, which asks the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.dependent_quantization import QuantizerStates
from nifcodec.fields.wavelet.coding.neighbours import WAVEFRONT_LAG, LevelFeatures
from nifcodec.fields.wavelet.lattice import BandValues, Lattice, Subband
from nifcodec.fields.wavelet.lifting import Synthesis, synthesise_plane

Contexts = Dict[Subband, np.ndarray]  # scale indices, means and kinds of quantizer, int32 (3, rows, columns)

LEVEL_FEATURE, COARSEST_FEATURE = 20, 6


@dataclass(frozen=True)
class Pass:
    """What is coded at once: every other column of a row of each band of a level, under its contexts.

    Attributes:
        level: in the whole picture's lattice.
        front: band b is at its row `front` - WAVEFRONT_LAG * b.
        contexts: scale indices, means and kinds of quantizer, int32 (3, bands, columns).
        valid: which of them are coefficients of the picture.
    """

    level: int
    front: int
    odd: bool
    contexts: np.ndarray
    valid: np.ndarray


CodePass = Callable[[Pass], np.ndarray]  # a pass's contexts -> its integers, zero where not valid
Coded = Sequence[Sequence[Subband]]  # of each level, the bands that are not all zero


@dataclass(frozen=True)
class Conditions:
    """The context model, the step it works under, and whether quantization is dependent."""

    model: ContextModel
    step_feature: int
    dependent: bool = False

    @property
    def synthesis(self) -> Synthesis:
        """The integer synthesis of a level."""
        return synthesise_plane if self.model.kernels is None else self.model.kernels.synthesise


def wavefront_scan(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: "Sequence[BandValues]",
    coded: Coded,
    code_pass: CodePass,
    finest: int = 0,
) -> "Tuple[np.ndarray, List[BandValues]]":
    """Visit every coefficient in coding order.

    Args:
        low: the coarsest low-pass plane, int64 (planes, rows, columns) in 1/UNIT steps.
        coarser: integers of up to two levels beyond the coarsest, where the lattice is part of a larger one.
        code_pass: given each pass's contexts, returns its integers.
        finest: the level to end with.

    Returns:
        The low-pass plane of the level `finest`, int64 in 1/UNIT steps, and the integers of each level.
    """
    plane = low
    known: "List[BandValues]" = [*({} for _ in range(lattice.levels)), *coarser, {}, {}]
    for level in range(lattice.levels - 1, finest - 1, -1):
        if level < lattice.levels - 1:
            plane = lattice.rebuild(plane, known[level + 1], level + 1)
        bands = list(coded[level])
        if bands:
            where = dict(zip(lattice.plane_ids, plane))
            shape = lattice.sizes[level + 1]
            features = LevelFeatures(shape, bands, where, known[level + 1], known[level + 2])
            known[level] = _scan_level(
                [lattice.shape(level, band) for band in bands], lattice.first + level, features, conditions, code_pass
            )
    return plane, known[: lattice.levels]


def _scan_level(
    shapes: "Sequence[Tuple[int, int]]",
    level: int,
    features: LevelFeatures,
    conditions: Conditions,
    code_pass: CodePass,
) -> BandValues:
    planes = {band: np.zeros(shape, np.int32) for band, shape in zip(features.bands, shapes)}
    networks = conditions.model.level(features.bands, level, features.near_length, features.length)
    states = QuantizerStates(len(shapes), features.width, conditions.dependent)
    for front in range(features.fronts):
        inside = [0 <= front - WAVEFRONT_LAG * i < shape[0] for i, shape in enumerate(shapes)]
        for odd in (False, True):
            counts = [(shape[1] + (0 if odd else 1)) // 2 if here else 0 for shape, here in zip(shapes, inside)]
            if not any(counts):
                continue
            seen = features.gather(front, odd, conditions.step_feature, level_feature(level))
            kinds = states.kinds(seen.shape[1])
            contexts = np.stack([*networks(seen, odd), kinds])
            valid = np.arange(seen.shape[1])[None, :] < np.array(counts)[:, None]
            values = code_pass(Pass(level, front, odd, contexts, valid))
            states.advance(values, kinds, valid)
            features.set_front(front, values, odd)
            for i, band in enumerate(features.bands):
                if counts[i]:
                    planes[band][front - WAVEFRONT_LAG * i, (1 if odd else 0) :: 2] = values[i, : counts[i]]
    return planes


def level_feature(level: int) -> int:
    """A level as an input of the networks."""
    return min(level, COARSEST_FEATURE) * LEVEL_FEATURE
