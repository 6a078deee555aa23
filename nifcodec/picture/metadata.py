"""What stands beside the pixels of a picture file: EXIF and XMP, with the orientation in them, and the ICC profile."""

from __future__ import annotations

import re
import struct
import warnings
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import numpy as np
from PIL import Image as PillowImage

from nifcodec.errors import ConfigError
from nifcodec.picture.xmp import HEADER as JPEG_XMP_HEADER
from nifcodec.picture.xmp import of_jpeg as xmp_of_jpeg

ORIENTATION_TAG, XMP_TAG, EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x0112, 0x02BC, 0x8769, 0x8825, 0xA005
# How the EXIF block begins in JPEG, and in what has it from there.
EXIF_HEADER = b"Exif\0\0"
# Tags that TIFF shares with IFD0 of an EXIF block and that say nothing of how the pixels lie in the file (Exif 2.32,
# tables 3 to 5): description, maker, model, software, date, artist, host, white point, primaries, copyright, and
# Windows' title, comment, author, keywords and subject.
DESCRIPTIVE_TAGS = (270, 271, 272, 305, 306, 315, 316, 318, 319, 33432, *range(0x9C9B, 0x9CA0))
RESOLUTION_TAGS = (282, 283, 296)
WITHOUT_PROFILE = ("JXL",)  # whose plugin for Pillow writes none
FORMATS_WITH_METADATA = ("PNG", "JPEG", "WEBP", "AVIF", "JXL", "TIFF")
JPEG_ROOM = 65533 - len(JPEG_XMP_HEADER)  # bytes of a segment, less what stands before the data
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
PROFILE_SIGNATURE = b"acsp"  # in its bytes 36 to 39
TIFF_HEADERS = (b"II*\0", b"MM\0*")  # that an EXIF block begins with


def known_orientation(value: int) -> int:
    """The orientation, where it is one of EXIF's, else 1."""
    return value if value in UPRIGHT else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W) or (H, W, C) as they are to be seen."""
    return UPRIGHT.get(orientation, np.asarray)(pixels)


def fitting_profile(icc: bytes, channels: int) -> bytes:
    """The ICC profile where it describes pictures of so many channels, else none."""
    return icc if channels in PROFILE_SPACE.get(icc[16:20], ()) else b""


def space_of(icc: bytes) -> str:
    """What colours an ICC profile describes, in words."""
    return icc[16:20].decode("latin-1").strip() or "damaged"


def bare_exif(exif: bytes) -> bytes:
    """The EXIF block without the header that JPEG puts before it."""
    return exif[len(EXIF_HEADER) :] if exif.startswith(EXIF_HEADER) else exif


def first_directory(exif: bytes) -> Optional[Tuple[str, int, int, int]]:
    """Of IFD0: its byte order, where offsets count from, where its first entry is, and how many; None if damaged."""
    start = len(EXIF_HEADER) if exif.startswith(EXIF_HEADER) else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    if order is None:
        return None
    try:
        directory = start + struct.unpack_from(order + "I", exif, start + 4)[0]
        (count,) = struct.unpack_from(order + "H", exif, directory)
    except struct.error:
        return None
    return order, start, directory + 2, count


def check(kind: str, data: bytes, name: str) -> None:
    """Refuses metadata of a file of its own that is of another kind. Raises ConfigError.

    Args:
        kind: "icc", "exif" or "xmp".
        name: what the error calls the file.
    """
    if kind == "icc" and data[36:40] != PROFILE_SIGNATURE:
        raise ConfigError(f"{name} is no ICC profile, which has the signature 'acsp' at byte 36: give another file")
    if kind == "exif" and not bare_exif(data).startswith(TIFF_HEADERS):
        raise ConfigError(
            f"{name} is no EXIF block, which begins with a TIFF header, II*\\0 or MM\\0*: give another file"
        )
    if kind == "xmp" and not _is_xml(data):
        raise ConfigError(f"{name} is no XMP, which is XML in UTF-8 and begins with '<': give another file")


def _is_xml(data: bytes) -> bool:
    try:
        return data.decode("utf-8-sig").lstrip(" \t\r\n").startswith("<")
    except UnicodeDecodeError:
        return False


def _orientation_entry(exif: bytes) -> Optional[Tuple[int, str]]:
    """Where IFD0 holds the value of the orientation tag, and the byte order; None without one or in a damaged block."""
    found = first_directory(exif)
    if found is None:
        return None
    order, _, directory, entries = found
    try:
        for entry in range(directory, directory + 12 * entries, 12):
            tag, kind, count, _ = struct.unpack_from(order + "HHIH", exif, entry)
            if (tag, kind, count) == (ORIENTATION_TAG, 3, 1):
                return entry + 8, order
    except struct.error:
        return None
    return None


def orientation(picture: Any, exif: bytes) -> int:
    """1 to 8, of a loaded picture: from the EXIF block, or where there is none from what else Pillow found."""
    if exif:
        entry = _orientation_entry(exif)
        return known_orientation(struct.unpack_from(entry[1] + "H", exif, entry[0])[0] if entry else 1)
    if picture.format == "TIFF":  # Loading turned it upright, which older versions of Pillow do not say.
        return 1
    return known_orientation(picture.getexif().get(ORIENTATION_TAG, 1))


def orientation_of_tiff(picture: Any) -> int:
    """1 to 8, of a TIFF file that Pillow has open and has not loaded."""
    return known_orientation(picture.tag_v2.get(ORIENTATION_TAG, 1))


def upright_exif(exif: bytes) -> bytes:
    """Sets the orientation of IFD0 to 1 in place: rewriting the block would lose maker notes, which hold offsets."""
    entry = _orientation_entry(exif)
    if entry is None:
        return exif
    return exif[: entry[0]] + struct.pack(entry[1] + "H", 1) + exif[entry[0] + 2 :]


def upright_xmp(xmp: bytes) -> bytes:
    """Sets tiff:Orientation to 1, as an attribute or as an element."""
    return re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]", rb"\g<1>1", xmp)


def found_in(picture: Any) -> Dict[str, Any]:
    """ "icc_profile", "exif" and "xmp" of a loaded picture, bytes, str or None; and its "dpi", two numbers or None."""
    info = picture.info
    exif = exif_of_tiff(picture) if picture.format == "TIFF" else info.get("exif")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    # Pillow 10.0 to 10.3 leave the XMP of TIFF among the tags; that of JPEG may have an extension.
    if hasattr(picture, "applist"):
        xmp = xmp_of_jpeg(picture.applist)
    elif not xmp and picture.format == "TIFF":
        xmp = picture.tag_v2.get(XMP_TAG)
    return {"icc_profile": info.get("icc_profile"), "exif": exif, "xmp": xmp, "dpi": dpi_of(info)}


def dpi_of(info: Mapping[str, Any]) -> Optional[Tuple[float, float]]:
    """Pixels per inch that Pillow found, across and down."""
    try:
        across, down = (float(value) for value in info.get("dpi") or ())
        return across, down
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def exif_of_tiff(picture: Any) -> bytes:
    """An EXIF block of the tags of a TIFF file that Pillow has open, which holds them without a block of their own.

    Empty where nothing but the resolution is known.
    """
    exif = PillowImage.Exif()
    try:
        tags = picture.getexif()
        for tag in (*DESCRIPTIVE_TAGS, *RESOLUTION_TAGS):
            if tag in tags:
                exif[tag] = tags[tag]
        for tag in (EXIF_IFD, GPS_IFD):
            directory = {key: value for key, value in tags.get_ifd(tag).items() if key != INTEROP_IFD}
            if directory:
                exif[tag] = directory
        return exif.tobytes() if set(exif) - set(RESOLUTION_TAGS) else b""
    # Pillow's parser and writer raise whatever damaged tags make them hit.
    except Exception as error:
        warnings.warn(f"the EXIF tags are damaged and left out: {error}", stacklevel=2)
        return b""


def with_room(
    kind: str, channels: int, icc: bytes, exif: bytes, xmp: bytes, without_exif: bool = False
) -> Tuple[bytes, bytes, bytes]:
    """The ICC profile, EXIF and XMP that a format has room for; a UserWarning names what it has none for.

    Args:
        kind: Pillow's name of the format.
        channels: of the picture as it will be written.
        without_exif: the writer knows no EXIF.
    """
    room = JPEG_ROOM if kind == "JPEG" else 1 << 32
    if kind not in FORMATS_WITH_METADATA:
        room = 0
    kept = (
        fitting_profile(icc, channels) if room and kind not in WITHOUT_PROFILE else b"",
        exif if len(exif) <= room and not without_exif else b"",
        xmp if len(xmp) <= room else b"",
    )
    found = zip(("ICC profile", "EXIF", "XMP"), (icc, exif, xmp), kept)
    lost = [name for name, data, rest in found if data and not rest]
    if lost:
        warnings.warn(f"{kind} has no room for the {' and '.join(lost)} of this picture: left out", stacklevel=3)
    return kept


def save_options(
    kind: str, icc: bytes, exif: bytes, xmp: bytes, dpi: Optional[Tuple[float, float]] = None
) -> Dict[str, Any]:
    """Options of Pillow's `save` that write metadata, all of which the format has room for. A PNG gets its own."""
    if kind == "PNG":
        return {}
    options: Dict[str, Any] = {"icc_profile": icc} if icc else {}
    if dpi is not None and kind in ("JPEG", "BMP", "TIFF"):
        options["dpi"] = dpi
    if kind == "TIFF":
        return {**options, **_tiff_options(exif, xmp)}
    if exif:
        block = bare_exif(exif)
        options["exif"] = EXIF_HEADER + block if kind == "JPEG" else block
    if xmp and kind == "JPEG":  # whose option `xmp` came with Pillow 11
        content = JPEG_XMP_HEADER + xmp
        options["extra"] = b"\xff\xe1" + struct.pack(">H", 2 + len(content)) + content
    elif xmp:
        options["xmp"] = xmp
    return options


def _tiff_options(exif: bytes, xmp: bytes) -> Dict[str, Any]:
    """TIFF has no EXIF block: its tags become those of the file."""
    tags = PillowImage.Exif()
    directories = []
    try:
        tags.load(exif)
        directories = [tag for tag in (EXIF_IFD, GPS_IFD) if tag in tags and tags.get_ifd(tag)]
    # Pillow's parser raises whatever a damaged block makes it hit.
    except Exception as error:
        warnings.warn(f"the EXIF block is damaged and left out: {error}", stacklevel=4)
        tags = PillowImage.Exif()
    kept = {ORIENTATION_TAG, *DESCRIPTIVE_TAGS, *RESOLUTION_TAGS, *directories}
    for tag in set(tags) - kept:
        del tags[tag]
    for tag in directories:
        tags.get_ifd(tag).pop(INTEROP_IFD, None)  # an offset in the block
    if xmp:
        tags[XMP_TAG] = xmp
    options: Dict[str, Any] = {"tiffinfo": tags} if len(tags) else {}
    # libtiff, which Pillow compresses with, writes no directories inside of the first.
    return {**options, "compression": None} if directories else options
