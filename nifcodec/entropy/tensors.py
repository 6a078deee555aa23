"""Integer tensors <-> bytes: each under the table of `tables` that suits it best (FORMAT.md, "Tensors payload")."""

from __future__ import annotations

from functools import lru_cache
from typing import List, Sequence, Tuple

import numpy as np

from nifcodec.entropy.exp_golomb import code_bits, get_signed_code, put_code
from nifcodec.entropy.range_coder import Decoder, Encoder
from nifcodec.entropy.tables import TABLE_COUNT, code_lengths, largest, table
from nifcodec.entropy.varint import read_varint, read_varints, write_varint, write_varints
from nifcodec.entropy.zstd import compress, decompress
from nifcodec.errors import LimitError, MalformedError, TruncatedError

MAX_SYMBOL = 1 << 20
# 2^24 weights are far more than a picture of 2^29 pixels can use; they bound the memory of decoding to 320 MiB.
MAX_COUNT = 1 << 24
# zstandard wins on repetition in small tensors; its path takes forty bytes a value, so that large ones are kept off it.
MAX_ZSTANDARD_COUNT = 1 << 20
# Zeros are nearly free, and reading them is not: beyond the first ones, a payload has one byte for so many values.
FREE_COUNT, COUNT_PER_BYTE = 1 << 14, 256

RANGE_CODED, ZSTANDARD = 0, 1
_ZIGZAG_BYTES = 4
_CACHED_MAGNITUDES = 1024


def encode_tensors(tensors: Sequence[np.ndarray]) -> bytes:
    """The payload of a list of tensors, in C order each, by the method that makes it shorter.

    Args:
        tensors: int32 arrays of any shape, values -`MAX_SYMBOL` to `MAX_SYMBOL`, `MAX_COUNT` values together.

    Raises:
        ValueError: a value is outside of the range.
        LimitError: too many values.
    """
    coded = bytes([RANGE_CODED]) + encode_range(tensors)
    joined = np.concatenate([_checked(tensor) for tensor in tensors]) if tensors else np.zeros(0, np.int64)
    if joined.size > MAX_ZSTANDARD_COUNT:
        return coded
    raw = write_varints(np.where(joined < 0, -2 * joined - 1, 2 * joined))
    packed = bytes([ZSTANDARD]) + write_varint(len(raw)) + compress(raw)
    return packed if len(packed) < len(coded) and joined.size <= _most(len(packed)) else coded


def decode_tensors(data: bytes, shapes: Sequence[Tuple[int, ...]]) -> List[np.ndarray]:
    """Inverse of `encode_tensors`: int32 arrays of the given shapes.

    Raises:
        LimitError: the shapes hold more than `MAX_COUNT` values, or more than so many bytes may stand for; raised
            before anything is allocated.
        TruncatedError, MalformedError: `data` is not a payload of tensors of these shapes.
    """
    if not data:
        raise TruncatedError("the weights are missing")
    sizes = _sizes(len(data), shapes)
    if data[0] == RANGE_CODED:
        return decode_range(data[1:], shapes)
    if data[0] == ZSTANDARD:
        return _shaped(_decode_zstandard(data[1:], sizes), shapes)
    raise MalformedError("method of the weights", f"is {data[0]}, which is not defined", 0)


def encode_range(tensors: Sequence[np.ndarray]) -> bytes:
    """Range coded tensors: their tables, and a stream. Arguments and errors as of `encode_tensors`."""
    flat = [_checked(tensor) for tensor in tensors]
    count = sum(values.size for values in flat)
    if count > MAX_COUNT:
        raise LimitError(f"the tensors have more than {MAX_COUNT} values together: use a smaller network")
    encoder, table_ids = Encoder(), bytearray()
    escaped: List[np.ndarray] = []
    for values in flat:
        table_id = int(np.argmin(_allowed(table_costs(values), count > FREE_COUNT)))
        top = largest(table_id)
        outside = np.abs(values) > top
        encoder.put(np.where(outside, 2 * top + 1, values + top), table(table_id))
        escaped.append(np.sign(values[outside]) * (np.abs(values[outside]) - top))
        table_ids.append(table_id)
    beyond = np.concatenate(escaped) if escaped else np.zeros(0, dtype=np.int64)
    put_code(encoder, np.abs(beyond) - 1, beyond < 0)
    return bytes(table_ids) + encoder.finish()


def decode_range(data: bytes, shapes: Sequence[Tuple[int, ...]]) -> List[np.ndarray]:
    """Inverse of `encode_range`, for which the caller bounds the shapes.

    Raises TruncatedError, MalformedError.
    """
    sizes = [_size(shape) for shape in shapes]
    if len(data) < len(sizes):
        raise TruncatedError("the weights end inside of the list of their tables")
    table_ids, stream = data[: len(sizes)], data[len(sizes) :]
    for offset, table_id in enumerate(table_ids):
        if table_id >= TABLE_COUNT:
            raise MalformedError("table of the weights", f"is {table_id}, which is not defined", offset)
    decoder = Decoder(stream)
    tops = [largest(table_id) for table_id in table_ids]
    flat = [decoder.get(size, table(table_id)) - top for size, table_id, top in zip(sizes, table_ids, tops)]
    outside = [values > top for values, top in zip(flat, tops)]
    excess, negative = get_signed_code(decoder, sum(int(np.count_nonzero(where)) for where in outside), len(stream))
    decoder.finish()
    start = 0
    for values, where, top in zip(flat, outside, tops):
        end = start + int(np.count_nonzero(where))
        magnitudes = excess[start:end] + top + 1
        if magnitudes.size and int(magnitudes.max()) > MAX_SYMBOL:
            raise MalformedError("weights", f"hold a value outside of +-{MAX_SYMBOL}")
        values[where] = np.where(negative[start:end], -magnitudes, magnitudes)
        start = end
    return _shaped(flat, shapes)


def _sizes(data_bytes: int, shapes: Sequence[Tuple[int, ...]]) -> List[int]:
    """Values of each tensor. Raises LimitError where so many bytes may not stand for so many values."""
    sizes = [_size(shape) for shape in shapes]
    if sum(sizes) > MAX_COUNT:
        raise LimitError(f"the file asks for {sum(sizes)} weights, above the limit of {MAX_COUNT}")
    most = _most(data_bytes)
    if sum(sizes) > most:
        raise LimitError(f"the file asks for {sum(sizes)} weights in {data_bytes} bytes, the limit is {most}")
    return sizes


def _shaped(flat: Sequence[np.ndarray], shapes: Sequence[Tuple[int, ...]]) -> List[np.ndarray]:
    return [values.astype(np.int32).reshape(shape) for values, shape in zip(flat, shapes)]


def ideal_bits(tensors: Sequence[np.ndarray]) -> float:
    """Length in bits of the range coded payload as the tables' code lengths give it."""
    dense = sum(np.size(tensor) for tensor in tensors) > FREE_COUNT
    return 8.0 + sum(8 + float(_allowed(table_costs(_checked(tensor)), dense).min()) for tensor in tensors)


def table_costs(values: np.ndarray) -> np.ndarray:
    """Bits that an integer array costs under each table, escapes included: float64 array (`TABLE_COUNT`,)."""
    counts = np.bincount(np.abs(values).ravel())
    if counts.size <= _CACHED_MAGNITUDES:
        costs: np.ndarray = _cost_matrix()[:, : counts.size] @ counts
        return costs
    magnitudes = np.flatnonzero(counts)
    return np.array([_magnitude_costs(i, magnitudes) @ counts[magnitudes] for i in range(TABLE_COUNT)])


def _magnitude_costs(table_id: int, magnitudes: np.ndarray) -> np.ndarray:
    top, lengths = largest(table_id), code_lengths(table_id)
    escaped = lengths[-1] + code_bits(np.maximum(magnitudes - top - 1, 0)) + 1
    costs: np.ndarray = np.where(magnitudes <= top, lengths[top + np.minimum(magnitudes, top)], escaped)
    return costs


@lru_cache(maxsize=1)
def _cost_matrix() -> np.ndarray:
    magnitudes = np.arange(_CACHED_MAGNITUDES)
    return np.stack([_magnitude_costs(i, magnitudes) for i in range(TABLE_COUNT)])


def _most(size: int) -> int:
    """How many values a payload of so many bytes may hold."""
    return FREE_COUNT + COUNT_PER_BYTE * size


@lru_cache(maxsize=1)
def _dense_tables() -> np.ndarray:
    """Which tables give a zero the bits that keep any payload within `COUNT_PER_BYTE`."""
    return np.array([code_lengths(i)[largest(i)] >= 8 / COUNT_PER_BYTE for i in range(TABLE_COUNT)])


def _allowed(costs: np.ndarray, dense: bool) -> np.ndarray:
    """Costs of a tensor under each table, infinite where a payload of many values must not use it."""
    return np.where(_dense_tables(), costs, np.inf) if dense else costs


def _decode_zstandard(body: bytes, sizes: Sequence[int]) -> List[np.ndarray]:
    if sum(sizes) > MAX_ZSTANDARD_COUNT:
        raise MalformedError("method of the weights", f"is not allowed for {sum(sizes)} weights", 0)
    length, offset = read_varint(body, 0, "length of the weights")
    if length > _ZIGZAG_BYTES * sum(sizes):
        raise MalformedError("length of the weights", f"is {length}, too much for {sum(sizes)} weights", 1)
    zigzag = read_varints(decompress(body[offset:], length, "weights"), sum(sizes), "weights")
    values = np.where(zigzag & 1, -(zigzag >> 1) - 1, zigzag >> 1)
    if values.size and int(np.abs(values).max()) > MAX_SYMBOL:
        raise MalformedError("weights", f"hold a value outside of +-{MAX_SYMBOL}")
    return np.split(values, np.cumsum(sizes)[:-1])


def _checked(tensor: np.ndarray) -> np.ndarray:
    values = np.asarray(tensor, dtype=np.int64).ravel()
    if values.size and int(np.abs(values).max()) > MAX_SYMBOL:
        raise ValueError(f"a tensor holds a value outside of +-{MAX_SYMBOL}")
    return values


def _size(shape: Tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
