"""Family 4: description, prior, weights, tiles and parts (FORMAT.md, "Family 4: pyramid")."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from .container import Fetch, Head, Header
from .conventions import Bytes, known, require, varint
from .entropy import AdaptiveBits, Stream
from .index import check_index, cut, read_index, written_index
from .latents import ORDER, Grid, LatentPart, Network, Size, read_latents
from .prior import Arrays, find_file
from .synthesis import render

WEIGHTS, MAPS = 4621, 1030
"""Of a start of the prior."""
Shape = Tuple[int, ...]
Span = Tuple[int, int]
"""From, to."""


def shapes_of_weights(channels: int) -> Dict[str, Shape]:
    """By the tensors' names, in their order."""
    found: Dict[str, Shape] = {}

    def with_bias(name: str, *shape: int) -> None:
        found[name], found[f"{name} bias"] = shape, shape[:1]

    for group in range(4):
        for name, outputs in (("first", 20), ("second", 20), ("last", 2)):
            with_bias(f"entropy {group} {name}", outputs, 20)
        found[f"entropy {group} linear"] = (2, 20)
    for level, coarser in enumerate((9, 8, 7)):
        with_bias(f"features {level}", 6, coarser)
    for kind in ("double", "filter"):
        found.update({f"{kind} {level}": (4,) for level in range(6)})
    with_bias("synthesis hidden", 48, 7)
    with_bias("synthesis colours", channels, 48)
    with_bias("synthesis linear", channels, 7)
    with_bias("synthesis first", channels, channels, 3, 3)
    with_bias("synthesis second", channels, channels, 3, 3)
    return found


class Start(NamedTuple):
    """Weights by name, of three channels."""

    weights: Dict[str, np.ndarray]

    def of_channels(self, channels: int) -> Dict[str, np.ndarray]:
        found = {}
        for name, shape in shapes_of_weights(channels).items():
            values = self.weights[name]
            if values.shape != shape:
                if channels < 3:
                    values = values.sum(axis=1, keepdims=True) if values.ndim == 4 else values
                    values = values.mean(axis=0, keepdims=True)
                given, values = values, np.zeros(shape)
                values[tuple(slice(side) for side in given.shape)] = given
            found[name] = values
        return found


def read_starts(data: bytes) -> List[Start]:
    """The prior's file."""
    file = Arrays(data)
    require(file.take(8) == b"NIFPYRAM", "magic of the prior")
    known(file.number(1) == 1, "prior file")
    count = file.number(1)
    require(count >= 1 and file.number(2) == 0, "starts of the prior")
    require(file.number(4) == WEIGHTS and file.number(4) == MAPS, "numbers of the prior")
    starts = []
    for _ in range(count):
        require(bool(file.floats(1) > 0), "price of a start")
        shapes = shapes_of_weights(3)
        starts.append(Start({name: file.integers("i4", *shape) * 2.0**-17 for name, shape in shapes.items()}))
        file.floats(MAPS)
    require(not file.rest(), "bytes after the prior")
    return starts


@lru_cache(maxsize=None)
def find_starts(identity: bytes) -> List[Start]:
    return read_starts(find_file(identity))


class Description(NamedTuple):
    tile_exponent: int
    start: Start


def read_description(header: Header) -> Description:
    fields = Bytes(header.description.take(header.description.varint()))  # what follows is read_detail's
    exponent, number, identity = fields.number(1), fields.number(1), fields.take(8)
    known(not fields.rest(), "description")
    require(exponent == 0 or 7 <= exponent <= 11, "size of the tiles")
    require(exponent > 0 or header.width * header.height <= 2**21, "a picture of this size has tiles")
    starts = find_starts(identity)
    require(number < len(starts), "number of the start")
    return Description(exponent, starts[number])


class Tile(NamedTuple):
    top: int
    left: int
    size: Size

    def within(self, level: int) -> Tuple[slice, slice]:
        """Where it lies in a grid of a level."""
        spans = zip((self.top, self.left), self.size)
        rows, columns = (slice(start >> level, -(-(start + side) >> level)) for start, side in spans)
        return rows, columns

    def touches(self, level: int, spans: Sequence[Span]) -> bool:
        """Whether it has latents of a level in these rows and columns."""
        return all(own.start < span[1] and span[0] < own.stop for own, span in zip(self.within(level), spans))


def tiles_of(header: Header, exponent: int) -> List[Tile]:
    if not exponent:
        return []
    side = 2**exponent
    return [
        Tile(top, left, (min(side, header.height - top), min(side, header.width - left)))
        for top in range(0, header.height, side)
        for left in range(0, header.width, side)
    ]


class Pyramid(NamedTuple):
    """A decoded field."""

    step_indices: np.ndarray
    integers: List[np.ndarray]
    """Of the weights, tensor by tensor."""
    weights: Dict[str, np.ndarray]
    grids: Dict[Grid, np.ndarray]
    """Of the whole picture, in coding order."""
    parts: List[LatentPart]
    """The root and the tiles."""
    index_chunk: bytes
    """The data of the index chunk that belongs to the payload."""

    def colours(self) -> np.ndarray:
        """At the pixel centres, (rows, columns, channels)."""
        return render(self.grids, self.weights)


TYPICAL = {
    "entropy matrix": 6,
    "entropy out": 7,
    "entropy bias": 6,
    "features": 7,
    "taps": 10,
    "synthesis matrix": 9,
    "synthesis colours": 8,
    "synthesis kernel": 10,
    "synthesis bias": 11,
}
"""Step indices by the tensors' kinds."""


def kind_of(name: str) -> str:
    words = name.split()
    if words[0] == "features":
        return "features"
    if words[0] in ("double", "filter"):
        return "taps"
    if words[-1] == "bias":
        return f"{words[0]} bias"
    if words[0] == "entropy":
        return "entropy matrix" if words[-1] in ("first", "second") else "entropy out"
    return {"hidden": "synthesis matrix", "colours": "synthesis colours"}.get(words[1], "synthesis kernel")


def read_weights(data: bytes, start: Dict[str, np.ndarray]) -> "Tuple[np.ndarray, List[np.ndarray]]":
    """The step indices and the integers."""
    stream = Stream(data)
    bits = AdaptiveBits(stream)
    indices, integers, deviation = [], [], 0
    for name, values in start.items():
        kind = kind_of(name)
        one_row = kind == "taps" or values.ndim == 1
        found = np.zeros((1 if one_row else len(values), values.size // (1 if one_row else len(values))), np.int64)
        indices.append(TYPICAL[kind])
        if bits.bit("used"):
            deviation += bits.integer("step", 0)
            indices[-1] += deviation
            require(0 <= indices[-1] <= 14, "step index of the weights")
            for y, x in np.ndindex(*found.shape):
                digits = [len(bin(abs(int(found[y, x - 1])))) - 2 if found[y, x - 1] else 0] if x else []
                digits += [len(bin(abs(int(found[y - 1, x])))) - 2 if found[y - 1, x] else 0] if y else []
                digits = 2 * digits if len(digits) == 1 else digits
                found[y, x] = bits.integer(kind, min(3, sum(digits)))
            require(bool(found.any()), "a used tensor of zeros")
        integers.append(found.reshape(values.shape))
    stream.finish()
    return np.array(indices), integers


def decode(header: Header, description: Description, get: Callable[[int], bytes], needed: Sequence[int]) -> Pyramid:
    """The field from its parts.

    Args:
        get: the bytes of a part by its number: 0 the weights, 1 the root, and then the tiles.
        needed: the numbers of the tiles to decode; the others are left zero.
    """
    size: Size = (header.height, header.width)
    tiles = tiles_of(header, description.tile_exponent)
    in_root = [grid for grid in ORDER if not tiles or grid.level >= 5]
    start = description.start.of_channels(header.channels)
    steps, integers = read_weights(get(0), start)
    weights = {
        name: (values + off * 2.0**-step).astype(np.float32).astype(np.float64)
        for (name, values), off, step in zip(start.items(), integers, steps.tolist())
    }
    network = Network(weights)
    decoded = [read_latents(get(1), network, in_root, size, {})]
    grids = {grid: np.zeros(grid.size(*size), np.int64) for grid in ORDER}
    grids.update(decoded[0].grids)
    for number in needed:
        tile = tiles[number - 2]
        seen = {grid: values[tile.within(grid.level)] for grid, values in decoded[0].grids.items()}
        decoded.append(read_latents(get(number), network, ORDER[len(in_root) :], tile.size, seen))
        for grid, values in decoded[-1].grids.items():
            grids[grid][tile.within(grid.level)] = values
    index_chunk = written_index([get(number) for number in (0, 1, *needed)], [[], *(part.ends for part in decoded)])
    return Pyramid(steps, integers, weights, grids, decoded, index_chunk)


def levels_of_parts(tiles: Sequence[Tile]) -> List[int]:
    return [0, 2 if tiles else 7, *(5 for _ in tiles)]


def read_pyramid(header: Header, head: Head, payload: bytes) -> Pyramid:
    """A whole payload."""
    description = read_description(header)
    levels = levels_of_parts(tiles_of(header, description.tile_exponent))
    parts = cut(payload, len(levels))
    if "i" in head.chunks:
        check_index(head.chunks["i"], levels, parts)
    return decode(header, description, parts.__getitem__, range(2, len(parts)))


def read_region(header: Header, head: Head, fetch: Fetch, rows: Span, columns: Span) -> np.ndarray:
    """The colours of a part of a picture with an index, from the bytes of weights, root and the tiles that it needs."""
    description = read_description(header)
    tiles = tiles_of(header, description.tile_exponent)
    require("i" in head.chunks, "the file has no index")
    entries = read_index(head.chunks["i"], levels_of_parts(tiles))
    sizes = [entry.size for entry in entries]
    before = sum(len(varint(size)) for size in sizes)
    require(before + sum(sizes) == head.length, "sizes of the parts")

    @lru_cache(maxsize=None)
    def get(number: int) -> bytes:
        part = fetch(head.start + before + sum(sizes[:number]), sizes[number])
        require(len(part) == sizes[number] and zlib.crc32(part) == entries[number].crc, "checksum of a part")
        return part

    touched = touched_tiles(tiles, rows, columns)
    return decode(header, description, get, touched).colours()[slice(*rows), slice(*columns)]


def touched_tiles(tiles: Sequence[Tile], rows: Span, columns: Span) -> List[int]:
    """The numbers of the parts that a rectangle depends on, without weights and root."""
    needed = set()
    spans: List[Span] = [(start - 2, end + 2) for start, end in (rows, columns)]
    for level in range(5):
        if level:
            spans = [(start // 2 - 2, -(-end // 2) + 2) for start, end in spans]
        reached = [(start - 3, end + 3) for start, end in spans]
        needed.update(number for number, tile in enumerate(tiles, 2) if tile.touches(level, reached))
    return sorted(needed)
