"""Variable-length integers (FORMAT.md, "Conventions")."""

from __future__ import annotations

from typing import Tuple, Union

import numpy as np

from nifcodec.errors import MalformedError, TruncatedError

VARINT_BYTES = 5
VARINT_MAX = (1 << 32) - 1


def write_varint(value: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first, the top bit set on all but the last; 0 <= value <= `VARINT_MAX`."""
    if not 0 <= value <= VARINT_MAX:
        raise ValueError(f"{value} is outside of 0 to {VARINT_MAX}")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: Union[bytes, memoryview], offset: int, field: str) -> Tuple[int, int]:
    """The value at `offset` and the offset behind it.

    Raises:
        TruncatedError: the data ends inside of the number.
        MalformedError: the number is above `VARINT_MAX` or not in its shortest form.
    """
    value = 0
    for length in range(VARINT_BYTES):
        if offset + length >= len(data):
            raise TruncatedError(f"the data ends inside of {field}")
        byte = data[offset + length]
        value |= (byte & 127) << 7 * length
        if byte < 128:
            if (byte == 0 and length) or value > VARINT_MAX:
                raise MalformedError(field, "is not the shortest form of a number below 2^32", offset)
            return value, offset + length + 1
    raise MalformedError(field, "is a number of more than five bytes", offset)


def write_varints(values: np.ndarray) -> bytes:
    """All numbers of an integer array (count,), each 0 to 2^28 - 1, as varints."""
    groups = np.stack([values >> shift & 127 for shift in (0, 7, 14, 21)], axis=-1).reshape(-1, 4)
    last = np.searchsorted([1 << 7, 1 << 14, 1 << 21], values, side="right")[:, None]
    place = np.arange(4)
    octets: np.ndarray = (groups | (place < last) * 128).astype(np.uint8)[place <= last]
    return octets.tobytes()


def read_varints(data: bytes, count: int, field: str) -> np.ndarray:
    """Exactly `count` varints of at most four bytes each: int64 array (count,).

    Raises:
        MalformedError: there are more or fewer, or one is too long or not in its shortest form.
    """
    octets = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(octets < 128)
    if len(ends) != count or (len(octets) and octets[-1] > 127):
        raise MalformedError(field, f"does not hold exactly {count} numbers")
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if int((ends - starts).max()) > 3 or bool(((octets[ends] == 0) & (ends > starts)).any()):
        raise MalformedError(field, "holds a number of more than four bytes or not in its shortest form")
    shifts = 7 * (np.arange(len(octets)) - np.repeat(starts, ends - starts + 1))
    values: np.ndarray = np.add.reduceat((octets & 127).astype(np.int64) << shifts, starts)
    return values
