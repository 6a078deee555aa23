"""The chunks of a `.nif` file: signature, version, lengths, checksums and order (FORMAT.md, "Container").

A file is one contiguous list of chunks, each inside of the file, each with its checksum, nothing before, between or
after them.
"""

from __future__ import annotations

import zlib
from typing import Iterator, NamedTuple

from nifcodec.entropy.varint import read_varint, write_varint
from nifcodec.errors import (
    ChecksumError,
    LimitError,
    MalformedError,
    NotANifError,
    TruncatedError,
    UnsupportedVersionError,
)

# As in PNG: a byte above 127 shows 7-bit transfers, CR LF and LF show text-mode ones, 1A ends a listing on old systems.
SIGNATURE = b"\x89NIF\r\n\x1a\n"
MAJOR, MINOR = 1, 0

HEADER, ALPHA, INDEX, WEIGHTS = "H", "A", "i", "W"
METADATA = {"c": "icc", "e": "exif", "x": "xmp"}
ORDER = (HEADER, ALPHA, *METADATA, INDEX, WEIGHTS)

# Chunks of six bytes would cost thirty times their size in memory; a file of this version has at most five known ones.
MAX_CHUNKS = 256

_CRC_BYTES = 4
# Changed line ends, a cleared top bit, Latin-1 read as UTF-8, a byte that was no UTF-8.
_TEXT_DAMAGE = (SIGNATURE[:4], b"\x09NIF", b"\xc2\x89NIF", b"\xef\xbf\xbdNIF")


class Chunk(NamedTuple):
    """A chunk: its type, where its data begin in the file, its data, and its bytes with their framing."""

    kind: str
    offset: int
    data: memoryview
    size: int


def packed(kind: str, data: bytes) -> bytes:
    """The bytes of a chunk."""
    body = kind.encode("ascii") + write_varint(len(data)) + data
    return body + zlib.crc32(body).to_bytes(_CRC_BYTES, "little")


def chunks_of(data: bytes, weights: bool = True) -> Iterator[Chunk]:
    """The chunks of a file in their order, checked one by one; ends behind `W`, or before it without `weights`."""
    offset, last = _start(data), ""
    view = memoryview(data)
    for _ in range(MAX_CHUNKS):
        if offset >= len(data):
            raise TruncatedError(f"the file ends after {len(data)} bytes, before its weights: get it again")
        kind = chr(data[offset])
        if not (kind.isascii() and kind.isalpha()):
            raise MalformedError("chunk type", f"is {data[offset]}, not a letter", offset)
        if kind == WEIGHTS and not weights:
            _check_order(kind, last, offset)
            return
        length, start = read_varint(data, offset + 1, "a chunk's length")
        end = start + length
        if end + _CRC_BYTES > len(data):
            raise TruncatedError(f"the file ends after {len(data)} bytes of {end + _CRC_BYTES} or more: get it again")
        if zlib.crc32(view[offset:end]) != int.from_bytes(view[end : end + _CRC_BYTES], "little"):
            raise ChecksumError(f"the file is damaged: chunk {kind} at byte {offset} does not match its checksum")
        if kind.isupper() and kind not in (HEADER, ALPHA, WEIGHTS):
            raise UnsupportedVersionError(f"the file needs a newer nifcodec: its chunk {kind} is not known to this one")
        _check_order(kind, last, offset)
        chunk = Chunk(kind, start, view[start:end], end + _CRC_BYTES - offset)
        offset = end + _CRC_BYTES
        if kind == WEIGHTS and offset < len(data):
            raise MalformedError("end of file", f"is followed by {len(data) - offset} bytes", offset)
        yield chunk
        if kind == WEIGHTS:
            return
        if kind in ORDER:
            last = kind
    raise LimitError(f"the file has more than {MAX_CHUNKS} chunks")


def _start(data: bytes) -> int:
    if data and len(data) < len(SIGNATURE) and SIGNATURE.startswith(data):
        raise TruncatedError(f"the file ends after {len(data)} bytes, inside of its signature: get it again")
    if not data.startswith(SIGNATURE):
        if any(data.startswith(damage) for damage in _TEXT_DAMAGE):
            raise NotANifError("the file was damaged, perhaps by a text-mode transfer: get it again in binary mode")
        raise NotANifError("this is not a .nif file: encode makes one of a picture" if data else "the file is empty")
    start = len(SIGNATURE) + 2
    if len(data) < start:
        raise TruncatedError(f"the file ends after {len(data)} bytes, before its version: get it again")
    major, minor = data[start - 2], data[start - 1]
    if major != MAJOR:
        raise UnsupportedVersionError(
            f"the file has version {major}.{minor} of the format, this nifcodec reads {MAJOR}.x: install another one"
        )
    return start


def _check_order(kind: str, last: str, offset: int) -> None:
    if not last and kind != HEADER:
        raise MalformedError("chunk order", f"has {kind} where the header H must be", offset)
    if last == INDEX and kind != WEIGHTS:
        raise MalformedError("chunk order", f"has {kind} between the index and the weights", offset)
    if last and kind in ORDER and ORDER.index(kind) <= ORDER.index(last):
        raise MalformedError("chunk order", f"has {kind} behind {last}", offset)
