"""The restoration filter: what it adds to rebuilt planes, as a mixture of corrections whose weights suit the picture.

A convolutional network on 2x2 blocks gives several corrections of the planes; the file has a weight for each, for luma
and for chroma, which the encoder finds by least squares (like the coefficients of an adaptive loop filter, Tsai et al.
2013, here in the subspace that a prior has learned). A reader folds the weights into the last layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np

from nifcodec.native.filters import NativeFilters, PackedFilter, Rectangle, pack_filter

WEIGHT_UNIT = 32  # weights are in 1/32
BLOCK_CHANNELS = 12  # row and column in a block of 2x2, then one of three planes
ROWS_PER_STRIP = 16  # rows of blocks that the network sees at a time in NumPy
ROWS_PER_THREAD = 256  # rows of pixels; a strip's margins take another tenth
PIXELS_PER_THREAD = 2**16  # at least, where there are as many
# The native filter works on many columns at once: it takes higher planes of fewer for planes that lie.
FEW_COLUMNS = 64
# The channels of a block whose row and column change places.
TURNED = np.arange(BLOCK_CHANNELS).reshape(2, 2, 3).swapaxes(0, 1).ravel()

Mixture = Tuple[Tuple[int, ...], Tuple[int, ...]]  # weights for luma and for chroma, in 1/WEIGHT_UNIT


@dataclass(frozen=True)
class RestorationFilter:
    """A network on 2x2 blocks of the rebuilt planes, in units of the step.

    Attributes:
        kernels: 3x3 kernels float32 (3, 3, in, out), from 12 channels to 12 for each correction.
        biases: float32 (out,) of each layer.
        conditioning: float32 (2, out) of each layer but the last: what the step and its square add before the ReLU.
        native: computes it natively; None where NumPy serves.
    """

    kernels: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    conditioning: Sequence[np.ndarray]
    native: Optional[NativeFilters] = None

    @property
    def reach(self) -> int:
        """Pixels around a block of 2x2 on which its corrections depend."""
        return 2 * len(self.kernels)

    @property
    def corrections(self) -> int:
        """How many there are."""
        return int(self.biases[-1].shape[0]) // BLOCK_CHANNELS

    def macs_per_pixel(self) -> float:
        """Multiply-adds of one pixel of a decoder."""
        inner = sum(kernel.size for kernel in self.kernels[:-1])
        return (inner + self.kernels[-1].size / self.corrections) / 4

    def mixed(self, mixture: Mixture) -> "RestorationFilter":
        """The network of one correction: their sum under the weights."""
        luma, chroma = (np.array(weights, np.float32) / WEIGHT_UNIT for weights in mixture)
        weights = np.stack([luma, chroma, chroma], axis=-1)[:, None]  # (corrections, 1, planes)

        def fold(array: np.ndarray) -> np.ndarray:
            parts = array.reshape(*array.shape[:-1], len(luma), BLOCK_CHANNELS // 3, 3)
            return (parts * weights).sum(axis=-3).reshape(*array.shape[:-1], BLOCK_CHANNELS)

        kernels = [*self.kernels[:-1], fold(self.kernels[-1])]
        return RestorationFilter(kernels, [*self.biases[:-1], fold(self.biases[-1])], self.conditioning, self.native)

    def __call__(self, planes: np.ndarray, step_feature: int, at: Optional[Rectangle] = None) -> np.ndarray:
        """The corrections: planes float32 (1 or 3, H, W) in steps -> float32 (corrections, 1 or 3, rows, columns).

        Blocks are mirrored at the planes' borders. A picture without chroma has zeros there.

        Args:
            at: rectangle wanted, its top and left even; None means all.
        """
        if self.native is not None and is_strip(planes):
            turned = np.ascontiguousarray(planes.swapaxes(1, 2))
            where = None if at is None else (at[1], at[0], at[3], at[2])
            found = self.native.corrections(turned, self.turned().packed(step_feature), where)
            return np.ascontiguousarray(found.swapaxes(2, 3))
        if self.native is not None:
            return self.native.corrections(planes, self.packed(step_feature), at)
        if at is None:
            return self._corrections(planes, step_feature)
        top, left, rows, columns = at
        y, x = max(top - self.reach, 0), max(left - self.reach, 0)
        around = planes[:, y : top + rows + self.reach, x : left + columns + self.reach]
        return self._corrections(around, step_feature)[..., top - y :, left - x :][..., :rows, :columns]

    def turned(self) -> "RestorationFilter":
        """The filter of planes whose rows and columns have changed places."""
        kernels = [kernel.swapaxes(0, 1) for kernel in self.kernels]
        kernels[0] = kernels[0][:, :, TURNED]
        outputs = (BLOCK_CHANNELS * np.arange(self.corrections)[:, None] + TURNED).ravel()
        kernels[-1] = kernels[-1][..., outputs]
        return RestorationFilter(kernels, [*self.biases[:-1], self.biases[-1][outputs]], self.conditioning, self.native)

    def _corrections(self, planes: np.ndarray, step_feature: int) -> np.ndarray:
        count, height, width = planes.shape
        blocks = to_blocks(even(planes))
        rows, columns = blocks.shape[1:]
        reach = len(self.kernels)
        padded = np.pad(blocks, ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
        out = np.empty((self.corrections * BLOCK_CHANNELS, rows, columns), np.float32)
        layers = self._layers(step_feature)
        for top in range(0, rows, ROWS_PER_STRIP):
            strip = padded[:, top : top + ROWS_PER_STRIP + 2 * reach]
            out[:, top : top + ROWS_PER_STRIP] = _strip(strip, layers)[..., :columns]
        whole = out.reshape(-1, 2, 2, 3, rows, columns).transpose(0, 3, 4, 1, 5, 2)
        return whole.reshape(-1, 3, 2 * rows, 2 * columns)[:, :count, :height, :width]

    def biases_at(self, step_feature: int) -> List[np.ndarray]:
        """Biases of all layers at a step, float32 (out,)."""
        offset = np.float32((step_feature - 64) / 32)
        condition = np.array([offset, offset * offset], np.float32)
        inner = [bias + condition @ added for bias, added in zip(self.biases, self.conditioning)]
        return [*inner, self.biases[-1]]

    def packed(self, step_feature: int) -> PackedFilter:
        """The filter at a step as the native library reads it."""
        return pack_filter(self.kernels, self.biases_at(step_feature))

    def _layers(self, step_feature: int) -> List[Tuple[np.ndarray, np.ndarray]]:
        """Of each layer, its taps (9, out, in), row by row, and its bias (out, 1) at the step."""
        return [
            (np.ascontiguousarray(kernel.reshape(9, *kernel.shape[2:]).transpose(0, 2, 1)), bias[:, None])
            for kernel, bias in zip(self.kernels, self.biases_at(step_feature))
        ]


def is_strip(planes: np.ndarray) -> bool:
    """Whether planes (C, H, W) are high and narrow, so that the native filter is quicker on turned ones."""
    return planes.shape[2] < min(FEW_COLUMNS, planes.shape[1])


def strips(height: int, width: int) -> List[Rectangle]:
    """Planes of so many pixels cut into what one thread works on: more rows where they are short."""
    rows = max(ROWS_PER_THREAD, PIXELS_PER_THREAD // width // 2 * 2)
    return [(top, 0, min(rows, height - top), width) for top in range(0, height, rows)]


def even(planes: np.ndarray) -> np.ndarray:
    """(C, H, W) -> float32 with even sides, their last row and column repeated."""
    height, width = planes.shape[1:]
    return np.pad(planes.astype(np.float32), ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")


def to_blocks(planes: np.ndarray) -> np.ndarray:
    """Planes (1 or 3, 2 rows, 2 columns) -> blocks (12, rows, columns); chroma that is not there is zero."""
    count, height, width = planes.shape
    three = np.zeros((3, height, width), np.float32)
    three[:count] = planes
    split = three.reshape(3, height // 2, 2, width // 2, 2).transpose(2, 4, 0, 1, 3)
    return split.reshape(BLOCK_CHANNELS, height // 2, width // 2)


def _strip(strip: np.ndarray, layers: Sequence[Tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Layers without padding: (in, rows, columns) -> (out, rows - 2 * layers, columns), the last columns of no meaning.

    A convolution is nine products with the strip's samples in one line, each moved by its tap: no patches are copied.
    """
    rows, columns = strip.shape[1:]
    line = np.ascontiguousarray(strip).reshape(len(strip), -1)
    for index, (taps, bias) in enumerate(layers):
        length = line.shape[1] - 2 * columns - 2
        total = np.matmul(taps[0], line[:, :length])
        product = np.empty_like(total)
        for tap in range(1, 9):
            start = tap // 3 * columns + tap % 3
            np.matmul(taps[tap], line[:, start : start + length], out=product)
            total += product
        total += bias
        line = total if index == len(layers) - 1 else np.maximum(total, 0, out=total)
    whole = np.zeros((len(line), (rows - 2 * len(layers)) * columns), np.float32)
    whole[:, : line.shape[1]] = line
    return whole.reshape(len(line), -1, columns)
