"""Where alpha is 0, where it is full, and where it lies between (FORMAT.md, "Alpha map").

The map is exact. What a field gives counts only where alpha lies between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Tuple, Union

import numpy as np

from nifcodec.errors import LimitError
from nifcodec.exact.adaptive import Contexts, Reader, Writer
from nifcodec.picture.colour import white
from nifcodec.picture.window import Window

NOTHING, FULL, BETWEEN = 0, 1, 2
MIXED = 3  # of a block: symbols of several kinds; of a pixel: outside of the picture
STATES, KINDS = 3, 4
OUTSIDE_OF_BLOCKS = 4
SIDE = 16
# A symbol costs 0.0056 bits or more.
FREE_PIXELS, PIXELS_PER_BYTE = 1 << 14, 2048
BAND = 1 << 22  # pixels of the map that are unpacked at a time

Coder = Union[Writer, Reader]


@dataclass(frozen=True)
class AlphaMap:
    """The map of a picture of `height` x `width` pixels.

    Attributes:
        kinds: uint8 (rows, columns) of blocks of 16 x 16 pixels: the state of all its pixels, or `MIXED`.
        mixed: uint8 (number of mixed blocks, 16, 16), row by row; pixels outside of the picture are `MIXED`.
    """

    height: int
    width: int
    kinds: np.ndarray
    mixed: np.ndarray

    @staticmethod
    def of(alpha: np.ndarray) -> "AlphaMap":
        """The map of samples (H, W) of any type."""
        height, width = alpha.shape
        states = np.full((-(-height // SIDE) * SIDE, -(-width // SIDE) * SIDE), MIXED, np.uint8)
        states[:height, :width] = np.where(alpha == 0, NOTHING, np.where(alpha == white(alpha.dtype), FULL, BETWEEN))
        blocks = _in_blocks(states)
        inside = blocks != MIXED
        low = np.where(inside, blocks, MIXED).min(axis=(2, 3))
        high = np.where(inside, blocks, 0).max(axis=(2, 3))
        kinds = np.where(low == high, low, MIXED).astype(np.uint8)
        return AlphaMap(height, width, kinds, blocks[kinds == MIXED])

    @property
    def has_between(self) -> bool:
        """Whether alpha lies between anywhere."""
        return bool((self.kinds == BETWEEN).any() or (self.mixed == BETWEEN).any())

    @property
    def has_exact(self) -> bool:
        """Whether alpha is 0 or full anywhere."""
        return bool((self.kinds < BETWEEN).any() or (self.mixed < BETWEEN).any())

    def pack(self) -> bytes:
        """The stream."""
        writer = Writer()
        _code_blocks(self.kinds, writer)
        _code_pixels(self, writer)
        return writer.finish()

    def states(self, rows: Tuple[int, int], columns: Tuple[int, int]) -> np.ndarray:
        """uint8 of the pixels of a part: rows and columns, each from and to."""
        top, left = rows[0] // SIDE, columns[0] // SIDE
        kinds = self.kinds[top : -(-rows[1] // SIDE), left : -(-columns[1] // SIDE)]
        blocks = np.broadcast_to(kinds[..., None, None], (*kinds.shape, SIDE, SIDE)).copy()
        places = np.cumsum(self.kinds == MIXED).reshape(self.kinds.shape) - 1
        wanted = places[top : top + kinds.shape[0], left : left + kinds.shape[1]][kinds == MIXED]
        blocks[kinds == MIXED] = self.mixed[wanted]
        whole = blocks.swapaxes(1, 2).reshape(kinds.shape[0] * SIDE, -1)
        y, x = top * SIDE, left * SIDE
        return np.asarray(whole[rows[0] - y : rows[1] - y, columns[0] - x : columns[1] - x])

    def apply(self, alpha: np.ndarray, window: Window) -> np.ndarray:
        """Alpha (rows, columns) of a window, from what the field gives there; of the same type.

        A pixel gets the part of its area that is full, and of the part that lies between what the field says.
        """
        top = white(alpha.dtype)
        result = np.empty_like(alpha)
        starts, ends = _spans(window.top, window.height, window.rows, self.height)
        across = _spans(window.left, window.width, window.columns, self.width)
        columns = int(np.floor(across[0].min())), int(np.ceil(across[1].max()))
        band = max(1, BAND * window.rows // (window.height * max(window.width, 1)) or 1)
        for first in range(0, window.rows, band):
            part = slice(first, min(first + band, window.rows))
            rows = int(np.floor(starts[part].min())), int(np.ceil(ends[part].max()))
            states = self.states(rows, columns)
            down = starts[part] - rows[0], ends[part] - rows[0]
            right = across[0] - columns[0], across[1] - columns[0]
            full, between = (_coverage(states == state, down, right) for state in (FULL, BETWEEN))
            mean = full * top + between * alpha[part]
            result[part] = mean if alpha.dtype.kind == "f" else np.floor(mean + 0.5)
        return result


def unpack(data: bytes, height: int, width: int) -> AlphaMap:
    """Reads a map. Raises MalformedError, or LimitError before it unpacks more than the stream can hold."""
    reader = Reader(data)
    kinds = np.zeros((-(-height // SIDE), -(-width // SIDE)), np.uint8)
    _code_blocks(kinds, reader)
    count = int((kinds == MIXED).sum())
    if count * SIDE * SIDE > FREE_PIXELS + PIXELS_PER_BYTE * len(data):
        raise LimitError(f"the alpha map has {count} blocks in {len(data)} bytes: no file is written like that")
    found = AlphaMap(height, width, kinds, np.full((count, SIDE, SIDE), MIXED, np.uint8))
    _code_pixels(found, reader)
    reader.finish()
    return found


def _in_blocks(states: np.ndarray) -> np.ndarray:
    """(16 h, 16 w) -> (h, w, 16, 16)."""
    height, width = states.shape
    return states.reshape(height // SIDE, SIDE, width // SIDE, SIDE).swapaxes(1, 2)


def _code_blocks(kinds: np.ndarray, coder: Coder) -> None:
    contexts = Contexts(KINDS)
    outside = bytearray([OUTSIDE_OF_BLOCKS]) * (kinds.shape[1] + 3)
    above = higher = outside
    for row in kinds:
        line = bytearray(outside)
        line[2:-1] = row.tobytes()
        _code_line(line, above, higher, [(2, len(line) - 1)], contexts, KINDS + 1, coder)
        row[:] = np.frombuffer(line, np.uint8)[2:-1]
        above, higher = line, above


def _code_pixels(found: AlphaMap, coder: Coder) -> None:
    """All pixels of mixed blocks, row by row of the picture."""
    contexts = Contexts(STATES)
    outside = bytearray([MIXED]) * (found.width + 3)
    above = higher = outside
    first = 0
    for row, kinds in enumerate(found.kinds):
        mixed = np.flatnonzero(kinds == MIXED)
        blocks = found.mixed[first : first + len(mixed)]
        first += len(mixed)
        spans = [(2 + SIDE * at, 2 + min(SIDE * (at + 1), found.width)) for at in mixed.tolist()]
        usual = np.repeat(kinds, SIDE)[: found.width].tobytes()
        for y in range(min(SIDE, found.height - SIDE * row)):
            line = bytearray(outside)
            line[2:-1] = usual
            for block, (start, end) in zip(blocks, spans):
                line[start:end] = block[y, : end - start].tobytes()
            _code_line(line, above, higher, spans, contexts, STATES + 1, coder)
            values = np.frombuffer(line, np.uint8)
            for block, (start, end) in zip(blocks, spans):
                block[y, : end - start] = values[start:end]
            above, higher = line, above


def _code_line(
    line: bytearray,
    above: bytearray,
    higher: bytearray,
    spans: "list[tuple[int, int]]",
    contexts: Contexts,
    base: int,
    coder: Coder,
) -> None:
    """The symbols of some spans of a line: each in the context of two to the left, three above and one above those."""
    code: Callable[[Contexts, int, int], int] = coder
    for start, end in spans:
        for x in range(start, end):
            context = line[x - 1] * base + line[x - 2]
            context = ((context * base + above[x - 1]) * base + above[x]) * base + above[x + 1]
            line[x] = code(contexts, context * base + higher[x], line[x])


def _spans(first: int, length: int, count: int, side: int) -> Tuple[np.ndarray, np.ndarray]:
    """Where the pixels of an output begin and end in the source, at least one pixel of it apart: float64 (count,)."""
    edges = first + length * np.arange(count + 1, dtype=np.float64) / count
    starts, ends = edges[:-1], edges[1:]
    if length < count:
        middles = (starts + ends) / 2
        starts, ends = middles - 0.5, middles + 0.5
    return starts.clip(0, side), ends.clip(0, side)


def _coverage(
    states: np.ndarray, down: Tuple[np.ndarray, np.ndarray], right: Tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Parts, 0 to 1, of rectangles that a state has: float64 (rows, columns). states: bool."""
    for starts, ends in (right, down):
        sums = np.concatenate([np.zeros((len(states), 1)), np.cumsum(states, axis=1, dtype=np.float64)], axis=1)
        states = ((_at(sums, ends) - _at(sums, starts)) / (ends - starts)).T
    return np.asarray(states)


def _at(sums: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values between those of a line, (n, length) at (places,)."""
    before = np.minimum(places.astype(np.int64), sums.shape[1] - 1)
    after = np.minimum(before + 1, sums.shape[1] - 1)
    return np.asarray(sums[:, before] + (places - before) * (sums[:, after] - sums[:, before]))
