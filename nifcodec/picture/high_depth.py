"""PNG and TIFF of more than 8 bits a channel in several channels, which Pillow has no modes for.

`imagecodecs` and `tifffile` come with the extra `hdr` and are imported when a picture needs them.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

import numpy as np

from nifcodec.errors import ImageError
from nifcodec.picture import metadata
from nifcodec.picture.bombs import MAX_PIXELS, check_size
from nifcodec.picture.colour import has_alpha, premultiplied, straight
from nifcodec.picture.linear_light import load
from nifcodec.picture.png import SIGNATURE as PNG_SIGNATURE

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ICC_TAG = 34675
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
CENTIMETRE, INCH = 3, 2
ASSOCIATED, UNASSOCIATED = 1, 2


@dataclass(frozen=True)
class DeepTiff:
    """The first picture of a TIFF file: (H, W, C), uint16 or premultiplied float32, not yet turned upright.

    `left_out` channels are not in it.
    """

    pixels: np.ndarray
    icc: bytes
    xmp: bytes
    orientation: int
    frames: int
    left_out: int
    dpi: Optional[Tuple[float, float]]


def is_deep_png(data: bytes) -> bool:
    """True for a PNG of 16 bits a channel."""
    return data[:8] == PNG_SIGNATURE and data[24:25] == b"\x10"


def read_png(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """uint16 (H, W, C) of a PNG of 16 bits a channel. Raises ImageError."""
    library = load("imagecodecs", "a PNG of 16 bits and several channels")
    width, height = struct.unpack(">II", data[16:24])
    check_size(width, height, 8, len(data), name, max_pixels)
    try:
        return np.asarray(library.png_decode(data))
    except (library.PngError, ValueError, MemoryError) as error:
        raise ImageError(f"{name} is damaged or cut short: {error}") from None


def write_png(pixels: np.ndarray) -> bytes:
    """A PNG of uint16 (H, W, 2 to 4)."""
    library = load("imagecodecs", "a PNG of 16 bits and several channels")
    return bytes(library.png_encode(np.ascontiguousarray(pixels)))


def read_tiff(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> DeepTiff:
    """A TIFF of 16-bit integers or floats, grey or RGB. Raises ImageError for others and for damaged ones."""
    library = load("tifffile", "a TIFF of 16 bits or floats and several channels")
    load("imagecodecs", "a TIFF of 16 bits or floats and several channels")
    # What tifffile has to say of a damaged file goes to its log as well as into the error.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with library.TiffFile(io.BytesIO(data)) as file:
            page, frames = file.pages[0], len(file.pages)
            pixel_bytes = int(page.samplesperpixel) * -(-int(page.bitspersample) // 8)
            check_size(int(page.imagewidth), int(page.imagelength), pixel_bytes, len(data), name, max_pixels)
            if page.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
                raise ImageError(f"{name} is a TIFF of the kind {page.photometric}, not grey or RGB: convert it first")
            samples = page.asarray()
            if page.planarconfig == 2 and samples.ndim == 3:
                samples = np.moveaxis(samples, 0, -1)
            tags = {tag.code: tag.value for tag in page.tags}
            alpha = [int(extra) for extra in page.extrasamples[:1]]
            colours = 3 if page.photometric == RGB else 1
            inverted = page.photometric == WHITE_IS_ZERO
    except ImageError:
        raise
    # The parser raises whatever it hits: TiffFileError, struct.error, KeyError, the codecs' own errors and others.
    except Exception as error:
        raise ImageError(f"{name} is damaged or cut short: {error}") from None
    if samples.dtype != np.uint16 and samples.dtype.kind != "f":
        raise ImageError(f"{name} holds {samples.dtype} samples: convert it to 16 bits or float first")
    pixels = samples.reshape(*samples.shape[:2], -1)
    known = alpha in ([ASSOCIATED], [UNASSOCIATED])
    left_out = pixels.shape[2] - colours - known
    pixels = pixels[..., : colours + known]
    if inverted:
        if pixels.dtype.kind == "f":
            raise ImageError(f"{name} holds floats of which 0 is white: invert it first")
        pixels = np.concatenate([65535 - pixels[..., :1], pixels[..., 1:]], axis=2)
    if pixels.dtype.kind == "f":
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32)
    if alpha == [UNASSOCIATED] and pixels.dtype.kind == "f":
        pixels = premultiplied(pixels)
    if alpha == [ASSOCIATED] and pixels.dtype.kind == "u":
        pixels = straight(pixels)
    orientation = tags.get(metadata.ORIENTATION_TAG, 1)
    icc, xmp = _raw(tags.get(ICC_TAG)), _raw(tags.get(metadata.XMP_TAG))
    return DeepTiff(pixels, icc, xmp, int(orientation), frames, left_out, _dpi(tags))


def write_tiff(pixels: np.ndarray, icc: bytes, xmp: bytes, dpi: Optional[Tuple[float, float]] = None) -> bytes:
    """A TIFF of uint16 or float32 (H, W, C), deflated behind a predictor, with its profile, XMP and resolution."""
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
        **({"resolution": dpi, "resolutionunit": INCH} if dpi else {}),
    )
    return output.getvalue()


def warn_of_frames(name: str, frames: int, word: str = "frames") -> None:
    """Says that a picture has more than one frame or page, where it has."""
    if frames > 1:
        warnings.warn(f"{name} has {frames} {word}: the first is taken", stacklevel=3)


def warn_of_channels(name: str, count: int) -> None:
    """Says that a picture has more channels than colours and alpha, where it has."""
    if count > 0:
        word = "channel" if count == 1 else "channels"
        warnings.warn(f"{name} has {count} more {word}, of no known meaning: left out", stacklevel=3)


def _dpi(tags: Dict[int, Any]) -> Optional[Tuple[float, float]]:
    across, down, unit = metadata.RESOLUTION_TAGS
    scale = {INCH: 1.0, CENTIMETRE: 2.54}.get(int(tags.get(unit, INCH)))
    try:
        sides = [float(value[0] / value[1]) for value in (tags[across], tags[down])]
    except (KeyError, TypeError, IndexError, ZeroDivisionError):
        return None
    return None if scale is None else (scale * sides[0], scale * sides[1])


def _raw(value: Any) -> bytes:
    return b"" if value is None else bytes(value) if not isinstance(value, str) else value.encode()
