"""Planes, levels, bands, quantizers, and their payloads (FORMAT.md, "Planes, levels and bands" to "Payloads")."""

from __future__ import annotations

import struct
import zlib
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .context import Band, Bands, Context, context, read_pass, scales_and_means, signed_features
from .conventions import Bytes, require
from .entropy import Stream, read_range_coded
from .prior import Prior

Size = Tuple[int, int]
"""Rows and columns."""
Planes = Dict[int, np.ndarray]
"""Samples of each plane, in 1/64 of the step."""


class Pass(NamedTuple):
    """What is decoded at once, for who wants to look."""

    level: int
    front: int
    positions: List[Tuple[Band, int, int]]
    """Band, row, column."""
    signed: List[List[int]]
    contexts: List[Context]
    indices: List[int]


class Coding(NamedTuple):
    """What all payloads of a file are decoded under."""

    prior: Prior
    step_feature: int
    dependent: bool
    planes: List[int]
    watch: Optional[Callable[[Pass], None]] = None


class Part(NamedTuple):
    """A decoded lattice or tile."""

    levels: List[Bands]
    """From the finest."""
    coarsest: Planes
    """What the coarsest level began with."""
    low_pass: Planes
    """After the finest level that was decoded."""
    ends: List[int]
    """Bytes of the part that each level needs, from the coarsest."""
    flags: str
    checks: List[int]


def sizes_of_planes(size: Size, levels: int) -> List[Size]:
    """Of the planes before level 0 is split, after it, after level 1, ..."""
    sizes = [size]
    for _ in range(levels):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def number_of_levels(size: Size) -> int:
    levels = 0
    while max(sizes_of_planes(size, levels)[-1]) > 8:
        levels += 1
    return levels


def zero_bands(size: Size, planes: Sequence[int]) -> Bands:
    (rows, columns), (low_rows, low_columns) = sizes_of_planes(size, 1)
    shapes = [(low_rows, columns // 2), (rows // 2, low_columns), (rows // 2, columns // 2)]
    return {(plane, o): np.zeros(shapes[o], np.int64) for plane in planes for o in range(3)}


# Quantizers

NEXT = [(0, 2), (5, 7), (1, 3), (6, 4), (2, 0), (4, 6), (3, 1), (7, 5)]


def value_of(index: int, quantizer: str) -> int:
    """In half steps."""
    return 2 * index - (index > 0) + (index < 0) if quantizer == "Q1" else 2 * index


class States:
    """Those of a level."""

    def __init__(self, dependent: bool) -> None:
        self.dependent = dependent
        self.states: Dict[Tuple[Band, int], int] = {}

    def quantizer(self, band: Band, column: int) -> str:
        if not self.dependent:
            return ""
        return "Q1" if self.states.get((band, column // 2), 0) % 2 else "Q0"

    def follow(self, band: Band, column: int, index: int) -> None:
        pair = band, column // 2
        self.states[pair] = NEXT[self.states.get(pair, 0)][index % 2]


# Synthesis


def scaled(x: np.ndarray, factor: int) -> np.ndarray:
    return (x * factor + 8192) >> 14


def merge(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Columns of low-pass and high-pass samples, one beside another, to columns of both together."""
    n, m = len(low), len(high)
    if m == 0:
        return scaled(low, 11585)
    s, d = scaled(low, 14252), scaled(high, 18835)
    ks, kd = np.arange(n), np.arange(m)

    def around_s() -> np.ndarray:
        return d[np.maximum(ks - 1, 0)] + d[np.minimum(ks, m - 1)]

    def around_d() -> np.ndarray:
        return s[kd] + s[np.minimum(kd + 1, n - 1)]

    s = s - scaled(around_s(), 7266)
    d = d - scaled(around_d(), 14466)
    s = s - scaled(around_s(), -868)
    d = d - scaled(around_d(), -25987)
    line = np.empty((n + m, *low.shape[1:]), np.int64)
    line[0::2], line[1::2] = s, d
    return line


def synthesise(low_pass: Planes, bands: Bands) -> Planes:
    planes = {}
    for plane, samples in low_pass.items():
        left = merge(samples, 32 * bands[plane, 1])
        right = merge(32 * bands[plane, 0], 32 * bands[plane, 2])
        planes[plane] = merge(left.T, right.T).T
    return planes


# Payloads


def read_bands(
    payload: Bytes,
    size: Size,
    levels: int,
    low_pass: Planes,
    coding: Coding,
    first_level: int = 0,
    beyond: Sequence[Bands] = (),
    finest: int = 0,
) -> Part:
    """A bands payload, to the end of the data.

    Args:
        low_pass: what the coarsest level begins with.
        first_level: what the finest is for the context model.
        beyond: the bands one and two levels further than the coarsest.
        finest: the last level to decode.
    """
    sizes = sizes_of_planes(size, levels)
    order = [(level, (plane, o)) for level in range(levels) for plane in coding.planes for o in range(3)]
    flags = "".join(f"{byte:08b}" for byte in payload.take(-(-len(order) // 8)))
    require("1" not in flags[len(order) :], "bits after the flags")
    flagged = {key for key, flag in zip(order, flags) if flag == "1"}
    checks = [payload.number(count) for count in (2, 1, 1, 1, 1)[:levels]]
    start = payload.position
    stream = Stream(payload.rest())

    found = {level: zero_bands(sizes[level], coding.planes) for level in range(levels)}
    found.update((levels + further, bands) for further, bands in enumerate(beyond))
    coarsest, crc, ends = low_pass, 0, []
    for level in reversed(range(finest, levels)):
        coded = [band for band in found[level] if (level, band) in flagged]
        visible = [found.get(level + further, {}) for further in range(3)]
        states = States(coding.dependent)
        fronts = max([found[level][band].shape[0] + 2 * place for place, band in enumerate(coded)], default=0)
        for front in range(fronts):
            for parity in range(2):
                one = Pass(first_level + level, front, [], [], [], [])
                for place, band in enumerate(coded):
                    rows, columns = found[level][band].shape
                    row, xs = front - 2 * place, np.arange(parity, columns, 2)
                    if not 0 <= row < rows or len(xs) == 0:
                        continue
                    signed = signed_features(band, row, xs, visible, low_pass)
                    both = scales_and_means(
                        coding.prior, coding.step_feature, first_level + level, band, front, parity, signed
                    )
                    for column, scale, mean in zip(xs.tolist(), *both):
                        one.positions.append((band, row, column))
                        one.contexts.append(context(scale, mean, states.quantizer(band, column)))
                    one.signed.extend(signed.tolist())
                one.indices.extend(read_pass(stream, coding.prior, one.contexts))
                for (band, row, column), index, by in zip(one.positions, one.indices, one.contexts):
                    require(abs(index) <= 2**20, "magnitude of an index")
                    found[level][band][row, column] = value_of(index, by.quantizer)
                    states.follow(band, column, index)
                    crc = zlib.crc32(struct.pack("<i", index), crc)
                if coding.watch and one.positions:
                    coding.watch(one)
        if level < len(checks):
            require(crc % (65536 if level == 0 else 256) == checks[level], f"check of level {level}")
        ends.append(min(start + 4 * stream.words + 8, len(payload.data)))
        low_pass = synthesise(low_pass, found[level])
    if finest == 0:
        stream.finish()
    return Part([found[level] for level in range(levels)], coarsest, low_pass, ends, flags[: len(order)], checks)


def read_lattice(payload: Bytes, size: Size, coding: Coding, first_level: int = 0, finest: int = 0) -> Part:
    """A lattice payload, to the end of the data."""
    levels = number_of_levels(size)
    shape = sizes_of_planes(size, levels)[-1]
    differences = read_range_coded(Bytes(payload.take(payload.varint())), [shape] * len(coding.planes))
    low_pass = {}
    for plane, values in zip(coding.planes, differences):
        values[:, 0] = np.cumsum(values[:, 0])
        low_pass[plane] = 64 * np.cumsum(values, axis=1)
    return read_bands(payload, size, levels, low_pass, coding, first_level, finest=finest)
