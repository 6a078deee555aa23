"""Dependent quantization: two quantizers of twice the spacing that they have together, and states between them.

Which of the two a coefficient has is decided by a state, and the next state by that and by the parity of the index
(Schwarz et al. 2019, "Hybrid video coding with trellis-coded quantization", here with eight states). A chain of states
runs through two neighbouring columns of a band, row by row: an even column's coefficient, the odd one beside it, the
even one below. All states of a pass are known before it, so that passes are as wide as with one quantizer.

Values are in half steps, everywhere: those of a scalar quantizer are even.
"""

from __future__ import annotations

import numpy as np

SCALAR, Q0, Q1 = 0, 1, 2  # kinds of quantizer: of all coefficients of a file, and the two that states choose from
NEXT = np.array([[0, 2], [5, 7], [1, 3], [6, 4], [2, 0], [4, 6], [3, 1], [7, 5]], np.int8)  # by state and parity
KIND = np.array([Q0, Q1] * 4, np.int8)  # by state


def to_values(indices: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Indices of quantizers -> values in half steps: even ones, or zero and the odd ones."""
    values: np.ndarray = 2 * indices - np.where(kinds == Q1, np.sign(indices), 0)
    return values


def to_indices(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """The inverse of `to_values`."""
    indices: np.ndarray = (values + np.where(kinds == Q1, np.sign(values), 0)) >> 1
    return indices


class QuantizerStates:
    """The states of one level's chains while its passes go by, all 0 at first.

    Args:
        bands: how many are coded together.
        columns: of the widest of them.
        dependent: else all quantizers are scalar.
    """

    def __init__(self, bands: int, columns: int, dependent: bool) -> None:
        self._states = np.zeros((bands, (columns + 1) // 2), np.int8)
        self._dependent = dependent

    def kinds(self, columns: int) -> np.ndarray:
        """Quantizers of a pass of so many columns, int8 (bands, columns)."""
        states = self._states[:, :columns]
        return KIND[states] if self._dependent else np.zeros(states.shape, np.int8)

    def advance(self, values: np.ndarray, kinds: np.ndarray, valid: np.ndarray) -> None:
        """Goes on to the next pass.

        Args:
            values: of the pass, in half steps (bands, columns).
            valid: which of them are coefficients.
        """
        if self._dependent:
            states = self._states[:, : values.shape[1]]
            following = NEXT[states, to_indices(values, kinds) & 1]
            states[...] = np.where(valid, following, states)
