"""What a training asks of the machine that it runs on: the loss of a pyramid and its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Protocol, Sequence, Tuple

import numpy as np

from nifcodec.fields.pyramid.grids import Grid, all_grids
from nifcodec.fields.pyramid.networks import Layout

# Temperatures of levels 0, 1, and 2 and coarser, in parts of the quantizer's. Rounded as hard as the finest grid, the
# coarser ones end at a higher loss (docs/pyramid-field.md, "Tried").
SOFTER = (1.0, 1.15, 1.4)


@dataclass(frozen=True)
class Quantizer:
    """What stands for rounding in a step.

    Attributes:
        temperature: of the soft rounding of the finest grid; the lower, the harder.
        deviation: of the noise.
    """

    temperature: float
    deviation: float
    seed: int = 0

    def temperature_of(self, grid: Grid) -> float:
        """Of the soft rounding of a grid."""
        return self.temperature * SOFTER[min(grid.level, len(SOFTER) - 1)]


@dataclass(frozen=True)
class Loss:
    """Of a picture: squared error, a mean over pixels and colours of 0..1, and bits of the latents."""

    error: float
    bits: float
    pixels: int

    def at(self, price: float) -> float:
        """error + price * bits / pixels."""
        return self.error + price * self.bits / self.pixels


def rounded_latents(latents: Sequence[np.ndarray]) -> List[np.ndarray]:
    """Latents as integers, still floats, as `Step` rounds them: halves up."""
    return [np.floor(values + np.float32(0.5)) for values in latents]


def costs_of(errors: np.ndarray, bits: Sequence[np.ndarray], price: float) -> np.ndarray:
    """As `Step.costs`, of squared errors (H, W), means over colours, and the bits of each latent of all grids."""
    costs = errors.copy()
    for grid, each in zip(all_grids(), bits):
        costs[:: 1 << grid.level, :: 1 << grid.level] += price * each
    return costs


class Step(Protocol):
    """The latents of a picture, and a step of training them."""

    @property
    def layout(self) -> Layout:
        """Of the weights."""

    @property
    def pixels(self) -> int:
        """Of the picture."""

    def step(
        self, weights: np.ndarray, quantizer: Optional[Quantizer], price: float, learn: bool = True
    ) -> Tuple[Loss, np.ndarray]:
        """The loss, and the gradient of pixels * (error + price * bits / pixels) by the weights, float32.

        The gradient by the latents is kept for `move`.

        Args:
            quantizer: None rounds, and leaves nothing for `move`; `gradients` tells the gradient by the latents.
            learn: whether the gradient by the weights is wanted; it may be 0 otherwise.
        """

    def evaluate(self, weights: np.ndarray) -> Loss:
        """The loss of rounded latents and of a picture of integers."""

    def costs(self, weights: np.ndarray, price: float) -> np.ndarray:
        """What `evaluate` counts, where it is: float32 (H, W), whose mean is its loss.

        Each pixel has its squared error, and the price of those latents whose first pixel it is.
        """

    def gradients(self) -> List[np.ndarray]:
        """Those of the last `step` by the latents as the networks saw them, float32, of all grids."""

    def move(self, rate: float, betas: Tuple[float, float], epsilon: float, step: int) -> None:
        """One step of Adam on the latents, down the gradient of the last `step`, and what `together.py` adds to it."""

    def latents(self) -> List[np.ndarray]:
        """Of all grids, finest first, float32 (rows, columns), not rounded: copies."""

    def set_latents(self, values: Sequence[np.ndarray]) -> None:
        """The inverse of `latents`."""

    def moments(self) -> List[np.ndarray]:
        """Of Adam: copies of the first ones of all grids as `latents` has them, then of the second ones."""

    def set_moments(self, values: Sequence[np.ndarray]) -> None:
        """The inverse of `moments`."""

    def restart(self) -> None:
        """Forgets the moments of Adam."""
