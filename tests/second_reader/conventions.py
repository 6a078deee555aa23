"""What all parts of the reader use: refusals, and bytes that are taken one after another (FORMAT.md, "Conventions")."""

from __future__ import annotations

import zstandard


class Refused(Exception):
    """The file is malformed."""


class NewerVersion(Refused):
    """The file is of a newer version."""


class MissingPrior(Refused):
    """The file needs a prior that this reader does not have."""


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise Refused(reason)


def known(condition: bool, what: str) -> None:
    if not condition:
        raise NewerVersion(f"{what} of a newer version")


class Bytes:
    """Bytes that are taken one after another."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        require(self.position + count <= len(self.data), "bytes are missing")
        self.position += count
        return self.data[self.position - count : self.position]

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.position)

    def number(self, count: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    def varint(self, longest: int = 5) -> int:
        value = 0
        for index in range(longest):
            byte = self.number(1)
            value |= (byte & 127) << 7 * index
            if byte < 128:
                require(byte > 0 or index == 0, "varint is not in its shortest form")
                require(value < 2**32, "varint is too large")
                return value
        raise Refused("varint is too long")


def varint(value: int) -> bytes:
    """The bytes of a varint."""
    low = [value >> 7 * index & 127 for index in range(max(1, -(-value.bit_length() // 7)))]
    return bytes([*(byte | 128 for byte in low[:-1]), low[-1]])


def zstd(frame: bytes, size: int) -> bytes:
    """The content of a frame that announces `size` bytes."""
    try:
        parameters = zstandard.get_frame_parameters(frame)
        require(parameters.content_size == size and parameters.dict_id == 0, "zstd frame announces another size")
        require(parameters.window_size <= max(size, 1024), "zstd window is too large")
        unpacking = zstandard.ZstdDecompressor().decompressobj()
        data = unpacking.decompress(frame)
    except zstandard.ZstdError as error:
        raise Refused("zstd frame is damaged") from error
    require(len(data) == size and not unpacking.unused_data, "zstd frame is cut or has bytes after it")
    return data
