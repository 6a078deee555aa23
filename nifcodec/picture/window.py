"""Which samples a decoder evaluates: a window of the picture on a grid of output pixels.

Pixel centres lie at (i + 0.5) / N of an axis, in the source as in every output; u and v are those fractions of the
whole source picture, so that one field serves all sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Optional, Tuple

import numpy as np

from nifcodec.errors import ConfigError, LimitError
from nifcodec.picture.bombs import MAX_PIXELS

DEFAULT_MAX_PIXELS = MAX_PIXELS
# Bounds the work for a thumbnail of a huge picture; 16 x 16 samples a pixel leave no aliasing that 8 bits show.
MAX_SUBSAMPLES = 16


@dataclass(frozen=True)
class Window:
    """The part [left, left + width) x [top, top + height) of a source of `source` = (width, height) pixels.

    It is rendered as `columns` x `rows` output pixels.
    """

    source: Tuple[int, int]
    left: int
    top: int
    width: int
    height: int
    columns: int
    rows: int

    def us(self, subsamples: int = 1) -> np.ndarray:
        """u of `subsamples` evenly spaced samples in each output column: float64 (columns * subsamples,)."""
        return _centres(self.left, self.width, self.columns * subsamples, self.source[0])

    def vs(self, subsamples: int = 1) -> np.ndarray:
        """v of `subsamples` evenly spaced samples in each output row: float64 (rows * subsamples,)."""
        return _centres(self.top, self.height, self.rows * subsamples, self.source[1])

    def subsamples(self, reduction: int = 0) -> Tuple[int, int]:
        """Samples (across, down) that an output pixel averages: the source pixels under it, within a limit.

        Args:
            reduction: how often the source is halved before.
        """
        across = math.ceil(self.width / (self.columns << reduction))
        down = math.ceil(self.height / (self.rows << reduction))
        return min(across, MAX_SUBSAMPLES), min(down, MAX_SUBSAMPLES)

    def doublings(self) -> int:
        """How often both sides are doubled so that neither output side has more pixels; 0 up to the native size."""
        count = 0
        while self.columns > self.width << count or self.rows > self.height << count:
            count += 1
        return count

    def halvings(self) -> int:
        """How often both sides are halved at least, to the size that rounds half up."""
        if self.columns * self.rows >= self.width * self.height:
            return 0
        count = 0
        while all(
            to << (count + 1) <= source + (1 << count)
            for source, to in ((self.width, self.columns), (self.height, self.rows))
        ):
            count += 1
        return count


def _centres(start: int, length: int, count: int, source: int) -> np.ndarray:
    # Rounded once in the division, like (i + 0.5) / N where length and count agree.
    doubled = 2 * np.arange(count, dtype=np.float64) + 1
    return np.asarray((2 * start * count + length * doubled) / (2 * count * source))


def choose_window(
    source: Tuple[int, int],
    scale: Optional[float] = None,
    size: Optional[Tuple[int, int]] = None,
    crop: Optional[Tuple[int, int, int, int]] = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    fit: Optional[Tuple[int, int]] = None,
) -> Window:
    """The window that the options of a decode ask for.

    Args:
        source: width and height of the picture.
        scale: factor of width and height, rounded half up, at least 1 pixel.
        size: width and height of the output; one of them may be 0 and then keeps the aspect ratio.
        crop: left, top, width and height in source pixels; scale, size and fit apply to this part.
        max_pixels: limit of the output.
        fit: width and height that the output stays within; it keeps the aspect ratio and is never enlarged.

    Raises:
        ConfigError: options that contradict each other or the picture.
        LimitError: an output above `max_pixels`.
    """
    left, top, width, height = (0, 0, *source) if crop is None else crop
    if min(left, top) < 0 or min(width, height) < 1 or left + width > source[0] or top + height > source[1]:
        raise ConfigError(
            f"crop {left},{top},{width},{height} is not inside of the picture, {source[0]}x{source[1]} pixels"
        )
    if [scale, size, fit].count(None) < 2:
        raise ConfigError("scale, size and fit exclude each other: give one of them")
    columns, rows = width, height
    if scale is not None:
        if not (math.isfinite(scale) and scale > 0):
            raise ConfigError(f"scale is {scale}, which is not a number above 0")
        factor = Fraction(repr(float(scale)))
        columns, rows = _rounded(width * factor), _rounded(height * factor)
    elif size is not None:
        columns, rows = size
        if min(size) < 0 or max(size) == 0:
            raise ConfigError(f"size {columns}x{rows} is not two numbers above 0, or one and a 0")
        columns = columns or _rounded(Fraction(width * rows, height))
        rows = rows or _rounded(Fraction(height * columns, width))
    elif fit is not None:
        if min(fit) < 1:
            raise ConfigError(f"fit {fit[0]}x{fit[1]} is not two numbers above 0")
        shrunk = min(Fraction(fit[0], width), Fraction(fit[1], height), Fraction(1))
        columns, rows = _rounded(width * shrunk), _rounded(height * shrunk)
    if columns * rows > max_pixels:
        raise LimitError(
            f"{columns}x{rows} pixels are above the limit of {max_pixels}: "
            "decode a smaller scale or a crop, or raise the limit, --max-pixels or max_pixels"
        )
    return Window(source, left, top, width, height, columns, rows)


def _rounded(value: Fraction) -> int:
    """Half up, at least 1. Exact, since 0.29 * 50 in binary falls just below the half."""
    return max(1, math.floor(value + Fraction(1, 2)))
