"""The descent (`wavelet.descent`) on the devices of TensorFlow."""

from __future__ import annotations

from typing import Iterator, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.config import EncodeConfig
from nifcodec.fields.wavelet.descent import folded, mirrored
from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.fields.wavelet.planes import filtered_planes
from nifcodec.fields.wavelet.restoration import RestorationFilter, even
from nifcodec.fields.wavelet.training.memory import cut
from nifcodec.fields.wavelet.training.prior_networks import corrections
from nifcodec.training.devices.base import Device, Placement
from nifcodec.training.devices.open import open_device


def open_device_descent(
    restoration: RestorationFilter, planes: int, sides: Tuple[int, int], config: EncodeConfig
) -> "DeviceDescent":
    """A `DeviceDescent` on the device that a configuration asks for.

    Raises ConfigError, DeviceError, MissingDependencyError: of the device.
    """
    return DeviceDescent(
        restoration, planes, sides, open_device(Placement(config.device, config.replicas, independent=True))
    )


class DeviceDescent:
    """Steps down the gradient of the squared error, through the restoration filter, by the rebuilt planes.

    Args:
        restoration: of the prior.
        planes: number C of the picture's planes.
        sides: rows and columns of the largest part of the picture that is worked on at once.
        device: where the filter and its gradient are computed. Where it has replicas or a limit of memory, it is given
            tiles of one size; else whatever a call is given, as a whole.

    Attributes:
        placement: on what it runs and how the picture is cut, for people.
        concurrent: False; the device has threads of its own.

    Raises:
        DeviceError: the device's memory is too small for any tile.
    """

    concurrent = False

    def __init__(self, restoration: RestorationFilter, planes: int, sides: Tuple[int, int], device: Device) -> None:
        self._restoration = restoration
        self._count = filtered_planes(planes)
        cutting = cut(restoration, sides, device.replicas, device.memory)
        self._tile = cutting.tile if device.replicas > 1 or device.memory is not None else None
        self._over_tiles = device.over_tiles(self.vjp)
        self.placement = cutting.describe(device.label, device.memory)

    def __call__(self, planes: np.ndarray, target: np.ndarray, spec: WaveletDescription) -> np.ndarray:
        here = self._even(planes)
        moved = here + self._step(here, self._even(target / spec.step) - here, spec)
        wanted = target.copy()
        height, width = wanted.shape[1:]
        result = np.moveaxis(moved[:height, :width], -1, 0).astype(np.float64)
        wanted[: self._count] = result[: self._count] * spec.step
        return wanted

    def vjp(
        self, around: tf.Tensor, residual: tf.Tensor, counted: tf.Tensor, feature: tf.Tensor, *weights: tf.Tensor
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        """A tile's residual after its correction, and where that residual draws the planes. All float32, in steps.

        Args:
            around: planes of the tile and of the filter's reach around it, (1, H + 2 reach, W + 2 reach, 3).
            residual: the picture's planes less the tile's, (1, H, W, 3).
            counted: 1 for pixels of the picture, else 0, (1, H, W, 1).
            feature: of the step, (1,).
            weights: kernels, biases, conditioning of the filter of one correction.

        Returns:
            The residual less the correction, (1, H, W, 3), and the vector-Jacobian product of it with the correction's
            derivatives by `around`, of the shape of `around`.
        """
        layers = len(self._restoration.kernels)
        parts = weights[:layers], weights[layers : 2 * layers], weights[2 * layers :]
        with tf.GradientTape() as tape:
            tape.watch(around)
            change = corrections(*parts, tf.nn.space_to_depth(around, 2), feature)[:, 0]
        left = (residual - change) * counted * np.array(np.arange(3) < self._count, np.float32)
        return left, tape.gradient(change, around, left)

    def _step(self, planes: np.ndarray, residual: np.ndarray, spec: WaveletDescription) -> np.ndarray:
        """Minus the gradient, (H, W, 3). A pixel's error is counted in one tile; the tiles' products are summed up."""
        reach = self._restoration.reach
        height, width = planes.shape[:2]
        tile = (height, width) if self._tile is None else self._tile
        full = [-(-side // size) * size for side, size in zip((height, width), tile)]
        corners = [(y, x) for y in range(0, full[0], tile[0]) for x in range(0, full[1], tile[1])]
        rows, columns = (mirrored(side, reach) for side in (height, width))
        around = _grown(planes[rows[:, None], columns], full[0] + 2 * reach, full[1] + 2 * reach)
        residual, counted = _grown(residual, *full), _grown(np.ones((height, width, 1), np.float32), *full)

        def tiles() -> Iterator[Tuple[np.ndarray, ...]]:
            for y, x in corners:
                inner = slice(y, y + tile[0]), slice(x, x + tile[1])
                outer = slice(y, y + tile[0] + 2 * reach), slice(x, x + tile[1] + 2 * reach)
                yield around[outer][None], residual[inner][None], counted[inner][None]

        mixed = self._restoration.mixed(spec.mixture)
        feature = np.array([spec.step_feature], np.float32)
        shared = (feature, *mixed.kernels, *mixed.biases, *mixed.conditioning)
        direct, through = np.empty_like(residual), np.zeros_like(around)
        for (y, x), (left, product) in zip(corners, self._over_tiles(tiles(), shared)):
            direct[y : y + tile[0], x : x + tile[1]] = left[0]
            through[y : y + tile[0] + 2 * reach, x : x + tile[1] + 2 * reach] += product[0]
        by_columns = folded(through[: len(rows), : len(columns)].swapaxes(0, 1), columns).swapaxes(0, 1)
        return direct[:height, :width] + folded(by_columns, rows)

    def _even(self, planes: np.ndarray) -> np.ndarray:
        """(C, H, W) -> float32 (H, W, 3) with even sides."""
        three = np.zeros((3, *planes.shape[1:]), np.float32)
        three[: self._count] = planes[: self._count]
        return np.ascontiguousarray(np.moveaxis(even(three), 0, -1))


def _grown(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """With zeros at the bottom and at the right, up to (height, width, ...)."""
    if values.shape[:2] == (height, width):
        return values
    return np.pad(values, ((0, height - values.shape[0]), (0, width - values.shape[1]), (0, 0)))
