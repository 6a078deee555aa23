"""Exp-Golomb codes of values outside of a table's alphabet (FORMAT.md, "Exp-Golomb code").

An excess e >= 0 is coded as its length floor(log2(e + 1)) under a table that halves, and as so many low bits of e + 1
under even odds; a sign, where one belongs to it, comes before them. All lengths of a call come first, then all bits:
two calls of the coder for any number of values.
"""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np

from nifcodec.entropy.range_coder import PRECISION, Decoder, Encoder, Tables, uniform
from nifcodec.errors import TruncatedError

MAX_LENGTH = 20
LENGTH_FREQUENCIES = np.array([1 << (PRECISION - 1 - n) for n in range(MAX_LENGTH)] + [1 << (PRECISION - MAX_LENGTH)])
_LENGTH = Tables(LENGTH_FREQUENCIES[None])
_BIT = uniform(1)
# The first bits of a stream can be read from the zeros after its end: what the decoder's state of 64 bits holds.
_SLACK_BITS = 128


def put_code(encoder: Encoder, excess: np.ndarray, negative: Optional[np.ndarray] = None) -> None:
    """Append values to a stream.

    Args:
        excess: int64 array (count,), 0 to 2^21 - 2.
        negative: bool array (count,), where values have signs of their own.
    """
    length = _length(excess)
    encoder.put(length, _LENGTH)
    words = excess + 1 - (1 << length)
    if negative is not None:
        words, length = words | negative.astype(np.int64) << length, length + 1
    ends = np.cumsum(length)
    shifts = np.repeat(ends, length) - 1 - np.arange(int(length.sum()))
    encoder.put(np.repeat(words, length) >> shifts & 1, _BIT)


def get_code(decoder: Decoder, count: int, stream_bytes: int) -> np.ndarray:
    """Read `count` values without signs from a stream of `stream_bytes` bytes: int64 (count,).

    Raises:
        TruncatedError: the stream is too short to hold them; raised before memory is spent on them.
        MalformedError: the bytes belong to no sequence of symbols.
    """
    return _get(decoder, count, stream_bytes, 0)[0]


def get_signed_code(decoder: Decoder, count: int, stream_bytes: int) -> Tuple[np.ndarray, np.ndarray]:
    """The same of values with signs: excess int64 (count,), negative bool (count,)."""
    return _get(decoder, count, stream_bytes, 1)


def _get(decoder: Decoder, count: int, stream_bytes: int, signs: int) -> Tuple[np.ndarray, np.ndarray]:
    length = _bounded(decoder, count, stream_bytes, _LENGTH)
    taken = length + signs
    ends, total = np.cumsum(taken), int(taken.sum())
    bits = _bounded(decoder, total, stream_bytes, _BIT) << (np.repeat(ends, taken) - 1 - np.arange(total))
    sums = np.concatenate([[0], np.cumsum(bits)])
    words = sums[ends] - sums[ends - taken]
    return (1 << length) - 1 + (words & ((1 << length) - 1)), (words >> length).astype(bool)


def _bounded(decoder: Decoder, count: int, stream_bytes: int, tables: Tables) -> np.ndarray:
    if count > 8 * stream_bytes + _SLACK_BITS:
        raise TruncatedError(f"the coded data ends early: {stream_bytes} bytes cannot hold {count} more bits")
    return decoder.get(count, tables)


def code_bits(excess: np.ndarray) -> np.ndarray:
    """Length of the code of each excess without a sign: float64 array."""
    length = _length(excess)
    bits: np.ndarray = (2 * length + 1 - (length == MAX_LENGTH)).astype(np.float64)
    return bits


def _length(excess: np.ndarray) -> np.ndarray:
    # The binary exponent is exact, which a rounded log2 need not be.
    return (np.frexp(excess + 1.0)[1] - 1).astype(np.int64)
