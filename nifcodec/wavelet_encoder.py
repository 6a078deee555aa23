"""A picture as a wavelet field: the step that meets the target, in closed form and after training the coefficients."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from math import ceil, log2, log10
from typing import TYPE_CHECKING, Callable, Optional, Tuple

import numpy as np

from nifcodec import priors
from nifcodec.coding.compand import UNIT
from nifcodec.coding.lattice import MAX_VALUE, Conditions, Lattice
from nifcodec.coding.rdoq import quantize
from nifcodec.errors import MissingDependencyError
from nifcodec.fields import wavelet
from nifcodec.fields.lifting import analyse_levels, synthesise_plane
from nifcodec.fields.wavelet import FINEST_INDEX, STEP_INDICES, WaveletSpec
from nifcodec.task import Task, Trained

if TYPE_CHECKING:
    from nifcodec.training.picture import Descent

# Step = LAGRANGIAN sqrt(lambda), the ratio that gave the least J on held-out pictures (docs/wavelet-field.md).
LAGRANGIAN = 5.0
# What a bit is worth in squared steps, where it leads to the least J: a little less than the lambda of the step, since
# a coefficient that is kept also serves the contexts of others.
BIT = 0.8 * 3 / LAGRANGIAN**2
# The step index at quality 0, and how far it falls to quality 100: steps from 1.6 to 1/90.
COARSEST_INDEX, INDEX_RANGE = 556, 460
# From this quality on, pictures of more than 8 bits fall on faster, to FINEST_INDEX at quality 100.
DEEP_QUALITY = 80.0
ROUNDS = (0, 1, 2, 3, 6, 10, 15, 25, 40)  # of training, efforts 1 to 9
START_INDEX = 300
# Where sizes leap between two steps, a price of a bit above the usual one leads from the one to the other.
HIGHEST_PRICE, PRICES = 2.0, 8
INDICES_PER_OCTAVE = 80  # by which the step grows while a photograph's size halves
DECIBELS = 4.5  # that a photograph gains while its size doubles
BITS_TOLERANCE, DECIBEL_TOLERANCE = 0.02, 0.02  # in octaves: 1.4 % of a size, 0.09 dB
WRONG_SIDE = 1e3  # in octaves: any field on the right side of the target is nearer


@dataclass(frozen=True)
class Attempt:
    """A field at one step.

    Attributes:
        wanted: planes that were quantized, on colours of 0..1, float64 (C, H, W).
        planes: as rebuilt from the integers, in steps, float32 (C, H, W).
        error: of the corrected planes, summed, in squared steps.
        cost: the error and the bits at their usual price.
    """

    spec: WaveletSpec
    payload: bytes
    wanted: np.ndarray
    planes: np.ndarray
    error: float
    cost: float

    def trained(self, steps: int = 0) -> Trained:
        """The parts of the file."""
        return Trained(wavelet.FAMILY_ID, self.spec.pack(), self.payload, steps)


class Form:
    """A picture to be quantized at any step.

    The planes whose coefficients are quantized are the picture's own, until training finds others from which the
    synthesis network leads nearer to the picture.
    """

    def __init__(self, task: Task) -> None:
        self.prior = priors.named()
        channels = task.values.shape[2]
        self.lattice = Lattice(task.image.width, task.image.height, wavelet.colours(channels), synthesise_plane)
        self.target = wavelet.to_planes(task.values)
        self.aim(self.target)
        self.finest = 0 if task.image.depth == 8 else max(FINEST_INDEX, self._least_index())

    def aim(self, wanted: np.ndarray) -> None:
        """Take other planes, on colours of 0..1, to quantize from now on."""
        self._wanted = wanted
        self._low, details = analyse_levels(wanted, self.lattice.levels)
        places = [(band, self.lattice.colours.index(band.colour)) for band in self.lattice.bands]
        self._details = [{band: bands[band.orientation][i] for band, i in places} for bands in details]

    def _least_index(self) -> int:
        """Where the coarsest low-pass plane, the largest of the integers, comes near to what the format holds."""
        return ceil(64 * (log2(float(np.abs(self._low).max()) / (0.9 * MAX_VALUE) + 1e-9) + 8))

    def attempt(self, index: int, price: float = 1.0) -> Attempt:
        """Integers at a step, as bytes, and the synthesis network as strong as suits the picture.

        Args:
            price: of a bit, in units of what is best for the step.
        """
        spec = WaveletSpec(index, self.prior.hash)
        conditions = Conditions(self.prior.context, spec.step_feature)
        scaled = [{band: values / spec.step for band, values in bands.items()} for bands in self._details]
        quantized = quantize(self.lattice, conditions, self._low / spec.step, scaled, price * BIT)
        planes = quantized.plane.astype(np.float32) / np.float32(UNIT)
        change = wavelet.correction(planes, spec, self.prior.synthesis)
        target = self.target / spec.step
        spec = replace(spec, strengths=wavelet.best_strengths(target, planes, change))
        payload = quantized.pack(self.lattice, conditions)
        error = float(((target - wavelet.corrected(planes, change, spec)) ** 2).sum())
        return Attempt(spec, payload, self._wanted, planes, error, error + BIT * 8 * len(payload))


def train_wavelet(task: Task) -> Trained:
    """The field at the step that meets the target: in closed form, then trained as far as the effort goes.

    Without TensorFlow there is no training; a warning says so.
    """
    rounds = ROUNDS[task.config.effort - 1] if task.config.steps is None else task.config.steps
    form = Form(task)
    descent = _descent(form) if rounds else None
    best = _at_target(form, task)
    if descent is None:
        return best.trained()
    best, done = _train(form, task, descent, best, rounds)
    if task.target_bytes() is not None or task.config.psnr is not None:
        form.aim(best.wanted)
        best = _at_target(form, task)
    return best.trained(done)


def _descent(form: Form) -> "Optional[Descent]":
    try:
        from nifcodec.training.picture import Descent
    except MissingDependencyError as error:
        warnings.warn(f"not trained, as with -e 1: {error}", stacklevel=5)
        return None
    return Descent(form.prior.synthesis, form.target)


def _at_target(form: Form, task: Task) -> Attempt:
    target, wanted = task.target_bytes(), task.config.psnr
    if target is not None:
        return _search(form, lambda attempt: log2(len(task.pack(attempt.trained())) / target), BITS_TOLERANCE, True)
    if wanted is not None:

        def excess(attempt: Attempt) -> float:
            return (task.psnr(task.pack(attempt.trained())) - wanted) / DECIBELS

        return _search(form, excess, DECIBEL_TOLERANCE, False)
    return form.attempt(max(form.finest, quality_index(task.quality(), task.image.depth)))


def quality_index(quality: float, depth: int = 8) -> int:
    """Quality 0 to 100 -> step index, for a picture of `depth` bits a channel."""
    index = COARSEST_INDEX - INDEX_RANGE * quality / 100
    if depth > 8 and quality > DEEP_QUALITY:
        start = COARSEST_INDEX - INDEX_RANGE * DEEP_QUALITY / 100
        index = start + (FINEST_INDEX - start) * (quality - DEEP_QUALITY) / (100 - DEEP_QUALITY)
    return round(index)


def _train(form: Form, task: Task, descent: "Descent", best: Attempt, rounds: int) -> Tuple[Attempt, int]:
    """The attempt of least cost at the step of the first one, and the rounds done."""
    from nifcodec.training.fit import Progress

    began, attempt, done = time.monotonic(), best, 0
    while True:
        if task.progress is not None:
            # Opponent colours are orthonormal: the mean over planes is that over RGB.
            error = attempt.error * attempt.spec.step**2 / (3 * task.pixels)
            psnr, bpp = -10 * log10(max(error, 1e-12)), 8 * len(attempt.payload) / task.pixels
            task.progress(Progress("train", done, rounds, time.monotonic() - began, psnr, bpp))
        if done == rounds or (task.interrupt is not None and task.interrupt()):
            return best, done
        form.aim(descent(attempt.planes, attempt.spec))
        attempt, done = form.attempt(best.spec.step_index), done + 1
        if attempt.cost < best.cost:
            best = attempt


def _search(form: Form, excess: Callable[[Attempt], float], tolerance: float, largest: bool) -> Attempt:
    """The field nearest to a target: interpolation inside a bracket of steps, then of the price of a bit.

    Args:
        excess: how far above the target a field is, in octaves of its size; falls as the step grows.
        tolerance: what is near enough.
        largest: the target is the most that is allowed, and not the least.
    """
    best: Optional[Attempt] = None
    best_miss = float("inf")

    def missed(index: int, price: float = 1.0) -> float:
        nonlocal best, best_miss
        attempt = form.attempt(index, price)
        miss = excess(attempt)
        wrong = miss > 0 if largest else miss < 0
        if best is None or abs(miss) + wrong * WRONG_SIDE < best_miss:
            best, best_miss = attempt, abs(miss) + wrong * WRONG_SIDE
        return miss

    finest, coarsest, index = form.finest - 1, STEP_INDICES, START_INDEX
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
        if best_miss > tolerance and form.finest <= finest < coarsest < STEP_INDICES:
            price = (usual * highest) ** 0.5
            if missed(finest, price) > 0:
                usual = price
            else:
                highest = price
    assert best is not None
    return best
