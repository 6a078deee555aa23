"""What is taken out of a picture before the field sees it, and put back into what the field gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from nifcodec.exact.alpha_map import AlphaMap, unpack
from nifcodec.exact.constants import NONE, Constants
from nifcodec.picture.colour import fill_transparent, has_alpha, white
from nifcodec.picture.window import Window


@dataclass(frozen=True)
class ExactParts:
    """Constant channels, and where alpha is 0 or full; None where it is so nowhere, or everywhere."""

    constants: Constants = NONE
    alpha: Optional[AlphaMap] = None

    @staticmethod
    def read(constants: Constants, alpha: bytes, height: int, width: int) -> "ExactParts":
        """Those of a file. Raises CorruptFileError."""
        return ExactParts(constants, unpack(alpha, height, width) if alpha else None)

    def packed_alpha(self) -> bytes:
        """The map's stream, b"" without one."""
        return b"" if self.alpha is None else self.alpha.pack()

    def put_back(self, pixels: np.ndarray, channels: int, window: Window) -> np.ndarray:
        """The picture of so many channels, from what the field gives in a window: (rows, columns, channels)."""
        whole = self.constants.put_back(pixels, channels)
        if self.alpha is not None:
            whole[..., -1] = self.alpha.apply(whole[..., -1], window)
        return whole


def separate(pixels: np.ndarray) -> Tuple[ExactParts, np.ndarray]:
    """The exact parts of finite pixels (H, W, C), and what is left for the field, (H, W, 0 to C).

    Colours under full transparency, which nobody sees, are filled. Alpha that lies between nowhere is left to its map;
    else the field has all of it, edges too: they cost less than what would have to fill the places between them.
    """
    filled = fill_transparent(pixels)
    found = None
    if has_alpha(filled) and filled[..., -1].min() < filled[..., -1].max():
        alpha = AlphaMap.of(filled[..., -1])
        found = alpha if alpha.has_exact else None
        if not alpha.has_between:
            filled = np.concatenate([filled[..., :-1], np.full_like(filled[..., -1:], white(filled.dtype))], axis=2)
    constants = Constants.of(filled)
    return ExactParts(constants, found), constants.without(filled)
