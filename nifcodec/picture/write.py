"""`Image` -> picture files. Pillow writes what it has modes for; `linear_light`, `high_depth` and `netpbm` the rest."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from typing import Optional

import numpy as np
from PIL import Image as PillowImage

from nifcodec.errors import ImageError
from nifcodec.files import PathLike, write_bytes
from nifcodec.picture import formats, high_depth, linear_light, metadata, netpbm, png, resolution
from nifcodec.picture.colour import has_alpha, is_opaque, to_eight_bits, to_rgb, tone_map
from nifcodec.picture.formats import FORMATS, format_of
from nifcodec.picture.image import Image

__all__ = ["FORMATS", "encode_picture", "format_of", "write_image"]


def write_image(
    image: Image,
    target: PathLike,
    format: Optional[str] = None,
    force: bool = False,
    quality: Optional[float] = None,
) -> None:
    """Writes a picture file, whole or not at all; lossless where the format can, with its metadata where it has room.

    Integers of 16 bits become 8 where the format has no more, and linear light is tone-mapped with a UserWarning where
    it does not hold any.

    Args:
        format: Pillow's name ("PNG") or an ending ("png"); None takes it from the ending of `target`, PNG for "-".
        quality: 0 to 100, of JPEG and AVIF, and of WebP and JPEG XL with loss.

    Raises ConfigError, ImageError, MissingDependencyError, OutputExistsError, OutputError.
    """
    write_bytes(target, encode_picture(image, format_of(target, format), quality), force)


def encode_picture(image: Image, format: str, quality: Optional[float] = None) -> bytes:
    """The bytes of the picture file. format: a name that `format_of` gives.

    Raises ConfigError for one that cannot hold the picture, MissingDependencyError, ImageError.
    """
    about, pixels = formats.named(format), image.pixels
    light = pixels.dtype.kind == "f"
    size = image.width, image.height
    formats.check(format, size, image.channels, image.depth, is_opaque(pixels), quality)
    if has_alpha(pixels) and not about.alpha:
        pixels = pixels[..., :-1]
    if light and not about.light:
        warnings.warn(
            f"{format} holds no linear light: tone-mapped to be looked at; EXR, HDR and TIFF keep the values",
            stacklevel=3,
        )
        return encode_picture(replace(image, icc=b"", pixels=tone_map(pixels)), format, quality)
    if image.depth > 8 and not light and not about.deep:
        pixels = to_eight_bits(pixels)
    if about.as_colour and pixels.shape[2] < 3:
        pixels = np.concatenate([to_rgb(pixels), pixels[..., 1:]], axis=2)
    channels = pixels.shape[2]
    dpi = resolution.of_exif(image.exif)
    # Where a format keeps the resolution by itself, a block of nothing else is not missed.
    exif = b"" if dpi and format in ("BMP", "TIFF") and resolution.says_nothing_else(image.exif) else image.exif
    deep_tiff = format == "TIFF" and (light or (image.depth > 8 and channels > 1))
    icc, exif, xmp = metadata.with_room(format, channels, image.icc, exif, image.xmp, deep_tiff)
    if format == "EXR":
        return linear_light.write_exr(pixels)
    if format == "HDR":
        return linear_light.write_radiance(pixels)
    if format in ("PPM", "PGM"):
        return netpbm.write(pixels)
    if deep_tiff:
        return high_depth.write_tiff(pixels, icc, xmp, dpi)
    if pixels.dtype == np.uint16 and channels > 1:
        data = high_depth.write_png(pixels)
    else:
        options = {**formats.save_options(format, quality), **metadata.save_options(format, icc, exif, xmp, dpi)}
        data = _saved_with_alpha(pixels, about, options) if has_alpha(pixels) else _saved(pixels, format, options)
    return png.with_metadata(data, icc, metadata.bare_exif(exif), xmp, dpi) if format == "PNG" else data


def _saved_with_alpha(pixels: np.ndarray, format: formats.Format, options: "dict[str, object]") -> bytes:
    """`_saved`, with the options that keep alpha exact, or a warning where the format's library does not know them."""
    if format.exact_alpha is None:
        return _saved(pixels, format.name, options)
    try:
        return _saved(pixels, format.name, {**options, **format.exact_alpha})
    except ImageError:
        data = _saved(pixels, format.name, options)
        warnings.warn(f"the library that writes {format.name} codes alpha with loss: PNG keeps it", stacklevel=3)
        return data


def _saved(pixels: np.ndarray, format: str, options: "dict[str, object]") -> bytes:
    picture = PillowImage.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    output = io.BytesIO()
    try:
        picture.save(output, format=format, **options)
    except (OSError, ValueError, KeyError, MemoryError, NotImplementedError) as error:
        raise ImageError(f"Pillow cannot write this picture as {format}: {error}") from None
    return output.getvalue()
