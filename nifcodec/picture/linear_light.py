"""Files of linear light: OpenEXR (`OpenEXR`, of the Academy Software Foundation) and Radiance (`imagecodecs`).

Both libraries come with the extra `hdr` and are imported when a picture needs them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import tempfile
import warnings
from typing import Any, Dict, Iterator, List

import numpy as np

from nifcodec.errors import ImageError, MissingDependencyError, OutputError
from nifcodec.picture.bombs import MAX_PIXELS, check_size
from nifcodec.picture.colour import to_rgb

EXR_SIGNATURE = b"\x76\x2f\x31\x01"
RADIANCE_SIGNATURE = b"#?"
FLOAT_BYTES = 4
# Layouts that are pictures, the fullest first.
LAYOUTS = ("RGBA", "RGB", "YA", "Y")
# Red, green, blue and white of Rec. 709, which OpenEXR means where a file does not say; and how near counts as equal.
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
CHROMATICITY_TOLERANCE = 0.002


def load(module: str, what: str) -> Any:
    """Imports a library of the extra `hdr`. Raises MissingDependencyError: `what` needs it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingDependencyError(f"{what} needs {module}: pip install {module}") from None


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """Path of a file for the library, which takes nothing else. Raises OutputError where it cannot be written."""
    try:
        with tempfile.TemporaryDirectory(prefix="nifcodec-") as folder:
            yield os.path.join(folder, "picture.exr")
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"OpenEXR needs a file in the folder of temporary files, TMPDIR: {reason}") from None


def read_exr(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """float32 (H, W, C) of an OpenEXR file: its data window; alpha premultiplied.

    Other channels are left out, with a warning. Raises ImageError for a file that is damaged, in several parts, deep,
    subsampled, or without R, G, B or Y.
    """
    library = load("OpenEXR", "OpenEXR")
    with _scratch() as path:
        with open(path, "wb") as file:
            file.write(data)
        try:
            outline = library.File(path, separate_channels=True, header_only=True)
            parts, header = len(outline.parts), outline.header()
            layout = _layout(parts, header, len(data), name, max_pixels)
            planes = library.File(path, separate_channels=True).channels()
            pixels = [np.asarray(planes[letter].pixels) for letter in layout]
        except ImageError:
            raise
        # The bindings raise whatever they meet first: RuntimeError, ValueError, KeyError, UnicodeDecodeError.
        except Exception as error:
            reason = str(error).replace(path, "the file")
            raise ImageError(f"{name} is damaged or cut short: {reason}") from None
    integer = [letter for letter, plane in zip(layout, pixels) if plane.dtype.kind != "f"]
    if integer:
        raise ImageError(f"{name} holds integers in {', '.join(integer)}: only half and float channels are pictures")
    return np.stack(pixels, axis=-1).astype(np.float32)


def write_exr(pixels: np.ndarray) -> bytes:
    """An OpenEXR file of float32 (H, W, C) with premultiplied alpha: 32-bit float channels, ZIP."""
    library = load("OpenEXR", "OpenEXR")
    layout = {1: "Y", 2: "YA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
    channels = {letter: np.ascontiguousarray(pixels[..., index]) for index, letter in enumerate(layout)}
    header = {"compression": library.ZIP_COMPRESSION, "type": library.scanlineimage}
    with _scratch() as path:
        try:
            library.File(header, channels).write(path)
        except RuntimeError as error:  # the bindings' word for a disk that is full, too
            raise OSError(str(error)) from None
        with open(path, "rb") as file:
            return file.read()


def read_radiance(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """float32 (H, W, 3) of a Radiance picture (RGBE, rows from top to bottom). Raises ImageError for others."""
    library = load("imagecodecs", "Radiance HDR")
    head = data[: data.find(b"\n\n") + 2]
    size = re.match(rb"-Y (\d{1,9}) \+X (\d{1,9})\n", data[len(head) :])
    if b"xyze" in head:
        raise ImageError(f"{name} holds XYZ colours: convert it to RGB first")
    if size is None:
        raise ImageError(f"{name} is no Radiance picture of rows from top to bottom: convert or turn it first")
    check_size(int(size[2]), int(size[1]), 3 * FLOAT_BYTES, len(data), name, max_pixels)
    try:
        return np.asarray(library.rgbe_decode(data), np.float32)
    except (library.RgbeError, ValueError, MemoryError) as error:
        raise ImageError(f"{name} is damaged or cut short: {error}") from None


def write_radiance(pixels: np.ndarray) -> bytes:
    """A Radiance picture of float32 (H, W, 1 or 3), to 1 % of the largest channel; negative values become 0."""
    library = load("imagecodecs", "Radiance HDR")
    colours = np.maximum(to_rgb(pixels), np.float32(0))
    return bytes(library.rgbe_encode(np.ascontiguousarray(colours), header=True))


def _layout(parts: int, header: Dict[str, Any], file_bytes: int, name: str, max_pixels: int) -> str:
    """Which channels are the picture, by the header alone. Raises ImageError where none are."""
    if parts != 1:
        raise ImageError(f"{name} has {parts} parts: extract one of them first")
    if "deep" in str(header.get("type")):
        raise ImageError(f"{name} holds deep pixels, several a place: flatten it first")
    names: List[str] = [channel.name for channel in header["channels"]]
    if {"BY", "RY"} & set(names):
        raise ImageError(f"{name} holds luminance and chroma ({', '.join(names)}): convert it to RGB first")
    layout = next((letters for letters in LAYOUTS if set(letters) <= set(names)), None)
    if layout is None:
        raise ImageError(f"{name} has no channels R, G, B or Y, but {', '.join(names)}: rename or convert them first")
    if any(channel.xSampling != 1 or channel.ySampling != 1 for channel in header["channels"]):
        raise ImageError(f"{name} has subsampled channels: convert it first")
    (left, top), (right, bottom) = header["dataWindow"]
    width, height = int(right) - int(left) + 1, int(bottom) - int(top) + 1
    check_size(width, height, FLOAT_BYTES * len(names), file_bytes, name, max_pixels)
    _warn_of_losses(header, [channel for channel in names if channel not in layout], name)
    return layout


def _warn_of_losses(header: Dict[str, Any], others: List[str], name: str) -> None:
    if others:
        warnings.warn(f"{name} has more channels, which are left out: {', '.join(others)}", stacklevel=5)
    if not np.array_equal(header["dataWindow"], header["displayWindow"]):
        warnings.warn(f"{name} has a data window other than its display window: the former is encoded", stacklevel=5)
    primaries = header.get("chromaticities", REC709)
    if np.abs(np.subtract(primaries, REC709)).max() > CHROMATICITY_TOLERANCE:
        warnings.warn(
            f"{name} has primaries other than Rec. 709's: its values are kept, but not this note", stacklevel=5
        )
