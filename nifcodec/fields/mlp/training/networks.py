"""The TensorFlow twin of `mlp.render`, built from the same description, and the start values of its tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Sequence

import numpy as np
import tensorflow as tf

from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.position_encoding import colour_matrix, gaussian_frequencies, power_frequencies


@dataclass(frozen=True)
class Arithmetic:
    """In which precision a network computes while it is trained; positions, colours and losses are always float32.

    Attributes:
        half: products and activations in float16. The sine of `siren` keeps a float32 argument: 0.01 radians, as
            far as float16 numbers near 30 lie apart, are much for its next layer.
        half_sine: `siren`: the argument reduced to -pi..pi in float32, the sine itself in float16.
    """

    half: bool = False
    half_sine: bool = False


class Layout:
    """The tensors of a network as one flat vector: one Adam update for all of them instead of one each."""

    def __init__(self, spec: MlpDescription) -> None:
        self._shapes = spec.tensor_shapes()
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]

    def split(self, flat: tf.Tensor) -> List[tf.Tensor]:
        return [tf.reshape(part, shape) for part, shape in zip(tf.split(flat, self._sizes), self._shapes)]

    @staticmethod
    def join(tensors: Sequence[np.ndarray]) -> tf.Tensor:
        return tf.constant(np.concatenate([np.ravel(tensor) for tensor in tensors]), tf.float32)


def encode(spec: MlpDescription, coords: tf.Tensor) -> tf.Tensor:
    """(n, 2) float32 (u, v) -> (n, spec.inputs) float32, as `position_encoding.encode_grid`."""
    if spec.encoding == "gaussian":
        angles = coords @ tf.constant(gaussian_frequencies(spec).T.astype(np.float32))
        return tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)
    positions = 2.0 * coords - 1.0
    if spec.encoding == "none":
        return positions
    frequencies = tf.constant(power_frequencies(spec).astype(np.float32))
    angles = tf.concat([positions[:, :1] * frequencies, positions[:, 1:] * frequencies], axis=1)
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)


def forward(
    spec: MlpDescription, tensors: Sequence[tf.Tensor], coords: tf.Tensor, arithmetic: Arithmetic = Arithmetic()
) -> tf.Tensor:
    """(n, 2) float32 (u, v) -> (n, channels) float32 picture values, as `render.render`."""
    encoded = encode(spec, coords)
    if arithmetic.half:
        encoded, tensors = tf.cast(encoded, tf.float16), [tf.cast(tensor, tf.float16) for tensor in tensors]
    remaining = iter(tensors)
    hidden = encoded
    for layer in spec.plan():
        if layer.joins_encoding:
            hidden = tf.concat([hidden, encoded], axis=1)
        hidden = hidden @ next(remaining)
        if layer.bias:
            hidden = tf.nn.bias_add(hidden, next(remaining))
        if layer.hidden:
            hidden = _sine(spec, hidden, arithmetic) if spec.family == "siren" else tf.nn.relu(hidden)
    if arithmetic.half:
        hidden = tf.cast(hidden, tf.float32)
    if spec.colour == "rgb":
        return hidden
    return hidden @ tf.constant(colour_matrix(spec).T)


def _sine(spec: MlpDescription, hidden: tf.Tensor, arithmetic: Arithmetic) -> tf.Tensor:
    if not (arithmetic.half or arithmetic.half_sine):
        return tf.sin(spec.omega * hidden)
    kind = hidden.dtype
    angle = spec.omega * tf.cast(hidden, tf.float32)
    if arithmetic.half_sine:
        turn = 2.0 * math.pi
        angle = tf.cast(angle - turn * tf.stop_gradient(tf.round(angle / turn)), tf.float16)
    return tf.cast(tf.sin(angle), kind)


def initial_tensors(spec: MlpDescription, seed: int, mean: np.ndarray) -> List[np.ndarray]:
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
