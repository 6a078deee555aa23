"""Range coder: integer symbols under integer frequency tables <-> bytes (FORMAT.md, "Range coder").

The only module that knows the `constriction` library (Bamler 2022, arXiv:2201.01741). A coded stream is the shortest
byte string that, read as a binary fraction followed by zeros, lies in the final interval of the coder; every sequence
of symbols has exactly one.
"""

from __future__ import annotations

from typing import List, Sequence

import constriction
import numpy as np

from nifcodec.errors import MalformedError

PRECISION = 24
TOTAL = 1 << PRECISION

_MASK64 = (1 << 64) - 1


class Model:
    """A frequency table, made ready for coding. Build it once and use it for many calls.

    Args:
        frequencies: integer array (n,), n >= 2, every entry >= 1, the sum exactly `TOTAL`.

    Raises:
        ValueError: the table breaks one of these rules.

    Attributes:
        size: number n of symbols; they are 0 to n - 1.
    """

    __slots__ = ("_categorical", "size")

    def __init__(self, frequencies: np.ndarray) -> None:
        table = np.asarray(frequencies, dtype=np.int64)
        if table.ndim != 1 or table.size < 2 or int(table.min()) < 1 or int(table.sum()) != TOTAL:
            raise ValueError(f"a frequency table needs two or more entries, each at least 1, that sum to {TOTAL}")
        self.size = int(table.size)
        # constriction gives symbol s the cumulative floor(sum(g[:s]) * scale) + s, scale = (TOTAL - n) / sum(g). With
        # g = frequencies - 1 the scale is exactly 1.0 and each sum is an integer below 2^53: nothing is rounded.
        self._categorical = constriction.stream.model.Categorical((table - 1).astype(np.float64), perfect=False)


class ModelSet:
    """Several tables of one length, for symbols that each have their own.

    Args:
        tables: integer array (tables, n), every row as in `Model`.

    Raises:
        ValueError: a row breaks the rules of a table.
    """

    __slots__ = ("_family", "_weights", "size")

    def __init__(self, tables: np.ndarray) -> None:
        rows = np.asarray(tables, dtype=np.int64)
        if rows.ndim != 2 or rows.shape[1] < 2 or int(rows.min()) < 1 or bool((rows.sum(axis=1) != TOTAL).any()):
            raise ValueError(f"each table needs two or more entries, each at least 1, that sum to {TOTAL}")
        self.size = int(rows.shape[1])
        self._weights = (rows - 1).astype(np.float64)  # as in `Model`: nothing is rounded
        self._family = constriction.stream.model.Categorical(perfect=False)


class Encoder:
    """Collects symbols, `put` by `put`, into one stream."""

    __slots__ = ("_coder",)

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def put(self, symbols: np.ndarray, model: Model) -> None:
        """Append symbols.

        Args:
            symbols: int32 array (count,), values 0 to model.size - 1; may be empty.

        Raises:
            ValueError: a symbol is outside of the model's alphabet.
        """
        try:
            self._coder.encode(np.ascontiguousarray(symbols, dtype=np.int32), model._categorical)
        except KeyError:
            raise ValueError(f"a symbol lies outside of the alphabet 0 to {model.size - 1}") from None

    def put_each(self, symbols: np.ndarray, ids: np.ndarray, models: ModelSet) -> None:
        """Append symbols, int32 (count,), each under the table that `ids` (count,) names."""
        if len(symbols):
            self._coder.encode(np.ascontiguousarray(symbols, dtype=np.int32), models._family, models._weights[ids])

    def finish(self) -> bytes:
        """The stream of everything that was put; the encoder stays usable. Nothing put gives b""."""
        words = self._coder.get_compressed()
        position, (lower, width) = self._coder.pos()
        count: int = position + 2
        value = int.from_bytes(words.astype(">u4").tobytes() + bytes(4 * (count - len(words))), "big")
        # The library's own last words name one point of the final interval; step back to its start, then take the
        # point of the interval that has the most zero bytes at its end, because those need not be written.
        start = value - ((value - lower) & _MASK64)
        # The interval is never narrower than 2^32.
        for bits in (64, 56, 48, 40, 32):
            point: int = -(-start >> bits) << bits
            if point - start < width:
                break
        return point.to_bytes(4 * count, "big").rstrip(b"\0")


class Decoder:
    """Reads symbols, `get` by `get`, from one stream, in the order and under the models of the encoder.

    Past the end the stream continues with zeros, so that any bytes decode to some symbols: `finish` tells whether they
    are the stream of those symbols.
    """

    __slots__ = ("_again", "_coder", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        padded = self._data + bytes(-len(self._data) % 4)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
        self._again = Encoder()

    def get(self, count: int, model: Model) -> np.ndarray:
        """The next `count` symbols, int32 array (count,), values 0 to model.size - 1.

        The caller bounds `count`: it sets the memory (4 bytes a symbol) and the time.

        Raises:
            MalformedError: the bytes belong to no sequence of symbols.
        """
        try:
            symbols: np.ndarray = self._coder.decode(model._categorical, count)
        except AssertionError:  # constriction's exception for a point in the gap that the division by TOTAL leaves
            raise MalformedError("range coded stream", "belongs to no sequence of symbols") from None
        self._again.put(symbols, model)
        return symbols

    def get_each(self, ids: np.ndarray, models: ModelSet) -> np.ndarray:
        """The next symbols, int32 (count,), each under the table that `ids` (count,) names.

        These are not encoded again, so that `finish` does not guard them: their owner keeps a checksum of them.

        Raises:
            MalformedError: the bytes belong to no sequence of symbols.
        """
        if not len(ids):
            return np.zeros(0, np.int32)
        try:
            symbols: np.ndarray = self._coder.decode(models._family, models._weights[ids])
        except AssertionError:
            raise MalformedError("range coded stream", "belongs to no sequence of symbols") from None
        return symbols

    def finish(self) -> None:
        """Check that the stream is exactly the one of the symbols read so far. Call it after the last `get`.

        Raises:
            MalformedError: bytes are missing, changed or left over.
        """
        if self._again.finish() != self._data:
            raise MalformedError("range coded stream", "has missing, changed or surplus bytes")


def encode(symbols: np.ndarray, table_ids: np.ndarray, tables: Sequence[np.ndarray]) -> bytes:
    """Code symbols, each under its own table, grouped by table: all of table 0 in order, then all of table 1, ...

    Args:
        symbols: int32 array (count,).
        table_ids: integer array (count,), indices into `tables`.
        tables: frequency tables as `Model` takes them.

    Raises:
        ValueError: a symbol is outside of its table's alphabet.
    """
    encoder = Encoder()
    for index in _used(table_ids):
        encoder.put(symbols[table_ids == index], Model(tables[index]))
    return encoder.finish()


def decode(data: bytes, table_ids: np.ndarray, tables: Sequence[np.ndarray]) -> np.ndarray:
    """Inverse of `encode`: int32 array (count,).

    Raises:
        MalformedError: `data` is not the stream of any symbols under these tables.
    """
    decoder = Decoder(data)
    symbols = np.zeros(len(table_ids), dtype=np.int32)
    for index in _used(table_ids):
        here = table_ids == index
        symbols[here] = decoder.get(int(np.count_nonzero(here)), Model(tables[index]))
    decoder.finish()
    return symbols


def _used(table_ids: np.ndarray) -> List[int]:
    return [int(index) for index in np.unique(table_ids)]
