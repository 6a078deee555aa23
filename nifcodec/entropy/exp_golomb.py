"""Values outside of a table's alphabet: a sign and an excess each, as an Exp-Golomb code (FORMAT.md, "Escapes").

The excess e >= 0 is written as n = floor(log2(e + 1)) under a table that halves, then the sign and the n low bits of
e + 1 under even odds. All n of a call come first, then all bits: two calls of the coder for any number of escapes.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from nifcodec.entropy.range_coder import PRECISION, TOTAL, Decoder, Encoder, Model
from nifcodec.errors import TruncatedError

MAX_PREFIX = 20
PREFIX_FREQUENCIES = np.array([1 << (PRECISION - 1 - n) for n in range(MAX_PREFIX)] + [1 << (PRECISION - MAX_PREFIX)])
_PREFIX = Model(PREFIX_FREQUENCIES)
_BIT = Model(np.array([TOTAL // 2, TOTAL // 2]))
# The first bits of a stream can be read from the zeros after its end: what the decoder's state of 64 bits holds.
_SLACK_BITS = 128


def put_escapes(encoder: Encoder, excess: np.ndarray, negative: np.ndarray) -> None:
    """Append escapes to a stream.

    Args:
        excess: int64 array (count,), 0 to 2^21 - 2.
        negative: bool array (count,).
    """
    prefix = _prefix(excess)
    encoder.put(prefix, _PREFIX)
    lengths, ends = prefix + 1, np.cumsum(prefix + 1)
    words = (negative.astype(np.int64) << prefix) | (excess + 1 - (1 << prefix))
    shifts = np.repeat(ends, lengths) - 1 - np.arange(int(lengths.sum()))
    encoder.put(np.repeat(words, lengths) >> shifts & 1, _BIT)


def get_escapes(decoder: Decoder, count: int, stream_bytes: int) -> Tuple[np.ndarray, np.ndarray]:
    """Read `count` escapes from a stream of `stream_bytes` bytes: excess int64 (count,), negative bool (count,).

    Raises:
        TruncatedError: the stream is too short to hold them; raised before memory is spent on them.
        MalformedError: the bytes belong to no sequence of symbols.
    """
    prefix = _bounded(decoder, count, stream_bytes, _PREFIX).astype(np.int64)
    lengths, ends = prefix + 1, np.cumsum(prefix + 1)
    total = int(lengths.sum())
    bits = _bounded(decoder, total, stream_bytes, _BIT).astype(np.int64)
    words = np.zeros(count, dtype=np.int64)
    if count:
        shifted = bits << (np.repeat(ends, lengths) - 1 - np.arange(total))
        words = np.add.reduceat(shifted, ends - lengths)
    return (1 << prefix) - 1 + (words & ((1 << prefix) - 1)), (words >> prefix).astype(bool)


def _bounded(decoder: Decoder, count: int, stream_bytes: int, model: Model) -> np.ndarray:
    if count > 8 * stream_bytes + _SLACK_BITS:
        raise TruncatedError(f"the coded data ends early: {stream_bytes} bytes cannot hold {count} more bits")
    return decoder.get(count, model)


def escape_bits(excess: np.ndarray) -> np.ndarray:
    """Length of the code of each excess: float64 array."""
    prefix = _prefix(excess)
    lengths: np.ndarray = (2 * prefix + 2 - (prefix == MAX_PREFIX)).astype(np.float64)
    return lengths


def _prefix(excess: np.ndarray) -> np.ndarray:
    # The binary exponent is exact, which a rounded log2 need not be.
    return (np.frexp(excess + 1.0)[1] - 1).astype(np.int64)
