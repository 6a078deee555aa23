"""Damaged files: whatever the bytes, only NifError comes out, in bounded time and memory (container and weights)."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from fuzz import repaired
from hypothesis import given, settings
from hypothesis import strategies as st

from nifcodec.container import NifFile, pack, part_sizes, read_header, unpack
from nifcodec.entropy import varint, zstd
from nifcodec.entropy.tensors import (
    COUNT_PER_BYTE,
    FREE_COUNT,
    MAX_COUNT,
    MAX_ZSTANDARD_COUNT,
    decode_tensors,
    encode_tensors,
)
from nifcodec.errors import ChecksumError, CorruptFileError, NotANifError, TruncatedError, UnsupportedVersionError

SHAPES = [(2, 8), (8,), (8, 3), (3,)]
TENSORS = [np.random.default_rng(7).integers(-60, 61, shape).astype(np.int32) for shape in SHAPES]
TENSORS[2][0, 0] = 5000
REPEATED_SHAPE = (4000,)
REPEATED = np.tile(np.arange(-100, 100), 20).astype(np.int32)


def small_file():
    return pack(NifFile(37, 5, 3, 8, 2, b"\x08\x00\x02", encode_tensors(TENSORS), exif=b"Exif" * 9, xmp=b"<x/>"))


FILE = small_file()


def read(data, shapes=SHAPES):
    """All of the reading: True if the file was taken, with contents of the right shapes."""
    try:
        file = unpack(data)
        tensors = decode_tensors(file.payload, shapes)
        sizes = part_sizes(data)
    except CorruptFileError as error:
        assert str(error)
        return False
    assert [tensor.shape for tensor in tensors] == list(shapes)
    assert sum(sizes.values()) == len(data)
    return True


def test_the_undamaged_file_is_read():
    assert read(FILE)


def test_truncation_at_every_byte():
    for length in range(1, len(FILE)):
        with pytest.raises(TruncatedError):
            unpack(FILE[:length])
    with pytest.raises(NotANifError):
        unpack(b"")


def test_flip_of_every_bit():
    for position in range(len(FILE)):
        for bit in range(8):
            data = bytearray(FILE)
            data[position] ^= 1 << bit
            if position == 9:  # a reader takes every minor version
                assert read(bytes(data))
                continue
            with pytest.raises(CorruptFileError) as caught:
                unpack(bytes(data))
            if position < 8:
                assert isinstance(caught.value, NotANifError)
            elif position == 8:
                assert isinstance(caught.value, UnsupportedVersionError)


def test_flips_inside_of_a_chunks_data_are_checksum_errors():
    start = FILE.index(b"<x/>")
    for position in range(start, start + 4):
        data = bytearray(FILE)
        data[position] ^= 16
        with pytest.raises(ChecksumError):
            unpack(bytes(data))


def test_flip_of_every_bit_under_right_checksums():
    taken = 0
    for position in range(8, len(FILE)):
        for bit in range(8):
            data = bytearray(FILE)
            data[position] ^= 1 << bit
            taken += read(repaired(bytes(data)))
    assert 0 < taken < 8 * len(FILE)


@pytest.mark.parametrize("tensors", [TENSORS, [REPEATED]])
def test_payloads_cut_and_flipped_without_a_container(tensors):
    data, shapes = encode_tensors(tensors), [tensor.shape for tensor in tensors]
    for length in range(len(data)):
        refused_or_shaped(data[:length], shapes)
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            refused_or_shaped(bytes(flipped), shapes)


def refused_or_shaped(data, shapes):
    try:
        tensors = decode_tensors(data, shapes)
    except CorruptFileError:
        return
    assert [tensor.shape for tensor in tensors] == [tuple(shape) for shape in shapes]


edits = st.lists(
    st.tuples(st.sampled_from(["set", "insert", "delete", "copy"]), st.floats(0, 1), st.binary(min_size=1, max_size=6)),
    max_size=6,
)


def mutate(data, changes):
    out = bytearray(data)
    for kind, place, content in changes:
        at = int(place * len(out))
        if kind == "set":
            out[at : at + len(content)] = content
        elif kind == "insert":
            out[at:at] = content
        elif kind == "delete":
            del out[at : at + len(content)]
        else:
            out[at:at] = out[: 4 * len(content)]
    return bytes(out)


@settings(max_examples=400, deadline=2000)
@given(edits, st.booleans())
def test_mutated_files(changes, repair):
    data = mutate(FILE, changes)
    read(repaired(data) if repair else data)


@settings(max_examples=200, deadline=2000)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_behind_the_signature(content, repair):
    data = FILE[:10] + content
    read(repaired(data) if repair else data)
    with contextlib.suppress(CorruptFileError):
        read_header(data)


@settings(max_examples=300, deadline=2000)
@given(st.binary(max_size=120), st.integers(0, 1), st.sampled_from([SHAPES, [REPEATED_SHAPE], [(0,)], []]))
def test_any_bytes_as_weights(content, method, shapes):
    refused_or_shaped(bytes([method]) + content, shapes)


def measured(data, shapes):
    tracemalloc.start()
    refused_or_shaped(data, shapes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("stream", [b"", b"\x7f" * 9, b"\xff" * 40])
def test_tiny_payloads_that_ask_for_the_most_weights(stream):
    for count in (MAX_COUNT, FREE_COUNT + COUNT_PER_BYTE * (2 + len(stream))):
        assert measured(bytes([0, 0]) + stream, [(count,)]) < 4 * 2**20


def test_zstandard_payloads_that_ask_for_the_most_weights():
    raw = zstd.compress(bytes(4 * MAX_COUNT))
    for length, count in ((4 * MAX_COUNT, MAX_COUNT), (4 * MAX_ZSTANDARD_COUNT, MAX_ZSTANDARD_COUNT)):
        assert measured(b"\1" + varint.write_varint(length) + raw, [(count,)]) < 64 * 2**20
    zeros = zstd.compress(bytes(MAX_ZSTANDARD_COUNT))
    padded = b"\1" + varint.write_varint(MAX_ZSTANDARD_COUNT) + zeros
    assert measured(padded, [(MAX_ZSTANDARD_COUNT,)]) < 2**20
