"""Pillow's modes -> arrays: palettes, 1 bit, CMYK and 16 bits become what a field can hold."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from PIL import ImageCms

from nifcodec.errors import ImageError

PHOTOMETRIC_TAG, WHITE_IS_ZERO = 262, 0  # which Pillow heeds up to 8 bits
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


def plain_pixels(picture: Any, name: str, icc: bytes) -> np.ndarray:
    """Pixels (H, W) or (H, W, 1..4) of a loaded picture: uint8, uint16 of "I" and "I;16", or float32 of "F".

    icc: the profile that CMYK goes to sRGB through, if any. Raises ImageError for other modes, which calls the picture
    `name`.
    """
    if picture.mode == "CMYK":
        return np.asarray(_cmyk_to_rgb(picture, icc))
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
    """uint16 (H, W), or (H, W, 2) where one grey stands for transparency."""
    values = np.asarray(picture).astype(np.int64)
    if np.min(values) < 0 or np.max(values) > 65535:
        raise ImageError(f"{name} holds integers outside of 0 to 65535: scale them to 16 bits first")
    grey = values.astype(np.uint16)
    if picture.format == "TIFF" and picture.tag_v2.get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO:
        grey = 65535 - grey
    transparent = picture.info.get("transparency")
    if not isinstance(transparent, int):
        return grey
    return np.stack([grey, np.where(grey == transparent, 0, 65535).astype(np.uint16)], axis=-1)
