"""Options that only the field `wavelet` has. This module loads neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from nifcodec.config import EncodeConfig, check, number
from nifcodec.errors import ConfigError

LARGEST_WHOLE = 1 << 21  # pixels of a picture that may be one lattice: what is decoded at once stays small

_FIELD = "the lattice, of wavelet"


@dataclass(frozen=True)
class WaveletOptions:
    """Options of `wavelet`.

    Attributes:
        tile_exponent: log2 of the side of a tile in pixels.
        largest_whole: pixels from which on a picture has tiles; one with fewer is one lattice.
    """

    tile_exponent: int = number(10, "log2 of the side of a tile (default 10)", Integral, 7, 11, "N", group=_FIELD)
    largest_whole: int = number(
        LARGEST_WHOLE,
        f"pixels of a picture that gets no tiles (default {LARGEST_WHOLE})",
        Integral,
        0,
        LARGEST_WHOLE,
        "N",
        group=_FIELD,
    )

    def __post_init__(self) -> None:
        check(self)

    def check_with(self, config: EncodeConfig) -> None:
        """Raises ConfigError for options that do not go together with the others."""
        if config.effort == 1 and config.steps is None and config.placed:
            raise ConfigError(
                f"-e 1 does not train the field wavelet, so that {' and '.join(config.placed)} would do nothing: give "
                "a higher effort"
            )


OPTIONS = {"wavelet": WaveletOptions}
