"""The TensorFlow twin of `fields.mlp`, built from the same description, and the start values of its tensors."""

from __future__ import annotations

import math
from typing import List, Sequence

import numpy as np
import tensorflow as tf

from nifcodec.fields.basis import colour_matrix, gaussian_frequencies, power_frequencies
from nifcodec.fields.spec import MlpSpec


def encode(spec: MlpSpec, coords: tf.Tensor) -> tf.Tensor:
    """(n, 2) float32 (u, v) -> (n, spec.inputs) float32, as `fields.basis.encode_grid`."""
    if spec.encoding == "gaussian":
        angles = coords @ tf.constant(gaussian_frequencies(spec).T.astype(np.float32))
        return tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)
    positions = 2.0 * coords - 1.0
    if spec.encoding == "none":
        return positions
    frequencies = tf.constant(power_frequencies(spec).astype(np.float32))
    angles = tf.concat([positions[:, :1] * frequencies, positions[:, 1:] * frequencies], axis=1)
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)


def forward(spec: MlpSpec, tensors: Sequence[tf.Tensor], coords: tf.Tensor) -> tf.Tensor:
    """(n, 2) float32 (u, v) -> (n, channels) float32 picture values, as `fields.mlp.render`."""
    remaining = iter(tensors)
    encoded = encode(spec, coords)
    hidden = encoded
    for layer in spec.plan():
        if layer.joins_encoding:
            hidden = tf.concat([hidden, encoded], axis=1)
        hidden = hidden @ next(remaining)
        if layer.bias:
            hidden = tf.nn.bias_add(hidden, next(remaining))
        if layer.hidden:
            hidden = tf.sin(spec.omega * hidden) if spec.family == "siren" else tf.nn.relu(hidden)
    if spec.colour == "rgb":
        return hidden
    return hidden @ tf.constant(colour_matrix(spec).T)


def initial_tensors(spec: MlpSpec, seed: int, mean: np.ndarray) -> List[np.ndarray]:
    """Start values, float32, in the order of `spec.tensor_shapes()`.

    `fourier` starts uniform with Glorot's bound and zero biases, as the original example does; `siren` as Sitzmann et
    al. 2020, section 3.2. The output bias starts at the colour that the network's output has for the `mean` picture
    value, (channels,).
    """
    generator = np.random.RandomState(seed)
    tensors: List[np.ndarray] = []
    for index, layer in enumerate(spec.plan()):
        if spec.family == "fourier":
            bound, bias_bound = math.sqrt(6.0 / (layer.inputs + layer.units)), 0.0
        else:
            bound = 1.0 / layer.inputs if index == 0 else math.sqrt(6.0 / layer.inputs) / spec.omega
            bias_bound = 1.0 / math.sqrt(layer.inputs) if layer.hidden else 0.0
        for shape, limit in zip(layer.shapes, (bound, bias_bound)):
            tensors.append(generator.uniform(-limit, limit, shape).astype(np.float32))
    tensors[-1] = np.linalg.solve(colour_matrix(spec), mean).astype(np.float32)
    return tensors
