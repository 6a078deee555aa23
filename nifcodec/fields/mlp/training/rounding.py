"""Rounding that gradients pass through, and a rate that they can lower."""

from __future__ import annotations

import math
from typing import Sequence

import numpy as np
import tensorflow as tf

_LOG2 = math.log(2.0)


def straight_through(tensor: tf.Tensor, step: float) -> tf.Tensor:
    """`tensor` rounded to multiples of `step`, with the gradient of the identity (Bengio et al. 2013)."""
    return tensor + tf.stop_gradient(step * tf.round(tensor / step) - tensor)


def rate(tensors: Sequence[tf.Tensor], steps: Sequence[float]) -> tf.Tensor:
    """Estimated bits of the tensors in multiples of their steps, differentiable in the tensors.

    A tensor costs the smaller of the entropies of a Laplacian and of a Gaussian of its own moments. The 1/12 of
    uniform rounding noise keeps the estimate finite and near the truth where nearly all symbols are zero.
    """
    bits = []
    for tensor, step in zip(tensors, steps):
        symbols = tensor / step
        count = float(np.prod(tensor.shape))
        magnitude = tf.reduce_mean(tf.sqrt(tf.square(symbols) + 1.0 / 12.0))
        power = tf.reduce_mean(tf.square(symbols)) + 1.0 / 12.0
        laplacian = tf.math.log(2.0 * math.e * magnitude)
        gaussian = 0.5 * tf.math.log(2.0 * math.pi * math.e * power)
        bits.append(count / _LOG2 * tf.minimum(laplacian, gaussian))
    return tf.add_n(bits)
