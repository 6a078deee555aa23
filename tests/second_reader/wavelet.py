"""Family 3: description, tiles, and the reading of parts (FORMAT.md, "Family 3: wavelet")."""

from __future__ import annotations

import zlib
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .container import Fetch, Head, Header
from .context import Bands
from .conventions import Bytes, known, require, varint
from .index import check_index, cut, read_index, written_index
from .lattice import (
    Coding,
    Part,
    Pass,
    Planes,
    Size,
    number_of_levels,
    read_bands,
    read_lattice,
    sizes_of_planes,
    synthesise,
    zero_bands,
)
from .prior import Prior, find_prior
from .render import render

Span = Tuple[int, int]
"""From, to."""


class Description(NamedTuple):
    step_index: int
    tile_exponent: int
    dependent: bool
    fine: bool
    prior: Prior
    weights: np.ndarray
    """(2, corrections): for luma and for chroma."""

    @property
    def step(self) -> float:
        return float(2 ** (self.step_index / 64 - 8))

    @property
    def step_feature(self) -> int:
        return min(max((3 * self.step_index - 529) // 8, 0), 127)


def read_description(header: Header) -> Description:
    fields = Bytes(header.description.take(header.description.varint()))  # what follows is read_detail's
    step_index, tiles = fields.number(2, signed=True), fields.number(1)
    identity, corrections = fields.take(8), fields.number(1)
    weights = np.frombuffer(fields.take(2 * corrections), np.int8).reshape(2, corrections) / 32
    known(not fields.rest(), "description")
    require(-256 <= step_index <= 768, "step index")
    exponent = tiles % 64
    require(exponent == 0 or 7 <= exponent <= 11, "size of the tiles")
    require(exponent > 0 or header.width * header.height <= 2**21, "a picture of this size has tiles")
    prior = find_prior(identity)
    require(corrections == prior.corrections, "number of corrections")
    return Description(step_index, exponent, tiles >= 128, tiles // 64 % 2 == 1, prior, weights)


class Tile(NamedTuple):
    rows: Span
    columns: Span

    def within(self, values: np.ndarray, level: int) -> Tuple[slice, slice]:
        """Where the tile lies in a band or a low-pass plane of a level."""
        spans = ((start >> (level + 1), -(-end >> (level + 1))) for start, end in (self.rows, self.columns))
        (top, bottom), (left, right) = spans
        return slice(top, min(bottom, values.shape[0])), slice(left, min(right, values.shape[1]))


class Layout:
    """The parts of a payload: the root and then each tile, or one lattice."""

    def __init__(self, header: Header, description: Description) -> None:
        self.size: Size = (header.height, header.width)
        self.tiles: List[Tile] = []
        self.root: Size = self.size
        self.first_level = 0
        if description.tile_exponent:
            side, (height, width) = 2**description.tile_exponent, self.size
            self.root, self.first_level = sizes_of_planes(self.size, 5)[-1], 5
            for top in range(0, height, side):
                for left in range(0, width, side):
                    rows, columns = (top, min(top + side, height)), (left, min(left + side, width))
                    self.tiles.append(Tile(rows, columns))
        self.levels = [number_of_levels(self.root), *(5 for _ in self.tiles)]
        """Of each part."""

    def list_of_sizes(self, sizes: Sequence[int]) -> bytes:
        """What precedes the parts in the payload."""
        return b"".join(map(varint, sizes)) if self.tiles else b""

    def cut(self, payload: bytes) -> List[bytes]:
        """The parts of a whole payload."""
        return cut(payload, len(self.levels)) if self.tiles else [payload]


class Wavelet(NamedTuple):
    """A decoded field."""

    description: Description
    levels: List[Bands]
    planes: Planes
    """After level 0."""
    shown: Planes
    """What the picture is made of, in the same units: `planes`, or those with eight more bits."""
    parts: List[Part]
    index_chunk: bytes
    """The data of the index chunk that belongs to the payload."""


Watch = Optional[Callable[[Pass], None]]


def decode(
    header: Header, description: Description, get: Callable[[int], bytes], needed: Sequence[int], watch: Watch = None
) -> Wavelet:
    """The field from its parts.

    Args:
        get: the bytes of a part by its number, 0 the root.
        needed: the numbers of the tiles to decode; the others are left zero.
    """
    layout = Layout(header, description)
    planes = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[header.channels]
    coding = Coding(description.prior, description.step_feature, description.dependent, planes, watch)
    root = read_lattice(Bytes(get(0)), layout.root, coding, layout.first_level)
    parts, found = [root], root.low_pass
    levels = root.levels
    if layout.tiles:
        sizes = sizes_of_planes(layout.size, 5)
        levels = [zero_bands(size, planes) for size in sizes[:5]] + root.levels
        for number in needed:
            tile = layout.tiles[number - 1]
            low_pass = {plane: samples[tile.within(samples, 4)] for plane, samples in root.low_pass.items()}
            beyond = [
                {band: values[tile.within(values, 5 + further)] for band, values in bands.items()}
                for further, bands in enumerate(root.levels[:2])
            ]
            size = (tile.rows[1] - tile.rows[0], tile.columns[1] - tile.columns[0])
            parts.append(read_bands(Bytes(get(number)), size, 5, low_pass, coding, 0, beyond))
            for level, bands in enumerate(parts[-1].levels):
                for band, values in bands.items():
                    whole = levels[level][band]
                    whole[tile.within(whole, level)] = values
        for bands in levels[4::-1]:
            found = synthesise(found, bands)
    shown = found
    if description.fine:
        shown = {plane: 256 * samples for plane, samples in root.coarsest.items()}
        for bands in levels[::-1]:
            shown = synthesise(shown, {band: 256 * values for band, values in bands.items()})
        shown = {plane: samples / 256 for plane, samples in shown.items()}
    index_chunk = written_index([get(number) for number in (0, *needed)], [part.ends for part in parts])
    return Wavelet(description, levels, found, shown, parts, index_chunk)


def read_wavelet(header: Header, head: Head, payload: bytes, watch: Watch = None) -> Wavelet:
    """A whole payload."""
    description = read_description(header)
    layout = Layout(header, description)
    parts = layout.cut(payload)
    if "i" in head.chunks:
        check_index(head.chunks["i"], layout.levels, parts)
    return decode(header, description, parts.__getitem__, range(1, len(parts)), watch)


def colours(field: Wavelet) -> np.ndarray:
    """Of the field at the pixel centres, (rows, columns, channels)."""
    by = field.description
    return render(field.shown, by.prior.layers, by.weights, by.step_feature, by.step)


def read_region(header: Header, head: Head, fetch: Fetch, rows: Span, columns: Span) -> np.ndarray:
    """The colours of a part of a picture with an index, from the bytes of the root and of the tiles that it needs."""
    description = read_description(header)
    layout = Layout(header, description)
    require("i" in head.chunks, "the file has no index")
    entries = read_index(head.chunks["i"], layout.levels)
    sizes = [entry.size for entry in entries]
    before = len(layout.list_of_sizes(sizes))
    require(before + sum(sizes) == head.length, "sizes of the parts")
    fetched: Dict[int, bytes] = {}

    def get(number: int) -> bytes:
        if number not in fetched:
            part = fetch(head.start + before + sum(sizes[:number]), sizes[number])
            require(len(part) == sizes[number] and zlib.crc32(part) == entries[number].crc, "checksum of a part")
            fetched[number] = part
        return fetched[number]

    margin = 2 * len(description.prior.layers)
    touched = touched_tiles(layout, *(widened(span, margin, side) for span, side in zip((rows, columns), layout.size)))
    whole = colours(decode(header, description, get, touched))
    return whole[rows[0] : rows[1], columns[0] : columns[1]]


def widened(span: Span, margin: int, side: int) -> Span:
    """By the blocks of 2x2 samples that the restoration filter reaches."""
    return max(span[0] // 2 * 2 - margin, 0), min(-(-span[1] // 2) * 2 + margin, side)


def touched_tiles(layout: Layout, rows: Span, columns: Span) -> List[int]:
    """The numbers of the tiles that samples in a rectangle depend on, from 1."""
    needed = set()
    for level in range(5):
        rows, columns = ((start // 2 - 2, (end - 1) // 2 + 3) for start, end in (rows, columns))
        for number, tile in enumerate(layout.tiles, 1):
            spans = zip((rows, columns), (tile.rows, tile.columns))
            if all(span[0] < -(-own[1] >> (level + 1)) and span[1] > own[0] >> (level + 1) for span, own in spans):
                needed.add(number)
    return sorted(needed)
