"""Options of the fields on lattices, which large pictures are cut into tiles for. Loads neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from nifcodec.config import EncodeConfig
from nifcodec.options import check, option

LATTICE = "fields wavelet and pyramid"  # heading of the command line's help
LARGEST_WHOLE = 1 << 21  # pixels of a picture that may be one part, and is trained as a whole: memory stays small


@dataclass(frozen=True)
class LatticeOptions:
    """How a large picture is cut.

    Attributes:
        tile_exponent: log2 of the side of a tile in pixels.
        largest_whole: pixels of the largest picture that is one part; one with more is cut into tiles.
    """

    tile_exponent: int = option(int, 10, "log2 of the side of a tile in pixels", LATTICE, limits=(7, 11))
    largest_whole: int = option(
        int, LARGEST_WHOLE, "most pixels of a picture without tiles", LATTICE, limits=(0, LARGEST_WHOLE)
    )

    def __post_init__(self) -> None:
        check(self)

    def check_with(self, config: EncodeConfig) -> None:
        """Raises ConfigError for options that do not go together with the others."""

    def exponent_for(self, pixels: int) -> int:
        """log2 of the side of a tile of a picture of so many pixels; 0 where it is one part."""
        return self.tile_exponent if pixels > self.largest_whole else 0
