"""The wavelet lattice: its levels and subbands, their shapes, and the integer synthesis from level to level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.lifting import Synthesis, synthesise_plane

UNIT = 64  # integer units of one quantization step
HALF = UNIT // 2  # of half a step, in which integers of the lattice are counted
# Fine rendering has so many more bits: at coarse steps, rounding to 1/UNIT of one at every level can be seen.
FINE_BITS = 8
MAX_VALUE = 2**20  # of an index of a quantizer


@dataclass(frozen=True)
class Subband:
    """One band of a level: `plane` 0 luma, 1 and 2 chroma, 3 alpha; `orientation` 0 HL, 1 LH, 2 HH."""

    plane: int
    orientation: int

    @property
    def is_chroma(self) -> bool:
        return self.plane in (1, 2)

    @property
    def network_plane(self) -> int:
        """The plane whose context networks it is coded under: alpha has those of luma."""
        return 0 if self.plane == 3 else self.plane


BandValues = Dict[Subband, np.ndarray]  # integers in half steps
# Of each level, finest first, and band: coefficients in steps, or anything else of which each coefficient has one.
BandArrays = Sequence[Mapping[Subband, np.ndarray]]


class Lattice:
    """Shapes of a picture's lattice, or of a part of it.

    Args:
        width, height: of the native plane.
        plane_ids: the planes, of 0 luma, 1 and 2 chroma, 3 alpha.
        levels: how many; None goes on until both sides of the low-pass plane are at most 8.
        first: what the finest level counts as in the whole picture's lattice.
    """

    def __init__(
        self,
        width: int,
        height: int,
        plane_ids: Sequence[int],
        levels: Optional[int] = None,
        first: int = 0,
    ) -> None:
        self.plane_ids = list(plane_ids)
        self.first = first
        self.sizes = [(height, width)]
        while len(self.sizes) <= levels if levels is not None else max(self.sizes[-1]) > 8:
            self.sizes.append(((self.sizes[-1][0] + 1) // 2, (self.sizes[-1][1] + 1) // 2))
        self.levels = len(self.sizes) - 1
        self.bands = [Subband(plane, orientation) for plane in self.plane_ids for orientation in range(3)]

    def shape(self, level: int, band: Subband) -> Tuple[int, int]:
        """Rows and columns of a band; level 0 is the finest."""
        height, width = self.sizes[level]
        rows = (height // 2) if band.orientation in (1, 2) else (height + 1) // 2
        columns = (width // 2) if band.orientation in (0, 2) else (width + 1) // 2
        return rows, columns

    def low_shape(self) -> Tuple[int, int, int]:
        """(planes, rows, columns) of the coarsest low-pass plane."""
        return (len(self.plane_ids), *self.sizes[-1])

    def by_band(self, details: "Sequence[Tuple[np.ndarray, np.ndarray, np.ndarray]]") -> "List[BandValues]":
        """The three bands (planes, rows, columns) of each level, as an analysis gives them, one by one."""
        places = [(band, self.plane_ids.index(band.plane)) for band in self.bands]
        return [{band: bands[band.orientation][index] for band, index in places} for bands in details]

    def rebuild(
        self,
        low: np.ndarray,
        planes: BandValues,
        level: int,
        synthesise: Synthesis = synthesise_plane,
        bits: int = 0,
    ) -> np.ndarray:
        """The next finer low-pass plane, int64 in 1/UNIT steps, with so many more bits; absent bands are zero.

        Args:
            low: the low-pass plane of `level`, in the same units.
        """
        bands = []
        for orientation in range(3):
            zero = np.zeros(self.shape(level, Subband(0, orientation)), np.int64)
            bands.append(
                np.stack([planes.get(Subband(c, orientation), zero) for c in self.plane_ids]).astype(np.int64)
                * (HALF << bits)
            )
        return synthesise(low, (bands[0], bands[1], bands[2]))

    def rebuild_finely(
        self, low: np.ndarray, levels: Sequence[BandValues], finest: int = 0, synthesise: Synthesis = synthesise_plane
    ) -> np.ndarray:
        """The low-pass plane of a level from the coarsest one on, int64, both in 1/(UNIT << FINE_BITS) steps.

        Args:
            levels: integers of each level in half steps, finest first; those below `finest` are not looked at.
        """
        plane = low
        for level in range(self.levels - 1, finest - 1, -1):
            plane = self.rebuild(plane, levels[level], level, synthesise, FINE_BITS)
        return plane
