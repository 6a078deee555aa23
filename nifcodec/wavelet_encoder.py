"""A picture as a wavelet field, in closed form: coefficients, their quantization and the step that meets the target."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import log2
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from nifcodec import priors
from nifcodec.coding.compand import UNIT
from nifcodec.coding.lattice import Conditions, Lattice
from nifcodec.coding.neighbours import Band
from nifcodec.coding.rdoq import quantize
from nifcodec.fields import wavelet
from nifcodec.fields.lifting import analyse_levels, synthesise_plane
from nifcodec.fields.wavelet import STEP_INDICES, WaveletSpec
from nifcodec.task import Task, Trained

# Step = LAGRANGIAN sqrt(lambda), the ratio that gave the least J on held-out pictures (docs/wavelet-field.md).
LAGRANGIAN = 5.0
# The step index at quality 0, and how far it falls to quality 100: steps from 1.6 to 1/90.
COARSEST_INDEX, INDEX_RANGE = 556, 460


START_INDEX = 300
# Where sizes leap between two steps, a price of a bit above the usual one leads from the one to the other.
HIGHEST_PRICE, PRICES = 2.0, 8
INDICES_PER_OCTAVE = 80  # by which the step grows while a photograph's size halves
DECIBELS = 4.5  # that a photograph gains while its size doubles
BITS_TOLERANCE, DECIBEL_TOLERANCE = 0.02, 0.02  # in octaves: 1.4 % of a size, 0.09 dB
WRONG_SIDE = 1e3  # in octaves: any field on the right side of the target is nearer


class ClosedForm:
    """The coefficients of a picture, to be quantized at any step."""

    def __init__(self, task: Task) -> None:
        self._prior = priors.named()
        channels = task.values.shape[2]
        self.lattice = Lattice(task.image.width, task.image.height, wavelet.colours(channels), synthesise_plane)
        self._planes = wavelet.to_planes(task.values)

    def trained(self, index: int, price: float = 1.0) -> Trained:
        """The field at a step: its integers as bytes, and the synthesis network as strong as suits the picture.

        Args:
            price: of a bit, in units of what is best for the step.
        """
        spec = WaveletSpec(index, self._prior.hash)
        conditions = Conditions(self._prior.context, spec.step_feature)
        low, details = self._coefficients
        # A bit in squared steps, summed over three channels.
        weight = price * 3 / LAGRANGIAN**2
        scaled = [{band: values / spec.step for band, values in bands.items()} for bands in details]
        quantized = quantize(self.lattice, conditions, low / spec.step, scaled, weight)
        planes = quantized.plane.astype(np.float32) / np.float32(UNIT)
        change = wavelet.correction(planes, spec, self._prior.synthesis)
        strengths = wavelet.best_strengths(self._planes / spec.step, planes, change)
        payload = quantized.pack(self.lattice, conditions)
        return Trained(wavelet.FAMILY_ID, replace(spec, strengths=strengths).pack(), payload, 0)

    @cached_property
    def _coefficients(self) -> "Tuple[np.ndarray, List[Dict[Band, np.ndarray]]]":
        low, details = analyse_levels(self._planes, self.lattice.levels)
        places = [(band, self.lattice.colours.index(band.colour)) for band in self.lattice.bands]
        return low, [{band: bands[band.orientation][i] for band, i in places} for bands in details]


def train_wavelet(task: Task) -> Trained:
    """The field in closed form, at the step that meets the target."""
    form = ClosedForm(task)
    target = task.target_bytes()
    if target is not None:
        return _search(form, lambda trained: log2(len(task.pack(trained)) / target), BITS_TOLERANCE, True)
    if task.config.psnr is not None:
        wanted = task.config.psnr
        return _search(
            form, lambda trained: (task.psnr(task.pack(trained)) - wanted) / DECIBELS, DECIBEL_TOLERANCE, False
        )
    return form.trained(round(COARSEST_INDEX - INDEX_RANGE * task.quality() / 100))


def _search(form: ClosedForm, excess: Callable[[Trained], float], tolerance: float, largest: bool) -> Trained:
    """The field nearest to a target: interpolation inside a bracket of steps, then of the price of a bit.

    Args:
        excess: how far above the target a field is, in octaves of its size; falls as the step grows.
        tolerance: what is near enough.
        largest: the target is the most that is allowed, and not the least.
    """
    best: Optional[Trained] = None
    best_miss = float("inf")

    def missed(index: int, price: float = 1.0) -> float:
        nonlocal best, best_miss
        trained = form.trained(index, price)
        miss = excess(trained)
        wrong = miss > 0 if largest else miss < 0
        if best is None or abs(miss) + wrong * WRONG_SIDE < best_miss:
            best, best_miss = trained, abs(miss) + wrong * WRONG_SIDE
        return miss

    finest, coarsest, index = -1, STEP_INDICES, START_INDEX
    while coarsest - finest > 1 and best_miss > tolerance:
        miss = missed(index)
        if miss > 0:
            finest = index
        else:
            coarsest = index
        # Half the tolerance is aimed at, so that the next try does not fall on the wrong side of the target.
        aim = miss + (tolerance if largest else -tolerance) / 2
        index = min(max(index + round(aim * INDICES_PER_OCTAVE), finest + 1), coarsest - 1)
    usual, highest = 1.0, HIGHEST_PRICE
    for _ in range(PRICES):
        if best_miss > tolerance and 0 <= finest < coarsest < STEP_INDICES:
            price = (usual * highest) ** 0.5
            if missed(finest, price) > 0:
                usual = price
            else:
                highest = price
    assert best is not None
    return best
