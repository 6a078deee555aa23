"""The wavelet lattice's integers <-> bytes (FORMAT.md, "Lattice payload").

The stream goes from the coarsest level to the finest, with a check at the end of each of the finer ones: a reader that
wants a smaller picture stops there.
"""

from __future__ import annotations

import zlib
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from nifcodec.entropy.exp_golomb import get_code, put_code
from nifcodec.entropy.range_coder import Decoder, Encoder, uniform
from nifcodec.entropy.tensors import decode_range, encode_range
from nifcodec.entropy.varint import read_varint, write_varint
from nifcodec.errors import ChecksumError, MalformedError, TruncatedError
from nifcodec.fields.coded_part import CodedPart
from nifcodec.fields.wavelet.coding.binarization import LARGEST, Binarized, binarization_of, binarize, debinarize
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.dependent_quantization import to_indices, to_values
from nifcodec.fields.wavelet.coding.kernels import Scanned
from nifcodec.fields.wavelet.coding.neighbours import WAVEFRONT_LAG
from nifcodec.fields.wavelet.coding.wavefront import Conditions, Contexts, Pass, wavefront_scan
from nifcodec.fields.wavelet.lattice import MAX_VALUE, UNIT, BandValues, Lattice, Subband

# Bytes of the check of each level, the finest first. A level beyond these is checked with the next finer one.
CHECK_BYTES = (2, 1, 1, 1, 1)


def used_bands(lattice: Lattice, levels: "Sequence[BandValues]") -> "List[List[Subband]]":
    """The bands of each level that hold anything but zeros."""
    return [[band for band in lattice.bands if levels[level][band].any()] for level in range(lattice.levels)]


def encode_lattice(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    levels: "Sequence[BandValues]",
    contexts: "Sequence[Contexts]",
) -> CodedPart:
    """The payload: coarsest low-pass plane, integers (planes, rows, columns), and then the bands."""
    low_pass = encode_range([_deltas(plane) for plane in low])
    head = write_varint(len(low_pass)) + low_pass
    bands = encode_bands(lattice, conditions, levels, contexts)
    return CodedPart(head + bands.data, tuple(len(head) + end for end in bands.ends))


def encode_bands(
    lattice: Lattice, conditions: Conditions, levels: "Sequence[BandValues]", contexts: "Sequence[Contexts]"
) -> CodedPart:
    """Which bands are coded, checks of the integers, range coded stream.

    Args:
        contexts: of every coefficient, as a scan of these integers gives them. They do not depend on whether bands
            of zeros alone are scanned too.
    """
    kernels = conditions.model.kernels
    if kernels is not None:
        setting = Setting(lattice, conditions)
        stream, flags, digests, needed = kernels.encode_bands(setting, levels, contexts)
    else:
        stream, flags, digests, needed = _encode(lattice, conditions.model, levels, contexts)
    checks = b"".join(_check(level, digest) for level, digest in enumerate(digests))
    head = np.packbits(flags.ravel()).tobytes() + checks
    data = head + stream
    return CodedPart(data, tuple(min(len(head) + count, len(data)) for count in reversed(needed)))


def _encode(
    lattice: Lattice, model: ContextModel, levels: "Sequence[BandValues]", contexts: "Sequence[Contexts]"
) -> "Tuple[bytes, np.ndarray, List[int], List[int]]":
    """As `Kernels.encode_bands`, in NumPy."""
    coded = used_bands(lattice, levels)
    encoder, digest = Encoder(), 0
    digests, needed = [0] * lattice.levels, [0] * lattice.levels
    for level in range(lattice.levels - 1, -1, -1):
        if coded[level]:
            order = Order(lattice, level, coded[level])
            here = order.flat(levels[level])
            scales, means, kinds = (
                order.flat({band: context[part] for band, context in contexts[level].items()}) for part in range(3)
            )
            indices = to_indices(here, kinds)
            digest = zlib.crc32(indices.astype("<i4").tobytes(), digest)
            _put_level(encoder, model, order, binarize(indices, binarization_of(scales, means, kinds)))
        digests[level], needed[level] = digest, encoder.needed()
    flags = np.array([[band in bands for band in lattice.bands] for bands in coded], bool)
    return encoder.finish(), flags, digests, needed


def _put_level(encoder: Encoder, model: ContextModel, order: "Order", cells: Binarized) -> None:
    for start, end in zip(order.starts, order.starts[1:]):
        part = slice(start, end)
        encoder.put(cells.symbols[part], model.tables, cells.tables[part])
        excess, shifts = cells.excess[part], cells.shifts[part]
        escaped = excess >= 0
        if escaped.any():
            put_code(encoder, excess[escaped])
        for shift in np.unique(shifts[shifts > 0]).tolist():
            encoder.put(cells.low_bits[part][shifts == shift], uniform(shift))


def _check(level: int, digest: int) -> bytes:
    """What stands in the file for the CRC-32 of the coefficients up to a level."""
    return digest.to_bytes(4, "little")[: CHECK_BYTES[level]] if level < len(CHECK_BYTES) else b""


class Order:
    """The order in which a level's coefficients are coded: pass by pass, band by band, from left to right."""

    def __init__(self, lattice: Lattice, level: int, bands: Sequence[Subband]) -> None:
        self._bands = bands
        self._shapes = [lattice.shape(level, band) for band in bands]
        height, width = lattice.sizes[level + 1]
        self._room = (height + WAVEFRONT_LAG * (len(bands) - 1), len(bands), (width + 1) // 2 * 2)
        valid = np.zeros(self._room, bool)
        for index, (rows, columns) in enumerate(self._shapes):
            valid[WAVEFRONT_LAG * index : WAVEFRONT_LAG * index + rows, index, :columns] = True
        self._valid = self._by_pass(valid)
        counts = self._valid.sum(axis=(2, 3)).ravel()
        self.starts: List[int] = [0, *np.cumsum(counts).tolist()]

    def _by_pass(self, skewed: np.ndarray) -> np.ndarray:
        rows, bands, columns = self._room
        return skewed.reshape(rows, bands, columns // 2, 2).transpose(0, 3, 1, 2)

    def flat(self, planes: Mapping[Subband, np.ndarray]) -> np.ndarray:
        """Values of the bands, in coding order; those of pass i are starts[i] to starts[i + 1]."""
        skewed = np.zeros(self._room, planes[self._bands[0]].dtype)
        for index, (band, (rows, columns)) in enumerate(zip(self._bands, self._shapes)):
            skewed[WAVEFRONT_LAG * index : WAVEFRONT_LAG * index + rows, index, :columns] = planes[band]
        flat: np.ndarray = self._by_pass(skewed)[self._valid]
        return flat


def decode_lattice(
    data: bytes, lattice: Lattice, conditions: Conditions, finest: int = 0
) -> "Tuple[np.ndarray, List[BandValues]]":
    """The inverse of `encode_lattice`, down to a level.

    Args:
        finest: the finest levels, as many as this, stay in the stream.

    Returns:
        The low-pass plane above what is left out, so the native plane for 0, int64 (planes, rows, columns) in 1/UNIT
        steps, and the integers of each level.

    Raises:
        TruncatedError, MalformedError, ChecksumError: the payload is damaged, or was written under another model.
    """
    low, rest = decode_low(data, lattice)
    plane, levels = decode_bands(rest, lattice, conditions, low * UNIT, (), finest)
    return (
        plane if finest == lattice.levels else lattice.rebuild(plane, levels[finest], finest, conditions.synthesis)
    ), levels


def decode_low(data: bytes, lattice: Lattice) -> "Tuple[np.ndarray, bytes]":
    """The coarsest low-pass plane of a lattice payload, integers int64 (planes, rows, columns), and what follows it.

    Raises TruncatedError, MalformedError.
    """
    size, offset = read_varint(data, 0, "size of the low-pass plane")
    if size > len(data) - offset:
        raise TruncatedError("the file ends inside of the coarsest low-pass plane")
    shape = lattice.low_shape()
    deltas = decode_range(data[offset : offset + size], [shape[1:]] * shape[0])
    return np.stack([_undo_deltas(plane) for plane in deltas]), data[offset + size :]


def decode_bands(
    data: bytes,
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: "Sequence[BandValues]",
    finest: int = 0,
) -> "Tuple[np.ndarray, List[BandValues]]":
    """The inverse of `encode_bands`: the low-pass plane of the level `finest`, and the integers of each level.

    Args:
        low, coarser: as `wavefront_scan` takes them.

    Raises:
        TruncatedError, MalformedError, ChecksumError: as `decode_lattice`.
    """
    count = lattice.levels * len(lattice.bands)
    offset = (count + 7) // 8
    sizes = CHECK_BYTES[: lattice.levels]
    if len(data) < offset + sum(sizes):
        raise TruncatedError("the file ends before the coded coefficients")
    bits = np.unpackbits(np.array(list(data[:offset]), np.uint8))
    if bits[count:].any():
        raise MalformedError("flags of the bands", "are followed by bits that are not 0")
    flags = bits[:count].reshape(lattice.levels, len(lattice.bands)).astype(bool)
    expected = [data[offset + sum(sizes[:i]) : offset + sum(sizes[: i + 1])] for i in range(len(sizes))]
    stream = data[offset + sum(sizes) :]
    setting, kernels = Setting(lattice, conditions, low, coarser), conditions.model.kernels
    scanned = (_decode if kernels is None else kernels.decode_bands)(setting, stream, flags, finest)
    for level in range(finest, min(lattice.levels, len(sizes))):
        if _check(level, scanned.digests[level]) != expected[level]:
            raise ChecksumError("the decoded coefficients do not match their checksum: the file is damaged")
    if finest == 0 and not scanned.canonical:
        raise MalformedError("range coded stream", "has missing, changed or surplus bytes")
    return scanned.plane, scanned.levels


class Setting(NamedTuple):
    """A lattice, and what its bands are coded under (`kernels.Setting`)."""

    lattice: Lattice
    conditions: Conditions
    low: np.ndarray = np.zeros(0)
    coarser: "Sequence[BandValues]" = ()


def _decode(setting: Setting, stream: bytes, flags: np.ndarray, finest: int) -> Scanned:
    """As `Kernels.decode_bands`, in NumPy."""
    lattice, conditions, low, coarser = setting
    coded = [[band for band, flag in zip(lattice.bands, row) if flag] for row in flags]
    decoder = Decoder(stream)
    digest = 0
    digests: Dict[int, int] = {}

    def code_pass(part: Pass) -> np.ndarray:
        nonlocal digest
        scales, means, kinds = part.contexts[:, part.valid]
        where = binarization_of(scales, means, kinds)
        quotient = decoder.get(len(where.tables), conditions.model.tables, where.tables) - LARGEST
        escaped = np.abs(quotient) == LARGEST
        if escaped.any():
            quotient[escaped] += np.sign(quotient[escaped]) * get_code(decoder, int(escaped.sum()), len(stream))
        low_bits = np.zeros(len(quotient), np.int64)
        for shift in np.unique(where.shifts[where.shifts > 0]).tolist():
            chosen = where.shifts == shift
            low_bits[chosen] = decoder.get(int(chosen.sum()), uniform(shift))
        here = debinarize(quotient, low_bits, where)
        if len(here) and int(np.abs(here).max()) > MAX_VALUE:
            raise MalformedError("coefficient", f"is above {MAX_VALUE}")
        digest = digests[part.level - lattice.first] = zlib.crc32(here.astype("<i4").tobytes(), digest)
        values = np.zeros(part.valid.shape, np.int64)
        values[part.valid] = to_values(here, kinds)
        return values

    plane, levels = wavefront_scan(lattice, conditions, low, coarser, coded, code_pass, finest)
    digest, each = 0, [0] * lattice.levels
    for level in range(lattice.levels - 1, finest - 1, -1):
        digest = each[level] = digests.get(level, digest)
    return Scanned(plane, levels, each, decoder.is_canonical())


def _deltas(plane: np.ndarray) -> np.ndarray:
    """Differences to the left neighbour, in the first column to the one above."""
    first = np.diff(plane[:, :1], axis=0, prepend=0)
    return np.concatenate([first, np.diff(plane, axis=1)], axis=1).astype(np.int32)


def _undo_deltas(deltas: np.ndarray) -> np.ndarray:
    plane = deltas.astype(np.int64)
    plane[:, 0] = np.cumsum(plane[:, 0])
    return np.cumsum(plane, axis=1)
