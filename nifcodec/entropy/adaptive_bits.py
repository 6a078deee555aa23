"""Bits whose odds are those of the bits before them in their context (FORMAT.md, "Adaptive bits").

For small numbers of integers of no known distribution: each context counts, and nothing of it is sent.
"""

from __future__ import annotations

from collections import defaultdict
from typing import DefaultDict, Hashable, List

from nifcodec.entropy.range_coder import TOTAL, Decoder, Encoder

COUNTED, MOST_COUNTED = 2, 254
MAX_LENGTH = 20  # of a magnitude, in binary digits
EVEN = TOTAL // 2


class _Counts:
    """How often a context has had a 0 and a 1, doubled, with a half of each to begin with."""

    def __init__(self) -> None:
        self._counts: DefaultDict[Hashable, List[int]] = defaultdict(lambda: [1, 1])

    def ones(self, context: Hashable) -> int:
        """What a 1 has of TOTAL."""
        zero, one = self._counts[context]
        return TOTAL * one // (zero + one)

    def count(self, context: Hashable, bit: int) -> None:
        """Takes a bit in."""
        counts = self._counts[context]
        counts[bit] += COUNTED
        if sum(counts) > MOST_COUNTED:
            counts[:] = [(each + 1) // 2 for each in counts]


class AdaptiveEncoder:
    """Writes bits and integers into a range coder's stream."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._counts = encoder, _Counts()

    def bit(self, context: Hashable, bit: int) -> None:
        """One bit."""
        self._encoder.put_bit(bit, self._counts.ones(context))
        self._counts.count(context, bit)

    def integer(self, context: Hashable, value: int, place: int = 0) -> None:
        """An integer of at most `MAX_LENGTH` binary digits and its sign.

        Args:
            place: of the integer among those of its context, by what is known of its size.
        """
        magnitude = abs(value)
        length = magnitude.bit_length()
        for digits in range(MAX_LENGTH):
            self.bit((context, digits, place if digits < 2 else 0), length > digits)
            if length <= digits:
                break
        if length:
            self._encoder.put_bit(value < 0, EVEN)
        for digit in range(length - 2, -1, -1):
            self._encoder.put_bit(magnitude >> digit & 1, EVEN)


class AdaptiveDecoder:
    """The inverse of `AdaptiveEncoder`. All methods raise MalformedError."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder, self._counts = decoder, _Counts()

    def bit(self, context: Hashable) -> int:
        """One bit."""
        bit = self._decoder.get_bit(self._counts.ones(context))
        self._counts.count(context, bit)
        return bit

    def integer(self, context: Hashable, place: int = 0) -> int:
        """One integer."""
        length = 0
        while length < MAX_LENGTH and self.bit((context, length, place if length < 2 else 0)):
            length += 1
        if not length:
            return 0
        negative, magnitude = self._decoder.get_bit(EVEN), 1
        for _ in range(length - 1):
            magnitude = 2 * magnitude + self._decoder.get_bit(EVEN)
        return -magnitude if negative else magnitude
