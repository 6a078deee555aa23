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
    """Indices as what is coded: a symbol under a table, raw low bits, and the excess of an escape, or -1."""

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

    Tables are those of scalar quantization (5 low_scale + distance), of the quantizer Q0 (the same, 160 later), and of
    Q1 (320 + 16 low_scale, then the mean where it is near zero, 11 + distance elsewhere).
    """
    base = (means + 4) >> 3
    fraction = means - 8 * base
    mirrored = fraction < 0
    distance = np.abs(fraction)
    shifts = np.where(scales >= FIRST_SHIFTED, (scales - FIRST_SHIFTED) // 4 + 1, 0)
    low_scale = scales - 4 * shifts
    start = FRACTIONS * low_scale + Q0_START * (kinds == Q0)
    of_q1 = kinds == Q1
    if of_q1.any():
        magnitude, negative = np.abs(means), means < 0
        near = (magnitude < NEAR_ZERO) & (shifts == 0)
        away = np.where(near, 0, (magnitude + 8) >> 3)
        fraction = magnitude - 8 * away + 4
        base = np.where(of_q1, np.where(negative, -away, away), base)
        mirrored = np.where(of_q1, negative ^ (~near & (fraction < 0)), mirrored)
        distance = np.where(of_q1, np.where(near, magnitude, np.abs(fraction)), distance)
        start = np.where(of_q1, Q1_START + Q1_ROWS * low_scale + np.where(near, 0, NEAR_ZERO), start)
    distance = np.where(shifts > 0, 0, distance)
    return Binarization(base, mirrored, shifts, start + distance)


def binarize(indices: np.ndarray, where: Binarization) -> Binarized:
    """Indices -> what is coded of each."""
    residual = indices.astype(np.int64) - where.base
    residual = np.where(where.mirrored, -residual, residual)
    moved = residual + ((1 << where.shifts) >> 1)
    quotient = moved >> where.shifts
    symbols = np.clip(quotient, -LARGEST, LARGEST) + LARGEST
    excess = np.where(np.abs(quotient) >= LARGEST, np.abs(quotient) - LARGEST, -1)
    return Binarized(where.tables, symbols, where.shifts, moved - (quotient << where.shifts), excess)


def debinarize(quotient: np.ndarray, low_bits: np.ndarray, where: Binarization) -> np.ndarray:
    """The inverse of `binarize`: quotients (of symbols, or escaped) and raw low bits -> indices."""
    residual = (quotient << where.shifts) + low_bits - ((1 << where.shifts) >> 1)
    return np.where(where.mirrored, -residual, residual) + where.base
