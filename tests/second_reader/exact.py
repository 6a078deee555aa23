"""Constant channels, and the map of alpha (FORMAT.md, "Constants" and "`A`: alpha map")."""

from __future__ import annotations

import math
import struct
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from .conventions import Bytes, require
from .entropy import Stream, cumulated

Around = Tuple[int, ...]
Grid = List[List[Optional[int]]]

FULL = (255, 65535, 1.0)
FORMATS = ("<B", "<H", "<f")


def read_constants(header: Bytes, channels: int, depth: int) -> List[Optional[float]]:
    """The value of each constant channel; None of the others."""
    flags = header.number(1)
    constant = [flags >> channel & 1 for channel in range(4)]
    full = [flags >> channel + 4 & 1 for channel in range(4)]
    require(any(constant), "no constant channel")
    require(not any(constant[channels:]) and not any(full[channels:]), "a channel that is not there")
    found: List[Optional[float]] = []
    for channel in range(channels):
        require(constant[channel] >= full[channel], "a full channel that is not constant")
        if not constant[channel]:
            found.append(None)
        elif full[channel]:
            found.append(FULL[depth])
        else:
            kind = FORMATS[depth]
            (value,) = struct.unpack(kind, header.take(struct.calcsize(kind)))
            require(math.isfinite(value), "a constant is not finite")
            found.append(value)
    return found


def channels_of_field(channels: int, constants: Sequence[Optional[float]]) -> List[int]:
    """Which channels of the picture they are."""
    every = list(range(channels))
    if not constants:
        return every
    alpha = every[-1:] if channels in (2, 4) else []
    colours = every[: channels - len(alpha)]
    varying = [channel for channel in colours if constants[channel] is None]
    if len(colours) == 3 and len(varying) == 2:
        varying = colours
    return varying + [channel for channel in alpha if constants[channel] is None]


class Counts:
    def __init__(self, symbols: int) -> None:
        self.symbols = symbols
        self.rows: Dict[Around, List[int]] = {}

    def read(self, stream: Stream, around: Around) -> int:
        row = self.rows.setdefault(around, [1] * self.symbols)
        total = sum(row)
        frequencies = [2**15 + count * (2**24 - self.symbols * 2**15) // total for count in row]
        frequencies[row.index(max(row))] += 2**24 - sum(frequencies)
        symbol = stream.symbol(cumulated(frequencies))
        row[symbol] += 8
        if sum(row) > 16384:
            row[:] = [(count + 1) // 2 for count in row]
        return symbol


def around(grid: Grid, row: int, column: int, outside: int) -> Around:
    found = []
    for down, right in ((0, -1), (0, -2), (-1, -1), (-1, 0), (-1, 1), (-2, 0)):
        y, x = row + down, column + right
        inside = 0 <= y < len(grid) and 0 <= x < len(grid[0])
        symbol = grid[y][x] if inside else outside
        assert symbol is not None
        found.append(symbol)
    return tuple(found)


def read_alpha_map(data: bytes, height: int, width: int) -> np.ndarray:
    """The states of all pixels."""
    require(len(data) > 0, "the alpha map is empty")
    stream, counts = Stream(data), Counts(4)
    down, across = -(-height // 16), -(-width // 16)
    kinds: Grid = [[None] * across for _ in range(down)]
    for row in range(down):
        for column in range(across):
            kinds[row][column] = counts.read(stream, around(kinds, row, column, 4))
    mixed = sum(row.count(3) for row in kinds)
    require(256 * mixed <= 2**14 + 2048 * len(data), "more mixed blocks than the stream may have")
    states: Grid = [[kinds[y // 16][x // 16] for x in range(width)] for y in range(height)]
    counts = Counts(3)
    for y in range(height):
        for x in range(width):
            if kinds[y // 16][x // 16] == 3:
                states[y][x] = counts.read(stream, around(states, y, x, 3))
    stream.finish()
    return np.array(states, np.uint8)
