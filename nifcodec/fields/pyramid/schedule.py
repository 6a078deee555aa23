"""The phases of a training, and how its price of a bit is steered to a size or a PSNR.

Rounding is soft at first and hardens (Kim et al. 2023, "C3", section 3.2; Ladune et al. 2024, "Cool-chic"). Each phase
begins with new optimizers: those of an earlier one remember its first, huge gradients. At the end the latents stay, and
the weights go on with hard rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Callable, List, Optional, Tuple

from nifcodec.fields.pyramid.contract import Loss, Quantizer

RATE, COLD_RATE, FINAL_RATE, HARD_RATE = 4e-3, 1e-2, 1e-5, 1e-4  # of the weights
GAIN, COLD_GAIN = 40.0, 16.0  # of the latents: they move by so many times the rate
SOFTEST, HARDEST = 0.35, 0.08  # temperatures
LONG = 2000  # steps; longer trainings end harder: they fit more closely to what is rounded softly
FIRST_NOISE, LAST_NOISE = 0.22, 0.15  # deviations
ROUNDED_FROM = 0.9  # of the steps: then weights are rounded
PULL = 5.0  # of the bits that weights take, in parts of their price
SOFTNESS = 4.0  # octaves by which a step of the weights is larger at first, so that they leave the start more easily
STEPS_PER_ROUND, MOST_ROUNDS = 250, 8  # of trying single latents (`flips`): one for so many steps
LATENTS_SHARE = 3  # steps of a training for each that a large picture's latents are trained
CORRECTION_STEPS, CORRECTION_SHARE = 40, 10  # at least; steps of a training for each of a correction of its price
EVALUATED = 100  # steps between two evaluations, at most
EVALUATIONS = 8  # of a phase, at least

# Octaves by which a photograph's size falls while the price of a bit doubles: 0.7 at low rates, 0.3 at high ones.
OCTAVES_PER_PRICE = 0.45
MOST_OCTAVES = 3.0  # of one correction of the price
# A price is steered between these shares of the steps: before, little can be said of the end, and later, what hardly
# moves any more answers to no price. A latent has followed it by 63 % after RESPONSE steps.
STEERED_FROM, STEERED_TO, RESPONSE = 0.1, 0.75, 20
# What a training from the prior at a constant price still has before it at its beginning (medians of photographs), and
# (1 - share)^2 of it later: sizes fall, in octaves, by so much at 1 bit a pixel, and by more for each octave below it;
# a PSNR rises by a share of what it is above a level, in decibels.
SIZE_FALL, FALL_PER_OCTAVE = 0.3, -0.25
PSNR_RISE, RISING_FROM, LEAST_RISE = 0.3, 28.0, 0.4


@dataclass(frozen=True)
class Phase:
    """Steps with one pair of optimizers.

    Attributes:
        temperatures, deviations: of the quantizer, at the start and at the end; None rounds, and the latents stay.
        betas: of the latents' Adam.
        every: steps from one update of SOAP's eigenvectors to the next.
        rates: learning rate at the start and at the end, a cosine between.
        gain: of the latents, which move by so many times the rate.
        pull: of the bits that weights take, in parts of their price.
        rounded_from: the step from which on weights are rounded, in steps for the price of then.
    """

    steps: int
    temperatures: Optional[Tuple[float, float]]
    deviations: Tuple[float, float]
    betas: Tuple[float, float]
    every: int
    rates: Tuple[float, float]
    gain: float
    pull: float = PULL
    rounded_from: float = math.inf

    @property
    def interval(self) -> int:
        """Steps from one evaluation to the next."""
        return max(1, min(EVALUATED, -(-self.steps // EVALUATIONS)))

    def rate(self, done: int) -> float:
        """Learning rate after so many steps."""
        share = done / self.steps
        return self.rates[1] + (self.rates[0] - self.rates[1]) * 0.5 * (1 + math.cos(math.pi * share))

    def softness(self, done: int) -> float:
        """Octaves by which the steps of weights count as larger, where bits pull at them."""
        return SOFTNESS * (1 - done / self.rounded_from) if done < self.rounded_from < math.inf else 0.0

    def quantizer(self, done: int, seed: int) -> Optional[Quantizer]:
        """Of the step after so many."""
        if self.temperatures is None:
            return None
        temperature, deviation = (
            ends[0] + (ends[1] - ends[0]) * done / self.steps for ends in (self.temperatures, self.deviations)
        )
        return Quantizer(temperature, deviation, seed * 100_003 + done)


def phases(steps: int) -> List[Phase]:
    """Of a training of so many steps from a prior."""
    return [
        Phase(
            steps,
            (SOFTEST, hardest(steps)),
            (FIRST_NOISE, LAST_NOISE),
            (0.8, 0.99),
            2,
            (RATE, FINAL_RATE),
            GAIN,
            rounded_from=ROUNDED_FROM * steps,
        )
    ]


def hardest(steps: int) -> float:
    """The temperature at the end of a training of so many steps."""
    return HARDEST * (LONG / max(steps, LONG)) ** (1 / 3)


def rounds(steps: int) -> int:
    """Of trying single latents after a training of so many steps."""
    return min(steps // STEPS_PER_ROUND, MOST_ROUNDS)


def latents_alone(steps: int) -> Phase:
    """Of the latents of a large picture, under networks that a training of so many steps gave."""
    return phases(-(-steps // LATENTS_SHARE))[0]


def cold_phases(steps: int, price: float) -> List[Phase]:
    """Of a training that begins with nothing: two warm-ups, the main phase, and hard rounding; weights cost nothing."""
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
    return [replace(phase, pull=0.0) for phase in (warm_up, warm_up, main, last) if phase.steps]


def correction(trained: int) -> Phase:
    """That brings a pyramid that was trained for so many steps from one price to another."""
    return Phase(
        max(CORRECTION_STEPS, trained // CORRECTION_SHARE),
        (3 * hardest(trained), hardest(trained)),
        (LAST_NOISE, LAST_NOISE),
        (0.8, 0.99),
        2,
        (RATE / 2, FINAL_RATE),
        GAIN,
        rounded_from=0,
    )


class Price:
    """The price of a bit, in units of the error: fixed, or steered.

    Args:
        value: to begin with.
        excess: a loss, and the bits of the weights -> octaves of its size by which a file is above its goal; None: the
            price stays as it is.

    Attributes:
        felt: the price that the latents have followed so far.
    """

    def __init__(self, value: float, excess: Optional[Callable[[Loss, float], float]] = None) -> None:
        self.value = self.felt = value
        self._excess = excess

    @property
    def steered(self) -> bool:
        """Whether it follows a goal."""
        return self._excess is not None

    def follow(self, loss: Loss, weight_bits: float, share: float, steps: int) -> None:
        """Corrects the price after an evaluation, at a share of the training, and so many steps after the last one."""
        self.felt *= (self.value / self.felt) ** (1 - math.exp(-steps / RESPONSE))
        if self._excess is not None and STEERED_FROM <= share <= STEERED_TO:
            octaves = self._excess(at_the_end(loss, share), weight_bits) / OCTAVES_PER_PRICE
            self.value = self.felt * 2.0 ** max(-MOST_OCTAVES, min(MOST_OCTAVES, octaves))


def at_the_end(loss: Loss, share: float) -> Loss:
    """What is to be expected of a training that has this loss after a share of its steps, at a constant price."""
    left = (1 - share) ** 2
    octaves = max(0.0, SIZE_FALL + FALL_PER_OCTAVE * math.log2(max(loss.bits, 1.0) / loss.pixels))
    decibels = max(LEAST_RISE, PSNR_RISE * (-10 * math.log10(max(loss.error, 1e-12)) - RISING_FROM))
    return Loss(loss.error * 10.0 ** (-decibels * left / 10), loss.bits * 2.0 ** (-octaves * left), loss.pixels)
