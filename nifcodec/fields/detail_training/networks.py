"""The detail network as a float twin in TensorFlow, its loss and its training.

Nothing is padded: of patches, the details of the middle are made, `layers` samples inside of the border.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

import nifcodec.training  # noqa: F401
from nifcodec.fields.detail.contract import (
    CHANNELS,
    CONDITIONS,
    HAAR,
    INPUT_UNITS,
    LAYERS,
    OPPONENT,
    lanczos_kernels,
)
from nifcodec.training.adam import Adam, cosine

BATCH = 24
PEAK, LEAST_RATE = 2e-3, 1e-5  # learning rates at the beginning and at the end of the cosine
LARGEST = 7.9  # of a weight: what its integer holds
FLOOR = (8 / 255) ** 2  # added to the squared error of the kernel, by which a patch's error is divided

MOMENTS = ("value", "first", "second")

Arrays = Mapping[str, np.ndarray]
Tensors = Dict[str, tf.Tensor]


def initial(seed: int) -> Arrays:
    """Weights to start from: hidden layers near the identity, and little added to the kernel."""
    random = np.random.default_rng(seed)
    weights: Dict[str, np.ndarray] = {}
    for layer, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:])):
        gain = 0.1 if layer == LAYERS - 1 else 1.4
        kernel = random.normal(size=(3, 3, inputs, outputs)) * gain / np.sqrt(9 * inputs)
        if inputs == outputs:
            kernel = 0.5 * kernel
            kernel[1, 1] += 0.7 * np.eye(inputs)
        weights[f"kernel{layer}"] = kernel.astype(np.float32)
        weights[f"bias{layer}"] = np.zeros(outputs, np.float32)
        weights[f"gain{layer}"] = np.zeros((CONDITIONS, outputs), np.float32)
        weights[f"shift{layer}"] = np.zeros((CONDITIONS, outputs), np.float32)
    return weights


def without_mean(kernel: tf.Tensor) -> tf.Tensor:
    """A first layer that does not see a constant added to a plane."""
    return kernel - tf.reduce_mean(kernel, axis=(0, 1), keepdims=True)


def corrections(weights: Tensors, planes: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Planes (N, H, W, 3) -> what is added to the kernel's details, (N, H - 2 LAYERS, W - 2 LAYERS, 9).

    Args:
        positions: of the steps (N,), as `contract.position` gives them.
    """
    powers = tf.stack([positions ** (power + 1) for power in range(CONDITIONS)], 1)
    hidden = planes * INPUT_UNITS
    for layer in range(LAYERS):
        kernel = weights[f"kernel{layer}"]
        hidden = tf.nn.conv2d(hidden, without_mean(kernel) if layer == 0 else kernel, 1, "VALID")
        gain = 1 + powers @ weights[f"gain{layer}"]
        shift = weights[f"bias{layer}"] + powers @ weights[f"shift{layer}"]
        hidden = hidden * gain[:, None, None] + shift[:, None, None]
        hidden = tf.nn.relu(hidden) if layer < LAYERS - 1 else hidden
    return hidden / INPUT_UNITS


def kernel_details(planes: tf.Tensor) -> tf.Tensor:
    """Planes (N, H, W, 3) -> the details that the Lanczos kernel gives, as `corrections` has them."""
    kernels = lanczos_kernels()  # (3, 7, 7)
    filters = np.zeros((*kernels.shape[1:], 3, 9), np.float32)
    for detail in range(3):
        for plane in range(3):
            filters[:, :, plane, 3 * detail + plane] = kernels[detail]
    border = LAYERS - kernels.shape[1] // 2
    inside = planes[:, border:-border, border:-border] if border else planes
    return tf.nn.conv2d(inside, tf.constant(filters), 1, "VALID")


def targets(planes: tf.Tensor, originals: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """What the details should be, and what no detail can change.

    Args:
        originals: planes (N, 2 H, 2 W, 3) of the picture.

    Returns:
        details (N, H - 2 LAYERS, W - 2 LAYERS, 9); the error of the means (N,), summed over samples and planes.
    """
    inside = originals[:, 2 * LAYERS : -2 * LAYERS, 2 * LAYERS : -2 * LAYERS]
    blocks = tf.nn.space_to_depth(inside, 2)  # (N, h, w, 4 * 3), the four pixels row by row
    split = tf.reshape(blocks, tf.concat([tf.shape(blocks)[:3], [4, 3]], 0))
    details = tf.einsum("nhwpc,dp->nhwdc", split, tf.constant(HAAR / 4))
    means = tf.reduce_mean(split, axis=3) - planes[:, LAYERS:-LAYERS, LAYERS:-LAYERS]
    return tf.reshape(details, tf.concat([tf.shape(blocks)[:3], [9]], 0)), tf.reduce_sum(means**2, axis=(1, 2, 3))


def errors(weights: Tensors, decoded: tf.Tensor, originals: tf.Tensor, positions: tf.Tensor) -> Tuple[tf.Tensor, ...]:
    """Mean squared errors (N,) of a sample of the doubled picture: with the network, with the kernel, of the means.

    Args:
        decoded, originals: colours float32 (N, H, W, 3) and (N, 2 H, 2 W, 3).
    """
    matrix = tf.constant(OPPONENT.T.astype(np.float32))
    planes = tf.tensordot(decoded, matrix, 1)
    wanted, rest = targets(planes, tf.tensordot(originals, matrix, 1))
    base = kernel_details(planes)
    left = wanted - base
    count = tf.cast(3 * tf.shape(wanted)[1] * tf.shape(wanted)[2], tf.float32)
    mine = tf.reduce_sum((left - corrections(weights, planes, positions)) ** 2, axis=(1, 2, 3))
    return (mine + rest) / count, (tf.reduce_sum(left**2, axis=(1, 2, 3)) + rest) / count, rest / count


class Training:
    """A network in training, from a state that may be kept.

    Args:
        steps: of the whole training, to which the learning rate falls.
        state: of `state`; None begins anew.
    """

    def __init__(self, seed: int, steps: int, state: Optional[Arrays] = None) -> None:
        self._steps, self._adam = steps, Adam(beta2=0.999, epsilon=1e-8)
        start = initial(seed)
        found = state or {}
        self.done = int(found.get("done", 0))
        self._moments = {
            name: tuple(
                tf.Variable(found.get(f"{kind}/{name}", array if kind == "value" else np.zeros_like(array)))
                for kind in MOMENTS
            )
            for name, array in start.items()
        }
        self._run = tf.function(self._step)

    def state(self) -> Arrays:
        """What goes on from here."""
        kept = {"done": np.array(self.done)}
        for name, variables in self._moments.items():
            kept.update((f"{kind}/{name}", variable.numpy()) for kind, variable in zip(MOMENTS, variables))
        return kept

    def weights(self) -> Arrays:
        """The weights so far, the first layer's without its mean."""
        found = {name: variables[0].numpy() for name, variables in self._moments.items()}
        found["kernel0"] = found["kernel0"] - found["kernel0"].mean(axis=(0, 1), keepdims=True)
        return found

    def step(self, decoded: np.ndarray, originals: np.ndarray, positions: np.ndarray) -> float:
        """One step on a batch of float32; the share of the kernel's error that was left before it."""
        batch = (tf.constant(array) for array in (decoded, originals, positions))
        loss = self._run(*batch, tf.constant(float(self.done)))
        self.done += 1
        return float(loss)

    def _step(self, decoded: tf.Tensor, originals: tf.Tensor, positions: tf.Tensor, done: tf.Tensor) -> tf.Tensor:
        weights = {name: variables[0] for name, variables in self._moments.items()}
        with tf.GradientTape() as tape:
            mine, kernel, _ = errors(weights, decoded, originals, positions)
            loss = tf.reduce_mean(mine / (kernel + FLOOR))
        gradients = tape.gradient(loss, list(weights.values()))
        rate = PEAK * cosine(done, self._steps) + LEAST_RATE
        for variables, gradient in zip(self._moments.values(), gradients):
            moments = tuple(variable.read_value() for variable in variables)
            value, first, second = self._adam.update(moments, gradient, done, rate)
            for variable, new in zip(variables, (tf.clip_by_value(value, -LARGEST, LARGEST), first, second)):
                variable.assign(new)
        return loss


def gains(weights: Arrays, pairs: Sequence[Tuple[np.ndarray, np.ndarray, float]]) -> List[Tuple[float, float]]:
    """dB over the kernel of whole pictures, and the most that details could gain.

    Args:
        pairs: decoded float32, original uint8, position of the step.
    """
    constants = {name: tf.constant(array) for name, array in weights.items()}
    found = []
    for decoded, original, position in pairs:
        batch = (decoded[None], original[None].astype(np.float32) / 255, np.array([position], np.float32))
        mine, kernel, rest = (float(each[0]) for each in errors(constants, *(tf.constant(array) for array in batch)))
        found.append((10 * np.log10(kernel / mine), 10 * np.log10(kernel / rest)))
    return found
