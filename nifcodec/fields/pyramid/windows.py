"""How a large picture is cut for its training: windows, each a square and what is seen around it, and a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from nifcodec.fields.parts import Span
from nifcodec.fields.pyramid.grids import LEVELS
from nifcodec.fields.pyramid.tiling import at_level

ALIGNED = 1 << LEVELS  # pixels: a cut here cuts no latent of any grid, and no mean that first latents are made of
SIDE, AROUND = 1024, ALIGNED  # of a window's square, and what is seen around it
SAMPLE_SIDE, SAMPLE_DOWN, SAMPLE_ACROSS = 256, 3, 4  # of each crop of a sample, and how many


@dataclass(frozen=True)
class Window:
    """A part of a picture.

    Attributes:
        inside: rows and columns of its square.
        seen: of the square and what lies around it.
    """

    inside: Tuple[Span, Span]
    seen: Tuple[Span, Span]

    def of(self, values: np.ndarray, level: int = 0) -> np.ndarray:
        """What is seen of a grid of a level, or of a picture: a view."""
        return values[_places(self.seen, level)]

    def inner(self, level: int) -> Tuple[slice, slice]:
        """Where the square lies in a grid of a level."""
        return _places(self.inside, level)

    def inner_of_seen(self, level: int) -> Tuple[slice, slice]:
        """Where it lies in what is seen of that grid."""
        rows, columns = (
            slice(place.start - seen.start, place.stop - seen.start)
            for place, seen in zip(self.inner(level), _places(self.seen, level))
        )
        return rows, columns


def _places(spans: Tuple[Span, Span], level: int) -> Tuple[slice, slice]:
    rows, columns = (slice(*at_level(span, level)) for span in spans)
    return rows, columns


def windows(height: int, width: int, side: int = SIDE, around: int = AROUND) -> List[Window]:
    """The windows of a picture, row by row; side and around are multiples of `ALIGNED`."""

    def spans(length: int) -> List[Tuple[Span, Span]]:
        inside = [(start, min(start + side, length)) for start in range(0, length, side)]
        return [((start, end), (max(start - around, 0), min(end + around, length))) for start, end in inside]

    return [Window((rows, columns), (above, left)) for rows, above in spans(height) for columns, left in spans(width)]


def sample(picture: np.ndarray) -> np.ndarray:
    """Crops of a large picture, (H, W, C), from all over it, side by side: what its networks are trained on."""
    height, width = picture.shape[:2]
    down, across = (SAMPLE_DOWN, SAMPLE_ACROSS) if height <= width else (SAMPLE_ACROSS, SAMPLE_DOWN)
    side = min(SAMPLE_SIDE, height, width)

    def starts(length: int, count: int) -> List[int]:
        """Evenly spread, none at a border where that can be helped."""
        return [int((length - side) * (2 * number + 1) / (2 * count)) for number in range(count)]

    return np.concatenate(
        [
            np.concatenate([picture[top : top + side, left : left + side] for left in starts(width, across)], axis=1)
            for top in starts(height, down)
        ]
    )
