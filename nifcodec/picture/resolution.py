"""Print resolution, which formats keep in places of their own: in a `.nif` it is that of EXIF."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Dict, Optional, Tuple

from nifcodec.picture.metadata import RESOLUTION_TAGS, first_directory

Dpi = Tuple[float, float]  # pixels per inch, across and down

DEFAULT = 72.0  # Exif 2.32, section 4.6.4: what is meant where nothing is known
INCH, CENTIMETRE = 2, 3
SHORT, RATIONAL = 3, 5
LARGEST_DIRECTORY = 4096  # entries


def of_exif(exif: bytes) -> Optional[Dpi]:
    """The resolution in an EXIF block; None where there is none, or one without unit or sense."""
    found = _directory(exif)
    if found is None:
        return None
    order, entries, start = found
    try:
        values = [_rational(exif, order, entries[tag], start) for tag in RESOLUTION_TAGS[:2]]
        unit = struct.unpack_from(order + "H", entries[RESOLUTION_TAGS[2]], 8)[0]
    except (KeyError, struct.error, ZeroDivisionError):
        return None
    scale = {INCH: 1.0, CENTIMETRE: 2.54}.get(unit)
    if scale is None or min(values) <= 0:
        return None
    return scale * values[0], scale * values[1]


def turned(dpi: Optional[Dpi], orientation: int) -> Optional[Dpi]:
    """The resolution of the picture that is made upright from an EXIF orientation."""
    return dpi[::-1] if dpi is not None and orientation >= 5 else dpi


def with_resolution(exif: bytes, dpi: Optional[Dpi]) -> bytes:
    """An EXIF block with a resolution, where it has none and there is one to keep.

    The directory is written anew behind the rest, which stays where it is: maker notes hold offsets.
    """
    if dpi is None or max(abs(value - DEFAULT) for value in dpi) < 0.05 or not 0 < min(dpi) <= max(dpi) < 1e6:
        return exif
    exif = exif or b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
    found = _directory(exif)
    if found is None or RESOLUTION_TAGS[0] in found[1]:
        return exif
    order, entries, start = found
    body = exif + bytes(len(exif) - start & 1)
    count = len(set(entries) | set(RESOLUTION_TAGS))
    values = len(body) - start + 2 + 12 * count + 4  # behind the directory
    for index, tag in enumerate(RESOLUTION_TAGS[:2]):
        entries[tag] = struct.pack(order + "HHII", tag, RATIONAL, 1, values + 8 * index)
    entries[RESOLUTION_TAGS[2]] = struct.pack(order + "HHIHH", RESOLUTION_TAGS[2], SHORT, 1, INCH, 0)
    directory = struct.pack(order + "H", count) + b"".join(entries[tag] for tag in sorted(entries))
    rationals = b"".join(struct.pack(order + "II", *_fraction(value)) for value in dpi)
    moved = body[: start + 4] + struct.pack(order + "I", len(body) - start) + body[start + 8 :]
    return moved + directory + _next_directory(exif, order, start) + rationals


def says_nothing_else(exif: bytes) -> bool:
    """Whether the block holds a resolution alone."""
    found = _directory(exif)
    return found is not None and set(found[1]) <= set(RESOLUTION_TAGS)


def _directory(exif: bytes) -> Optional[Tuple[str, Dict[int, bytes], int]]:
    """The byte order, the entries of IFD0 by tag, 12 bytes each, and where offsets count from; None if damaged."""
    found = first_directory(exif)
    if found is None:
        return None
    order, start, first, count = found
    entries = [exif[place : place + 12] for place in range(first, first + 12 * count, 12)]
    if count > LARGEST_DIRECTORY or any(len(entry) < 12 for entry in entries):
        return None
    return order, {struct.unpack_from(order + "H", entry)[0]: entry for entry in entries}, start


def _next_directory(exif: bytes, order: str, start: int) -> bytes:
    """The offset of IFD1, the thumbnail's."""
    first = start + struct.unpack_from(order + "I", exif, start + 4)[0]
    (count,) = struct.unpack_from(order + "H", exif, first)
    return exif[first + 2 + 12 * count :][:4].ljust(4, b"\0")


def _rational(exif: bytes, order: str, entry: bytes, start: int) -> float:
    (offset,) = struct.unpack_from(order + "I", entry, 8)
    numerator, denominator = struct.unpack_from(order + "II", exif, start + offset)
    return float(numerator / denominator)


def _fraction(value: float) -> Tuple[int, int]:
    # PNG counts pixels per metre: 300 per inch come back as 299.9994.
    near = abs(value - round(value)) < 0.01
    fraction = Fraction(round(value)) if near else Fraction(value).limit_denominator(10_000)
    return fraction.numerator, fraction.denominator
