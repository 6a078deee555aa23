"""The wavelet lattice's integers <-> bytes, level by level, under the context model (FORMAT.md, "Lattice payload").

One walk over the levels serves the encoder, which knows the integers, and the decoder, which asks the stream.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from nifcodec.coding.coder import TOTAL, Decoder, Encoder, Model
from nifcodec.coding.compand import UNIT
from nifcodec.coding.context import LARGEST, ContextModel, frame, join, split
from nifcodec.coding.escapes import get_escapes, put_escapes
from nifcodec.coding.neighbours import LAG, Band, LevelFeatures
from nifcodec.coding.tensors import decode_tensors, encode_tensors
from nifcodec.coding.wire import read_varint, write_varint
from nifcodec.errors import ChecksumError, MalformedError, TruncatedError

Planes = Dict[Band, np.ndarray]
Contexts = Dict[Band, Tuple[np.ndarray, np.ndarray]]  # scale indices and means, int32
Synthesis = Callable[[np.ndarray, "Tuple[np.ndarray, np.ndarray, np.ndarray]"], np.ndarray]

LEVEL_FEATURE, COARSEST_FEATURE = 20, 6
MAX_VALUE = 2**20


@dataclass(frozen=True)
class Pass:
    """What is coded at once: every other column of a row of each band of a level, under its contexts.

    Attributes:
        row: of the skewed array; band b is at its row `row` - LAG * b.
        scales, means: contexts, int32 (bands, columns).
        valid: which of them are coefficients of the picture.
    """

    level: int
    row: int
    odd: bool
    scales: np.ndarray
    means: np.ndarray
    valid: np.ndarray


Exchange = Callable[[Pass], np.ndarray]  # a pass's contexts -> its integers, zero where not valid
Coded = Sequence[Sequence[Band]]  # of each level, the bands that are not all zero


@dataclass(frozen=True)
class Conditions:
    """The context model and the step it works under."""

    model: ContextModel
    step_feature: int


class Lattice:
    """Shapes of a picture's lattice.

    Args:
        width, height: of the picture.
        colours: the planes, of 0 luma, 1 and 2 chroma, 3 alpha.
        synthesise: one level of the integer inverse transform, (..., H, W) low and three bands -> plane.
    """

    def __init__(self, width: int, height: int, colours: Sequence[int], synthesise: Synthesis) -> None:
        self.colours = list(colours)
        self.synthesise = synthesise
        self.sizes = [(height, width)]
        while max(self.sizes[-1]) > 8:
            self.sizes.append(((self.sizes[-1][0] + 1) // 2, (self.sizes[-1][1] + 1) // 2))
        self.levels = len(self.sizes) - 1
        self.bands = [Band(colour, orientation) for colour in self.colours for orientation in range(3)]

    def shape(self, level: int, band: Band) -> Tuple[int, int]:
        """Rows and columns of a band; level 0 is the finest."""
        height, width = self.sizes[level]
        rows = (height // 2) if band.orientation in (1, 2) else (height + 1) // 2
        columns = (width // 2) if band.orientation in (0, 2) else (width + 1) // 2
        return rows, columns

    def low_shape(self) -> Tuple[int, int, int]:
        """(colours, rows, columns) of the coarsest low-pass plane."""
        return (len(self.colours), *self.sizes[-1])

    def rebuild(self, low: np.ndarray, planes: Planes, level: int) -> np.ndarray:
        """The next finer low-pass plane, int64 in 1/UNIT steps; absent bands are zero."""
        bands = []
        for orientation in range(3):
            zero = np.zeros(self.shape(level, Band(0, orientation)), np.int64)
            bands.append(
                np.stack([planes.get(Band(c, orientation), zero) for c in self.colours]).astype(np.int64) * UNIT
            )
        return self.synthesise(low, (bands[0], bands[1], bands[2]))


def walk(
    lattice: Lattice, conditions: Conditions, low: np.ndarray, coded: Coded, exchange: Exchange
) -> "Tuple[np.ndarray, List[Planes]]":
    """Visit every coefficient in coding order.

    Args:
        low: integers (colours, rows, columns) of the coarsest low-pass plane.
        exchange: given each pass's contexts, returns its integers.

    Returns:
        The native plane, int64 (colours, H, W) in 1/UNIT steps, and the integers of each level.
    """
    plane = low.astype(np.int64) * UNIT
    levels: "List[Planes]" = [{} for _ in range(lattice.levels + 2)]
    for level in range(lattice.levels - 1, -1, -1):
        bands = list(coded[level])
        if bands:
            where = {colour: plane[i] for i, colour in enumerate(lattice.colours)}
            shape = lattice.sizes[level + 1]
            features = LevelFeatures(shape, bands, where, levels[level + 1], levels[level + 2])
            levels[level] = _walk_level(
                [lattice.shape(level, band) for band in bands], level, features, conditions, exchange
            )
        plane = lattice.rebuild(plane, levels[level], level)
    return plane, levels


def _walk_level(
    shapes: "Sequence[Tuple[int, int]]",
    level: int,
    features: LevelFeatures,
    conditions: Conditions,
    exchange: Exchange,
) -> Planes:
    planes = {band: np.zeros(shape, np.int32) for band, shape in zip(features.bands, shapes)}
    networks = conditions.model.level(features.bands, level, features.near_length, features.length)
    for row in range(features.rows):
        inside = [0 <= row - LAG * i < shape[0] for i, shape in enumerate(shapes)]
        for odd in (False, True):
            counts = [(shape[1] + (0 if odd else 1)) // 2 if here else 0 for shape, here in zip(shapes, inside)]
            if not any(counts):
                continue
            seen = features.gather(row, odd, conditions.step_feature, level_feature(level))
            scales, means = networks(seen, odd)
            valid = np.arange(seen.shape[1])[None, :] < np.array(counts)[:, None]
            values = exchange(Pass(level, row, odd, scales, means, valid))
            features.set_row(row, values, odd)
            for i, band in enumerate(features.bands):
                if counts[i]:
                    planes[band][row - LAG * i, (1 if odd else 0) :: 2] = values[i, : counts[i]]
    return planes


def level_feature(level: int) -> int:
    """A level as an input of the networks."""
    return min(level, COARSEST_FEATURE) * LEVEL_FEATURE


def used_bands(lattice: Lattice, levels: "Sequence[Planes]") -> "List[List[Band]]":
    """The bands of each level that hold anything but zeros."""
    return [[band for band in lattice.bands if levels[level][band].any()] for level in range(lattice.levels)]


def encode_lattice(
    lattice: Lattice,
    model: ContextModel,
    low: np.ndarray,
    levels: "Sequence[Planes]",
    contexts: "Sequence[Contexts]",
) -> bytes:
    """The payload: coarsest low-pass plane, which bands are coded, checksum of the integers, range coded stream.

    Args:
        contexts: of every coefficient, as a walk over these integers gives them. They do not depend on whether bands
            of zeros alone are walked too.
    """
    coded = used_bands(lattice, levels)
    encoder = Encoder()
    digest = 0
    for level in range(lattice.levels - 1, -1, -1):
        if not coded[level]:
            continue
        order = Order(lattice, level, coded[level])
        here = order.flat(levels[level])
        cells = split(
            here,
            order.flat({band: context[0] for band, context in contexts[level].items()}),
            order.flat({band: context[1] for band, context in contexts[level].items()}),
        )
        digest = zlib.crc32(here.astype("<i4").tobytes(), digest)
        for start, end in zip(order.starts, order.starts[1:]):
            part = slice(start, end)
            encoder.put_each(cells.symbols[part], cells.tables[part], model.models)
            excess, shifts = cells.excess[part], cells.shifts[part]
            escaped = excess >= 0
            if escaped.any():
                put_escapes(encoder, excess[escaped], cells.negative[part][escaped])
            for shift in np.unique(shifts[shifts > 0]).tolist():
                encoder.put(cells.low_bits[part][shifts == shift].astype(np.int32), _uniform(shift))
    head = encode_tensors([_deltas(plane) for plane in low])
    flags = [band in coded[level] for level in range(lattice.levels) for band in lattice.bands]
    packed = np.packbits(np.array(flags, bool)).tobytes()
    return write_varint(len(head)) + head + packed + digest.to_bytes(4, "little") + encoder.finish()


class Order:
    """The order in which a level's coefficients are coded: pass by pass, band by band, from left to right."""

    def __init__(self, lattice: Lattice, level: int, bands: Sequence[Band]) -> None:
        self._bands = bands
        self._shapes = [lattice.shape(level, band) for band in bands]
        height, width = lattice.sizes[level + 1]
        self._room = (height + LAG * (len(bands) - 1), len(bands), (width + 1) // 2 * 2)
        valid = np.zeros(self._room, bool)
        for index, (rows, columns) in enumerate(self._shapes):
            valid[LAG * index : LAG * index + rows, index, :columns] = True
        self._valid = self._by_pass(valid)
        counts = self._valid.sum(axis=(2, 3)).ravel()
        self.starts: List[int] = [0, *np.cumsum(counts).tolist()]

    def _by_pass(self, skewed: np.ndarray) -> np.ndarray:
        rows, bands, columns = self._room
        return skewed.reshape(rows, bands, columns // 2, 2).transpose(0, 3, 1, 2)

    def flat(self, planes: Mapping[Band, np.ndarray]) -> np.ndarray:
        """Values of the bands, in coding order; those of pass i are starts[i] to starts[i + 1]."""
        skewed = np.zeros(self._room, planes[self._bands[0]].dtype)
        for index, (band, (rows, columns)) in enumerate(zip(self._bands, self._shapes)):
            skewed[LAG * index : LAG * index + rows, index, :columns] = planes[band]
        flat: np.ndarray = self._by_pass(skewed)[self._valid]
        return flat


def decode_lattice(data: bytes, lattice: Lattice, conditions: Conditions) -> "Tuple[np.ndarray, List[Planes]]":
    """The inverse of `encode_lattice`: the native plane, int64 (colours, H, W) in 1/UNIT steps, and the integers.

    Raises:
        TruncatedError, MalformedError, ChecksumError: the payload is damaged, or was written under another model.
    """
    size, offset = read_varint(data, 0, "size of the low-pass plane")
    if size > len(data) - offset:
        raise TruncatedError("the file ends inside of the coarsest low-pass plane")
    shape = lattice.low_shape()
    deltas = decode_tensors(data[offset : offset + size], [shape[1:]] * shape[0])
    low = np.stack([_undo_deltas(plane) for plane in deltas])
    offset += size
    count = lattice.levels * len(lattice.bands)
    if len(data) - offset < (count + 7) // 8 + 4:
        raise TruncatedError("the file ends before the coded coefficients")
    packed = np.array(list(data[offset : offset + (count + 7) // 8]), np.uint8)
    flags = np.unpackbits(packed)[:count].reshape(lattice.levels, len(lattice.bands))
    coded = [[band for band, flag in zip(lattice.bands, row) if flag] for row in flags]
    offset += (count + 7) // 8
    expected = int.from_bytes(data[offset : offset + 4], "little")
    stream = data[offset + 4 :]
    decoder = Decoder(stream)
    digest = 0

    def exchange(part: Pass) -> np.ndarray:
        nonlocal digest
        where = frame(part.scales[part.valid], part.means[part.valid])
        high = decoder.get_each(where.tables, conditions.model.models).astype(np.int64) - LARGEST
        escaped = np.abs(high) == LARGEST
        if escaped.any():
            excess, negative = get_escapes(decoder, int(escaped.sum()), len(stream))
            high[escaped] = np.where(negative, -1, 1) * (excess + LARGEST)
        low_bits = np.zeros(len(high), np.int64)
        for shift in np.unique(where.shifts[where.shifts > 0]).tolist():
            chosen = where.shifts == shift
            low_bits[chosen] = decoder.get(int(chosen.sum()), _uniform(shift))
        here = join(high, low_bits, where)
        if len(here) and int(np.abs(here).max()) > MAX_VALUE:
            raise MalformedError("coefficient", f"is above {MAX_VALUE}")
        digest = zlib.crc32(here.astype("<i4").tobytes(), digest)
        values = np.zeros(part.valid.shape, np.int64)
        values[part.valid] = here
        return values

    plane, levels = walk(lattice, conditions, low, coded, exchange)
    if digest != expected:
        raise ChecksumError("the decoded coefficients do not match their checksum: the file is damaged")
    return plane, levels


_UNIFORM: "Dict[int, Model]" = {}


def _uniform(bits: int) -> Model:
    if bits not in _UNIFORM:
        _UNIFORM[bits] = Model(np.full(1 << bits, TOTAL >> bits))
    return _UNIFORM[bits]


def _deltas(plane: np.ndarray) -> np.ndarray:
    """Differences to the left neighbour, in the first column to the one above."""
    first = np.diff(plane[:, :1], axis=0, prepend=0)
    return np.concatenate([first, np.diff(plane, axis=1)], axis=1).astype(np.int32)


def _undo_deltas(deltas: np.ndarray) -> np.ndarray:
    plane = deltas.astype(np.int64)
    plane[:, 0] = np.cumsum(plane[:, 0])
    return np.cumsum(plane, axis=1)
