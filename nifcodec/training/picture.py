"""Training of a picture's coefficients for the wavelet field: where the synthesis network wants the planes to be."""

from __future__ import annotations

from typing import Sequence

import numpy as np
import tensorflow as tf

from nifcodec.fields.synthesis import SynthesisNetwork
from nifcodec.fields.wavelet import WaveletSpec, colour_planes
from nifcodec.training.prior_networks import corrections


class Descent:
    """Steps down the gradient of the squared error, through the synthesis network, by the rebuilt planes.

    Args:
        network: of the prior.
        planes: number C of the picture's planes.
    """

    def __init__(self, network: SynthesisNetwork, planes: int) -> None:
        self._network = network
        self._count = colour_planes(planes)
        self._compiled = tf.function(self._descend, autograph=False)

    def __call__(self, planes: np.ndarray, target: np.ndarray, spec: WaveletSpec) -> np.ndarray:
        """Planes to quantize in place of the picture's own, on colours of 0..1, float64 (C, H, W).

        A full gradient step from the rebuilt planes: without a synthesis network it leads to the picture itself.

        Args:
            planes: as rebuilt, in steps, float32 (C, H, W).
            target: the picture's, on colours of 0..1, float64 (C, H, W).
        """
        mixed = self._network.mixed(spec.mixture)
        parts = [list(part) for part in (mixed.kernels, mixed.biases, mixed.conditioning)]
        feature = tf.constant([spec.step_feature], tf.float32)
        moved = self._compiled(self._batch(planes), self._batch(target / spec.step), parts, feature)
        wanted = target.copy()
        height, width = wanted.shape[1:]
        result = np.moveaxis(moved.numpy()[0, :height, :width], -1, 0).astype(np.float64)
        wanted[: self._count] = result[: self._count] * spec.step
        return wanted

    def _batch(self, planes: np.ndarray) -> tf.Tensor:
        """(C, H, W) -> (1, H, W, 3) with even sides."""
        height, width = planes.shape[1:]
        colours = np.zeros((3, height, width), np.float32)
        colours[: self._count] = planes[: self._count]
        even = np.pad(colours, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
        return tf.constant(np.moveaxis(even, 0, -1)[None])

    def _descend(
        self, planes: tf.Tensor, target: tf.Tensor, parts: Sequence[Sequence[tf.Tensor]], feature: tf.Tensor
    ) -> tf.Tensor:
        colours = np.arange(3) < self._count
        with tf.GradientTape() as tape:
            tape.watch(planes)
            blocks = tf.nn.space_to_depth(planes, 2)
            for axis in (1, 2):
                mirrored = np.pad(np.arange(blocks.shape[axis]), len(parts[0]), mode="symmetric")
                blocks = tf.gather(blocks, mirrored, axis=axis)
            change = corrections(*parts, blocks, feature)[:, 0]
            missing = tf.where(colours, target - planes - change, 0)
            loss = 0.5 * tf.reduce_sum(tf.square(missing))
        return planes - tape.gradient(loss, planes)
