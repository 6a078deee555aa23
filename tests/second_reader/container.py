"""Chunks, header and metadata of a file, and samples from a field's numbers (FORMAT.md, "Container")."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Callable, Dict, List, NamedTuple, Optional

import numpy as np

from .conventions import Bytes, Refused, known, require, zstd
from .exact import FULL, channels_of_field, read_constants

KNOWN = "HAcexi"
"""Types of chunks before `W`, in their order."""

Fetch = Callable[[int, int], bytes]
"""From an offset in the file and a length to so many bytes, fewer where the file ends before."""


class Head(NamedTuple):
    """A file up to the data of `W`."""

    chunks: Dict[str, bytes]
    """Data of the known chunks before `W`."""
    start: int
    """Where the data of `W` begins in the file."""
    length: int
    """Bytes of the data of `W`."""
    checksum: int
    """CRC-32 of the type and the length of `W`."""


class Header(NamedTuple):
    width: int
    height: int
    picture_channels: int
    field_channels: List[int]
    """Which of the picture's channels the field has."""
    depth: int
    """The code: 0 for 8 bits, 1 for 16, 2 for float."""
    family: int
    constants: List[Optional[float]]
    """The value of each constant channel, None of the others; no value at all without constants."""
    transfer: "Optional[Transfer]"
    description: Bytes
    """To the end of the chunk."""

    @property
    def channels(self) -> int:
        """How many the field has."""
        return len(self.field_channels)


def read_head(fetch: Fetch) -> Head:
    """The signature, the version and all chunks before `W`, with their checksums verified."""
    start = fetch(0, 10)
    require(start[:8] == b"\x89NIF\r\n\x1a\n", "signature")
    require(len(start) == 10, "the file ends before its version")
    known(start[8] == 1, "major version")
    position, order = 10, ""
    chunks: Dict[str, bytes] = {}
    for _ in range(256):
        framing = Bytes(fetch(position, 6))
        kind = framing.take(1).decode("latin-1")
        require(kind.isascii() and kind.isalpha(), "type of a chunk")
        length = framing.varint()
        data = position + framing.position
        framing_bytes = framing.data[: framing.position]
        known(kind in "HAW" or kind.islower(), "critical chunk")
        require((order == "") == (kind == "H"), "H is first, once")
        require(order[-1:] != "i" or kind == "W", "i is directly before W")
        if kind in "Acexi":
            require(all(KNOWN.index(kind) > KNOWN.index(before) for before in order if before in KNOWN), "order")
        if kind == "W":
            return Head(chunks, data, length, zlib.crc32(framing_bytes))
        content = Bytes(fetch(data, length + 4))
        checked = framing_bytes + content.take(length)
        require(content.number(4) == zlib.crc32(checked), "checksum")
        if kind in KNOWN:
            chunks[kind] = content.data[:length]
        order += kind
        position = data + length + 4
    raise Refused("too many chunks")


def read_payload(head: Head, fetch: Fetch) -> bytes:
    """The data of `W`, the last chunk of the file, verified."""
    content = Bytes(fetch(head.start, head.length + 5))
    payload = content.take(head.length)
    require(content.number(4) == zlib.crc32(payload, head.checksum), "checksum")
    require(not content.rest(), "bytes after the last chunk")
    return payload


def read_header(data: bytes) -> Header:
    header = Bytes(data)
    width, height = header.varint(), header.varint()
    require(1 <= width <= 2**17 and 1 <= height <= 2**17 and width * height <= 2**29, "size of the picture")
    depth, kind = divmod(header.number(1), 16)
    has_constants, channels = divmod(kind, 8)
    known(depth <= 2, "depth")
    require(1 <= channels <= 4, "channels")
    family = header.number(1)
    transfer = Transfer(header) if depth == 2 else None
    constants = read_constants(header, channels, depth) if has_constants else []
    field_channels = channels_of_field(channels, constants)
    require((family == 0) == (not field_channels), "family 0")
    known(family <= 4, "family")
    description = Bytes(header.rest())
    require(len(description.data) <= 2**16, "length of the description")
    require(family > 0 or not description.data, "description without a field")
    return Header(width, height, channels, field_channels, depth, family, constants, transfer, description)


def read_metadata(data: bytes) -> bytes:
    content = Bytes(data)
    method, size = content.number(1), content.varint()
    require(method <= 1 and 1 <= size <= 2**24, "metadata")
    unpacked = zstd(content.rest(), size) if method == 1 else content.rest()
    require(len(unpacked) == size, "length of the metadata")
    return unpacked


class Transfer:
    """From codes to linear light."""

    def __init__(self, header: Bytes) -> None:
        self.curve_number = header.number(1)
        self.darkest, self.brightest, self.gain = struct.unpack("<3f", header.take(12))
        require(self.curve_number <= 2, "curve")
        require(all(map(math.isfinite, (self.darkest, self.brightest, self.gain))), "transfer is not finite")
        require(self.darkest <= self.brightest and self.gain > 0, "transfer")
        largest = max(abs(self.darkest), abs(self.brightest)) * self.gain
        require(self.curve_number != 2 or largest <= 10000, "PQ ends at 10000 cd/m2")

    m1, m2, c1, c2, c3 = 2610 / 16384, 128 * 2523 / 4096, 3424 / 4096, 32 * 2413 / 4096, 32 * 2392 / 4096

    def perceptual(self, y: float) -> float:
        """pq(y)."""
        return ((self.c1 + self.c2 * y**self.m1) / (1 + self.c3 * y**self.m1)) ** self.m2

    def curve(self, light: float) -> float:
        x = abs(light)
        if self.curve_number == 1:
            x = math.log1p(self.gain * x)
        elif self.curve_number == 2:
            x = self.perceptual(self.gain * x / 10000) - self.perceptual(0)
        return math.copysign(x, light)

    def inverse(self, value: float) -> float:
        """The x with curve(x) = value."""
        x = abs(value)
        if self.curve_number == 1:
            x = math.expm1(x) / self.gain
        elif self.curve_number == 2:
            root = (x + self.perceptual(0)) ** (1 / self.m2)
            x = 10000 / self.gain * (max(root - self.c1, 0) / (self.c2 - self.c3 * root)) ** (1 / self.m1)
        return math.copysign(x, value)

    def light(self, code: float) -> float:
        low, high = self.curve(self.darkest), self.curve(self.brightest)
        code = min(max(code, 0), 1)
        return min(max(self.inverse(low + code * (high - low)), self.darkest), self.brightest)


def to_samples(field: np.ndarray, header: Header, alpha: Optional[np.ndarray] = None) -> np.ndarray:
    """The samples of a field's numbers (rows, columns, channels) at pixel centres.

    alpha: the states of alpha there, where there is a map.
    """
    samples = field_samples(field, header)
    whole = np.empty((*samples.shape[:2], header.picture_channels), samples.dtype)
    whole[..., header.field_channels] = samples
    for channel, value in enumerate(header.constants):
        if value is not None:
            whole[..., channel] = value
    if alpha is not None:
        require(header.picture_channels in (2, 4), "an alpha map without alpha")
        whole[..., -1][alpha == 0] = 0
        whole[..., -1][alpha == 1] = FULL[header.depth]
    return whole


def field_samples(field: np.ndarray, header: Header) -> np.ndarray:
    clipped = np.clip(np.where(np.isnan(field), 0, field), 0, 1)
    if header.depth == 0:
        return np.floor(255 * clipped + 0.5).astype(np.uint8)
    if header.depth == 1:
        return np.floor(65535 * clipped + 0.5).astype(np.uint16)
    assert header.transfer is not None
    colours = header.channels - (header.channels in (2, 4))
    for position in np.ndindex(*clipped.shape):
        if position[2] < colours:
            clipped[position] = header.transfer.light(clipped[position])
    return clipped.astype(np.float32)
