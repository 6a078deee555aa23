"""Where training samples come from: positions and colours drawn on the host, keyed by seed and step."""

from __future__ import annotations

import math
from typing import Tuple

import numpy as np
import tensorflow as tf

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


class Sampler:
    """Draws batches of (coords, colours) from one picture; the same seed and step give the same batch.

    "pixels" takes every pixel centre once an epoch. Batch entry j walks through its own run of consecutive pixels, so
    that each batch covers the whole picture evenly, which lowers the variance of the gradient at no cost.
    "random" takes positions uniform over the picture, with bilinear colours.

    Args:
        image: (H, W, C) float32.
        batch_size: samples a batch; at most the number of pixels.
    """

    def __init__(self, image: np.ndarray, batch_size: int, mode: str, seed: int) -> None:
        self.height, self.width, channels = image.shape
        self.batch_size = batch_size
        self._mode = mode
        self._seed = seed
        with tf.device("/CPU:0"):
            self._pixels = tf.constant(image.reshape(-1, channels))
        count = self.height * self.width
        self._run = -(-count // batch_size)
        self._starts = (np.arange(batch_size, dtype=np.int64) * count // batch_size).astype(np.int32)
        self._stride = _coprime(round(self._run * _GOLDEN), self._run)

    def draw(self, step: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """Batch number `step` (scalar int32): (batch, 2) float32 (u, v) and (batch, C) float32."""
        if self._mode == "random":
            coords = tf.random.stateless_uniform((self.batch_size, 2), [self._seed, step])
            return coords, self._bilinear(coords)
        epoch, within = step // self._run, step % self._run
        phases = tf.random.stateless_uniform((self.batch_size,), [self._seed, epoch], 0, self._run, tf.int32)
        index = (self._starts + (phases + within * self._stride) % self._run) % (self.height * self.width)
        return self.centres(index), tf.gather(self._pixels, index)

    def centres(self, index: tf.Tensor) -> tf.Tensor:
        """(n,) int32 raster indices of pixels -> (n, 2) float32 (u, v)."""
        column = (tf.cast(index % self.width, tf.float32) + 0.5) / self.width
        row = (tf.cast(index // self.width, tf.float32) + 0.5) / self.height
        return tf.stack([column, row], axis=1)

    def fixed(self, count: int) -> Tuple[tf.Tensor, tf.Tensor]:
        """At most `count` different pixels, always the same ones for a seed, to compare states by."""
        total = self.height * self.width
        if total <= count:
            index = np.arange(total)
        else:
            cell = total / count
            jitter = np.random.RandomState(self._seed).uniform(size=count)
            index = ((np.arange(count) + jitter) * cell).astype(np.int64)
        positions = tf.constant(index.astype(np.int32))
        return self.centres(positions), tf.gather(self._pixels, positions)

    def _bilinear(self, coords: tf.Tensor) -> tf.Tensor:
        size = tf.constant([self.width, self.height], tf.float32)
        position = tf.clip_by_value(coords * size - 0.5, 0.0, size - 1.0)
        low = tf.cast(position, tf.int32)
        high = tf.minimum(low + 1, [self.width - 1, self.height - 1])
        part = position - tf.cast(low, tf.float32)
        part_u, part_v = part[:, :1], part[:, 1:]

        def row(v: tf.Tensor) -> tf.Tensor:
            left = tf.gather(self._pixels, v * self.width + low[:, 0])
            right = tf.gather(self._pixels, v * self.width + high[:, 0])
            return left + part_u * (right - left)

        upper, lower = row(low[:, 1]), row(high[:, 1])
        return upper + part_v * (lower - upper)


def _coprime(near: int, modulus: int) -> int:
    """The smallest number from `near` (at least 1) on that has no factor in common with `modulus`."""
    candidate = max(near, 1)
    while math.gcd(candidate, modulus) != 1:
        candidate += 1
    return candidate
