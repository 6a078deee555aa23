"""Fitting a latent pyramid to a picture: the phases of a training.

Rounding is soft at first and hardens (Kim et al. 2023, "C3", section 3.2; Ladune et al. 2024, "Cool-chic"). Each phase
begins with new optimizers: those of an earlier one remember its first, huge gradients. At the end the latents stay, and
the weights go on with hard rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, List, Optional, Protocol, Sequence, Tuple

import numpy as np

from nifcodec.fields.pyramid.networks import Layout
from nifcodec.fields.pyramid.soap import Soap
from nifcodec.fields.pyramid.step import Loss, Quantizer

GAIN = 16.0  # of the latents: they move by so many times the learning rate
RATE, FINAL_RATE, HARD_RATE = 1e-2, 1e-5, 1e-4
DECAY = 0.01  # of weights, times the learning rate
LARGEST_GRADIENT = 0.1  # norm of the mean gradient by the weights
BETA = 0.95  # of SOAP
EPSILON = 1e-8
PROBE, PROBES = 2.0**-10, 20  # how far a curvature is looked for, and along how many directions
LEAST_CURVATURE, TINY = 0.01, 1e-9  # of a tensor's mean; where nothing depends on a tensor
EVALUATED = 100  # steps between two evaluations


class Trainable(Protocol):
    """The latents of a picture, and a step of training them: `step.Pyramid`, or `training.device_pyramid`.

    Attributes:
        layout: of the weights.
        pixels: of the picture.
    """

    layout: Layout
    pixels: int

    def step(self, weights: np.ndarray, quantizer: Optional[Quantizer], price: float) -> Tuple[Loss, np.ndarray]:
        """The loss, and the gradient of pixels * (error + price * bits / pixels) by the weights, float32.

        The gradient by the latents is kept for `move`.

        Args:
            weights: float32.
            quantizer: None rounds, and gives no gradient by the latents.
        """

    def evaluate(self, weights: np.ndarray) -> Loss:
        """The loss of rounded latents and of a picture of integers."""

    def move(self, rate: float, betas: Tuple[float, float], epsilon: float, step: int) -> None:
        """One step of Adam on the latents, down the gradient of the last `step`.

        Args:
            step: number of the move since the restart, from 1.
        """

    def latents(self) -> List[np.ndarray]:
        """Of all grids, finest first, float32 (rows, columns), not rounded: copies."""

    def set_latents(self, values: Sequence[np.ndarray]) -> None:
        """The inverse of `latents`."""

    def restart(self) -> None:
        """Forgets the moments of Adam."""

    def picture(self) -> np.ndarray:
        """What the last `evaluate` made, float32 (H, W, C)."""


@dataclass(frozen=True)
class Phase:
    """Steps with one pair of optimizers.

    Attributes:
        temperatures, deviations: of the quantizer, at the start and at the end; None rounds, and the latents stay.
        betas: of the latents' Adam.
        every: steps from one update of SOAP's eigenvectors to the next.
        rates: learning rate at the start and at the end, a cosine between.
    """

    steps: int
    temperatures: Optional[Tuple[float, float]]
    deviations: Tuple[float, float]
    betas: Tuple[float, float]
    every: int
    rates: Tuple[float, float]


@dataclass(frozen=True)
class State:
    """Weights and latents, and the loss of these, rounded."""

    weights: np.ndarray
    latents: List[np.ndarray]
    loss: Loss


def phases(steps: int, price: float) -> List[Phase]:
    """Of a training of so many steps at a price of a bit."""
    start_noise = (0.747 - 0.432 * math.log10(price)) / 10
    warm, hard = min(50, steps // 10), steps // 20
    warm_up = Phase(warm, (0.35, 0.35), (start_noise, start_noise), (0.725, 0.97), 1, (RATE, RATE))
    core = Phase(steps - 2 * warm - hard, (0.35, 0.08), (0.22, 0.15), (0.9, 0.999), 10, (RATE, FINAL_RATE))
    last = Phase(hard, None, (0.0, 0.0), (0.9, 0.999), 10, (HARD_RATE, FINAL_RATE))
    return [warm_up, warm_up, core, last]


def fit(
    pyramid: Trainable,
    price: float,
    plan: List[Phase],
    seed: int = 0,
    tell: Optional[Callable[[int, Loss], None]] = None,
) -> State:
    """Trains a pyramid at a price of a bit, in units of the error; the best state that was evaluated.

    Args:
        tell: called with the steps done and the loss at each evaluation.
    """
    weights = pyramid.layout.initial(seed)
    state, done = State(weights, pyramid.latents(), pyramid.evaluate(weights)), 0
    for number, phase in enumerate(plan):

        def report(steps: int, loss: Loss, before: int = done) -> None:
            if tell is not None:
                tell(before + steps, loss)

        state = _run(pyramid, price, phase, state, seed * len(plan) + number, report)
        done += phase.steps
    return state


def curvature(pyramid: Trainable, weights: np.ndarray, price: float, probes: int = PROBES, seed: int = 0) -> np.ndarray:
    """Second derivatives of pixels * loss by each weight under rounded latents, float64; least ones are raised.

    Hutchinson's estimate from differences of gradients along random signs (Bekas et al. 2007).
    """
    random, total = np.random.RandomState(seed), np.zeros(len(weights))
    for _ in range(probes):
        signs = random.choice([-1.0, 1.0], len(weights))
        sides = [pyramid.step((weights + far * signs).astype(np.float32), None, price)[1] for far in (PROBE, -PROBE)]
        total += signs * (sides[0].astype(np.float64) - sides[1]) / (2 * PROBE * probes)
    for part in pyramid.layout.parts.values():
        found = part.of(total)
        np.maximum(found, LEAST_CURVATURE * np.abs(found).mean() + TINY, out=found)
    return total


def _run(
    pyramid: Trainable, price: float, phase: Phase, start: State, seed: int, report: Callable[[int, Loss], None]
) -> State:
    best, weights = start, start.weights.astype(np.float64)
    soap = Soap(pyramid.layout.matrices, pyramid.layout.count, BETA, phase.every)
    pyramid.restart()
    epsilon = EPSILON * pyramid.pixels / GAIN
    for done in range(phase.steps):
        # Everything but the noise stays between two evaluations.
        share = done // EVALUATED * EVALUATED / phase.steps
        rate = phase.rates[1] + (phase.rates[0] - phase.rates[1]) * 0.5 * (1 + math.cos(math.pi * share))
        quantizer = None
        if phase.temperatures is not None:
            temperature, deviation = (
                ends[0] + (ends[1] - ends[0]) * share for ends in (phase.temperatures, phase.deviations)
            )
            quantizer = Quantizer(temperature, deviation, seed * 100_003 + done)
        _, gradient = pyramid.step(weights.astype(np.float32), quantizer, price)
        mean = gradient / pyramid.pixels
        norm = float(np.sqrt((mean.astype(np.float64) ** 2).sum()))
        direction = soap.direction(mean * min(1.0, LARGEST_GRADIENT / max(norm, 1e-30)))
        if done:  # the first gradient makes the preconditioners
            weights -= rate * direction + rate * DECAY * weights
            if quantizer is not None:
                beta = phase.betas[1]
                pyramid.move(GAIN * rate, phase.betas, epsilon / math.sqrt(1 - beta**done), done)
        if (done + 1) % EVALUATED == 0 or done + 1 == phase.steps:
            found = weights.astype(np.float32)
            loss = pyramid.evaluate(found)
            report(done + 1, loss)
            if loss.at(price) < best.loss.at(price):
                best = State(found, pyramid.latents(), loss)
    pyramid.set_latents(best.latents)
    return best
