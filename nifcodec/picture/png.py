"""PNG by its chunks (W3C, PNG Third Edition): checksums, colours, and metadata of any size.

Pillow refuses large profiles, drops the chunks that say what colours mean, and does not name damage. It gets the pixels
alone.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from nifcodec.errors import ImageError
from nifcodec.picture import icc
from nifcodec.picture.bombs import LARGEST_METADATA
from nifcodec.picture.metadata import EXIF_HEADER
from nifcodec.picture.xmp import HEADER as JPEG_XMP_HEADER

ADVICE = "get it again, or read what is there by encode --allow-truncated"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
IHDR_END = 33
XMP_KEY = "XML:com.adobe.xmp"
XMP_HEADER = XMP_KEY.encode() + b"\0\0\0\0\0"
# What is read here and kept from Pillow. The rest of these says how to show or how the picture came about.
COLOURS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"iCCP")
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
OTHERS = (b"eXIf", b"pHYs", b"sBIT", b"bKGD", b"hIST", b"sPLT", b"tIME")
INCH = 0.0254  # metres
SRGB_GAMMA, GAMMA_TOLERANCE, CHROMATICITY_TOLERANCE = 0.45455, 0.005, 0.002


class Chunk(NamedTuple):
    """A chunk: its type, its data, and what of the file it is."""

    kind: bytes
    data: bytes
    span: slice


@dataclass(frozen=True)
class Png:
    """What stands beside the pixels.

    Attributes:
        plain: the file without it, whole.
        icc, exif, xmp: b"" where there is none; the profile may be made of other chunks on colour.
        dpi: pixels per inch, across and down; None where the file does not say.
        damage: what is wrong with the pixels, to be said behind the file's name; "" where nothing is known.
    """

    plain: bytes
    icc: bytes
    exif: bytes
    xmp: bytes
    dpi: Optional[Tuple[float, float]]
    damage: str


def read(data: bytes, name: str, allow_truncated: bool = False) -> Png:
    """The parts of a PNG. Raises ImageError for a wrong checksum and, unless it is allowed, for a file that is cut."""
    damage: List[str] = []
    chunks = list(_chunks(data, name, allow_truncated, damage))
    if not chunks or chunks[-1].kind != b"IEND":
        _check_end(chunks, name, allow_truncated, damage)
        chunks.append(Chunk(b"IEND", b"", slice(0)))
    grey = data[25:26] in (b"\0", b"\4")
    profile, exif, xmp = _texts(chunks, name)
    found = {chunk.kind: chunk.data for chunk in chunks}
    if b"iCCP" in found:
        profile = _inflated(found[b"iCCP"].split(b"\0", 1)[-1][1:], "ICC profile", name)
    if b"eXIf" in found:
        exif = EXIF_HEADER + found[b"eXIf"]  # as other formats have it
    kept = [chunk for chunk in chunks if chunk.kind not in (*COLOURS, *TEXTS, *OTHERS)]
    # An IEND that was missing has no place in the file.
    plain = SIGNATURE + b"".join(data[chunk.span] or packed(chunk.kind, chunk.data) for chunk in kept)
    return Png(plain, _profile(found, profile, grey, name), exif, xmp, _dpi(found), "".join(damage[:1]))


def packed(kind: bytes, data: bytes) -> bytes:
    """A chunk's bytes."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_metadata(
    data: bytes, profile: bytes, exif: bytes, xmp: bytes, dpi: Optional[Tuple[float, float]] = None
) -> bytes:
    """A PNG with its metadata, and in their own chunk the code points that its profile holds, where it does.

    exif: without a header before it.
    """
    points = icc.code_points(profile)
    chunks = b"" if points is None else packed(b"cICP", bytes(points))
    if profile:
        chunks += packed(b"iCCP", b"ICC\0\0" + zlib.compress(profile))
    if dpi is not None:
        chunks += packed(b"pHYs", struct.pack(">IIB", *(round(value / INCH) for value in dpi), 1))
    if exif:
        chunks += packed(b"eXIf", exif)
    if xmp:
        chunks += packed(b"iTXt", XMP_HEADER + xmp)
    return data[:IHDR_END] + chunks + data[IHDR_END:]


def _chunks(data: bytes, name: str, allow_truncated: bool, damage: List[str]) -> Iterator[Chunk]:
    """The chunks up to IEND or to the end of the file. `damage` gets what is wrong with the pixels, where it may be."""
    start = len(SIGNATURE)
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        content = data[start + 8 : end - 4]
        if end > len(data):
            # Its checksum is gone; whether pixels are gone too, their stream knows.
            if kind == b"IDAT":
                yield Chunk(kind, data[start + 8 :][:length], slice(0))
            return
        if zlib.crc32(kind + content) != int.from_bytes(data[end - 4 : end], "big"):
            what = f"is damaged: its chunk {kind.decode('latin-1')!r} at byte {start} has a wrong checksum"
            if kind != b"IDAT":
                raise ImageError(f"{name} {what}: get the file again")
            if not allow_truncated:
                raise ImageError(f"{name} {what}: {ADVICE}")
            damage.append(what)
        yield Chunk(kind, content, slice(start, end))
        if kind == b"IEND":
            return
        start = end


def _check_end(chunks: List[Chunk], name: str, allow_truncated: bool, damage: List[str]) -> None:
    """Of a file that lacks its end: warns where its pixels are complete; else it is refused, or `damage` gets that."""
    stream, pixels = zlib.decompressobj(), b"".join(chunk.data for chunk in chunks if chunk.kind == b"IDAT")
    try:
        while pixels and not stream.eof:
            stream.decompress(pixels, 1 << 20)
            pixels = stream.unconsumed_tail
    except zlib.error:
        pass
    if stream.eof:
        warnings.warn(f"{name}: its end is missing, its pixels are complete", stacklevel=4)
    elif not allow_truncated:
        raise ImageError(f"{name} is damaged or cut short: {ADVICE}")
    else:
        damage.append("is cut short")


def _profile(found: Dict[bytes, bytes], profile: bytes, grey: bool, name: str) -> bytes:
    """The ICC profile: of cICP before iCCP, sRGB, and gAMA with cHRM, as the standard ranks them."""
    levels = [kind.decode() for kind in found if kind in (b"mDCV", b"mDCv", b"cLLI", b"cLLi")]
    if levels:
        warnings.warn(f"{name} says how bright it was mastered ({', '.join(levels)}): that is not kept", stacklevel=4)
    if len(found.get(b"cICP", b"")) == 4:
        points = icc.CodePoints(*found[b"cICP"])
        if points[:2] == (1, 13) and not profile:
            return b""
        try:
            return icc.of_code_points(grey, points)
        except ValueError as error:
            warnings.warn(f"{name} has colours that are not known ({error}): that note is not kept", stacklevel=4)
    if profile or b"sRGB" in found:
        return profile
    gamma, primaries = _gamma(found), _primaries(found)
    curve = icc.SRGB if gamma is None or abs(gamma - SRGB_GAMMA) <= GAMMA_TOLERANCE else (1 / gamma,)
    same = grey or np.abs(np.subtract(primaries, icc.REC709)).max() <= CHROMATICITY_TOLERANCE
    if curve is icc.SRGB and same:
        return b""
    try:
        return icc.of_numbers(grey, curve, icc.REC709 if same else primaries)
    except ValueError as error:
        warnings.warn(f"{name} has colours of no meaning ({error}): that note is not kept", stacklevel=4)
        return b""


def _gamma(found: Dict[bytes, bytes]) -> Optional[float]:
    data = found.get(b"gAMA", b"")
    value = int.from_bytes(data, "big") / 100_000 if len(data) == 4 else 0.0
    return value if 0.01 <= value <= 100 else None


def _primaries(found: Dict[bytes, bytes]) -> icc.Chromaticities:
    """Red, green, blue and white; the chunk has white first."""
    data = found.get(b"cHRM", b"")
    if len(data) != 32:
        return icc.REC709
    values = [value / 100_000 for value in struct.unpack(">8I", data)]
    return (*values[2:], *values[:2])


def _dpi(found: Dict[bytes, bytes]) -> Optional[Tuple[float, float]]:
    data = found.get(b"pHYs", b"")
    if len(data) != 9 or data[8] != 1:
        return None
    across, down = struct.unpack(">II", data[:8])
    return (across * INCH, down * INCH) if across and down else None


def _texts(chunks: List[Chunk], name: str) -> Tuple[bytes, bytes, bytes]:
    """ICC profile, EXIF and XMP that stand in text: XMP's own, and the raw profiles of ImageMagick."""
    kept = {"icc": b"", "exif": b"", "xmp": b""}
    for chunk in chunks:
        key, _, rest = chunk.data.partition(b"\0")
        word = key.decode("latin-1")
        if chunk.kind not in TEXTS or not (word == XMP_KEY or word.startswith("Raw profile type ")):
            continue
        text = _text(chunk.kind, rest, word, name)
        if word == XMP_KEY:
            kept["xmp"] = text
            continue
        kind, profile = word.rsplit(" ", 1)[1].lower(), _raw_profile(text)
        if kind == "app1":
            kind = "xmp" if profile.startswith(JPEG_XMP_HEADER) else "exif"
            profile = profile[len(JPEG_XMP_HEADER) :] if kind == "xmp" else profile
        kind = {"icm": "icc"}.get(kind, kind)
        if kind not in kept or not profile:
            warnings.warn(f"{name} has {kind.upper()} data, which are not kept", stacklevel=4)
        elif not kept[kind]:
            kept[kind] = profile
    return kept["icc"], kept["exif"], kept["xmp"]


def _text(kind: bytes, rest: bytes, word: str, name: str) -> bytes:
    """The text of a chunk behind its keyword."""
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _inflated(rest[1:], word, name)
    packed_flag, content = rest[:1], rest[2:].split(b"\0", 2)[-1]
    return _inflated(content, word, name) if packed_flag == b"\1" else content


def _raw_profile(text: bytes) -> bytes:
    """ImageMagick's: a line with the name, one with the length, then digits. b"" for what is none."""
    parts = text.split(None, 2)
    try:
        return bytes.fromhex(parts[2].decode("ascii"))[: int(parts[1])]
    except (IndexError, ValueError):
        return b""


def _inflated(data: bytes, what: str, name: str) -> bytes:
    """Unpacks within the limit of what a `.nif` holds. Raises ImageError."""
    try:
        content = zlib.decompressobj().decompress(data, LARGEST_METADATA + 1)
    except zlib.error as error:
        raise ImageError(f"{name} is damaged: its {what} cannot be unpacked ({error})") from None
    if len(content) > LARGEST_METADATA:
        raise ImageError(f"{name} has a {what} of more than {LARGEST_METADATA} bytes, the limit of a .nif: remove it")
    return content
