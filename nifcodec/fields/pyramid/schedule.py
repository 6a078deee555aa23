"""The phases of a training, and how its price of a bit is steered to a size or a PSNR.

Rounding is soft at first and hardens (Kim et al. 2023, "C3", section 3.2; Ladune et al. 2024, "Cool-chic"). Each phase
begins with new optimizers: those of an earlier one remember its first, huge gradients. At the end the latents stay, and
the weights go on with hard rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

from nifcodec.fields.pyramid.contract import Loss, Quantizer
from nifcodec.fields.pyramid.grids import GROUPS

RATE, COLD_RATE, FINAL_RATE, HARD_RATE = 4e-3, 1e-2, 1e-5, 1e-4  # of the weights
GAIN, COLD_GAIN = 40.0, 16.0  # of the latents: they move by so many times the rate
SOFTEST, HARDEST = 0.35, 0.08  # temperatures
FIRST_NOISE, LAST_NOISE = 0.22, 0.15  # deviations
# Steps from which the hidden layers of 1, 2, ... groups' entropy networks are worth the bytes of their differences.
HIDDEN_FROM = (400, 1500, 4000, 4000)
EVALUATED = 100  # steps between two evaluations, at most
EVALUATIONS = 8  # of a phase, at least

# Octaves by which a photograph's size falls while the price of a bit doubles: 0.7 at low rates, 0.3 at high ones.
OCTAVES_PER_PRICE = 0.45
MOST_OCTAVES = 3.0  # of one correction of the price
# A price is steered between these shares of the steps: before, little can be said of the end, and later, what hardly
# moves any more answers to no price. The latents need RESPONSE steps to follow it.
STEERED_FROM, STEERED_TO, RESPONSE = 0.25, 0.75, 40
# What a training at a constant price still has before it at the share STEERED_FROM, and (1 - share)^3 of it later: a
# PSNR rises by EARLY_DECIBELS, sizes fall by EARLY_OCTAVES at 1 bit a pixel, more at less, one octave at most.
EARLY_DECIBELS, EARLY_OCTAVES, EARLY_POWER = 3.0, 0.3, -0.6


@dataclass(frozen=True)
class Phase:
    """Steps with one pair of optimizers.

    Attributes:
        temperatures, deviations: of the quantizer, at the start and at the end; None rounds, and the latents stay.
        betas: of the latents' Adam.
        every: steps from one update of SOAP's eigenvectors to the next.
        rates: learning rate at the start and at the end, a cosine between.
        gain: of the latents, which move by so many times the rate.
        hidden: groups whose entropy networks' hidden layers are trained.
    """

    steps: int
    temperatures: Optional[Tuple[float, float]]
    deviations: Tuple[float, float]
    betas: Tuple[float, float]
    every: int
    rates: Tuple[float, float]
    gain: float
    hidden: int = GROUPS

    @property
    def interval(self) -> int:
        """Steps from one evaluation to the next."""
        return max(1, min(EVALUATED, -(-self.steps // EVALUATIONS)))

    def rate(self, done: int) -> float:
        """Learning rate after so many steps."""
        share = done / self.steps
        return self.rates[1] + (self.rates[0] - self.rates[1]) * 0.5 * (1 + math.cos(math.pi * share))

    def quantizer(self, done: int, seed: int) -> Optional[Quantizer]:
        """Of the step after so many."""
        if self.temperatures is None:
            return None
        temperature, deviation = (
            ends[0] + (ends[1] - ends[0]) * done / self.steps for ends in (self.temperatures, self.deviations)
        )
        return Quantizer(temperature, deviation, seed * 100_003 + done)


def phases(steps: int, price: float) -> List[Phase]:
    """Of a training of so many steps from a prior, at a price of a bit."""
    hidden = sum(steps >= least for least in HIDDEN_FROM)
    return [
        Phase(steps, (SOFTEST, HARDEST), (FIRST_NOISE, LAST_NOISE), (0.8, 0.99), 2, (RATE, FINAL_RATE), GAIN, hidden)
    ]


def cold_phases(steps: int, price: float) -> List[Phase]:
    """Of a training that begins with nothing: two warm-ups, the main phase, and hard rounding."""
    start_noise = max(0.0, 0.747 - 0.432 * math.log10(price)) / 10
    warm, hard = min(50, steps // 10), steps // 20
    warm_up = Phase(
        warm, (SOFTEST, SOFTEST), (start_noise, start_noise), (0.725, 0.97), 1, (COLD_RATE, COLD_RATE), COLD_GAIN
    )
    main = Phase(
        steps - 2 * warm - hard,
        (SOFTEST, HARDEST),
        (FIRST_NOISE, LAST_NOISE),
        (0.9, 0.999),
        10,
        (COLD_RATE, FINAL_RATE),
        COLD_GAIN,
    )
    last = Phase(hard, None, (0.0, 0.0), (0.9, 0.999), 10, (HARD_RATE, FINAL_RATE), COLD_GAIN)
    return [phase for phase in (warm_up, warm_up, main, last) if phase.steps]


def correction(steps: int) -> Phase:
    """That brings a trained pyramid from one price to another."""
    return Phase(
        steps, (3 * HARDEST, HARDEST), (LAST_NOISE, LAST_NOISE), (0.8, 0.99), 2, (RATE / 2, FINAL_RATE), GAIN, 0
    )


class Price:
    """The price of a bit, in units of the error: fixed, or steered.

    Args:
        value: to begin with.
        excess: a loss -> octaves of its size by which a file is above its goal; None leaves the price as it is.
    """

    def __init__(self, value: float, excess: Optional[Callable[[Loss], float]] = None) -> None:
        self.value, self._excess = value, excess

    @property
    def steered(self) -> bool:
        """Whether it follows a goal."""
        return self._excess is not None

    def follow(self, loss: Loss, share: float, steps: int) -> None:
        """Corrects the price after an evaluation, at a share of the training, and so many steps after the last one."""
        if self._excess is not None and STEERED_FROM <= share <= STEERED_TO:
            left = ((1 - share) / (1 - STEERED_FROM)) ** 3
            octaves = min(1.0, EARLY_OCTAVES * max(loss.bits / loss.pixels, 1e-3) ** EARLY_POWER)
            error = loss.error * 10.0 ** (-EARLY_DECIBELS * left / 10)
            final = Loss(error, loss.bits * 2.0 ** (-octaves * left), loss.pixels)
            self.correct(self._excess(final) * min(1.0, steps / RESPONSE))

    def correct(self, octaves: float) -> None:
        """Corrects it for a file so far above its goal."""
        self.value *= 2.0 ** max(-MOST_OCTAVES, min(MOST_OCTAVES, octaves / OCTAVES_PER_PRICE))
