"""Range coder: integer symbols under integer frequency tables <-> bytes (FORMAT.md, "Range coder").

A coder of 64 bits that moves words of 32 (Martin 1979; Bamler 2022, arXiv:2201.01741). A stream is the shortest byte
string that, read as a binary fraction followed by zeros, lies in the coder's final interval: every sequence of symbols
has exactly one.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import List

import numpy as np

from nifcodec.errors import MalformedError

PRECISION = 24
TOTAL = 1 << PRECISION

_WORD, _MASK = 1 << 32, (1 << 64) - 1
_ZEROS = (64, 56, 48, 40, 32)  # bits at the end of the last word that a stream need not hold, the most first


class Tables:
    """Frequency tables of one length, made ready for coding. Build them once and use them for many calls.

    Args:
        frequencies: integer array (tables, n), n >= 2; every entry is >= 1, and every row sums to `TOTAL`.

    Raises:
        ValueError: a row breaks these rules.

    Attributes:
        size: number n of symbols; they are 0 to n - 1.
        cumulative: int64 (tables, n + 1), the sums of all frequencies before each symbol.
    """

    __slots__ = ("cumulative", "rows", "size")

    def __init__(self, frequencies: np.ndarray) -> None:
        table = np.asarray(frequencies, dtype=np.int64)
        bad = table.ndim != 2 or table.shape[1] < 2 or int(table.min(initial=1)) < 1
        if bad or bool((table.sum(axis=1) != TOTAL).any()):
            raise ValueError(f"each frequency table needs two or more entries, each at least 1, that sum to {TOTAL}")
        self.size = int(table.shape[1])
        self.cumulative = np.concatenate([np.zeros((len(table), 1), np.int64), np.cumsum(table, axis=1)], axis=1)
        self.rows: List[List[int]] = self.cumulative.tolist()


@lru_cache(maxsize=None)
def uniform(bits: int) -> Tables:
    """The table of 2^bits symbols with equal frequencies, 1 <= bits <= 12."""
    return Tables(np.full((1, 1 << bits), TOTAL >> bits))


class Encoder:
    """Collects symbols, `put` by `put`, into one stream."""

    __slots__ = ("_low", "_width", "_words")

    def __init__(self) -> None:
        self._low, self._width = 0, _MASK
        self._words: List[int] = []

    def put(self, symbols: np.ndarray, tables: Tables, ids: "np.ndarray | int" = 0) -> None:
        """Append symbols.

        Args:
            symbols: integer array (count,), values 0 to tables.size - 1; may be empty.
            ids: which table each symbol has, (count,), or one for all.

        Raises:
            ValueError: a symbol is outside of the alphabet.
        """
        symbols = np.asarray(symbols, np.int64)
        if symbols.size and (int(symbols.min()) < 0 or int(symbols.max()) >= tables.size):
            raise ValueError(f"a symbol lies outside of the alphabet 0 to {tables.size - 1}")
        befores = tables.cumulative[ids, symbols]
        frequencies = tables.cumulative[ids, symbols + 1] - befores
        self._narrow(befores.tolist(), frequencies.tolist())

    def put_bit(self, bit: int, ones: int) -> None:
        """Append a bit, of which a 1 has `ones` of `TOTAL`, 1 to `TOTAL` - 1, behind the part of a 0."""
        zeros = TOTAL - ones
        self._narrow([zeros if bit else 0], [ones if bit else zeros])

    def _narrow(self, befores: List[int], frequencies: List[int]) -> None:
        low, width, words = self._low, self._width, self._words
        for before, frequency in zip(befores, frequencies):
            unit = width >> PRECISION
            low += unit * before
            width = unit * frequency
            if width < _WORD:
                if low > _MASK:
                    _carry(words)
                words.append(low >> 32 & 0xFFFFFFFF)
                low = (low & 0xFFFFFFFF) << 32
                width <<= 32
            elif low > _MASK:
                _carry(words)
                low &= _MASK
        self._low, self._width = low, width

    def needed(self) -> int:
        """Bytes from the beginning of the stream that a decoder has read after the symbols so far, at most."""
        return 4 * len(self._words) + 8

    def finish(self) -> bytes:
        """The stream of everything that was put; the encoder stays usable. Nothing put gives b""."""
        words, point = list(self._words), self._low + _gap(self._low, self._width)
        if point > _MASK:
            _carry(words)
        head = np.array(words, ">u4").tobytes()
        return (head + (point & _MASK).to_bytes(8, "big")).rstrip(b"\0")


class Decoder:
    """Reads symbols, `get` by `get`, from one stream, in the order and under the tables of the encoder.

    Past the end the stream continues with zeros, so that any bytes decode to some symbols: `finish` tells whether they
    are the stream of those symbols.
    """

    __slots__ = ("_data", "_offset", "_read", "_width", "_window", "_words")

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self._words: List[int] = np.frombuffer(self._data + bytes(-len(self._data) % 4), ">u4").tolist()
        self._read = 2
        first, second = (*self._words[:2], 0, 0)[:2]
        self._window = self._offset = first << 32 | second
        self._width = _MASK

    def get(self, count: int, tables: Tables, ids: "np.ndarray | int" = 0) -> np.ndarray:
        """The next `count` symbols, int64 array (count,), values 0 to tables.size - 1.

        The caller bounds `count`: it sets the memory (8 bytes a symbol) and the time.

        Args:
            ids: which table each symbol has, (count,), or one for all.

        Raises:
            MalformedError: the bytes belong to no sequence of symbols.
        """
        chosen = [ids] * count if isinstance(ids, int) else ids.tolist()
        rows, words, last = tables.rows, self._words, len(self._words)
        offset, width, read, window = self._offset, self._width, self._read, self._window
        symbols: List[int] = []
        for table in chosen:
            unit = width >> PRECISION
            target = offset // unit
            if target >= TOTAL:
                raise MalformedError("range coded stream", "belongs to no sequence of symbols")
            row = rows[table]
            symbol = bisect_right(row, target) - 1
            offset -= unit * row[symbol]
            width = unit * (row[symbol + 1] - row[symbol])
            if width < _WORD:
                word = words[read] if read < last else 0
                read += 1
                width <<= 32
                offset = offset << 32 | word
                window = (window << 32 | word) & _MASK
            symbols.append(symbol)
        self._offset, self._width, self._read, self._window = offset, width, read, window
        return np.array(symbols, np.int64)

    def get_bit(self, ones: int) -> int:
        """The next bit, of which a 1 has `ones` of `TOTAL`. Raises MalformedError, as `get`."""
        unit, zeros = self._width >> PRECISION, TOTAL - ones
        target = self._offset // unit
        if target >= TOTAL:
            raise MalformedError("range coded stream", "belongs to no sequence of symbols")
        bit = int(target >= zeros)
        self._offset -= unit * zeros if bit else 0
        self._width = unit * (ones if bit else zeros)
        if self._width < _WORD:
            word = self._words[self._read] if self._read < len(self._words) else 0
            self._read += 1
            self._width <<= 32
            self._offset = self._offset << 32 | word
            self._window = (self._window << 32 | word) & _MASK
        return bit

    def is_canonical(self) -> bool:
        """Whether the stream is the encoder's of the symbols read so far: `is_canonical`."""
        return is_canonical(self._data, self._offset, self._width, self._window, 4 * self._read)

    def finish(self) -> None:
        """Check that the stream is exactly the one of the symbols read so far. Call it after the last `get`.

        Raises:
            MalformedError: bytes are missing, changed or left over.
        """
        if not self.is_canonical():
            raise MalformedError("range coded stream", "has missing, changed or surplus bytes")


def is_canonical(data: bytes, offset: int, width: int, window: int, read: int) -> bool:
    """Whether a stream is the one that the encoder makes of the symbols that a decoder has read from it.

    The interval's lower end follows from the last 8 bytes read, so that the stream need not be made again (FORMAT.md,
    "Canonical check").

    Args:
        offset, width, window: the decoder's state; `window` is the last 8 bytes read, as an integer.
        read: bytes that it has read, those behind the end too.
    """
    low = (window - offset) & _MASK
    return offset == _gap(low, width) and len(data) <= read and not data.endswith(b"\0")


def _gap(low: int, width: int) -> int:
    """From `low` to the point of the interval with the most zero bits at its end; an interval is at least 2^32 wide."""
    return next(gap for gap in (-low % (1 << zeros) for zeros in _ZEROS) if gap < width)


def _carry(words: List[int]) -> None:
    """Adds 1 to the number that the words are."""
    last = len(words) - 1
    while words[last] == 0xFFFFFFFF:
        words[last] = 0
        last -= 1
    words[last] += 1
