"""Zstandard frames of a known size (FORMAT.md, "Conventions")."""

from __future__ import annotations

import zstandard

from nifcodec.errors import MalformedError


def compress(data: bytes) -> bytes:
    """One zstandard frame that states its content size, without checksum or dictionary."""
    # Level 19 takes seconds a megabyte: small parts get it, where it is free, and large ones a quick level.
    level = 19 if len(data) <= 1 << 18 else 9
    return zstandard.ZstdCompressor(level=level, write_checksum=False).compress(data)


def decompress(data: bytes, size: int, field: str) -> bytes:
    """Inverse of `compress`. The caller bounds `size`; no more than that is allocated, whatever the frame says.

    Raises:
        MalformedError: not one complete frame of exactly `size` bytes of content with nothing behind it.
    """
    try:
        frame = zstandard.get_frame_parameters(data)
        if frame.content_size != size or frame.dict_id or frame.window_size > max(size, 1024):
            raise MalformedError(field, f"is not a zstandard frame of {size} bytes")
        content: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError:
        raise MalformedError(field, "is not valid zstandard data") from None
    if len(content) != size:
        raise MalformedError(field, f"is not a zstandard frame of {size} bytes")
    return content
