"""Range coder, Exp-Golomb code, tables and tensors (FORMAT.md, "Range coder" to "Tensors")."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import Dict, List, Sequence, Tuple

import numpy as np

from .conventions import Bytes, Refused, require, zstd

Table = Sequence[int]
"""The sums of the frequencies before each symbol, and 2^24 at the end."""


def cumulated(frequencies: Sequence[int]) -> List[int]:
    return [0, *accumulate(int(frequency) for frequency in frequencies)]


LENGTHS = cumulated([2**23 >> length for length in range(20)] + [2**4])


class Stream:
    """The range decoder.

    Attributes:
        coded: `before` and `frequency` of each symbol read, for tests of the canonical check.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.window = self.offset = self.next_bytes(8)
        self.width = 2**64 - 1
        self.words = 0
        self.coded: List[Tuple[int, int]] = []

    def next_bytes(self, count: int) -> int:
        taken = self.data[self.position : self.position + count]
        self.position += count
        return int.from_bytes(taken.ljust(count, b"\0"), "big")

    def symbol(self, table: Table) -> int:
        unit = self.width >> 24
        target = self.offset // unit
        require(target < 2**24, "malformed stream")
        symbol = bisect_right(table, target) - 1
        before, frequency = table[symbol], table[symbol + 1] - table[symbol]
        self.coded.append((before, frequency))
        self.offset -= unit * before
        self.width = unit * frequency
        if self.width < 2**32:
            following = self.next_bytes(4)
            self.width <<= 32
            self.offset = (self.offset << 32) + following
            self.window = ((self.window << 32) + following) % 2**64
            self.words += 1
        return symbol

    def raw(self, bits: int) -> int:
        """One symbol under 2^bits equal frequencies."""
        return self.symbol(range(0, 2**24 + 1, 2 ** (24 - bits)))

    def exp_golomb(self, count: int, signed: bool) -> List[Tuple[int, int]]:
        """Integers that are coded together: sign (-1 or 1; without signs 1) and excess of each."""
        most = 8 * len(self.data) + 128
        require(count <= most, "more integers than the stream may have")
        lengths = [self.symbol(LENGTHS) for _ in range(count)]
        require(sum(lengths) + signed * count <= most, "more bits than the stream may have")
        found = []
        for length in lengths:
            sign = -1 if signed and self.raw(1) else 1
            number = 1
            for _ in range(length):
                number = 2 * number + self.raw(1)
            found.append((sign, number - 1))
        return found

    def finish(self) -> None:
        """The canonical check."""
        low = (self.window - self.offset) % 2**64
        gap = next(gap for gap in (-low % 2**zeros for zeros in (64, 56, 48, 40, 32)) if gap < self.width)
        require(self.offset == gap, "the stream is not the encoder's")
        require(len(self.data) <= 4 * self.words + 8, "bytes after the last symbol")
        require(self.data[-1:] != b"\0", "the stream ends with a zero byte")


class AdaptiveBits:
    """Bits of a stream, each in a context that counts."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.counts: Dict[object, List[int]] = {}

    def bit(self, context: object) -> int:
        counts = self.counts.setdefault(context, [1, 1])
        share = 2**24 * counts[1] // sum(counts)
        bit = self.stream.symbol([0, 2**24 - share, 2**24])
        counts[bit] += 2
        if sum(counts) > 254:
            self.counts[context] = [(count + 1) // 2 for count in counts]
        return bit

    def integer(self, context: str, place: int) -> int:
        digits = 0
        while digits < 20 and self.bit((context, digits, place) if digits < 2 else (context, digits)):
            digits += 1
        if not digits:
            return 0
        sign = -1 if self.stream.raw(1) else 1
        number = 1
        for _ in range(digits - 1):
            number = 2 * number + self.stream.raw(1)
        return sign * number


def range_encoded(coded: Sequence[Tuple[int, int]]) -> bytes:
    """The encoder: the stream of symbols, each as its `before` and `frequency`."""
    low, width, words = 0, 2**64 - 1, 0
    for before, frequency in coded:
        unit = width >> 24
        low += unit * before
        width = unit * frequency
        if width < 2**32:
            low <<= 32
            width <<= 32
            words += 1
    points = (-(-low >> zeros) << zeros for zeros in (64, 56, 48, 40, 32))
    point = next(point for point in points if point < low + width)
    return point.to_bytes(4 * words + 8, "big").rstrip(b"\0")


# Tables


def roots() -> List[int]:
    """root[0] to root[16]: 2^-(1 / 2^j) in units of 2^-62."""
    found = [2**61]
    for _ in range(16):
        found.append(math.isqrt(found[-1] << 62))
    return found


ROOTS = roots()


def product(byte: int, first: int) -> int:
    """coarse[byte], and with `first` 8 fine[byte]."""
    value = 2**62
    for j in range(1, 9):
        if byte >> (8 - j) & 1:
            value = (value * ROOTS[first + j]) >> 62
    return value


def power(x: int) -> int:
    """2^-(x / 2^16) in units of 2^-62."""
    return ((product((x >> 8) % 256, 0) * product(x % 256, 8)) >> 62) >> (x >> 16)


@lru_cache(maxsize=None)
def frequencies_of_table(number: int) -> List[int]:
    shape, breadth_number = divmod(number, 64)
    s = (65536, 75281, 86475, 99334, 114105)[breadth_number % 5] << (breadth_number // 5)
    if shape == 0:
        reach = ((16 * s) >> 20) + 8
        weights = [power((value << 36) // s) for value in range(reach + 1)]
    else:
        reach = ((5 * s) >> 20) + 8
        weights = [power((value**2 << 56) // s**2) for value in range(reach + 1)]
    ordered = [weights[abs(value)] for value in range(-reach, reach + 1)] + [weights[reach]]
    total = sum(ordered)
    frequencies = [1 + weight * (2**24 - len(ordered)) // total for weight in ordered]
    frequencies[reach] += 2**24 - sum(frequencies)
    return frequencies


# Tensors

Shapes = Sequence[Tuple[int, ...]]


def read_range_coded(data: Bytes, shapes: Shapes) -> List[np.ndarray]:
    """Range coded tensors, to the end of the data."""
    counts = [int(np.prod(shape)) for shape in shapes]
    numbers = list(data.take(len(shapes)))
    require(all(number < 128 for number in numbers), "number of a table")
    stream = Stream(data.rest())
    values: List[int] = []
    escaped = []
    for number, count in zip(numbers, counts):
        frequencies = frequencies_of_table(number)
        table, reach = cumulated(frequencies), len(frequencies) // 2 - 1
        for _ in range(count):
            symbol = stream.symbol(table)
            if symbol == 2 * reach + 1:
                escaped.append((len(values), reach))
            values.append(symbol - reach)
    for (index, reach), (sign, excess) in zip(escaped, stream.exp_golomb(len(escaped), signed=True)):
        values[index] = sign * (excess + reach + 1)
    stream.finish()
    return shaped(values, shapes)


def read_tensors(payload: bytes, shapes: Shapes) -> List[np.ndarray]:
    """A tensors payload."""
    data = Bytes(payload)
    count = sum(int(np.prod(shape)) for shape in shapes)
    require(count <= min(2**24, 2**14 + 256 * len(payload)), "too many integers")
    method = data.number(1)
    if method == 0:
        return read_range_coded(data, shapes)
    if method != 1:
        raise Refused("method of the tensors")
    require(count <= 2**20, "too many integers")
    size = data.varint()
    require(size <= 4 * count, "more bytes than the numbers can have")
    numbers = Bytes(zstd(data.rest(), size))
    values = []
    for _ in range(count):
        folded = numbers.varint(4)
        values.append(-(folded + 1) // 2 if folded % 2 else folded // 2)
    require(not numbers.rest(), "bytes are left over")
    return shaped(values, shapes)


def shaped(values: Sequence[int], shapes: Shapes) -> List[np.ndarray]:
    require(all(abs(value) <= 2**20 for value in values), "magnitude of an integer")
    tensors, start = [], 0
    for shape in shapes:
        end = start + int(np.prod(shape))
        tensors.append(np.array(values[start:end], np.int64).reshape(shape))
        start = end
    return tensors
