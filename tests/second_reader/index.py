"""The index of a payload's parts (FORMAT.md, "Index")."""

from __future__ import annotations

import zlib
from typing import List, NamedTuple, Sequence

from .conventions import Bytes, require, varint


class Entry(NamedTuple):
    """A part in the index."""

    size: int
    crc: int
    ends: List[int]


def read_index(data: bytes, levels: Sequence[int]) -> List[Entry]:
    """The data of the chunk, of parts with so many levels each."""
    index = Bytes(data)
    entries = []
    for count in levels:
        entry = Entry(index.varint(), index.number(4), [index.varint() for _ in range(count)])
        require(entry.ends == sorted(entry.ends) and entry.ends[-1:] in ([], [entry.size]), "ends of the levels")
        entries.append(entry)
    require(not index.rest(), "bytes after the index")
    return entries


def check_index(data: bytes, levels: Sequence[int], parts: Sequence[bytes]) -> None:
    """Where the whole file is there, sizes and checksums have to be those of the parts."""
    found = [entry[:2] for entry in read_index(data, levels)]
    require(found == [(len(part), zlib.crc32(part)) for part in parts], "index")


def written_index(parts: Sequence[bytes], ends: Sequence[Sequence[int]]) -> bytes:
    """The data of the index chunk, as a writer makes it."""
    return b"".join(
        varint(len(part)) + zlib.crc32(part).to_bytes(4, "little") + b"".join(map(varint, of_part))
        for part, of_part in zip(parts, ends)
    )


def cut(payload: bytes, count: int) -> List[bytes]:
    """The parts of a payload that begins with the list of their sizes."""
    data = Bytes(payload)
    sizes = [data.varint() for _ in range(count)]
    require(sum(sizes) == len(payload) - data.position, "sizes of the parts")
    return [data.take(size) for size in sizes]
