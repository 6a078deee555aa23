"""Frequency tables for integers around zero: two shapes at 64 scales, made with integers only (FORMAT.md, "Tables").

A table covers the values -K to K, in this order, and an escape symbol, the last one, for everything else. The table
with the identifier 64 * shape + index has K and the weights of its shape at `SCALES[index]`. Python integers and
`math.isqrt` make the same tables everywhere; floats appear only in `code_lengths`, which serves the encoder's choices.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import List, Tuple

import numpy as np

from nifcodec.entropy.range_coder import PRECISION, TOTAL, Tables

LAPLACIAN, GAUSSIAN = 0, 1
SHAPES = 2
SCALE_COUNT = 64
TABLE_COUNT = SHAPES * SCALE_COUNT
SCALE_BITS = 20
# 2^(j/5) in units of 2^-16. With five scales an octave the nearest one is at most 2^0.1 away, which costs a Gaussian at
# most 0.007 bits a symbol and a Laplacian half of that (half the Fisher information of log scale times 0.0693^2).
_FIFTHS = (65536, 75281, 86475, 99334, 114105)
SCALES = tuple(_FIFTHS[i % 5] << (i // 5) for i in range(SCALE_COUNT))

UNIT_BITS = 62
_FRACTION_BITS = 16


def _powers() -> Tuple[List[int], List[int]]:
    """2^-(h / 2^8) and 2^-(l / 2^16) for h, l = 0 to 255, in units of 2^-62."""
    roots = [1 << (UNIT_BITS - 1)]
    for _ in range(_FRACTION_BITS):
        roots.append(isqrt(roots[-1] << UNIT_BITS))
    coarse: List[int] = []
    fine: List[int] = []
    for byte in range(256):
        for powers, octave in ((coarse, 0), (fine, 8)):
            value = 1 << UNIT_BITS
            for j in range(1, 9):
                if byte >> (8 - j) & 1:
                    value = value * roots[octave + j] >> UNIT_BITS
            powers.append(value)
    return coarse, fine


COARSE, FINE = _powers()


def power_of_half(exponent: int) -> int:
    """2^-(exponent / 2^16) in units of 2^-62, rounded down after every multiplication; exponent >= 0."""
    value = COARSE[exponent >> 8 & 255] * FINE[exponent & 255] >> UNIT_BITS
    return value >> (exponent >> _FRACTION_BITS)


def largest(table_id: int) -> int:
    """K, the largest value that table `table_id` covers without an escape."""
    shape, index = divmod(table_id, SCALE_COUNT)
    reach = 16 if shape == LAPLACIAN else 5
    return (reach * SCALES[index] >> SCALE_BITS) + 8


@lru_cache(maxsize=TABLE_COUNT)
def frequencies(table_id: int) -> np.ndarray:
    """Table `table_id`, 0 to `TABLE_COUNT` - 1: int64 array (2 K + 2,) of sum `TOTAL`, read-only."""
    shape, index = divmod(table_id, SCALE_COUNT)
    scale, top = SCALES[index], largest(table_id)
    if shape == LAPLACIAN:
        exponents = [(k << SCALE_BITS + _FRACTION_BITS) // scale for k in range(top + 1)]
    else:
        exponents = [(k * k << 2 * SCALE_BITS + _FRACTION_BITS) // (scale * scale) for k in range(top + 1)]
    half = [power_of_half(x) for x in exponents]
    weights = half[:0:-1] + half + [half[-1]]
    free, total = TOTAL - len(weights), sum(weights)
    table = np.array([1 + weight * free // total for weight in weights], dtype=np.int64)
    table[top] += TOTAL - int(table.sum())
    table.flags.writeable = False
    return table


@lru_cache(maxsize=TABLE_COUNT)
def table(table_id: int) -> Tables:
    """Table `table_id`, ready for coding."""
    return Tables(frequencies(table_id)[None])


def code_lengths(table_id: int) -> np.ndarray:
    """Bits that each symbol costs under a table: float64 array (2 K + 2,). For the encoder's choices only."""
    lengths: np.ndarray = PRECISION - np.log2(frequencies(table_id))
    return lengths
