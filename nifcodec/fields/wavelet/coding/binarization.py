"""From an index of a quantizer and its context to what is coded, and back (FORMAT.md, "Context model").

A context is a scale index and a mean in eighths of a step, by which a table is chosen; the index is coded as its
distance from the one nearest to the mean, mirrored so that the mean lies at or above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.dependent_quantization import Q0, Q1

FIRST_SHIFTED = 32  # from this scale on, low bits are sent raw and the rest under the scale an octave or more below
FRACTIONS = 5  # means are rounded to eighths of a step and mirrored: 0 to 4 eighths
LARGEST = 16  # symbols are -16..16; both ends announce an escape
# The quantizer Q1 has a gap of half a step on both sides of zero, and of one step elsewhere: where a mean is nearer to
# zero than this, in eighths, the table knows how far it is.
NEAR_ZERO = 11
Q1_ROWS = NEAR_ZERO + FRACTIONS
Q0_START = FRACTIONS * FIRST_SHIFTED
Q1_START = 2 * Q0_START
TABLES = Q1_START + Q1_ROWS * FIRST_SHIFTED


@dataclass(frozen=True)
class Binarized:
    """Indices as what is coded: a symbol under a table, raw low bits, and the excess of an escape, else -1."""

    tables: np.ndarray
    symbols: np.ndarray
    shifts: np.ndarray
    low_bits: np.ndarray
    excess: np.ndarray


@dataclass(frozen=True)
class Binarization:
    """How an index's distance from `base` is mirrored and shifted under its context, and the table's row."""

    base: np.ndarray
    mirrored: np.ndarray
    shifts: np.ndarray
    tables: np.ndarray

    def at(self, chosen: Tuple[np.ndarray, ...]) -> "Binarization":
        """That of some of the indices, by where they lie."""
        return Binarization(self.base[chosen], self.mirrored[chosen], self.shifts[chosen], self.tables[chosen])


def binarization_of(scales: np.ndarray, means: np.ndarray, kinds: np.ndarray) -> Binarization:
    """The table, and the map between an index and its symbol, from a context.

    Tables are those of scalar quantization (row 5 scale + fraction), of the quantizer Q0 (the same, 160 rows later),
    and of Q1 (row 320 + 16 scale, then the mean where it is near zero, 11 + fraction elsewhere).
    """
    base = (means + 4) >> 3
    fraction = means - 8 * base
    mirrored = fraction < 0
    row = np.abs(fraction)
    shifts = np.where(scales >= FIRST_SHIFTED, (scales - FIRST_SHIFTED) // 4 + 1, 0)
    low = scales - 4 * shifts
    start = FRACTIONS * low + Q0_START * (kinds == Q0)
    odd = kinds == Q1
    if odd.any():
        distance, negative = np.abs(means), means < 0
        near = (distance < NEAR_ZERO) & (shifts == 0)
        away = np.where(near, 0, (distance + 8) >> 3)
        off = distance - 8 * away + 4
        base = np.where(odd, np.where(negative, -away, away), base)
        mirrored = np.where(odd, negative ^ (~near & (off < 0)), mirrored)
        row = np.where(odd, np.where(near, distance, np.abs(off)), row)
        start = np.where(odd, Q1_START + Q1_ROWS * low + np.where(near, 0, NEAR_ZERO), start)
    row = np.where(shifts > 0, 0, row)
    return Binarization(base, mirrored, shifts, start + row)


def binarize(indices: np.ndarray, where: Binarization) -> Binarized:
    """Indices -> what is coded of each."""
    residual = indices.astype(np.int64) - where.base
    residual = np.where(where.mirrored, -residual, residual)
    moved = residual + ((1 << where.shifts) >> 1)
    high = moved >> where.shifts
    symbols = np.clip(high, -LARGEST, LARGEST) + LARGEST
    excess = np.where(np.abs(high) >= LARGEST, np.abs(high) - LARGEST, -1)
    return Binarized(where.tables, symbols, where.shifts, moved - (high << where.shifts), excess)


def debinarize(high: np.ndarray, low_bits: np.ndarray, where: Binarization) -> np.ndarray:
    """The inverse of `binarize`: high parts (symbols, or escaped values) and raw low bits -> indices."""
    residual = (high << where.shifts) + low_bits - ((1 << where.shifts) >> 1)
    return np.where(where.mirrored, -residual, residual) + where.base
