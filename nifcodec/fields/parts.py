"""A payload of several parts, such as a root and tiles, and the index of them (FORMAT.md, "Index")."""

from __future__ import annotations

import zlib
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from nifcodec.entropy.varint import read_varint, write_varint
from nifcodec.errors import ChecksumError, MalformedError, TruncatedError

Span = Tuple[int, int]  # from, to: samples along one direction


class CodedPart(NamedTuple):
    """A part of a payload, coded by itself.

    Attributes:
        data: its bytes.
        ends: of each level from the coarsest to the finest, the bytes from the beginning that a reader needs for it.
    """

    data: bytes
    ends: Tuple[int, ...] = ()


def unpack_fields(data: bytes, family: str, least: int) -> bytes:
    """The fields of a description that begins with their size; what follows them is passed over.

    Raises TruncatedError, and MalformedError where there are fewer than `least` bytes, or than it says.
    """
    size, start = read_varint(data, 0, f"size of the {family} description")
    fields = data[start : start + size]
    if len(fields) < size or size < least:
        raise MalformedError(f"{family} description", f"has {len(fields)} bytes")
    return fields


def ancillary_fields(data: bytes) -> bytes:
    """What follows the fields of a description that begins with their size. Raises TruncatedError."""
    size, start = read_varint(data, 0, "size of the description")
    return data[start + size :]


def pack_parts(parts: Sequence[CodedPart]) -> bytes:
    """The payload of these parts: the size of each, then all of them."""
    return b"".join([*(write_varint(len(part.data)) for part in parts), *(part.data for part in parts)])


def pack_index(parts: Sequence[CodedPart]) -> bytes:
    """The chunk `i` of a payload of these parts: size, CRC-32 and ends of the levels of each."""
    entries = (
        write_varint(len(part.data))
        + zlib.crc32(part.data).to_bytes(4, "little")
        + b"".join(map(write_varint, part.ends))
        for part in parts
    )
    return b"".join(entries)


def check_index(index: bytes, parts: Sequence[bytes], levels: Sequence[int]) -> None:
    """Holds the chunk `i` against the parts of the payload, of which each has so many levels.

    Raises:
        TruncatedError, MalformedError: it is no index of these parts.
        ChecksumError: a part does not have the checksum that it says.
    """
    offset = 0
    for number, (part, count) in enumerate(zip(parts, levels)):
        size, offset = read_varint(index, offset, "size of a part")
        checksum, offset = int.from_bytes(index[offset : offset + 4], "little"), offset + 4
        ends = []
        for _ in range(count):
            end, offset = read_varint(index, offset, "end of a level")
            ends.append(end)
        if size != len(part) or ends != sorted(ends) or (ends and ends[-1] != size):
            raise MalformedError("index", f"does not fit part {number} of the payload")
        if checksum != zlib.crc32(part):
            raise ChecksumError(f"the file is damaged: part {number} of its payload does not match its checksum")
    if offset != len(index):
        raise MalformedError("index", f"has {len(index)} bytes in place of {offset}")


def unpack_parts(data: bytes, count: int) -> List[bytes]:
    """The bytes of each of `count` parts.

    Raises:
        TruncatedError, MalformedError: the sizes are not those of the data.
    """
    if count > len(data):
        raise TruncatedError("the file ends inside of the sizes of its parts")
    sizes, offset = [], 0
    for _ in range(count):
        size, offset = read_varint(data, offset, "size of a part")
        sizes.append(size)
    if sum(sizes) != len(data) - offset:
        raise MalformedError("sizes of the parts", f"sum to {sum(sizes)} bytes in place of {len(data) - offset}")
    starts = offset + np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
    return [data[start:end] for start, end in zip(starts.tolist(), starts[1:].tolist())]
