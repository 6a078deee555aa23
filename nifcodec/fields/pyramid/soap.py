"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, algorithm 3), for networks' weights.

A second, slower mean of gradients is added to the first: what weights and latents slowly do together is far below the
noise of a single step, and many steps have to add up to be seen (AdEMAMix: Pagliardini et al. 2024, section 3).
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from nifcodec.fields.pyramid.networks import Part

SLOW_BETA, SLOW_SHARE = 0.99, 1.0  # of the slower mean of gradients; what it counts beside the other
TINY = 1e-30


class _Basis:
    """The preconditioner of one matrix: running second moments of both sides, and their eigenvectors."""

    def __init__(self, part: Part, gradient: np.ndarray) -> None:
        self.part = part
        rows = part.shape[0]
        self.shape = (rows, int(np.prod(part.shape)) // rows)
        matrix = self._matrix(gradient)
        self._moments = [matrix @ matrix.T, matrix.T @ matrix]
        self.sides = [_eigenvectors(moment) for moment in self._moments]

    def arrays(self) -> List[np.ndarray]:
        """All that it has learned."""
        return [*self._moments, *self.sides]

    def restore(self, arrays: Sequence[np.ndarray]) -> None:
        """The inverse of `arrays`."""
        self._moments, self.sides = list(arrays[:2]), list(arrays[2:])

    def _matrix(self, values: np.ndarray) -> np.ndarray:
        return self.part.of(values).reshape(self.shape)

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Of a vector of all weights, this matrix in the eigenbasis."""
        left, right = self.sides
        return np.asarray(left.T @ self._matrix(values) @ right)

    def back(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `turned`."""
        left, right = self.sides
        return np.asarray(left @ self._matrix(values) @ right.T)

    def update(self, gradient: np.ndarray, beta: float, refresh: bool) -> None:
        """Takes a gradient into the moments, and follows them with the eigenvectors by one step of power iteration."""
        matrix = self._matrix(gradient)
        products = matrix @ matrix.T, matrix.T @ matrix
        self._moments = [moment + (1 - beta) * (new - moment) for moment, new in zip(self._moments, products)]
        if refresh:
            self.sides = [
                np.linalg.qr(moment / (np.trace(moment) + TINY) @ side)[0]
                for moment, side in zip(self._moments, self.sides)
            ]


class Soap:
    """Directions to move weights in.

    Args:
        matrices: parts that are preconditioned; all others are left to Adam.
        beta: of all running means but the slower one.
        every: steps from one update of the eigenvectors to the next.
    """

    def __init__(self, matrices: Sequence[Part], count: int, beta: float, every: int, epsilon: float = 1e-8) -> None:
        self._matrices, self._beta, self._every, self._epsilon = matrices, beta, every, epsilon
        self._bases: List[_Basis] = []
        self._moment, self._slow, self._square = np.zeros(count), np.zeros(count), np.zeros(count)
        self._steps = 0

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """Of one step, to be subtracted times the learning rate; float64 (count,)."""
        gradient = gradient.astype(np.float64)
        if not self._bases:
            self._bases = [_Basis(part, gradient) for part in self._matrices]
        self._steps += 1
        self._moment += (1 - self._beta) * (gradient - self._moment)
        self._slow += (1 - SLOW_BETA) * (gradient - self._slow)
        correction = 1 - self._beta**self._steps
        moment = self._moment / correction + SLOW_SHARE * self._slow  # which has no correction: it comes in by and by
        turned = gradient.copy()
        for basis in self._bases:
            basis.part.of(turned)[...] = basis.turned(gradient).reshape(basis.part.shape)
            basis.part.of(moment)[...] = basis.turned(moment).reshape(basis.part.shape)
        self._square += (1 - self._beta) * (turned**2 - self._square)
        direction = moment / (np.sqrt(self._square / correction) + self._epsilon)
        for basis in self._bases:
            basis.part.of(direction)[...] = basis.back(direction).reshape(basis.part.shape)
            basis.update(gradient, self._beta, self._steps % self._every == 0)
        return direction

    def record(self) -> Dict[str, Any]:
        """Its state, as arrays and numbers by name."""
        bases = {
            f"{basis.part.name} {number}": array for basis in self._bases for number, array in enumerate(basis.arrays())
        }
        moments = {"moment": self._moment.copy(), "slow": self._slow.copy(), "square": self._square.copy()}
        return {**bases, **moments, "steps": self._steps}

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse of `record`."""
        self._moment, self._slow, self._square = (record[name].copy() for name in ("moment", "slow", "square"))
        self._steps = int(record["steps"])
        if self._steps:
            self._bases = [_Basis(part, np.zeros(len(self._moment))) for part in self._matrices]
            for basis in self._bases:
                basis.restore([record[f"{basis.part.name} {number}"] for number in range(4)])


def _eigenvectors(moment: np.ndarray) -> np.ndarray:
    """Those of the largest eigenvalues first."""
    ridge = 1e-6 * np.trace(moment) + TINY
    return np.asarray(np.linalg.eigh(moment + ridge * np.eye(len(moment)))[1][:, ::-1])
