"""Picture files and arrays <-> `Image`: upright pixels, ICC profile, EXIF, XMP.

Pillow reads and writes what it has modes for; `hdr` and `deep` do the rest.
"""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Dict, Optional, Union

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms, PngImagePlugin, UnidentifiedImageError

from nifcodec import deep, hdr, metadata
from nifcodec.colour import has_alpha, to_eight_bits, tone_map
from nifcodec.errors import ConfigError, ImageError, NifError
from nifcodec.files import PathLike, read_bytes, write_bytes

Source = Union[PathLike, bytes, BinaryIO]

BITS_TAG = 258
# Bits a channel -> what the samples are.
SAMPLES: Dict[int, Any] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16), 32: np.dtype(np.float32)}
# Pillow's mode -> the mode that holds it without loss ("P" with transparency: "RGBA").
PLAIN_MODE = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "YCbCr": "RGB",
    "HSV": "RGB",
}
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
KEEPS_METADATA = ("PNG", "JPEG", "WEBP", "TIFF")
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
    if format in OPAQUE_FORMATS and image.channels in (2, 4):
        raise ConfigError(f"{format} has no transparency: write PNG, WebP or TIFF")
    if format == "WEBP" and image.channels == 2:
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=2)
    if format in LIGHT_FORMATS:
        return hdr.write_exr(pixels) if format == "EXR" else hdr.write_radiance(pixels)
    if format == "TIFF" and (light or (image.depth > 8 and image.channels > 1)):
        return deep.write_tiff(pixels, image.icc, image.xmp)
    if light:
        warnings.warn(
            f"{format} holds no linear light: tone-mapped to be looked at; EXR, HDR and TIFF keep the values",
            stacklevel=3,
        )
        image = replace(image, icc=b"", pixels=tone_map(pixels))
        return encode_picture(image, format)
    if image.depth > 8 and format not in DEEP_FORMATS:
        pixels = to_eight_bits(pixels)
    elif image.depth > 8 and image.channels > 1:
        return deep.write_png(pixels, image.icc, image.exif, image.xmp)
    options: Dict[str, Any] = dict(SAVE_OPTIONS.get(format, {}))
    if format in KEEPS_METADATA:
        options.update({"icc_profile": image.icc} if image.icc else {})
        options.update({"exif": image.exif} if image.exif else {})
        if image.xmp and format == "PNG":
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", image.xmp.decode("utf-8", "replace"))
        elif image.xmp:
            options["xmp"] = image.xmp
    picture = PillowImage.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    output = io.BytesIO()
    try:
        picture.save(output, format=format, **options)
    except (OSError, ValueError, KeyError, MemoryError) as error:
        raise ImageError(f"Pillow cannot write this picture as {format}: {error}") from None
    return output.getvalue()


def _read_with_pillow(data: bytes, name: str) -> Image:
    with warnings.catch_warnings():
        # Pillow warns at half of the size that it refuses; only the refusal matters here.
        warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
        picture: Any = PillowImage.open(io.BytesIO(data))
        if picture.format in PROGRAMS:
            raise ImageError(f"{name} is a program that draws a picture ({picture.format}): convert it to PNG first")
        hdr.check_ratio(picture.width * picture.height * len(picture.getbands()), len(data), name)
        frames = getattr(picture, "n_frames", 1)
        picture.load()
    # Of 16 bits a channel Pillow has a mode for grey only, and keeps the upper 8 of the others.
    if picture.mode in ("LA", "RGB", "RGBA") and deep.is_deep_png(data):
        return _from_pillow(picture, deep.read_png(data, name))
    if picture.format == "TIFF" and max(picture.tag_v2.get(BITS_TAG, (8,))) > 8 and picture.mode in PLAIN_MODE:
        return _from_deep_tiff(deep.read_tiff(data, name), name)
    deep.warn_of_frames(name, frames)
    return _from_pillow(picture, _plain_pixels(picture, name))


def _from_pillow(picture: Any, pixels: np.ndarray) -> Image:
    """The image of pixels (H, W) or (H, W, C), not yet upright, with the metadata that Pillow found."""
    icc = picture.info.get("icc_profile") or b""
    exif = picture.info.get("exif") or b""
    xmp = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    orientation = metadata.orientation(picture, exif)
    image = from_array(metadata.upright(pixels, orientation))
    return Image(
        image.pixels,
        metadata.fitting_profile(icc, image.channels),
        metadata.upright_exif(exif),
        metadata.upright_xmp(xmp.encode() if isinstance(xmp, str) else bytes(xmp)),
        orientation,
    )


def _from_deep_tiff(tiff: deep.DeepTiff, name: str) -> Image:
    deep.warn_of_frames(name, tiff.frames)
    orientation = metadata.known_orientation(tiff.orientation)
    image = from_array(metadata.upright(tiff.pixels, orientation))
    icc = metadata.fitting_profile(tiff.icc, image.channels)
    return replace(image, icc=icc, xmp=metadata.upright_xmp(tiff.xmp), orientation=orientation)


def _plain_pixels(picture: Any, name: str) -> np.ndarray:
    """Pixels (H, W) or (H, W, C) of any of Pillow's modes: uint8, uint16 or float32."""
    if picture.mode == "CMYK":
        return np.asarray(_cmyk_to_rgb(picture, picture.info.get("icc_profile") or b""))
    if picture.mode == "F":
        return np.asarray(picture)
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _sixteen_bits(picture, name)
    if picture.mode not in PLAIN_MODE:
        raise ImageError(f"{name} is of Pillow's mode {picture.mode}, which cannot be encoded: convert it to RGB first")
    plain = PLAIN_MODE[picture.mode]
    if "transparency" in picture.info:
        plain = {"L": "LA", "RGB": "RGBA"}.get(plain, plain)
    return np.asarray(picture if picture.mode == plain else picture.convert(plain))


def _cmyk_to_rgb(picture: Any, icc: bytes) -> Any:
    if icc:
        try:
            return ImageCms.profileToProfile(
                picture, ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, ImportError, OSError):
            warnings.warn("the CMYK profile cannot be used: colours are converted without it", stacklevel=2)
    return picture.convert("RGB")


def _sixteen_bits(picture: Any, name: str) -> np.ndarray:
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(f"{name} holds integers outside of 0 to 65535: scale them to 16 bits first")
    return values.astype(np.uint16)
