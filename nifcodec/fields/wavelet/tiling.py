"""A large picture's lattice cut into a root and tiles (FORMAT.md, "Tiled payload").

The transform is one for the whole picture; only the coding is cut. The root is the lattice from level `TILE_LEVELS` on.
A tile is a part of the finer levels, coded as if there were nothing around it, so that it decodes by itself.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np

from nifcodec.entropy.varint import read_varint, write_varint
from nifcodec.errors import ChecksumError, MalformedError, TruncatedError
from nifcodec.fields.coded_part import CodedPart
from nifcodec.fields.wavelet.lattice import BandValues, Lattice

TILE_LEVELS = 5

Span = Tuple[int, int]  # from, to: samples along one direction


@dataclass(frozen=True)
class Tile:
    """A tile: which pixels of the picture, and its lattice of TILE_LEVELS levels."""

    rows: Span
    columns: Span
    lattice: Lattice

    @property
    def pixels(self) -> int:
        """How many it has."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    def low(self, plane: np.ndarray) -> np.ndarray:
        """Its part of the root's native plane (planes, rows, columns)."""
        rows, columns = self._at(TILE_LEVELS)
        return plane[:, rows, columns]

    def coarser(self, levels: Sequence[BandValues]) -> List[BandValues]:
        """Its parts of the root's two finest levels, the parents and grandparents of its coarsest bands."""
        return [
            {band: values[self._at(TILE_LEVELS + 1 + i)] for band, values in bands.items()}
            for i, bands in enumerate(levels[:2])
        ]

    def _at(self, level: int) -> Tuple[slice, slice]:
        (top, bottom), (left, right) = (at_level(span, level) for span in (self.rows, self.columns))
        return slice(top, bottom), slice(left, right)


class Tiling:
    """The root and the tiles of a picture.

    Args:
        side: of a tile in pixels, a multiple of 128, so that the parents of its coefficients are a rectangle too.
    """

    def __init__(self, width: int, height: int, plane_ids: Sequence[int], side: int) -> None:
        self.whole = Lattice(width, height, plane_ids, TILE_LEVELS)
        rows, columns = self.whole.sizes[-1]
        self.root = Lattice(columns, rows, plane_ids, first=TILE_LEVELS)
        self.side = side
        self.down, self.across = -(-height // side), -(-width // side)

    @property
    def count(self) -> int:
        """Number of tiles; they are numbered row by row."""
        return self.down * self.across

    def tile(self, number: int) -> Tile:
        """One of them; those at the right and at the bottom may be smaller than `side`."""
        row, column = divmod(number, self.across)
        height, width = self.whole.sizes[0]
        rows = (row * self.side, min((row + 1) * self.side, height))
        columns = (column * self.side, min((column + 1) * self.side, width))
        lattice = Lattice(columns[1] - columns[0], rows[1] - rows[0], self.whole.plane_ids, TILE_LEVELS)
        return Tile(rows, columns, lattice)


def at_level(span: Span, level: int) -> Span:
    """The low-pass samples of a level, 0 the pixels, at these pixels."""
    return span[0] >> level, -(-span[1] >> level)


def pack_parts(parts: Sequence[CodedPart]) -> bytes:
    """The payload of the root and all tiles: the size of each, then all of them."""
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
    """The bytes of each of `count` parts: the root and the tiles.

    Raises:
        TruncatedError, MalformedError: the sizes are not those of the data.
    """
    if count > len(data):
        raise TruncatedError("the file ends inside of the sizes of its tiles")
    sizes, offset = [], 0
    for _ in range(count):
        size, offset = read_varint(data, offset, "size of a tile")
        sizes.append(size)
    if sum(sizes) != len(data) - offset:
        raise MalformedError("sizes of the tiles", f"sum to {sum(sizes)} bytes in place of {len(data) - offset}")
    starts = offset + np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
    return [data[start:end] for start, end in zip(starts.tolist(), starts[1:].tolist())]
