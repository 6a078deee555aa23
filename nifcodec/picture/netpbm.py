"""PGM and PPM of more than 8 bits (netpbm.sourceforge.net/doc/ppm.html), of whose colours Pillow keeps 8."""

from __future__ import annotations

import re
from typing import Optional

import numpy as np

from nifcodec.errors import ImageError
from nifcodec.picture.bombs import MAX_PIXELS, check_size

# Numbers are apart by white space, in which comments may stand; one white space is before the samples.
GAP = rb"(?:\s*#[^\n]*\n|\s)+"
HEADER = re.compile(rb"P([36])" + GAP + rb"(\d{1,9})" + GAP + rb"(\d{1,9})" + GAP + rb"(\d{1,5})\s")
PLAIN = b"3"
LARGEST = 65535


def read_deep(
    data: bytes, name: str, allow_truncated: bool = False, max_pixels: int = MAX_PIXELS
) -> Optional[np.ndarray]:
    """uint16 (H, W, 3) of a colour picture whose largest sample is above 255; None for any other file.

    Raises ImageError for one that is cut short or damaged.
    """
    head = HEADER.match(data)
    largest = int(head[4]) if head else 0
    if head is None or not 255 < largest <= LARGEST:
        return None
    width, height = int(head[2]), int(head[3])
    check_size(width, height, 6, len(data), name, max_pixels)
    count, body = 3 * width * height, data[head.end() :]
    samples: np.ndarray
    try:
        if head[1] == PLAIN:
            samples = np.array(re.sub(rb"#[^\n]*", b"", body).split()[:count], np.int64)
        else:
            samples = np.frombuffer(body, ">u2", min(count, len(body) // 2)).astype(np.int64)
    except ValueError as error:
        raise ImageError(f"{name} is damaged: {error}") from None
    if len(samples) < count and not allow_truncated:
        raise ImageError(f"{name} is cut short: get it again, or read what is there by --allow-truncated")
    samples = np.concatenate([samples, np.zeros(count - len(samples), np.int64)])
    if samples.max() > largest or samples.min() < 0:
        raise ImageError(f"{name} is damaged: a sample is above {largest}, the largest that it names")
    return ((samples * LARGEST + largest // 2) // largest).astype(np.uint16).reshape(height, width, 3)


def write(pixels: np.ndarray) -> bytes:
    """A PGM or PPM of uint8 or uint16 (H, W, 1 or 3)."""
    height, width, channels = pixels.shape
    kind, largest = (5 if channels == 1 else 6), np.iinfo(pixels.dtype).max
    wide = pixels.astype(">u2") if pixels.dtype == np.uint16 else pixels
    return f"P{kind}\n{width} {height}\n{largest}\n".encode() + wide.tobytes()
