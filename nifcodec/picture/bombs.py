"""Decompression bombs: picture files that are refused by their header, before their pixels take memory."""

from __future__ import annotations

from nifcodec.errors import ImageError

MAX_PIXELS = 2**27  # 2 GiB of float RGBA; what is decoded has the same limit
# No compression in use makes more of a byte than this (Zstandard 32768, fax G4 of a blank page 20000). The first are
# free, since one colour all over compresses almost without limit in WebP and AVIF.
LARGEST_RATIO, FREE_BYTES = 2**16, 2**23
# Bytes of each unpacked ICC profile, EXIF and XMP that a .nif holds: the largest printer profiles have a few MiB.
LARGEST_METADATA = 2**24


def check_size(
    width: int, height: int, pixel_bytes: int, file_bytes: int, name: str, max_pixels: int = MAX_PIXELS
) -> None:
    """Refuses what is too large, or too large for its file, before it is read. Raises ImageError."""
    if width < 1 or height < 1 or width * height > max_pixels:
        raise ImageError(
            f"{name} is too large: it has {width} x {height} pixels, the limit is {max_pixels} together; raise it by "
            "--max-pixels or max_pixels"
        )
    check_ratio(width * height * pixel_bytes, file_bytes, name)


def check_ratio(unpacked: int, file_bytes: int, name: str) -> None:
    """Refuses a decompression bomb before it is read. Raises ImageError."""
    if unpacked > FREE_BYTES + LARGEST_RATIO * file_bytes:
        raise ImageError(f"{name} has {file_bytes} bytes that stand for {unpacked}: no picture is compressed like that")
