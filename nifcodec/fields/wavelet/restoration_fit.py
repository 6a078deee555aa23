"""Weights of the restoration filter's corrections that suit a picture, by least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np

from nifcodec.fields.wavelet.restoration import WEIGHT_UNIT, Mixture

WEIGHT_LIMIT = 127
SUMMED = 1 << 14  # samples in one product
RIDGE = 1e-6  # of the corrections' power: keeps the equations solvable where corrections are alike


@dataclass
class MixtureFit:
    """Sums over any number of parts of a picture, from which the least-squares weights and their error follow.

    Attributes:
        squares: of the residual, for luma, chroma and alpha, in squared steps.
        projections: products of the corrections with the residual, for luma and chroma, (2, corrections).
        products: of the corrections with each other, (2, corrections, corrections).
    """

    squares: np.ndarray
    projections: np.ndarray
    products: np.ndarray

    @classmethod
    def none(cls, count: int) -> "MixtureFit":
        """Sums over nothing."""
        return cls(np.zeros(3), np.zeros((2, count)), np.zeros((2, count, count)))

    @classmethod
    def of(cls, target: np.ndarray, planes: np.ndarray, corrections: np.ndarray) -> "MixtureFit":
        """A part of a picture.

        Args:
            target, planes: the picture's planes and the rebuilt ones, whose difference is the residual, (C, H, W) in
                steps.
            corrections: of the first planes, (corrections, 1 or 3, H, W).
        """
        count, corrected = corrections.shape[:2]
        residual = target - planes
        fit = cls.none(count)
        for kind, where in enumerate((slice(0, 1), slice(1, corrected), slice(corrected, None))):
            fit.squares[kind] = float((residual[where] ** 2).sum())
        for kind, where in enumerate((slice(0, 1), slice(1, corrected))):
            change = corrections[:, where].reshape(count, -1)
            samples = residual[where].ravel()
            # Short float32 products, summed up in float64: long ones would lose the small terms.
            for start in range(0, change.shape[1], SUMMED):
                part = change[:, start : start + SUMMED]
                fit.products[kind] += part @ part.T
                fit.projections[kind] += part @ samples[start : start + SUMMED]
        return fit

    def __add__(self, other: "MixtureFit") -> "MixtureFit":
        return MixtureFit(
            self.squares + other.squares, self.projections + other.projections, self.products + other.products
        )

    def mixture(self) -> Mixture:
        """The best weights; each is rounded in turn, and those after it make up for that."""
        luma, chroma = (_weights(*sums) for sums in zip(self.projections, self.products))
        return luma, chroma

    def error(self, mixture: Mixture) -> float:
        """The squared residual that these weights leave, summed, in squared steps."""
        total = float(self.squares.sum())
        for weights, projections, products in zip(mixture, self.projections, self.products):
            factors = np.array(weights) / WEIGHT_UNIT
            total += float(factors @ products @ factors - 2 * factors @ projections)
        return total


def _weights(projections: np.ndarray, products: np.ndarray) -> Tuple[int, ...]:
    count = len(projections)
    matrix = products + (RIDGE * float(np.trace(products)) + 1e-12) * np.eye(count)
    weights = np.zeros(count)
    for done in range(count):
        left = projections[done:] - products[done:, :done] @ weights[:done]
        best = np.linalg.solve(matrix[done:, done:], left)[0]
        weights[done] = np.clip(np.rint(best * WEIGHT_UNIT), -WEIGHT_LIMIT, WEIGHT_LIMIT) / WEIGHT_UNIT
    return tuple(round(weight * WEIGHT_UNIT) for weight in weights)
