"""Picture files and arrays <-> `Image`: 8-bit pixels upright, ICC profile, EXIF, XMP. Pillow reads and writes them."""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO, Dict, Optional, Tuple, Union

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms, PngImagePlugin, UnidentifiedImageError

from nifcodec.errors import ConfigError, ImageError
from nifcodec.files import PathLike, read_bytes, write_bytes

Source = Union[PathLike, bytes, BinaryIO]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION_TAG = 0x0112
# EXIF orientation -> what makes the picture upright.
UPRIGHT = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
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
# Colour space of an ICC profile (its bytes 16 to 19) -> numbers of channels that it describes.
PROFILE_SPACE = {b"GRAY": (1, 2), b"RGB ": (3, 4)}
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
}
# Lossless where the format can; JPEG cannot, and 95 is the highest quality Pillow's documentation recommends.
SAVE_OPTIONS: Dict[str, Dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_deflate"},
}
KEEPS_METADATA = ("PNG", "JPEG", "WEBP", "TIFF")
OPAQUE_FORMATS = ("JPEG", "BMP", "PPM")


@dataclass(frozen=True)
class Image:
    """An upright picture.

    Attributes:
        pixels: uint8 (H, W, C), C = 1 grey, 2 grey+alpha, 3 RGB, 4 RGBA; alpha is straight.
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


def from_array(array: np.ndarray) -> Image:
    """uint8 (H, W) or (H, W, 1..4) -> Image. Raises ImageError for anything else."""
    pixels = np.asarray(array)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4:
        raise ImageError(f"an array of shape {pixels.shape} is no picture: give (height, width, 1 to 4 channels)")
    if pixels.dtype != np.uint8:
        raise ImageError(f"the array holds {pixels.dtype}: convert it to uint8, 0 to 255")
    if 0 in pixels.shape:
        raise ImageError("the picture has no pixels")
    return Image(np.ascontiguousarray(pixels))


def read_image(source: Source) -> Image:
    """Reads a picture from a path ("-" is standard input), its bytes or a binary file.

    EXIF orientation is applied; CMYK goes to sRGB through its profile where it has one; 16 bits a channel become 8,
    with a UserWarning. Raises ImageError for what is no whole picture or too large to be trusted.
    """
    if isinstance(source, bytes):
        name, data = "the picture", source
    elif isinstance(source, (str, os.PathLike)):
        name, data = os.fspath(source), read_bytes(source)
    else:
        name, data = str(getattr(source, "name", "the picture")), source.read()
    try:
        with warnings.catch_warnings():
            # Pillow warns at half of the size that it refuses; only the refusal matters here.
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
            picture = PillowImage.open(io.BytesIO(data))
            frames = getattr(picture, "n_frames", 1)
            picture.load()
        if frames > 1:
            warnings.warn(f"{name} has {frames} frames: the first is encoded", stacklevel=2)
        if not picture.mode.startswith("I") and data[:8] == PNG_SIGNATURE and data[24:25] == b"\x10":
            _warn_of_sixteen_bits(name)  # Pillow has no mode for these and keeps the upper 8 bits
        return _from_pillow(picture, name)
    except ImageError:
        raise
    except UnidentifiedImageError:
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

    format: Pillow's name ("PNG") or an ending ("png"); None takes it from the ending of `target`, PNG for "-".
    Raises ConfigError, ImageError, OutputExistsError, OutputError.
    """
    write_bytes(target, encode_picture(image, format_of(target, format)), force)


def format_of(target: PathLike, format: Optional[str] = None) -> str:
    """Pillow's name of the format that `write_image` would write. Raises ConfigError for one it does not know."""
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
    """The bytes of the picture file. format: Pillow's name. Raises ConfigError for one that cannot hold the picture."""
    pixels = image.pixels
    if format in OPAQUE_FORMATS and image.channels in (2, 4):
        raise ConfigError(f"{format} has no transparency: write PNG, WebP or TIFF")
    if format == "WEBP" and image.channels == 2:
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=2)
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


def _from_pillow(picture: Any, name: str) -> Image:
    icc = picture.info.get("icc_profile") or b""
    exif = picture.info.get("exif") or b""
    xmp = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    orientation = _orientation(picture, exif)
    pixels = np.asarray(_to_plain_mode(picture, icc, name))
    if orientation in UPRIGHT:
        pixels = np.asarray(PillowImage.fromarray(pixels).transpose(UPRIGHT[orientation]))
    image = from_array(pixels)
    return Image(
        image.pixels,
        icc if image.channels in PROFILE_SPACE.get(icc[16:20], ()) else b"",
        _upright_exif(exif),
        _upright_xmp(xmp.encode() if isinstance(xmp, str) else bytes(xmp)),
        orientation,
    )


def _to_plain_mode(picture: Any, icc: bytes, name: str) -> Any:
    """Any of Pillow's modes -> "L", "LA", "RGB" or "RGBA"."""
    if picture.mode == "CMYK":
        return _cmyk_to_rgb(picture, icc)
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _sixteen_to_eight(picture, name)
    if picture.mode not in PLAIN_MODE:
        raise ImageError(f"{name} is of Pillow's mode {picture.mode}, which cannot be encoded: convert it to RGB first")
    plain = PLAIN_MODE[picture.mode]
    if "transparency" in picture.info:
        plain = {"L": "LA", "RGB": "RGBA"}.get(plain, plain)
    return picture if picture.mode == plain else picture.convert(plain)


def _cmyk_to_rgb(picture: Any, icc: bytes) -> Any:
    if icc:
        try:
            return ImageCms.profileToProfile(
                picture, ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, ImportError, OSError):
            warnings.warn("the CMYK profile cannot be used: colours are converted without it", stacklevel=2)
    return picture.convert("RGB")


def _sixteen_to_eight(picture: Any, name: str) -> Any:
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(f"{name} holds integers outside of 0 to 65535: scale them to 8 bits first")
    _warn_of_sixteen_bits(name)
    return PillowImage.fromarray(((values + 128) // 257).astype(np.uint8))


def _warn_of_sixteen_bits(name: str) -> None:
    warnings.warn(f"{name} has 16 bits a channel: it is encoded with 8", stacklevel=3)


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


def _orientation(picture: Any, exif: bytes) -> int:
    """1 to 8; from the EXIF block, or from the tags of a TIFF file, which has none."""
    if exif:
        entry = _orientation_entry(exif)
        orientation = struct.unpack_from(entry[1] + "H", exif, entry[0])[0] if entry else 1
    else:
        orientation = picture.getexif().get(ORIENTATION_TAG, 1)
    return orientation if orientation in UPRIGHT else 1


def _upright_exif(exif: bytes) -> bytes:
    """Sets the orientation of IFD0 to 1 in place: rewriting the block would lose maker notes, which hold offsets."""
    entry = _orientation_entry(exif)
    if entry is None:
        return exif
    return exif[: entry[0]] + struct.pack(entry[1] + "H", 1) + exif[entry[0] + 2 :]


def _upright_xmp(xmp: bytes) -> bytes:
    """Sets tiff:Orientation to 1, as an attribute or as an element."""
    return re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]", rb"\g<1>1", xmp)
