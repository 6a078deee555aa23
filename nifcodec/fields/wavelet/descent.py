"""The descent that trains a picture's coefficients: where the restoration filter wants the rebuilt planes to be.

Here it runs on the CPU, natively or in NumPy. `training.device_descent` runs it on the devices of TensorFlow.
"""

from __future__ import annotations

from typing import Protocol, Tuple

import numpy as np

from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.fields.wavelet.planes import filtered_planes
from nifcodec.fields.wavelet.restoration import RestorationFilter, even, is_strip, strips
from nifcodec.fields.wavelet.restoration_vjp import vjp
from nifcodec.native.filters import NativeFilters, PackedFilter, Rectangle
from nifcodec.threads import in_threads


class Descent(Protocol):
    """A step down the gradient of the squared error, through the restoration filter, by the rebuilt planes.

    Attributes:
        placement: on what it runs and how the picture is cut, for people.
        concurrent: threads may call it at once.
    """

    placement: str
    concurrent: bool

    def __call__(self, planes: np.ndarray, target: np.ndarray, spec: WaveletDescription) -> np.ndarray:
        """Planes to quantize in place of the picture's own, on colours of 0..1, float64 (C, H, W).

        A full gradient step from the rebuilt planes: without a restoration filter it leads to the picture itself.

        Args:
            planes: as rebuilt, in steps, float32 (C, H, W).
            target: the picture's, on colours of 0..1, float64 (C, H, W).
        """


class CpuDescent:
    """The descent without TensorFlow.

    Args:
        restoration: of the prior.
    """

    concurrent = True

    def __init__(self, restoration: RestorationFilter) -> None:
        self._restoration = restoration
        self.placement = "cpu, NumPy" if restoration.native is None else "cpu, native"

    def __call__(self, planes: np.ndarray, target: np.ndarray, spec: WaveletDescription) -> np.ndarray:
        count, (height, width) = filtered_planes(len(planes)), planes.shape[1:]
        here = even(planes[:count])
        residual = even(target[:count] / spec.step) - here
        mixed = self._restoration.mixed(spec.mixture)
        rows, columns = (mirrored(side, mixed.reach) for side in here.shape[1:])
        if mixed.native is not None and is_strip(here):
            turned = (np.ascontiguousarray(array.swapaxes(1, 2)) for array in (here, residual))
            found = _vjp_in_strips(mixed.native, mixed.turned().packed(spec.step_feature), *turned)
            missing, gradient = (array.swapaxes(1, 2) for array in found)
        elif mixed.native is not None:
            missing, gradient = _vjp_in_strips(mixed.native, mixed.packed(spec.step_feature), here, residual)
        else:
            around = here[:, rows[:, None], columns]
            missing, gradient = vjp(around, mixed.kernels, mixed.biases_at(spec.step_feature), residual)
        by_rows = folded(np.moveaxis(gradient, 1, 0), rows)
        by_columns = folded(np.moveaxis(by_rows, 2, 0), columns)
        moved = here + missing + np.moveaxis(by_columns, 0, 2).swapaxes(0, 1)
        wanted = target.copy()
        wanted[:count] = moved[:, :height, :width].astype(np.float64) * spec.step
        return wanted


def _vjp_in_strips(
    native: NativeFilters, packed: PackedFilter, planes: np.ndarray, residual: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """`NativeFilters.vjp` of whole planes, strips of which threads make side by side."""

    def of_strip(at: Rectangle) -> Tuple[np.ndarray, np.ndarray]:
        return native.vjp(planes, packed, residual[:, at[0] : at[0] + at[2]], at=at)

    count, height, width = residual.shape
    around, top = 2 * packed.reach, 0
    missing = np.empty(residual.shape, np.float32)
    gradient = np.zeros((count, height + around, width + around), np.float32)
    # The strips do not depend on the threads, and their margins are added up in order: so the sums are the same.
    for part, margin in in_threads(of_strip, strips(height, width)):
        bottom = top + part.shape[1]
        missing[:, top:bottom] = part
        gradient[:, top : bottom + around] += margin
        top = bottom
    return missing, gradient


def mirrored(side: int, reach: int) -> np.ndarray:
    """Pixels that stand in a line of even length and `reach` beyond both ends, where blocks of two are mirrored."""
    blocks = np.pad(np.arange(side // 2), reach // 2, mode="symmetric")
    return (2 * blocks[:, None] + np.arange(2)).ravel()


def folded(values: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """The transpose of taking lines in mirrored order: each line is added to the one that it was taken from."""
    side = int(taken.max()) + 1
    reach = (len(taken) - side) // 2
    out = values[reach : reach + side].copy()
    for line in (*range(reach), *range(reach + side, len(taken))):
        out[taken[line]] += values[line]
    return out
