"""Picture files and arrays <-> `Image`: upright pixels, ICC profile, EXIF, XMP.

Pillow reads and writes what it has modes for; `hdr` and `deep` do the rest.
"""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Dict, Mapping, Optional, Union

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from nifcodec import deep, hdr, metadata
from nifcodec.colour import has_alpha, to_eight_bits, to_rgb, tone_map
from nifcodec.errors import ConfigError, ImageError, NifError
from nifcodec.files import PathLike, read_bytes, write_bytes
from nifcodec.modes import PLAIN_MODE, plain_pixels

Source = Union[PathLike, bytes, BinaryIO]

BITS_TAG = 258
# Bits a channel -> what the samples are.
SAMPLES: Dict[int, Any] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16), 32: np.dtype(np.float32)}
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".jp2": "JPEG2000",
    ".exr": "EXR",
    ".hdr": "HDR",
}
# What holds linear light, and what holds 16 bits.
LIGHT_FORMATS, DEEP_FORMATS = ("EXR", "HDR"), ("PNG", "TIFF")
# Lossless where the format can; JPEG cannot, and 95 is the highest quality Pillow's documentation recommends.
SAVE_OPTIONS: Dict[str, Dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_deflate"},
}
# Pillow hands it to Ghostscript, which runs it.
PROGRAMS = ("EPS",)
OPAQUE_FORMATS = ("JPEG", "BMP", "PPM", "HDR")


@dataclass(frozen=True)
class Image:
    """An upright picture.

    Attributes:
        pixels: (H, W, C), C = 1 grey, 2 grey+alpha, 3 RGB, 4 RGBA. uint8 or uint16 with straight alpha, or float32 of
            linear light with premultiplied alpha, as OpenEXR has it, where 1.0 is white and full opacity.
        icc, exif, xmp: metadata as they stood in the file, orientation reset to 1; empty where there is none.
        orientation: EXIF orientation of the file, 1..8, already applied.
    """

    pixels: np.ndarray
    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    orientation: int = 1

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[2])

    @property
    def depth(self) -> int:
        """Bits a channel: 8 or 16 of an integer, 32 of a float."""
        return 8 * int(self.pixels.dtype.itemsize)


def from_array(array: np.ndarray) -> Image:
    """(H, W) or (H, W, 1..4) of uint8, uint16, float16 or float32 -> Image; floats are linear light.

    Alpha of floats is clipped to 0..1. Raises ImageError for anything else.
    """
    pixels = np.asarray(array)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4:
        raise ImageError(f"an array of shape {pixels.shape} is no picture: give (height, width, 1 to 4 channels)")
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    if pixels.dtype not in SAMPLES.values():
        raise ImageError(f"the array holds {pixels.dtype}: give uint8, uint16, or float32 of linear light")
    if 0 in pixels.shape:
        raise ImageError("the picture has no pixels")
    if pixels.dtype.kind == "f" and has_alpha(pixels):
        pixels = np.concatenate([pixels[..., :-1], np.clip(pixels[..., -1:], 0.0, 1.0)], axis=2)
    return Image(np.ascontiguousarray(pixels))


def read_image(source: Source) -> Image:
    """Reads a picture from a path ("-" is standard input), its bytes or a binary file.

    EXIF orientation is applied; CMYK goes to sRGB through its profile where it has one. Raises ImageError for what is
    no whole picture or too large to be trusted, MissingDependencyError for what needs the extra `hdr`.
    """
    if isinstance(source, bytes):
        name, data = "the picture", source
    elif isinstance(source, (str, os.PathLike)):
        name, data = os.fspath(source), read_bytes(source)
    else:
        name, data = str(getattr(source, "name", "the picture")), source.read()
    if data.startswith(hdr.EXR_SIGNATURE):
        return from_array(hdr.read_exr(data, name))
    if data.startswith(hdr.RADIANCE_SIGNATURE):
        return from_array(hdr.read_radiance(data, name))
    try:
        return _read_with_pillow(data, name)
    except NifError:
        raise
    except UnidentifiedImageError:
        if data[:4] in deep.TIFF_SIGNATURES:
            return _from_deep_tiff(deep.read_tiff(data, name), name)
        raise ImageError(f"{name} is not a picture that Pillow can read") from None
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {error}") from None
    except MemoryError:
        raise ImageError(f"{name} does not fit into memory") from None
    # Pillow's plugins raise whatever their parsers hit: struct.error, SyntaxError, IndexError, OSError and others.
    except Exception as error:
        raise ImageError(f"{name} is damaged or cut short: {error}") from None


def write_image(image: Image, target: PathLike, format: Optional[str] = None, force: bool = False) -> None:
    """Writes a picture file, whole or not at all; lossless where the format can, with its metadata where it has room.

    Integers of 16 bits become 8 where the format has no more, and linear light is tone-mapped with a UserWarning where
    it does not hold any.

    format: Pillow's name ("PNG") or an ending ("png"); None takes it from the ending of `target`, PNG for "-".
    Raises ConfigError, ImageError, MissingDependencyError, OutputExistsError, OutputError.
    """
    write_bytes(target, encode_picture(image, format_of(target, format)), force)


def format_of(target: PathLike, format: Optional[str] = None) -> str:
    """Name of the format that `write_image` would write: Pillow's, "EXR" or "HDR". Raises ConfigError for others."""
    suffix = os.path.splitext(os.fspath(target))[1].lower()
    if format is None:
        if target == "-":
            return "PNG"
        if suffix not in FORMATS:
            raise ConfigError(
                f"{suffix or 'a name without ending'} names no picture format: use {', '.join(FORMATS)} or --format"
            )
        return FORMATS[suffix]
    name = FORMATS.get("." + format.lower().lstrip("."), format.upper())
    if name not in FORMATS.values():
        raise ConfigError(f"{format} is no format to write: use one of {', '.join(sorted(set(FORMATS.values())))}")
    return name


def encode_picture(image: Image, format: str) -> bytes:
    """The bytes of the picture file. format: a name that `format_of` gives.

    Raises ConfigError for one that cannot hold the picture.
    """
    pixels = image.pixels
    light = pixels.dtype.kind == "f"
    if format in LIGHT_FORMATS and not light:
        raise ConfigError(f"{format} holds linear light, and the picture has {image.depth} bits: write PNG or TIFF")
    if format in OPAQUE_FORMATS and has_alpha(pixels):
        others = "EXR or TIFF, or PNG or WebP to be looked at" if light else "PNG, WebP or TIFF"
        raise ConfigError(
            f"{format} has no transparency and the picture has: write {others}, and flatten that in an editor"
        )
    if light and format not in (*LIGHT_FORMATS, "TIFF"):
        warnings.warn(
            f"{format} holds no linear light: tone-mapped to be looked at; EXR, HDR and TIFF keep the values",
            stacklevel=3,
        )
        image = replace(image, icc=b"", pixels=tone_map(pixels))
        return encode_picture(image, format)
    if image.depth > 8 and format not in (*LIGHT_FORMATS, *DEEP_FORMATS):
        pixels = to_eight_bits(pixels)
    if format == "WEBP" and image.channels < 3:
        pixels = np.concatenate([to_rgb(pixels), pixels[..., 1:]], axis=2)
    deep_tiff = format == "TIFF" and (light or (image.depth > 8 and image.channels > 1))
    icc, exif, xmp = metadata.with_room(format, pixels.shape[2], image.icc, image.exif, image.xmp, deep_tiff)
    if format in LIGHT_FORMATS:
        return hdr.write_exr(pixels) if format == "EXR" else hdr.write_radiance(pixels)
    if deep_tiff:
        return deep.write_tiff(pixels, icc, xmp)
    if pixels.dtype == np.uint16 and image.channels > 1:
        return deep.write_png(pixels, icc, exif, xmp)
    options = {**SAVE_OPTIONS.get(format, {}), **metadata.save_options(format, icc, exif, xmp)}
    picture = PillowImage.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    output = io.BytesIO()
    try:
        picture.save(output, format=format, **options)
    except (OSError, ValueError, KeyError, MemoryError) as error:
        raise ImageError(f"Pillow cannot write this picture as {format}: {error}") from None
    return output.getvalue()


def from_pillow(
    picture: Any,
    name: str = "the picture",
    given: Optional[Mapping[str, Any]] = None,
    pixels: Optional[np.ndarray] = None,
) -> Image:
    """A loaded picture of Pillow's, of any mode that holds grey, colours or CMYK -> Image, upright.

    Args:
        name: what errors call it.
        given: "icc_profile", "exif" and "xmp" in place of those that Pillow found.
        pixels: (H, W) or (H, W, C), not yet upright, in place of Pillow's, which has no mode for all that there is.

    Raises ImageError for another mode.
    """
    found = {**metadata.found_in(picture), **(given or {})}
    icc, exif, xmp = (found[kind] or b"" for kind in ("icc_profile", "exif", "xmp"))
    orientation = metadata.orientation(picture, exif)
    pixels = plain_pixels(picture, name, icc) if pixels is None else pixels
    image = from_array(metadata.upright(pixels, orientation))
    return Image(
        image.pixels,
        metadata.fitting_profile(icc, image.channels),
        metadata.upright_exif(exif),
        metadata.upright_xmp(xmp.encode() if isinstance(xmp, str) else bytes(xmp)),
        orientation,
    )


def _read_with_pillow(data: bytes, name: str) -> Image:
    with warnings.catch_warnings():
        # Pillow warns at half of the size that it refuses; only the refusal matters here.
        warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
        picture: Any = PillowImage.open(io.BytesIO(data))
        if picture.format in PROGRAMS:
            raise ImageError(f"{name} is a program that draws a picture ({picture.format}): convert it to PNG first")
        hdr.check_ratio(picture.width * picture.height * len(picture.getbands()), len(data), name)
        frames = getattr(picture, "n_frames", 1)
        lay = metadata.orientation_of_tiff(picture) if picture.format == "TIFF" else 1
        picture.load()
    # Of 16 bits a channel Pillow has a mode for grey only, and keeps the upper 8 of the others.
    if picture.mode in ("LA", "RGB", "RGBA") and deep.is_deep_png(data):
        return from_pillow(picture, name, pixels=deep.read_png(data, name))
    if picture.format == "TIFF" and max(picture.tag_v2.get(BITS_TAG, (8,))) > 8 and picture.mode in PLAIN_MODE:
        image = _from_deep_tiff(deep.read_tiff(data, name), name)
        return replace(image, exif=metadata.exif_of_tiff(picture))
    deep.warn_of_frames(name, frames, "pages" if picture.format == "TIFF" else "frames")
    image = from_pillow(picture, name)
    return image if lay == 1 else replace(image, orientation=lay)


def _from_deep_tiff(tiff: deep.DeepTiff, name: str) -> Image:
    deep.warn_of_frames(name, tiff.frames, "pages")
    orientation = metadata.known_orientation(tiff.orientation)
    image = from_array(metadata.upright(tiff.pixels, orientation))
    icc = metadata.fitting_profile(tiff.icc, image.channels)
    return replace(image, icc=icc, xmp=metadata.upright_xmp(tiff.xmp), orientation=orientation)
