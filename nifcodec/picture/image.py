"""`Image`: upright pixels of a picture with its ICC profile, EXIF and XMP."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Dict

import numpy as np

from nifcodec.errors import ImageError
from nifcodec.picture.colour import has_alpha

# Bits a channel -> what the samples are.
SAMPLES: Dict[int, Any] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16), 32: np.dtype(np.float32)}


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


def finite(pixels: np.ndarray, sanitize: bool = False) -> np.ndarray:
    """Pixels (H, W, C) of any type, where all samples are finite.

    With `sanitize` NaN becomes 0, and an infinity the largest finite sample of its sign, or 0; a UserWarning says so.
    Raises ImageError without it: how many there are, and where the first is.
    """
    bad = ~np.isfinite(pixels) if pixels.dtype.kind == "f" else np.zeros(1, bool)
    if not bad.any():
        return pixels
    nans = int(np.isnan(pixels).sum())
    row, column, channel = (int(index) for index in np.argwhere(bad)[0])
    found = (
        f"{nans} samples are NaN and {int(bad.sum()) - nans} infinite, "
        f"the first in column {column}, row {row}, channel {channel}, counted from 0"
    )
    if not sanitize:
        raise ImageError(f"{found}: repair the picture, or have them replaced by --sanitize")
    warnings.warn(f"{found}: they are replaced", stacklevel=3)
    good = pixels[~bad]
    low, high = min(0.0, float(good.min(initial=0))), max(0.0, float(good.max(initial=0)))
    limited = np.clip(np.where(np.isnan(pixels), np.float32(0), pixels), low, high)
    return np.asarray(limited, np.float32)
