"""A tile of a large picture with a margin around it, in which the analysis is exact for the tile.

Rounded coefficients of the margin stand for those that the tile's neighbours will have or have had.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np

from nifcodec.fields.job import EncodeJob
from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.fields.wavelet.lattice import HALF, Planes
from nifcodec.fields.wavelet.lifting import Bands, analyse_levels, synthesise_plane
from nifcodec.fields.wavelet.picture_encoder import in_steps
from nifcodec.fields.wavelet.planes import filtered_planes, to_planes
from nifcodec.fields.wavelet.restoration import RestorationFilter
from nifcodec.fields.wavelet.restoration_fit import MixtureFit
from nifcodec.fields.wavelet.tiling import TILE_LEVELS, Span, Tile, at_level

# Analysis reaches 4 samples of each level: 124 pixels for five levels.
MARGIN = 128
DEAD_ZONE = 0.6  # from which a magnitude in the margin becomes 1
# Of a bit at a tile's border, where contexts know less: at the price of elsewhere, errors would be higher there.
BORDER_PRICE = 0.6


class Part:
    """A tile with its margin: planes (C, H, W) on colours of 0..1 to be quantized.

    Attributes:
        target: the picture's planes.
    """

    def __init__(self, tile: Tile, job: EncodeJob) -> None:
        self._tile = tile
        self._sides = sides = (job.signal.height, job.signal.width)
        self._spans = [
            (max(span[0] - MARGIN, 0), min(span[1] + MARGIN, side))
            for span, side in zip((tile.rows, tile.columns), sides)
        ]
        self.target = to_planes(job.signal.values(slice(*self._spans[0]), slice(*self._spans[1])))
        self.aim(self.target)

    def aim(self, wanted: np.ndarray) -> None:
        """Take other planes to quantize from now on."""
        self._low, self._details = analyse_levels(wanted, TILE_LEVELS)

    def low(self) -> np.ndarray:
        """The tile's part of the low-pass plane of the coarsest of its levels."""
        return self._low[self._at(TILE_LEVELS, self._low.shape[1:])]

    def details(self, step: float) -> List[Bands]:
        """The bands of each level in steps, margin included, finest first."""
        return [(bands[0] / step, bands[1] / step, bands[2] / step) for bands in self._details]

    def inside(self, details: Sequence[Bands]) -> "List[Planes]":
        """The tile's part of its bands."""
        lattice = self._tile.lattice
        return [
            {band: values[self._at(level + 1, lattice.shape(level, band))[1:]] for band, values in bands.items()}
            for level, bands in enumerate(lattice.by_band(details))
        ]

    def prices(self) -> "List[Planes]":
        """Of the bits of each of the tile's coefficients: lower at its borders inside of the picture."""
        lattice = self._tile.lattice
        shapes = ({band: lattice.shape(level, band) for band in lattice.bands} for level in range(TILE_LEVELS))
        return [{band: self._price(shape) for band, shape in bands.items()} for bands in shapes]

    def rebuild(self, root: np.ndarray, details: Sequence[Bands], levels: Sequence[Planes]) -> np.ndarray:
        """Planes in steps, margin included, float32: the tile from its integers, the margin from rounded details."""
        lattice = self._tile.lattice
        (top, bottom), (left, right) = (at_level(span, TILE_LEVELS) for span in self._spans)
        plane = root[:, top:bottom, left:right]
        for level in range(TILE_LEVELS - 1, -1, -1):
            around = [2 * np.sign(band) * np.floor(np.abs(band) + 1 - DEAD_ZONE) for band in details[level]]
            for band in lattice.bands:
                where = self._at(level + 1, lattice.shape(level, band))[1:]
                around[band.orientation][lattice.plane_ids.index(band.plane)][where] = levels[level][band]
            horizontal, vertical, diagonal = (band.astype(np.int64) * HALF for band in around)
            plane = synthesise_plane(plane, (horizontal, vertical, diagonal))
        return in_steps(plane)

    def fit(self, planes: np.ndarray, spec: WaveletDescription, network: RestorationFilter) -> MixtureFit:
        """The tile's part of the sums that the weights of the corrections follow from."""
        reach = network.reach
        sides = planes.shape[1:]
        starts = [span[0] - whole[0] for span, whole in zip((self._tile.rows, self._tile.columns), self._spans)]
        sizes = [size_of(self._tile.rows), size_of(self._tile.columns)]
        wide = [slice(max(s - reach, 0), min(s + n + reach, side)) for s, n, side in zip(starts, sizes, sides)]
        seen = planes[: filtered_planes(len(planes)), wide[0], wide[1]]
        y, x = (s - w.start for s, w in zip(starts, wide))
        change = network(seen, spec.step_feature)[..., y : y + sizes[0], x : x + sizes[1]]
        here = self._at(0, (sizes[0], sizes[1]))
        return MixtureFit.of(self.target[here] / spec.step, planes[here], change)

    def _price(self, shape: Tuple[int, int]) -> np.ndarray:
        """Of a band of this shape, float32."""
        prices = np.ones(shape, np.float32)
        for axis, (span, side) in enumerate(zip((self._tile.rows, self._tile.columns), self._sides)):
            lines = np.moveaxis(prices, axis, 0)
            lines[: span[0] > 0] = BORDER_PRICE
            lines[len(lines) - (span[1] < side) :] = BORDER_PRICE
        return prices

    def _at(self, level: int, shape: Tuple[int, ...]) -> Tuple[slice, slice, slice]:
        """Where the tile's samples of a level lie within those of the part: `shape` of them, or fewer at the end."""
        tops = [span[0] - whole[0] for span, whole in zip((self._tile.rows, self._tile.columns), self._spans)]
        ends = [-(-size_of(span) >> level) for span in (self._tile.rows, self._tile.columns)]
        y, x = (top >> level for top in tops)
        return slice(None), slice(y, y + min(ends[0], shape[0])), slice(x, x + min(ends[1], shape[1]))


def size_of(span: Span) -> int:
    return span[1] - span[0]
