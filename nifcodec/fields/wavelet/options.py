"""Options that only the field `wavelet` has. This module loads neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.options import check, option

LATTICE = "field wavelet"  # heading of the command line's help
LARGEST_WHOLE = 1 << 21  # pixels of a picture that may be one lattice: what is decoded at once stays small


@dataclass(frozen=True)
class WaveletOptions:
    """Options of `wavelet`.

    Attributes:
        tile_exponent: log2 of the side of a tile in pixels.
        largest_whole: pixels of the largest picture that is one lattice; one with more is cut into tiles.
    """

    tile_exponent: int = option(int, 10, "log2 of the side of a tile in pixels", LATTICE, limits=(7, 11))
    largest_whole: int = option(
        int, LARGEST_WHOLE, "most pixels of a picture without tiles", LATTICE, limits=(0, LARGEST_WHOLE)
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
