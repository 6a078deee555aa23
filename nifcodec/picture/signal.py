"""A picture as the signal that a field is fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from nifcodec.errors import ConfigError
from nifcodec.picture import transfer as transfers
from nifcodec.picture.colour import colour_count, white
from nifcodec.picture.transfer import Transfer


@dataclass(frozen=True)
class Signal:
    """What a field is fitted to.

    Attributes:
        samples: (H, W, C), integers like the picture's, or float32 codes of 0..1 of a float picture; of the channels
            that are not constant, and filled where nothing of the picture is asked for.
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


def to_signal(pixels: np.ndarray, depth: int, transfer: str) -> Signal:
    """The signal of finite pixels (H, W, C), what `exact.parts.separate` leaves of a picture; C may be 0.

    Args:
        depth: of the picture, in bits a channel.
        transfer: one of `config.TRANSFERS`, the curve between the light of a float picture and its codes.

    Raises ConfigError for a transfer of a picture of integers.
    """
    if pixels.dtype.kind != "f":
        if transfer != "auto":
            raise ConfigError(f"the picture has {depth} bits a channel: a transfer is for float pictures")
        return Signal(pixels, depth)
    colours = colour_count(pixels)
    curve = transfers.choose(transfer, pixels[..., :colours] if colours else np.zeros(1, np.float32))
    codes = np.concatenate([curve.to_codes(pixels[..., :colours]), pixels[..., colours:]], axis=2)
    return Signal(codes, depth, curve)
