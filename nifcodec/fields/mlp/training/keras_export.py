"""A stored coordinate network as a Keras model in the layout of Graphcore's example, which its ray tracer reads.

That example places the pixel in row r and column c at (r / H, c / W), gives the network [sin(s p_r), sin(s p_c),
cos(s p_r), cos(s p_c)] with p = 2 (position - 1) and s the powers of sigma, and expects colours as blue, green, red.
Ours differ by the order of the axes and by a shift of p of 1 + 1 / H or 1 + 1 / W. A shift turns each pair of a sine
and a cosine by a fixed angle, so that both go into the kernels that read positions, and the model is the same function.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.errors import ConfigError
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.position_encoding import colour_matrix, power_frequencies
from nifcodec.files import read_bytes

PEAK = 255.0

if hasattr(tf.keras, "ops"):
    # Keras 3 opens no H5 with a bare operation. This layer it opens wherever this module is loaded.
    @tf.keras.utils.register_keras_serializable(package="nifcodec")
    class Sine(tf.keras.layers.Layer):
        """Elementwise sine."""

        def call(self, values: Any) -> Any:
            return tf.keras.ops.sin(values)


def check(spec: MlpDescription) -> None:
    """Raises ConfigError for a network that the example's format has no place for."""
    if spec.encoding == "gaussian":
        raise ConfigError("the example's format has no Gaussian features: encode with --encoding powers")
    if spec.channels in (2, 4):
        raise ConfigError("the example's format has no alpha channel: encode the picture without it")


def position_matrix(spec: MlpDescription, width: int, height: int) -> Tuple[np.ndarray, np.ndarray]:
    """What the example gives the network -> what ours reads: ours = theirs @ matrix + offset, float64."""
    shifts = (1.0 + 1.0 / width, 1.0 + 1.0 / height)  # of our first axis, the columns, and our second
    if spec.encoding == "none":
        # Raw positions are (r / H, c / W) themselves, and ours is 2 x + 1 / W - 1.
        return 2.0 * np.eye(2)[::-1], np.asarray(shifts) - 2.0
    count = spec.dimension
    matrix = np.zeros((4 * count, 4 * count))
    for index, frequency in enumerate(power_frequencies(spec)):
        for ours, theirs, shift in ((index, count + index, shifts[0]), (count + index, index, shifts[1])):
            sine, cosine = np.sin(frequency * shift), np.cos(frequency * shift)
            other = 2 * count
            matrix[theirs, ours], matrix[theirs + other, ours] = cosine, sine
            matrix[theirs, ours + other], matrix[theirs + other, ours + other] = -sine, cosine
    return matrix, np.zeros(4 * count)


def folded_tensors(
    spec: MlpDescription, tensors: Sequence[np.ndarray], width: int, height: int
) -> List[Tuple[np.ndarray, np.ndarray]]:
    """(kernel, bias) of each layer for the example's positions and colours, the factor of `siren` multiplied in."""
    matrix, offset = position_matrix(spec, width, height)
    remaining = iter(np.asarray(tensor, np.float64) for tensor in tensors)
    layers: List[Tuple[np.ndarray, np.ndarray]] = []
    for index, layer in enumerate(spec.plan()):
        kernel = next(remaining)
        bias = next(remaining) if layer.bias else np.zeros(layer.units)
        reads = spec.inputs if index == 0 or layer.joins_encoding else 0
        if reads:
            positions = kernel[-reads:]
            bias = bias + offset @ positions
            kernel = np.concatenate([kernel[:-reads], matrix @ positions])
        if layer.hidden and spec.family == "siren":
            kernel, bias = spec.omega * kernel, spec.omega * bias
        layers.append((kernel, bias))
    return layers


def keras_model(spec: MlpDescription, tensors: Sequence[np.ndarray], width: int, height: int) -> Any:
    """A functional `tf.keras` model: (n, inputs) as the example encodes positions -> (n, 3) blue, green, red in 0..1.

    Raises ConfigError for a network that the format has no place for.
    """
    check(spec)
    keras = tf.keras
    positions = keras.Input((spec.inputs,), dtype="float32")
    hidden, parameters = positions, []
    for (kernel, bias), layer in zip(folded_tensors(spec, tensors, width, height), spec.plan()):
        if layer.joins_encoding:
            hidden = keras.layers.Concatenate(axis=1)([hidden, positions])
        # As in the example, where only the last two layers have one.
        biased = bool(np.any(bias))
        rectified = layer.hidden and spec.family == "fourier"
        dense = keras.layers.Dense(layer.units, activation="relu" if rectified else "linear", use_bias=biased)
        hidden = dense(hidden)
        if layer.hidden and not rectified:
            hidden = Sine()(hidden) if hasattr(keras, "ops") else tf.math.sin(hidden)
        parameters += [kernel, bias] if biased else [kernel]
    colours = np.ones((1, 3)) if spec.channels == 1 else colour_matrix(spec)[::-1].T
    output = keras.layers.Dense(3, use_bias=False, trainable=False, name="color_space_conversion")(hidden)
    model = keras.Model(positions, output, name="nif_model")
    model.set_weights([np.asarray(array, np.float32) for array in (*parameters, colours)])
    return model


def keras_bytes(model: Any) -> bytes:
    """The model as an H5 file, without an optimizer."""
    # Keras writes to paths only.
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras 3 advises its own format, which the example does not read
        path = os.path.join(folder, "model.h5")
        model.save(path, include_optimizer=False)
        return read_bytes(path)


def metadata(spec: MlpDescription, width: int, height: int, name: str, model: str, command: Sequence[str]) -> str:
    """The example's `nif_metadata.txt`: names and meaning are its own.

    Args:
        name: of the picture; `model`: path of the model.
    """
    check(spec)
    parameters: Dict[str, Any] = {
        "name": name,
        "train_command": list(command),
        "original_image_shape": [height, width, 3],
        "embedding_dimension": spec.dimension,
        "embedding_sigma": spec.sigma,
        "keras_model": model,
        "encode_params": {
            "mean": [0.0, 0.0, 0.0],
            "max": PEAK,
            "log_tone_map": False,
            "transfer_function": "linear",
            "eps": 1e-8,
        },
    }
    return json.dumps(parameters, indent=2, sort_keys=True)
