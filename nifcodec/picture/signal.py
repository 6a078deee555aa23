"""A picture as the signal that a field is fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from nifcodec.errors import ConfigError
from nifcodec.picture import transfer as transfers
from nifcodec.picture.colour import colour_count, fill_transparent, white
from nifcodec.picture.image import Image
from nifcodec.picture.transfer import Transfer


@dataclass(frozen=True)
class Signal:
    """What a field is fitted to.

    Attributes:
        samples: (H, W, C), integers like the picture's, but for what lies under full transparency; or float32 codes of
            0..1 of a float picture.
        depth: bits a channel of the picture: 8, 16, or 32 of a float.
        transfer: how the codes come from the light of a float picture; None for integers.
    """

    samples: np.ndarray
    depth: int
    transfer: Optional[Transfer] = None

    @property
    def height(self) -> int:
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        return int(self.samples.shape[1])

    @property
    def channels(self) -> int:
        return int(self.samples.shape[2])

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def values(self, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
        """The signal, or a part of it: float32 (H, W, C) in [0, 1]."""
        return self.samples[rows, columns].astype(np.float32) / np.float32(white(self.samples.dtype))


def to_signal(image: Image, transfer: str) -> Signal:
    """The signal of a picture with finite samples.

    Args:
        transfer: one of `config.TRANSFERS`, the curve between the light of a float picture and its codes.

    Raises ConfigError for a transfer of a picture of integers.
    """
    pixels = fill_transparent(image.pixels)
    if pixels.dtype.kind != "f":
        if transfer != "auto":
            raise ConfigError(f"the picture has {image.depth} bits a channel: a transfer is for float pictures")
        return Signal(pixels, image.depth)
    colours = colour_count(pixels)
    curve = transfers.choose(transfer, pixels[..., :colours])
    codes = np.concatenate([curve.to_codes(pixels[..., :colours]), pixels[..., colours:]], axis=2)
    return Signal(codes, image.depth, curve)
