"""Where coefficients come from: planes to be quantized, of a root, of a whole picture, or of a tile with a margin.

A margin makes the analysis exact for the tile. Its rounded coefficients stand for those that the tile's neighbours
will have or have had.
"""

from __future__ import annotations

from typing import List, Optional, Tuple

import numpy as np

from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.fields.wavelet.lattice import FINE_BITS, HALF, BandValues, Lattice
from nifcodec.fields.wavelet.lifting import Analysis, analyse_levels, analyse_plane
from nifcodec.fields.wavelet.planes import filtered_planes, in_steps, to_planes
from nifcodec.fields.wavelet.restoration import RestorationFilter, strips
from nifcodec.fields.wavelet.restoration_fit import MixtureFit
from nifcodec.fields.wavelet.search.coding import Coding, QuantizedBands
from nifcodec.fields.wavelet.search.rate_gradient import RateGradient
from nifcodec.fields.wavelet.tiling import Tile, at_level
from nifcodec.native.filters import Rectangle
from nifcodec.picture.signal import Signal
from nifcodec.threads import in_threads

# Analysis reaches 4 samples of each level: 124 pixels for five levels.
MARGIN = 128
DEAD_ZONE = 0.6  # from which a magnitude in the margin becomes 1
# Of the cost of a bit at a tile's border. Contexts know less there: at the usual cost, errors would be higher.
BORDER_WEIGHT = 0.6


class LatticeSource:
    """Planes (C, H, W) as coefficients of a lattice. The planes of a root are low-pass planes, which nothing restores.

    Args:
        analysis: of a level.

    Attributes:
        original: the planes, float64.
        gradient: what integers do to the bits of those that see them, where training has estimated it.
        weights: of the bits of each coefficient, of each level; None is 1 for all.
    """

    weights: Optional[List[BandValues]] = None

    def __init__(self, lattice: Lattice, planes: np.ndarray, analysis: Analysis) -> None:
        self._lattice, self._analysis = lattice, analysis
        self.original = planes
        self.set_target(planes)

    def set_target(self, planes: np.ndarray, gradient: Optional[RateGradient] = None) -> None:
        """Take other planes to quantize from now on, and the gradient to do it with."""
        self.gradient = gradient
        self._low, self._details = analyse_levels(planes, self._lattice.levels, self._analysis)

    def low(self, step: float = 1.0) -> np.ndarray:
        """The coarsest low-pass plane in steps."""
        rows, columns = self._inside(self._lattice.levels, self._low.shape[1:])
        return self._low[:, rows, columns] / step

    def coefficients(self, step: float) -> List[BandValues]:
        """The bands of each level in steps, finest first."""
        lattice = self._lattice
        return [
            {band: values[self._inside(level + 1, lattice.shape(level, band))] / step for band, values in bands.items()}
            for level, bands in enumerate(lattice.by_band(self._details))
        ]

    def synthesise(self, coding: Coding, bands: QuantizedBands, spec: WaveletDescription) -> np.ndarray:
        """The planes as rebuilt from integers, (C, H, W) in 1/UNIT steps: int64, or float64 where rendering is fine.

        Those of a root are always int64: contexts see them.
        """
        return coding.rebuild(bands)

    def fit(self, plane: np.ndarray, spec: WaveletDescription, restoration: RestorationFilter) -> MixtureFit:
        """The sums that the weights of the restoration filter's corrections follow from.

        Args:
            plane: as `synthesise` gives it.
        """
        return MixtureFit.none(restoration.corrections)

    def _inside(self, level: int, shape: Tuple[int, ...]) -> Tuple[slice, slice]:
        """Where what is to be coded lies in the samples of a level: `shape` of them, or fewer at the end."""
        return slice(None), slice(None)


class TileSource(LatticeSource):
    """A tile of a picture with its margin, or a whole picture, which has none.

    Args:
        tile: which pixels, and their lattice.
        analysis: of a level.
        root: the root's rebuilt plane, int64 (C, rows, columns) in 1/UNIT steps, with FINE_BITS more where rendering is
            fine; a margin is synthesised from it.
    """

    def __init__(
        self, tile: Tile, signal: Signal, analysis: Analysis = analyse_plane, root: Optional[np.ndarray] = None
    ) -> None:
        self._tile, self._root = tile, root
        self._sides = sides = (signal.height, signal.width)
        self._spans = [
            (max(span[0] - MARGIN, 0), min(span[1] + MARGIN, side))
            for span, side in zip((tile.rows, tile.columns), sides)
        ]
        values = signal.values(slice(*self._spans[0]), slice(*self._spans[1]))
        super().__init__(tile.lattice, to_planes(values), analysis)
        self._has_margin = self._spans != [tile.rows, tile.columns]
        if self._has_margin:
            self.weights = [
                {band: self._border_weights(tile.lattice.shape(level, band)) for band in tile.lattice.bands}
                for level in range(tile.lattice.levels)
            ]

    @staticmethod
    def whole(signal: Signal, lattice: Lattice, analysis: Analysis) -> "TileSource":
        """A whole picture."""
        return TileSource(Tile((0, signal.height), (0, signal.width), lattice), signal, analysis)

    def synthesise(self, coding: Coding, bands: QuantizedBands, spec: WaveletDescription) -> np.ndarray:
        """The planes with their margin: the tile from its integers, the margin from rounded coefficients."""
        bits, step = FINE_BITS if spec.fine else 0, spec.step
        if not self._has_margin:
            if not spec.fine:
                return coding.rebuild(bands)
            low = coding.low << bits if self._root is None else self._root
            plane = coding.lattice.rebuild_finely(low, bands.levels, 0, coding.conditions.synthesis)
            return np.asarray(plane / (1 << bits))
        assert self._root is not None
        lattice = self._lattice
        (top, bottom), (left, right) = (at_level(span, lattice.levels) for span in self._spans)
        plane = self._root[:, top:bottom, left:right]
        for level in range(lattice.levels - 1, -1, -1):
            details = [_rounded(values / step) for values in self._details[level]]
            for band in lattice.bands:
                rows, columns = self._inside(level + 1, lattice.shape(level, band))
                place = lattice.plane_ids.index(band.plane)
                details[band.orientation][place, rows, columns] = bands.levels[level][band]
            horizontal, vertical, diagonal = (values.astype(np.int64) * (HALF << bits) for values in details)
            plane = coding.conditions.synthesis(plane, (horizontal, vertical, diagonal))
        return plane / (1 << bits) if bits else plane

    def fit(self, plane: np.ndarray, spec: WaveletDescription, restoration: RestorationFilter) -> MixtureFit:
        planes = in_steps(plane)
        filtered = planes[: filtered_planes(len(planes))]
        height, width = (span[1] - span[0] for span in (self._tile.rows, self._tile.columns))
        inner = self._inside(0, (height, width))

        def fit(strip: Rectangle) -> MixtureFit:
            top, left, rows, columns = inner[0].start + strip[0], inner[1].start, strip[2], strip[3]
            where = np.s_[:, top : top + rows, left : left + columns]
            corrections = restoration(filtered, spec.step_feature, (top, left, rows, columns))
            return MixtureFit.of(self.original[where] / spec.step, planes[where], corrections)

        return sum(in_threads(fit, strips(height, width)), MixtureFit.none(restoration.corrections))

    def _border_weights(self, shape: Tuple[int, int]) -> np.ndarray:
        """Of a band of this shape, float32: lower at the tile's borders inside of the picture."""
        weights = np.ones(shape, np.float32)
        for axis, (span, side) in enumerate(zip((self._tile.rows, self._tile.columns), self._sides)):
            lines = np.moveaxis(weights, axis, 0)
            lines[: span[0] > 0] = BORDER_WEIGHT
            lines[len(lines) - (span[1] < side) :] = BORDER_WEIGHT
        return weights

    def _inside(self, level: int, shape: Tuple[int, ...]) -> Tuple[slice, slice]:
        tile, whole = (self._tile.rows, self._tile.columns), self._spans
        y, x = ((span[0] - around[0]) >> level for span, around in zip(tile, whole))
        rows, columns = (min(-(-(span[1] - span[0]) >> level), size) for span, size in zip(tile, shape))
        return slice(y, y + rows), slice(x, x + columns)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Coefficients in steps -> half steps, with a dead zone."""
    rounded: np.ndarray = 2 * np.sign(values) * np.floor(np.abs(values) + 1 - DEAD_ZONE)
    return rounded
