"""Integers under a Laplace distribution of any mean and scale, as symbols of integer tables.

A table belongs to a scale, eight to an octave, and to how far the mean lies from the nearest integer, in 1/32. Its 33
symbols are the distances -16 to 16 from that integer, mirrored so that the mean lies at or above it; both ends announce
an escape. Under scales above 4, low bits are sent raw, and the rest under a scale an octave or more below. Everything
is made of integers, so that tables are the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nifcodec.entropy.exp_golomb import get_code, put_code
from nifcodec.entropy.range_coder import TOTAL, Decoder, Encoder, Tables, uniform
from nifcodec.entropy.tables import COARSE, FINE, UNIT_BITS

SCALES_PER_OCTAVE = 8
LOWEST_OCTAVE, TABLE_OCTAVES, MOST_OCTAVES = -5, 7, 12
SCALES = SCALES_PER_OCTAVE * MOST_OCTAVES + 1  # 2^(j / 8 - 5): 1/32 to 128
TABLE_SCALES = SCALES_PER_OCTAVE * TABLE_OCTAVES + 1
MEAN_UNIT = 32
FRACTIONS = MEAN_UNIT // 2 + 1
LARGEST = 16
LEAST = 1 << 8  # of a symbol's frequency: 16 bits, beyond which training counts no bit either
MEAN_LIMIT = (1 << 14) - 1
VALUE_LIMIT = 1 << 18  # in latents.h too

_BITS = 30  # of a power's fraction


# 2^-(h / 2^8) and 2^-(l / 2^16) for h, l = 0 to 255, in units of 2^-30.
_COARSE, _FINE = (np.array([power >> UNIT_BITS - _BITS for power in powers], np.int64) for powers in (COARSE, FINE))


def _power_of_half(exponents: np.ndarray) -> np.ndarray:
    """2^-(exponent / 2^16) in units of 2^-30, rounded down; int64."""
    product = _COARSE[exponents >> 8 & 255] * _FINE[exponents & 255] >> _BITS
    return product >> np.minimum(exponents >> 16, _BITS + 1)


@lru_cache(maxsize=1)
def frequencies() -> np.ndarray:
    """Of all tables, int64 (TABLE_SCALES * FRACTIONS, 33): a table's number is FRACTIONS * scale + fraction."""
    # Bits by which the density falls with each integer, log2(e) / scale, in units of 2^-16.
    log2_e = 94548  # 1.4426950 in units of 2^-16
    steps = [_eighth(j) for j in range(SCALES_PER_OCTAVE)]  # 2^-(j / 8) in units of 2^-30
    rates = [
        (log2_e << -LOWEST_OCTAVE) * steps[j % SCALES_PER_OCTAVE] >> _BITS + j // SCALES_PER_OCTAVE
        for j in range(TABLE_SCALES)
    ]
    # Distances of the borders between symbols from the mean, in units of 1/64: (fractions, 34).
    borders = (2 * np.arange(-LARGEST, LARGEST + 2) - 1)[None, :] * MEAN_UNIT - 2 * np.arange(FRACTIONS)[:, None]
    exponents = np.array(rates, np.int64)[:, None, None] * np.abs(borders)[None] // (2 * MEAN_UNIT)
    tails = _power_of_half(exponents) >> 1
    below = np.where(borders[None] > 0, (1 << _BITS) - tails, tails)
    masses = np.diff(below, axis=2).reshape(-1, 2 * LARGEST + 1)
    found = LEAST + masses * (TOTAL - masses.shape[1] * LEAST) // masses.sum(axis=1, keepdims=True)
    found[np.arange(len(found)), found.argmax(axis=1)] += TOTAL - found.sum(axis=1)
    found.flags.writeable = False
    return found


def _eighth(j: int) -> int:
    """2^-(j / 8) in units of 2^-30."""
    return int(_power_of_half(np.array([j << 13]))[0])


@lru_cache(maxsize=1)
def tables() -> Tables:
    """All tables, ready for coding."""
    return Tables(frequencies())


@dataclass(frozen=True)
class Frames:
    """How integers are coded under means and scales.

    Attributes:
        base: the integer that is nearest to the mean.
        mirrored: whether distances from it change their sign.
        shifts: low bits that are sent raw.
        tables: numbers of tables.
    """

    base: np.ndarray
    mirrored: np.ndarray
    shifts: np.ndarray
    tables: np.ndarray

    @staticmethod
    def of(means: np.ndarray, scales: np.ndarray) -> "Frames":
        """Of means in 1/32 and scale numbers, 0 to SCALES - 1; int64."""
        base = (means + MEAN_UNIT // 2) >> 5
        fraction = means - MEAN_UNIT * base
        mirrored = fraction < 0
        shifts = np.maximum(scales - TABLE_SCALES + SCALES_PER_OCTAVE, 0) // SCALES_PER_OCTAVE
        distance = np.where(shifts > 0, 0, np.abs(fraction))
        return Frames(base, mirrored, shifts, FRACTIONS * (scales - SCALES_PER_OCTAVE * shifts) + distance)

    def put(self, encoder: Encoder, values: np.ndarray) -> None:
        """Appends integers: symbols, then the excess of escapes, then low bits."""
        residual = values - self.base
        moved = np.where(self.mirrored, -residual, residual) + ((1 << self.shifts) >> 1)
        high = moved >> self.shifts
        encoder.put(np.clip(high, -LARGEST, LARGEST) + LARGEST, tables(), self.tables)
        escaped = np.abs(high) >= LARGEST
        if escaped.any():
            put_code(encoder, np.abs(high[escaped]) - LARGEST)
        low = moved - (high << self.shifts)
        for shift in np.unique(self.shifts[self.shifts > 0]).tolist():
            encoder.put(low[self.shifts == shift], uniform(shift))

    def get(self, decoder: Decoder, stream_bytes: int) -> np.ndarray:
        """The inverse of `put`. Raises TruncatedError, MalformedError."""
        high = decoder.get(len(self.base), tables(), self.tables) - LARGEST
        escaped = np.abs(high) == LARGEST
        if escaped.any():
            excess = get_code(decoder, int(escaped.sum()), stream_bytes)
            high[escaped] = np.sign(high[escaped]) * (LARGEST + excess)
        low = np.zeros_like(high)
        for shift in np.unique(self.shifts[self.shifts > 0]).tolist():
            chosen = self.shifts == shift
            low[chosen] = decoder.get(int(chosen.sum()), uniform(shift))
        residual = (high << self.shifts) + low - ((1 << self.shifts) >> 1)
        return np.asarray(np.where(self.mirrored, -residual, residual) + self.base)
