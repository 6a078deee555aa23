"""Picture files -> `Image`. Pillow reads what it has modes for; `linear_light` and `high_depth` read the rest."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from dataclasses import replace
from typing import Any, BinaryIO, Iterator, Mapping, Optional, Tuple, Union

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from nifcodec.errors import ImageError, NifError
from nifcodec.files import PathLike, read_bytes
from nifcodec.picture import high_depth, jpeg, linear_light, metadata, netpbm, png, resolution
from nifcodec.picture.bombs import MAX_PIXELS, check_size
from nifcodec.picture.image import Image, from_array
from nifcodec.picture.pillow_modes import PLAIN_MODE, plain_pixels

Source = Union[PathLike, bytes, BinaryIO]

BITS_TAG, SAMPLES_TAG = 258, 277
# Pillow hands it to Ghostscript, which runs it.
PROGRAMS = ("EPS",)
# Files of several views of one picture, of which the first is the picture.
VIEWS = ("MPO",)


def read_image(source: Source, allow_truncated: bool = False, max_pixels: int = MAX_PIXELS) -> Image:
    """Reads a picture from a path ("-" is standard input), its bytes or a binary file.

    EXIF orientation is applied; CMYK goes to sRGB through its profile where it has one. A UserWarning names what of the
    file is not kept.

    Args:
        allow_truncated: read what there is of a file that is cut short, with a warning.
        max_pixels: limit of the picture.

    Raises ImageError for what is no whole picture or too large to be trusted, MissingDependencyError for what needs the
    extra `hdr`.
    """
    if isinstance(source, bytes):
        name, data = "the picture", source
    elif isinstance(source, (str, os.PathLike)):
        name, data = os.fspath(source), read_bytes(source)
    else:
        name, data = str(getattr(source, "name", "the picture")), source.read()
    if not data:
        raise ImageError(f"{name} is empty: get the file again")
    if data.startswith(linear_light.EXR_SIGNATURE):
        return from_array(linear_light.read_exr(data, name, max_pixels))
    if data.startswith(linear_light.RADIANCE_SIGNATURE):
        return from_array(linear_light.read_radiance(data, name, max_pixels))
    try:
        return _read_integers(data, name, allow_truncated, max_pixels)
    except NifError:
        raise
    except UnidentifiedImageError:
        if data[:4] in high_depth.TIFF_SIGNATURES:
            return _from_deep_tiff(high_depth.read_tiff(data, name, max_pixels), name)
        raise ImageError(f"{name} is not a picture that Pillow can read") from None
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {error}") from None
    except MemoryError:
        raise ImageError(f"{name} does not fit into memory") from None
    # Pillow's plugins raise whatever their parsers hit: struct.error, SyntaxError, IndexError, OSError and others.
    except Exception as error:
        raise ImageError(f"{name} is damaged or cut short: {error}") from None


def from_pillow(
    picture: Any,
    name: str = "the picture",
    given: Optional[Mapping[str, Any]] = None,
    pixels: Optional[np.ndarray] = None,
) -> Image:
    """A loaded picture of Pillow's, of any mode that holds grey, colours or CMYK -> Image, upright.

    Args:
        name: what errors call it.
        given: "icc_profile", "exif", "xmp" and "dpi" in place of those that Pillow found.
        pixels: (H, W) or (H, W, C), not yet upright, in place of Pillow's, which has no mode for all that there is.

    Raises ImageError for another mode.
    """
    found = {**metadata.found_in(picture), **(given or {})}
    icc, exif, xmp = (found[kind] or b"" for kind in ("icc_profile", "exif", "xmp"))
    orientation = metadata.orientation(picture, exif)
    pixels = plain_pixels(picture, name, icc) if pixels is None else pixels
    image = from_array(metadata.upright(pixels, orientation))
    fitting = metadata.fitting_profile(icc, image.channels)
    if icc and not fitting and picture.mode != "CMYK":
        warnings.warn(
            f"{name} has an ICC profile of another kind of colour ({metadata.space_of(icc)}): it is left out",
            stacklevel=3,
        )
    dpi = resolution.turned(found["dpi"], orientation)
    return Image(
        image.pixels,
        fitting,
        resolution.with_resolution(metadata.upright_exif(exif), dpi),
        metadata.upright_xmp(xmp.encode() if isinstance(xmp, str) else bytes(xmp)),
        orientation,
    )


def _read_integers(data: bytes, name: str, allow_truncated: bool, max_pixels: int) -> Image:
    """What stands beside the pixels is read here where Pillow drops it."""
    deep = netpbm.read_deep(data, name, allow_truncated, max_pixels)
    if deep is not None:
        return from_array(deep)
    if not data.startswith(png.SIGNATURE):
        return _read_with_pillow(data, name, allow_truncated, max_pixels)
    file = png.read(data, name, allow_truncated)
    given = {"icc_profile": file.icc, "exif": file.exif, "xmp": file.xmp, "dpi": file.dpi}
    return _read_with_pillow(file.plain, name, allow_truncated, max_pixels, given, file.damage)


def _read_with_pillow(
    data: bytes,
    name: str,
    allow_truncated: bool,
    max_pixels: int,
    given: Optional[Mapping[str, Any]] = None,
    damage: str = "",
) -> Image:
    """damage: what is known to be wrong with the pixels, which is said once."""
    picture, frames, lay = _opened(data, name, max_pixels)
    try:
        picture.load()
        if damage:
            warnings.warn(f"{name} {damage}", stacklevel=4)
    except OSError:
        picture, data = _mended(data, name, allow_truncated, max_pixels, damage)
    # Of 16 bits a channel Pillow has a mode for grey only, and keeps the upper 8 of the others.
    if picture.mode in ("LA", "RGB", "RGBA") and high_depth.is_deep_png(data):
        return from_pillow(picture, name, given, high_depth.read_png(data, name, max_pixels))
    if picture.format == "TIFF" and max(picture.tag_v2.get(BITS_TAG, (8,))) > 8 and picture.mode in PLAIN_MODE:
        image = _from_deep_tiff(high_depth.read_tiff(data, name, max_pixels), name)
        return replace(image, exif=metadata.exif_of_tiff(picture))
    if picture.format not in VIEWS:
        high_depth.warn_of_frames(name, frames, "pages" if picture.format == "TIFF" else "frames")
    if picture.format == "TIFF":
        # An older Pillow has what it leaves out as a band X.
        bands = len([band for band in picture.getbands() if band != "X"])
        high_depth.warn_of_channels(name, int(picture.tag_v2.get(SAMPLES_TAG, bands)) - bands)
    image = from_pillow(picture, name, given)
    return image if lay == 1 else replace(image, orientation=lay)


def _opened(data: bytes, name: str, max_pixels: int) -> Tuple[Any, int, int]:
    """A picture of Pillow's that is not loaded, its frames, and the orientation of a TIFF."""
    with warnings.catch_warnings():
        # Pillow warns at half of the size that it refuses; only the refusal matters here.
        warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
        with _pillow_limit(max_pixels):
            picture: Any = PillowImage.open(io.BytesIO(data))
        if picture.format in PROGRAMS:
            raise ImageError(f"{name} is a program that draws a picture ({picture.format}): convert it to PNG first")
        check_size(picture.width, picture.height, len(picture.getbands()), len(data), name, max_pixels)
        frames = getattr(picture, "n_frames", 1)
        lay = metadata.orientation_of_tiff(picture) if picture.format == "TIFF" else 1
    return picture, frames, lay


@contextlib.contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """Lets Pillow read what is within a limit that was raised above its own, which it keeps for all of the process."""
    before = PillowImage.MAX_IMAGE_PIXELS
    try:
        if before is not None and 2 * before < max_pixels != MAX_PIXELS:
            PillowImage.MAX_IMAGE_PIXELS = max_pixels
        yield
    finally:
        PillowImage.MAX_IMAGE_PIXELS = before


def _mended(data: bytes, name: str, allow_truncated: bool, max_pixels: int, damage: str) -> Tuple[Any, bytes]:
    """A loaded picture of a file that ends too early: whole where it lacks its end alone. Raises ImageError."""
    if data.startswith(jpeg.SIGNATURE):
        with contextlib.suppress(OSError):
            ended = jpeg.whole(data)
            warnings.warn(f"{name}: its end is missing, its pixels are complete", stacklevel=4)
            picture = _opened(ended, name, max_pixels)[0]
            picture.load()
            return picture, ended
    if not allow_truncated:
        raise ImageError(f"{name} is damaged or cut short: {png.ADVICE}")
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        picture = _opened(data, name, max_pixels)[0]
        picture.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    warnings.warn(f"{name} {damage or 'is cut short'}: the rest is made up", stacklevel=4)
    return picture, data


def _from_deep_tiff(tiff: high_depth.DeepTiff, name: str) -> Image:
    high_depth.warn_of_frames(name, tiff.frames, "pages")
    high_depth.warn_of_channels(name, tiff.left_out)
    orientation = metadata.known_orientation(tiff.orientation)
    image = from_array(metadata.upright(tiff.pixels, orientation))
    icc = metadata.fitting_profile(tiff.icc, image.channels)
    return replace(image, icc=icc, xmp=metadata.upright_xmp(tiff.xmp), orientation=orientation)
