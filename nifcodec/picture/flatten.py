"""Pictures without their transparency: over a background, or with their alpha left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Tuple

import numpy as np
from PIL import ImageColor

from nifcodec.errors import ConfigError
from nifcodec.picture.colour import has_alpha, linear, white
from nifcodec.picture.image import Image

Colour = Tuple[int, int, int]


def colour_of(name: str) -> Colour:
    """Red, green and blue, 0 to 255, of a colour of CSS: a name, #rrggbb, rgb(r, g, b), hsl(h, s%, l%).

    Raises ConfigError for others, and for a colour with alpha.
    """
    try:
        red, green, blue, *alpha = ImageColor.getrgb(name)
    except ValueError:
        raise ConfigError(f"{name!r} is no colour: give a name as white, or #rrggbb") from None
    if alpha:
        raise ConfigError(f"{name!r} has an alpha, and a background is opaque: give a name as white, or #rrggbb")
    return red, green, blue


def channels_without_alpha(channels: int) -> int:
    """Of a picture of so many channels."""
    return channels - (channels in (2, 4))


def channels_over(channels: int, colour: Colour) -> int:
    """Of a picture of so many channels over a colour: grey over a colour is colour."""
    return 3 if channels == 2 and len(set(colour)) > 1 else channels_without_alpha(channels)


def without_alpha(image: Image) -> Image:
    """The colours as they stand: what lies under transparency is shown; light in floats, which is over black."""
    return replace(image, pixels=np.ascontiguousarray(image.pixels[..., : channels_without_alpha(image.channels)]))


def over_background(image: Image, name: str) -> Image:
    """The picture over a flat colour, in the numbers of its own space; of linear light the colour is that of sRGB.

    A grey profile does not survive a background with a colour.
    """
    colour, pixels = colour_of(name), image.pixels
    if not has_alpha(pixels):
        return image
    channels = channels_over(image.channels, colour)
    samples, alpha = pixels[..., :-1].astype(np.float64), pixels[..., -1:] / white(pixels.dtype)
    samples = np.repeat(samples, channels // samples.shape[2], axis=2)
    behind = np.array(colour[:channels]) / 255
    if pixels.dtype.kind == "f":
        flat = (samples + linear(behind) * (1 - alpha)).astype(np.float32)
    else:
        flat = np.floor(samples * alpha + white(pixels.dtype) * behind * (1 - alpha) + 0.5).astype(pixels.dtype)
    return replace(image, pixels=flat, icc=image.icc if channels == image.channels - 1 else b"")
