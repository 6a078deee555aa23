"""From the latents of a pyramid to colours: any rectangle of the picture.

Each grid is filtered and doubled up to the picture's size, and a small network makes colours of the seven planes.
"""

from __future__ import annotations

from functools import partial
from typing import Callable, Mapping, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.cells import CELL, CellField
from nifcodec.fields.parts import Span
from nifcodec.fields.pyramid.grids import LEVELS, Grid
from nifcodec.fields.pyramid.networks import HIDDEN, Layout, layout
from nifcodec.fields.pyramid.upsampling import doubled, filtered
from nifcodec.native.planes import Geometry, Planes
from nifcodec.native.synthesis import NativeSynthesis
from nifcodec.native.synthesis import Synthesis as Net

CONVOLUTIONS = 2  # samples around a rectangle that its colours depend on
FILTER_REACH, DOUBLING_REACH = 3, 2
LARGEST = 1e6  # of a colour: beyond it is what hostile weights make, and sums of it stay finite

# level, rows, columns -> latents of the picture's grid of this level, numbers (rows, columns)
Region = Callable[[int, Span, Span], np.ndarray]


class Synthesis:
    """Makes colours of latents.

    Args:
        weights: of a pyramid's networks, float32.
        size: width and height of the picture.
        native: None computes in NumPy.
    """

    def __init__(
        self,
        layout: Layout,
        weights: np.ndarray,
        size: Tuple[int, int],
        native: Optional[NativeSynthesis] = None,
    ) -> None:
        self._layout, self._weights = layout, weights
        self._width, self._height = size
        self._native = native

    def __call__(self, region: Region, rows: Span, columns: Span) -> np.ndarray:
        """Colours of a rectangle, float32 (rows, columns, colours), 1.0 white."""
        # The rectangle of each level that planes of the next finer one are doubled from.
        spans = [self._grown((rows, columns), 0, CONVOLUTIONS)]
        for level in range(1, LEVELS):
            halves = tuple((start >> 1, -(-end >> 1)) for start, end in spans[-1])
            spans.append(self._grown(halves, level, DOUBLING_REACH))
        z = Geometry(*(end - start for start, end in spans[0])).planes(LEVELS)
        with np.errstate(over="ignore", invalid="ignore"):
            for level in range(LEVELS):
                self._plane(region, level, spans, z)
            picture = self._colours(z)
        picture = np.clip(np.nan_to_num(picture, copy=False), -LARGEST, LARGEST)
        (top, bottom), (left, right) = (
            (start - from_, end - from_) for (start, end), (from_, _) in zip((rows, columns), spans[0])
        )
        return picture[top:bottom, left:right]

    def field(self, region: Region, cell: int = CELL) -> CellField:
        """The colours at any positions."""
        size = self._width, self._height
        return CellField(size, partial(self, region), cell=cell, native=self._native is not None)

    def _grown(self, spans: Sequence[Span], level: int, reach: int) -> Tuple[Span, ...]:
        sides = (-(-side >> level) for side in (self._height, self._width))
        return tuple((max(start - reach, 0), min(end + reach, side)) for (start, end), side in zip(spans, sides))

    def _plane(self, region: Region, level: int, spans: "Sequence[Tuple[Span, ...]]", z: Planes) -> None:
        """Writes the plane of a grid's level into z."""
        wanted = spans[level]
        known = wanted if level == LEVELS - 1 else self._grown(wanted, level, FILTER_REACH)
        plane = region(level, *known).astype(np.float32)
        if level < LEVELS - 1:
            plane = self._filtered(plane, self._taps("filter", level))
            plane = plane[_inside(wanted, known)]
        for at in range(level - 1, -1, -1):
            above, below = spans[at + 1], spans[at]
            sides = self._grown(((0, self._height), (0, self._width)), at, 0)
            made = tuple((2 * start, min(2 * end, side)) for (start, end), (_, side) in zip(above, sides))
            shape = [end - start for start, end in made]
            plane = self._doubled(plane, self._taps("double", at), *shape)[_inside(below, made)]
        z.inner[level] = plane

    def _taps(self, kind: str, level: int) -> np.ndarray:
        return np.ascontiguousarray(self._layout.parts[f"{kind} {level}"].of(self._weights))

    def _filtered(self, plane: np.ndarray, taps: np.ndarray) -> np.ndarray:
        if self._native is None:
            return filtered(plane, taps)
        source = _planes(plane)
        between, out = source.geometry.planes(1), source.geometry.planes(1)
        self._native.filter_grid(taps, source, between, out)
        return out.inner[0]

    def _doubled(self, plane: np.ndarray, taps: np.ndarray, height: int, width: int) -> np.ndarray:
        if self._native is None:
            return doubled(plane, taps, height, width)
        source = _planes(plane)
        between, out = Geometry(height, plane.shape[1]).planes(1), Geometry(height, width).planes(1)
        self._native.double(taps, source, between, out)
        return out.inner[0]

    def _colours(self, z: Planes) -> np.ndarray:
        if self._native is None:
            return self._colours_in_numpy(z.inner)
        geometry, colours = z.geometry, self._layout.colours
        net = Net(np.ascontiguousarray(self._weights[self._layout.synthesis]), HIDDEN, colours)
        mixed, linear, rectified, nothing, out = (geometry.planes(colours) for _ in range(5))
        rows = 0, geometry.height
        self._native.mix(rows, net, z, mixed, linear)
        self._native.first(rows, net, z, mixed, rectified)
        self._native.second(rows, net, z, rectified, linear, nothing, out)
        # The gradient of the error to a picture of zeros, 2 / colours times the picture.
        return np.ascontiguousarray(out.inner.transpose(1, 2, 0)) * np.float32(colours / 2)

    def _colours_in_numpy(self, z: np.ndarray) -> np.ndarray:
        flat = z.reshape(LEVELS, -1)

        def layer(name: str, inputs: np.ndarray) -> np.ndarray:
            matrix, bias = (self._layout.parts[f"synthesis {name}{end}"].of(self._weights) for end in ("", " bias"))
            return np.asarray(matrix @ inputs + bias[:, None])

        mixed = layer("colours", np.maximum(layer("hidden", flat), 0)).reshape(-1, *z.shape[1:])
        rectified = np.maximum(self._convolved("first", mixed), 0)
        made = self._convolved("second", rectified) + layer("linear", flat).reshape(mixed.shape)
        return np.ascontiguousarray(made.transpose(1, 2, 0))

    def _convolved(self, name: str, planes: np.ndarray) -> np.ndarray:
        """Planes (C, H, W) plus their 3x3 convolution; borders are repeated."""
        kernel, bias = (self._layout.parts[f"synthesis {name} kernel{end}"].of(self._weights) for end in ("", " bias"))
        height, width = planes.shape[1:]
        around = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
        total = planes + bias[:, None, None]
        for y in range(3):
            for x in range(3):
                shifted = around[:, y : y + height, x : x + width].reshape(len(planes), -1)
                total += (kernel[:, :, y, x] @ shifted).reshape(total.shape)
        return total


def sample(
    colours: int,
    weights: np.ndarray,
    grids: Mapping[Grid, np.ndarray],
    size: Tuple[int, int],
    us: np.ndarray,
    vs: np.ndarray,
) -> np.ndarray:
    """The field of weights and latents at some positions, float32 (len(vs), len(us), colours), in NumPy.

    Args:
        size: width and height of the picture.
    """

    def region(level: int, rows: Span, columns: Span) -> np.ndarray:
        return grids[Grid(level)][slice(*rows), slice(*columns)]

    return Synthesis(layout(colours), weights, size).field(region)(us, vs)


def _inside(spans: Sequence[Span], around: Sequence[Span]) -> "Tuple[slice, ...]":
    return tuple(slice(start - from_, end - from_) for (start, end), (from_, _) in zip(spans, around))


def _planes(plane: np.ndarray) -> Planes:
    planes = Geometry(*plane.shape).planes(1)
    planes.inner[0] = plane
    return planes
