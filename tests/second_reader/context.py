"""The context model: features, networks, and the way from a symbol to an index (FORMAT.md, "Context model")."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from .entropy import Stream
from .prior import Prior

Band = Tuple[int, int]
"""A plane, 0 to 3, and an orientation: 0 HL, 1 LH, 2 HH."""
Bands = Dict[Band, np.ndarray]
"""Values in half steps of the bands of one level, in the order of bands."""

COMPANDING = [math.ceil(64 * math.sinh((entry - 0.5) / 22)) for entry in range(1, 123)]
SQUARE = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
CROSS = [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]
NONE = np.zeros((0, 0), np.int64)


def compand(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.searchsorted(COMPANDING, np.abs(x), side="right")


def is_chroma(plane: int) -> bool:
    return plane in (1, 2)


class Source(NamedTuple):
    """Neighbours in one band."""

    further: int
    """How many levels."""
    band: Band
    rows: np.ndarray
    columns: np.ndarray
    """Offsets, one beside another."""


def source(further: int, band: Band, offsets: Sequence[Tuple[int, int]]) -> Source:
    rows, columns = np.array(offsets).T
    return Source(further, band, rows, columns)


@lru_cache(maxsize=None)
def sources(plane: int, orientation: int, parity: int) -> List[Source]:
    """The coefficients of a context in their order."""
    own = (plane, orientation)
    here = [(-1, column) for column in range(-3, 4)] + [(-2, column) for column in range(-2, 3)]
    if parity == 1:
        here += [(0, -1), (0, 1), (0, -3), (0, 3)]
    found = [source(0, own, here)]
    found += [source(0, (plane, lower), CROSS if is_chroma(plane) else SQUARE) for lower in range(orientation)]
    if is_chroma(plane):
        found += [source(0, (before, orientation), SQUARE) for before in range(plane)]
    return [*found, source(1, own, SQUARE), source(2, own, [(0, 0)])]


@lru_cache(maxsize=None)
def around(plane: int) -> Tuple[np.ndarray, np.ndarray]:
    """The offsets in the low-pass plane: rows and columns."""
    reach = 1 if is_chroma(plane) else 2
    span = range(-reach, reach + 1)
    rows, columns = np.array([(row, column) for row in span for column in span if (row, column) != (0, 0)]).T
    return rows, columns


def signed_features(
    band: Band, row: int, columns: np.ndarray, levels: Sequence[Bands], low_pass: Dict[int, np.ndarray]
) -> np.ndarray:
    """Those of coefficients of one row and one parity, int64 (coefficients, signed inputs).

    Args:
        levels: this level, one further and two further, zero where nothing is decoded yet.
    """
    plane, orientation = band
    found = []
    for further, other, down, right in sources(plane, orientation, int(columns[0]) % 2):
        ys, xs = (row >> further) + down, (columns >> further)[:, None] + right
        values = levels[further].get(other, NONE)
        rows, width = values.shape
        there = (ys >= 0) & (ys < rows) & (xs >= 0) & (xs < width)
        seen = np.zeros(xs.shape, np.int64)
        seen[there] = values[np.broadcast_to(ys, xs.shape)[there], xs[there]]
        found.append(32 * seen)
    samples = low_pass[plane]
    down, right = around(plane)
    ys = np.clip(row + down, 0, samples.shape[0] - 1)
    xs = np.clip(columns[:, None] + right, 0, samples.shape[1] - 1)
    found.append(samples[ys, xs] - samples[row, columns][:, None])
    return compand(np.hstack(found))


def scales_and_means(
    prior: Prior, step_feature: int, level: int, band: Band, front: int, parity: int, signed: np.ndarray
) -> Tuple[List[int], List[int]]:
    constants = np.array([127 * (front % 2), step_feature, 20 * min(level, 6)])
    inputs = np.hstack([signed, np.abs(signed), np.tile(constants, (len(signed), 1))])
    plane = 0 if band[0] == 3 else band[0]
    network = prior.networks[plane, band[1], min(level, 2), parity]
    hidden1 = np.clip((inputs @ network.w1 + network.b1) >> 6, 0, 1023)
    hidden2 = np.clip((hidden1 @ network.w2 + network.b2) >> 8, 0, 1023)
    raw_scale, raw_mean = (hidden2 @ network.w3 + network.b3).T
    scale = np.clip((raw_scale + 200704) >> 13, 0, 63)
    mean = np.clip((raw_mean + signed @ network.skip + 2048) >> 12, -1016, 1016)
    return scale.tolist(), mean.tolist()


class Context(NamedTuple):
    """How a coefficient is coded."""

    scale: int
    mean: int
    quantizer: str
    """"Q0", "Q1", or "" without dependent quantization."""
    base: int
    mirrored: bool
    shift: int
    table: int


def context(scale: int, mean: int, quantizer: str) -> Context:
    shift = (scale - 32) // 4 + 1 if scale >= 32 else 0
    low_scale = scale - 4 * shift
    if quantizer == "Q1" and abs(mean) <= 10 and shift == 0:
        return Context(scale, mean, quantizer, 0, mean < 0, shift, 320 + 16 * low_scale + abs(mean))
    if quantizer == "Q1":
        away = (abs(mean) + 8) >> 3
        fraction = abs(mean) - 8 * away + 4
        base = -away if mean < 0 else away
        mirrored, first = (fraction < 0) != (mean < 0), 331 + 16 * low_scale
    else:
        base = (mean + 4) >> 3
        fraction = mean - 8 * base
        mirrored, first = fraction < 0, 5 * low_scale + (160 if quantizer == "Q0" else 0)
    distance = 0 if shift > 0 else abs(fraction)
    return Context(scale, mean, quantizer, base, mirrored, shift, first + distance)


def read_pass(stream: Stream, prior: Prior, contexts: Sequence[Context]) -> List[int]:
    """The indices of a pass."""
    symbols = [stream.symbol(prior.tables[one.table]) for one in contexts]
    residuals = [symbol - 16 for symbol in symbols]
    escaped = [position for position, symbol in enumerate(symbols) if symbol in (0, 32)]
    for position, (_, excess) in zip(escaped, stream.exp_golomb(len(escaped), signed=False)):
        residuals[position] = 16 + excess if symbols[position] == 32 else -16 - excess
    for shift in sorted({one.shift for one in contexts} - {0}):
        for position, one in enumerate(contexts):
            if one.shift == shift:
                raw = stream.raw(shift)
                residuals[position] = residuals[position] * 2**shift + raw - 2 ** (shift - 1)
    return [one.base - r if one.mirrored else one.base + r for one, r in zip(contexts, residuals)]
