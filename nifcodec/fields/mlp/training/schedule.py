"""How long a coordinate network trains, and how fast it learns: what effort and options ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nifcodec.config import EncodeConfig
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.options import MlpOptions

EFFORT_STEPS = (250, 500, 1000, 2500, 5000, 10_000, 20_000, 50_000, 100_000)  # efforts 1 to 9
LEARNING_RATES = {"fourier": 1e-2, "siren": 2e-3}
# Noise moves weights by about rate * sqrt(steps), and a siren whose weights grow falls to high frequencies that it does
# not unlearn: beyond so many steps its rate falls with their root.
SIREN_FULL_RATE_STEPS = 2500
TUNING_SHARE = 0.25  # of the steps, spent on the rounded weights
TUNING_RATE = 0.1  # of the learning rate
CHUNK_FLOPS = 1e11  # of a compiled call: seconds, so that progress and Ctrl-C are answered
FLOPS_PER_MAC = 6.0  # forward, and backward for weights and for inputs, a product and a sum each


@dataclass(frozen=True)
class Schedule:
    """Steps and learning rates of a training.

    Attributes:
        steps: of both stages.
        tuning: of them, those on the rounded weights.
        rate: learning rate at the top of the first stage's cosine.
    """

    steps: int
    tuning: int
    rate: float

    @staticmethod
    def of(config: EncodeConfig, options: MlpOptions, family: str) -> "Schedule":
        """The schedule that a configuration asks for, or what suits the family."""
        steps = EFFORT_STEPS[config.effort - 1] if config.steps is None else config.steps
        rate = LEARNING_RATES[family] if options.learning_rate is None else options.learning_rate
        if options.learning_rate is None and family == "siren":
            rate *= min(1.0, math.sqrt(SIREN_FULL_RATE_STEPS / steps))
        return Schedule(steps, round(steps * TUNING_SHARE), rate)

    @property
    def fitting(self) -> int:
        """Steps on the float weights."""
        return self.steps - self.tuning

    @property
    def tuning_rate(self) -> float:
        """Learning rate at the top of the second stage's cosine."""
        return self.rate * TUNING_RATE


def chunk_steps(spec: MlpDescription, batch: int) -> int:
    """Steps of a compiled call, for a network and the samples of a step."""
    return max(round(CHUNK_FLOPS / (FLOPS_PER_MAC * spec.macs_per_pixel() * batch)), 1)
