"""What stands beside the pixels of a picture file: orientation, in EXIF and XMP, and the ICC profile."""

from __future__ import annotations

import re
import struct
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

ORIENTATION_TAG = 0x0112
# EXIF orientation -> what makes pixels (H, W, C) upright.
UPRIGHT: Dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(np.swapaxes(pixels, 0, 1), 2),
    8: np.rot90,
}
# Colour space of an ICC profile (its bytes 16 to 19) -> numbers of channels that it describes.
PROFILE_SPACE = {b"GRAY": (1, 2), b"RGB ": (3, 4)}


def known_orientation(value: int) -> int:
    """The orientation, where it is one of EXIF's, else 1."""
    return value if value in UPRIGHT else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W) or (H, W, C) as they are to be seen."""
    return UPRIGHT.get(orientation, np.asarray)(pixels)


def fitting_profile(icc: bytes, channels: int) -> bytes:
    """The ICC profile where it describes pictures of so many channels, else none."""
    return icc if channels in PROFILE_SPACE.get(icc[16:20], ()) else b""


def _orientation_entry(exif: bytes) -> Optional[Tuple[int, str]]:
    """Where IFD0 holds the value of the orientation tag, and the byte order; None without one or in a damaged block."""
    start = 6 if exif[:6] == b"Exif\0\0" else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    if order is None:
        return None
    try:
        directory = start + struct.unpack_from(order + "I", exif, start + 4)[0]
        entries = struct.unpack_from(order + "H", exif, directory)[0]
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count, _ = struct.unpack_from(order + "HHIH", exif, entry)
            if (tag, kind, count) == (ORIENTATION_TAG, 3, 1):
                return entry + 8, order
    except struct.error:
        return None
    return None


def orientation(picture: Any, exif: bytes) -> int:
    """1 to 8; from the EXIF block, or from the tags of a TIFF file, which has none."""
    if exif:
        entry = _orientation_entry(exif)
        orientation = struct.unpack_from(entry[1] + "H", exif, entry[0])[0] if entry else 1
    else:
        orientation = picture.getexif().get(ORIENTATION_TAG, 1)
    return known_orientation(orientation)


def upright_exif(exif: bytes) -> bytes:
    """Sets the orientation of IFD0 to 1 in place: rewriting the block would lose maker notes, which hold offsets."""
    entry = _orientation_entry(exif)
    if entry is None:
        return exif
    return exif[: entry[0]] + struct.pack(entry[1] + "H", 1) + exif[entry[0] + 2 :]


def upright_xmp(xmp: bytes) -> bytes:
    """Sets tiff:Orientation to 1, as an attribute or as an element."""
    return re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]", rb"\g<1>1", xmp)
