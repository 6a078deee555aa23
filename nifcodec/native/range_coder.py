"""Range coder: integer symbols under integer frequency tables <-> bytes (FORMAT.md, "Range coder").

The loops here are the reference; with the native library its loops are taken, which give the same bytes and symbols.
A sequence of symbols has exactly one stream, and `Decoder.finish` refuses any other.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from typing import List, Optional, Union

import numpy as np

from nifcodec.errors import MalformedError

PRECISION = 24
TOTAL = 1 << PRECISION

_MASK64 = (1 << 64) - 1
_OUTSIDE, _STREAM = 5, 1  # NIF_SYMBOL_OUTSIDE and NIF_MALFORMED_STREAM in nifcodec.h


class Model:
    """A frequency table, made ready for coding. Build it once and use it for many calls.

    Args:
        frequencies: integer array (n,), n >= 2, every entry >= 1, the sum exactly `TOTAL`.

    Raises:
        ValueError: the table breaks one of these rules.

    Attributes:
        size: number n of symbols; they are 0 to n - 1.
        cumulative: uint32 (1, n + 1), 0 to `TOTAL`.
    """

    __slots__ = ("cumulative", "size")

    def __init__(self, frequencies: np.ndarray) -> None:
        self.cumulative = _cumulative(np.asarray(frequencies)[None])
        self.size = self.cumulative.shape[1] - 1


class ModelSet:
    """Several tables of one length, for symbols that each have their own.

    Args:
        tables: integer array (tables, n), every row as in `Model`.

    Raises:
        ValueError: a row breaks the rules of a table.
    """

    __slots__ = ("cumulative", "size")

    def __init__(self, tables: np.ndarray) -> None:
        self.cumulative = _cumulative(np.asarray(tables))
        self.size = self.cumulative.shape[1] - 1


def _cumulative(tables: np.ndarray) -> np.ndarray:
    rows = tables.astype(np.int64)
    if rows.ndim != 2 or rows.shape[1] < 2 or int(rows.min()) < 1 or bool((rows.sum(axis=1) != TOTAL).any()):
        raise ValueError(f"a frequency table needs two or more entries, each at least 1, that sum to {TOTAL}")
    sums = np.zeros((rows.shape[0], rows.shape[1] + 1), np.uint32)
    sums[:, 1:] = np.cumsum(rows, axis=1)
    return sums


class _EncoderState(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("width", ctypes.c_uint64), ("bytes", ctypes.c_uint64)]


class _DecoderState(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("offset", "width", "window", "next")]


class Encoder:
    """Collects symbols, `put` by `put`, into one stream.

    Args:
        library: the native library; None takes the loops in Python.
    """

    __slots__ = ("_library", "_out", "_state")

    def __init__(self, library: Optional[ctypes.CDLL] = None) -> None:
        self._library = library
        self._state = _EncoderState(0, _MASK64, 0)
        self._out = bytearray()  # what was shifted out

    def put(self, symbols: np.ndarray, model: Model) -> None:
        """Append symbols.

        Args:
            symbols: int32 array (count,), values 0 to model.size - 1; may be empty.

        Raises:
            ValueError: a symbol is outside of the model's alphabet.
        """
        self._append(symbols, None, model)

    def put_each(self, symbols: np.ndarray, ids: np.ndarray, models: ModelSet) -> None:
        """Append symbols, int32 (count,), each under the table that `ids` (count,) names."""
        self._append(symbols, ids, models)

    def needed(self) -> int:
        """How many of the final stream's bytes a decoder needs for what was put so far."""
        return len(self._out) + 8

    def finish(self) -> bytes:
        """The stream of everything that was put; the encoder stays usable. Nothing put gives b""."""
        low, width = self._state.low, self._state.width
        # The number with the most zeros at its end: they need not be written. The interval is never below 2^32 wide.
        for zeros in (64, 56, 48, 40, 32):
            point = -(-low >> zeros) << zeros
            if point - low < width:
                break
        out = bytearray(self._out)
        if point > _MASK64:
            _carry(out)
        return bytes(out + (point & _MASK64).to_bytes(8, "big")).rstrip(b"\0")

    def _append(self, symbols: np.ndarray, ids: Optional[np.ndarray], models: Union[Model, ModelSet]) -> None:
        values = np.ascontiguousarray(symbols, np.int32)
        chosen = np.zeros(len(values), np.int32) if ids is None else np.ascontiguousarray(ids, np.int32)
        if not len(values):
            return
        if int(values.min()) < 0 or int(values.max()) >= models.size:
            raise ValueError(f"a symbol lies outside of the alphabet 0 to {models.size - 1}")
        if chosen.shape != values.shape or int(chosen.min()) < 0 or int(chosen.max()) >= len(models.cumulative):
            raise ValueError("each symbol needs one of the tables")
        if self._library is None:
            self._append_each(values.tolist(), chosen.tolist(), models.cumulative)
        else:
            self._append_natively(self._library, values, chosen, models)

    def _append_each(self, symbols: List[int], ids: List[int], cumulative: np.ndarray) -> None:
        low, width, out = self._state.low, self._state.width, self._out
        starts = cumulative[ids, symbols].tolist()
        shares = (cumulative[ids, np.array(symbols) + 1] - cumulative[ids, symbols]).tolist()
        for start, share in zip(starts, shares):
            scale = width >> PRECISION
            low += scale * start
            width = scale * share
            if low > _MASK64:
                low &= _MASK64
                _carry(out)
            if width < 1 << 32:
                out += (low >> 32).to_bytes(4, "big")
                low, width = low << 32 & _MASK64, width << 32
        self._state = _EncoderState(low, width, len(out))

    def _append_natively(
        self, library: ctypes.CDLL, symbols: np.ndarray, ids: np.ndarray, models: Union[Model, ModelSet]
    ) -> None:
        self._out.extend(bytes(4 * len(symbols)))
        room = (ctypes.c_uint8 * len(self._out)).from_buffer(self._out)
        error = library.nifcodec_encoder_put(
            ctypes.byref(self._state), room, ctypes.c_uint64(len(room)), *_tables(models), _address(ids),
            _address(symbols), ctypes.c_int64(len(symbols))
        )  # fmt: skip
        del room
        del self._out[self._state.bytes :]
        if error:
            raise ValueError(f"the native code refuses its arguments: {error}")


class Decoder:
    """Reads symbols, `get` by `get`, from one stream, in the order and under the models of the encoder.

    Past the end the stream continues with zeros, so that any bytes decode to some symbols: `finish` tells whether they
    are the stream of those symbols.

    Args:
        library: the native library; None takes the loops in Python.
    """

    __slots__ = ("_any", "_data", "_library", "_state")

    def __init__(self, data: bytes, library: Optional[ctypes.CDLL] = None) -> None:
        self._data = bytes(data)
        self._library = library
        first = int.from_bytes(self._data[:8].ljust(8, b"\0"), "big")
        self._state = _DecoderState(first, _MASK64, first, 8)
        self._any = False

    def get(self, count: int, model: Model) -> np.ndarray:
        """The next `count` symbols, int32 array (count,), values 0 to model.size - 1.

        The caller bounds `count`: it sets the memory (4 bytes a symbol) and the time.

        Raises:
            MalformedError: the bytes belong to no sequence of symbols.
        """
        return self._read(np.zeros(count, np.int32), model)

    def get_each(self, ids: np.ndarray, models: ModelSet) -> np.ndarray:
        """The next symbols, int32 (count,), each under the table that `ids` (count,) names.

        Raises:
            MalformedError: the bytes belong to no sequence of symbols.
        """
        return self._read(np.ascontiguousarray(ids, np.int32), models)

    def finish(self) -> None:
        """Check that the stream is exactly the one of the symbols read so far. Call it after the last `get`.

        Raises:
            MalformedError: bytes are missing, changed or left over.
        """
        if not self.is_canonical():
            raise MalformedError("range coded stream", "has missing, changed or surplus bytes")

    def is_canonical(self) -> bool:
        """Whether the stream is the one that the encoder makes of the symbols read so far.

        The place of the stream's number in the interval that is left is known: it is the encoder's where it is that
        of the number with the most zeros at its end. Nothing has to be encoded again.
        """
        if not self._any:
            return not self._data
        state = self._state
        low = (state.window - state.offset) & _MASK64
        gaps = (-low & (1 << zeros) - 1 for zeros in (64, 56, 48, 40, 32))
        gap = next(gap for gap in gaps if gap < state.width)
        return state.offset == gap and len(self._data) <= state.next and self._data[-1:] != b"\0"

    def _read(self, ids: np.ndarray, models: Union[Model, ModelSet]) -> np.ndarray:
        if not len(ids):
            return np.zeros(0, np.int32)
        if int(ids.min()) < 0 or int(ids.max()) >= len(models.cumulative):
            raise ValueError("each symbol needs one of the tables")
        self._any = True
        if self._library is None:
            return self._read_each(ids, models.cumulative)
        symbols = np.empty(len(ids), np.int32)
        error = self._library.nifcodec_decoder_get(
            ctypes.byref(self._state), ctypes.c_char_p(self._data), ctypes.c_uint64(len(self._data)), *_tables(models),
            _address(ids), _address(symbols), ctypes.c_int64(len(ids))
        )  # fmt: skip
        if error == _STREAM:
            raise MalformedError("range coded stream", "belongs to no sequence of symbols")
        if error:
            raise ValueError(f"the native code refuses its arguments: {error}")
        return symbols

    def _read_each(self, ids: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
        state, data = self._state, self._data
        offset, width, window, following = state.offset, state.width, state.window, state.next
        rows = {int(index): cumulative[index].tolist() for index in np.unique(ids)}
        symbols = []
        for index in ids.tolist():
            row = rows[index]
            scale = width >> PRECISION
            quotient = offset // scale
            if quotient >= TOTAL:
                raise MalformedError("range coded stream", "belongs to no sequence of symbols")
            symbol = bisect_right(row, quotient) - 1
            symbols.append(symbol)
            offset -= scale * row[symbol]
            width = scale * (row[symbol + 1] - row[symbol])
            if width < 1 << 32:
                word = int.from_bytes(data[following : following + 4].ljust(4, b"\0"), "big")
                offset, width, window = offset << 32 | word, width << 32, (window << 32 | word) & _MASK64
                following += 4
        self._state = _DecoderState(offset, width, window, following)
        return np.array(symbols, np.int32)


def _carry(out: bytearray) -> None:
    """Adds one to the number that bytes are; it does not outgrow them."""
    at = len(out) - 1
    while out[at] == 255:
        out[at] = 0
        at -= 1
    out[at] += 1


def _tables(models: Union[Model, ModelSet]) -> "tuple[ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32]":
    return _address(models.cumulative), ctypes.c_int64(len(models.cumulative)), ctypes.c_int32(models.size)


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
