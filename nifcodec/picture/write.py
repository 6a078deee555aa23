"""`Image` -> picture files. Pillow writes what it has modes for; `linear_light` and `high_depth` write the rest."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import replace
from typing import Any, Dict, Optional

import numpy as np
from PIL import Image as PillowImage

from nifcodec.errors import ConfigError, ImageError
from nifcodec.files import PathLike, write_bytes
from nifcodec.picture import high_depth, linear_light, metadata
from nifcodec.picture.colour import has_alpha, to_eight_bits, to_rgb, tone_map
from nifcodec.picture.image import Image

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
OPAQUE_FORMATS = ("JPEG", "BMP", "PPM", "HDR")


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
        return linear_light.write_exr(pixels) if format == "EXR" else linear_light.write_radiance(pixels)
    if deep_tiff:
        return high_depth.write_tiff(pixels, icc, xmp)
    if pixels.dtype == np.uint16 and image.channels > 1:
        return high_depth.write_png(pixels, icc, exif, xmp)
    options = {**SAVE_OPTIONS.get(format, {}), **metadata.save_options(format, icc, exif, xmp)}
    picture = PillowImage.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    output = io.BytesIO()
    try:
        picture.save(output, format=format, **options)
    except (OSError, ValueError, KeyError, MemoryError) as error:
        raise ImageError(f"Pillow cannot write this picture as {format}: {error}") from None
    return output.getvalue()
