"""PNG and TIFF of more than 8 bits a channel in several channels, which Pillow has no modes for.

`imagecodecs` and `tifffile` come with the extra `hdr` and are imported when a picture needs them.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from nifcodec.errors import ImageError
from nifcodec.picture import metadata
from nifcodec.picture.bombs import check_size
from nifcodec.picture.colour import has_alpha, premultiplied, straight
from nifcodec.picture.linear_light import load

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEADER_BYTES = 33  # the signature and the chunk IHDR
ICC_TAG = 34675
BLACK_IS_ZERO, RGB = 1, 2
ASSOCIATED, UNASSOCIATED = 1, 2


@dataclass(frozen=True)
class DeepTiff:
    """The first picture of a TIFF file: (H, W, C), uint16 or premultiplied float32, not yet turned upright."""

    pixels: np.ndarray
    icc: bytes
    xmp: bytes
    orientation: int
    frames: int


def is_deep_png(data: bytes) -> bool:
    """True for a PNG of 16 bits a channel."""
    return data[:8] == PNG_SIGNATURE and data[24:25] == b"\x10"


def read_png(data: bytes, name: str) -> np.ndarray:
    """uint16 (H, W, C) of a PNG of 16 bits a channel. Raises ImageError."""
    library = load("imagecodecs", "a PNG of 16 bits and several channels")
    width, height = struct.unpack(">II", data[16:24])
    check_size(width, height, 8, len(data), name)
    try:
        return np.asarray(library.png_decode(data))
    except (library.PngError, ValueError, MemoryError) as error:
        raise ImageError(f"{name} is damaged or cut short: {error}") from None


def write_png(pixels: np.ndarray, icc: bytes, exif: bytes, xmp: bytes) -> bytes:
    """A PNG of uint16 (H, W, 2 to 4), with its metadata."""
    library = load("imagecodecs", "a PNG of 16 bits and several channels")
    plain = bytes(library.png_encode(np.ascontiguousarray(pixels)))
    chunks = b""
    if icc:
        chunks += _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(icc))
    if exif:
        chunks += _chunk(b"eXIf", metadata.bare_exif(exif))
    if xmp:
        chunks += _chunk(b"iTXt", metadata.PNG_XMP_HEADER + xmp)
    return plain[:HEADER_BYTES] + chunks + plain[HEADER_BYTES:]


def read_tiff(data: bytes, name: str) -> DeepTiff:
    """A TIFF of 16-bit integers or floats, grey or RGB. Raises ImageError for others and for damaged ones."""
    library = load("tifffile", "a TIFF of 16 bits or floats and several channels")
    load("imagecodecs", "a TIFF of 16 bits or floats and several channels")
    # What tifffile has to say of a damaged file goes to its log as well as into the error.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with library.TiffFile(io.BytesIO(data)) as file:
            page, frames = file.pages[0], len(file.pages)
            pixel_bytes = int(page.samplesperpixel) * -(-int(page.bitspersample) // 8)
            check_size(int(page.imagewidth), int(page.imagelength), pixel_bytes, len(data), name)
            if page.photometric not in (BLACK_IS_ZERO, RGB):
                raise ImageError(f"{name} is a TIFF of the kind {page.photometric}, not grey or RGB: convert it first")
            samples = page.asarray()
            if page.planarconfig == 2 and samples.ndim == 3:
                samples = np.moveaxis(samples, 0, -1)
            tags = {tag.code: tag.value for tag in page.tags}
            alpha = [int(extra) for extra in page.extrasamples[:1]]
            colours = 3 if page.photometric == RGB else 1
    except ImageError:
        raise
    # The parser raises whatever it hits: TiffFileError, struct.error, KeyError, the codecs' own errors and others.
    except Exception as error:
        raise ImageError(f"{name} is damaged or cut short: {error}") from None
    if samples.dtype != np.uint16 and samples.dtype.kind != "f":
        raise ImageError(f"{name} holds {samples.dtype} samples: convert it to 16 bits or float first")
    pixels = samples.reshape(*samples.shape[:2], -1)
    known = alpha in ([ASSOCIATED], [UNASSOCIATED])
    pixels = pixels[..., : colours + known]
    if pixels.dtype.kind == "f":
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32)
    if alpha == [UNASSOCIATED] and pixels.dtype.kind == "f":
        pixels = premultiplied(pixels)
    if alpha == [ASSOCIATED] and pixels.dtype.kind == "u":
        pixels = straight(pixels)
    orientation = tags.get(metadata.ORIENTATION_TAG, 1)
    return DeepTiff(pixels, _raw(tags.get(ICC_TAG)), _raw(tags.get(metadata.XMP_TAG)), int(orientation), frames)


def write_tiff(pixels: np.ndarray, icc: bytes, xmp: bytes) -> bytes:
    """A TIFF of uint16 or float32 (H, W, C), deflated behind a predictor, with its profile and XMP."""
    library = load("tifffile", "a TIFF of 16 bits or floats and several channels")
    load("imagecodecs", "a TIFF of 16 bits or floats and several channels")
    tags = [(code, 7, len(raw), raw, True) for code, raw in ((ICC_TAG, icc), (metadata.XMP_TAG, xmp)) if raw]
    channels = pixels.shape[2]
    alpha = "assocalpha" if pixels.dtype.kind == "f" else "unassalpha"
    output = io.BytesIO()
    library.imwrite(
        output,
        pixels[..., 0] if channels == 1 else pixels,
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=[alpha] if has_alpha(pixels) else None,
        compression="zlib",
        predictor=True,
        metadata=None,
        software=False,
        extratags=tags,
    )
    return output.getvalue()


def warn_of_frames(name: str, frames: int, word: str = "frames") -> None:
    """Says that a picture has more than one frame or page, where it has."""
    if frames > 1:
        warnings.warn(f"{name} has {frames} {word}: the first is taken", stacklevel=3)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _raw(value: Any) -> bytes:
    return b"" if value is None else bytes(value) if not isinstance(value, str) else value.encode()
