"""The prior's two kinds of networks as float twins in TensorFlow, and their training.

A context network sees features x / 32 and gives a coefficient's log2 scale and mean in steps: two hidden layers clipped
to 0..8, and linear terms of the signed features in the mean. Its likelihood is that of a Laplacian integrated over a
rounding interval. The restoration filter sees the rebuilt planes, 2x2 pixels to channels, and gives corrections.
"""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.fields.wavelet.restoration import BLOCK_CHANNELS, WEIGHT_UNIT
from nifcodec.fields.wavelet.training.prior_integers import TAIL
from nifcodec.training.adam import Adam, cosine

LUMA_HIDDEN, CHROMA_HIDDEN = (56, 32), (16, 12)
INPUT_UNITS = 32.0  # feature units in 1.0 of the float twin
HIDDEN_MAX = 8.0
SCALE_MIN, SCALE_MAX = -6.0, 10.0  # log2 of the Laplacian's scale in steps
FARTHEST = 1000.0  # steps, beyond which the tail stays level: float32 ends near exp(-88)
CONTEXT_BATCH, FILTER_BATCH = 2048, 8
CHUNK = 100  # steps in one call of a compiled loop
FILTER_CHANNELS, FILTER_LAYERS, CORRECTIONS = 48, 4, 6
LEAST_RATE = 1e-5  # learning rate at the end of the cosine
EPSILON = 1e-8  # of Adam
RIDGE = 5e-4  # share of the error that a change of a weight by 1 must take off
LOG2 = 0.6931472

Arrays = List[np.ndarray]


def bits(symbols: tf.Tensor, scales: tf.Tensor, means: tf.Tensor) -> tf.Tensor:
    """Bits of float coefficients under Laplacians of log2 scale and mean, discretised to whole steps; all (N,)."""
    inverse = tf.exp(-scales * LOG2)
    distance = tf.abs(symbols - means)
    outside = tf.exp(-(tf.maximum(distance, 0.5) - 0.5) * inverse) * 0.5 * (1 - tf.exp(-inverse))
    inner = tf.minimum(distance, 0.5)
    inside = 1 - 0.5 * (tf.exp(-(0.5 + inner) * inverse) + tf.exp(-(0.5 - inner) * inverse))
    mass = tf.where(distance >= 0.5, outside, inside)
    tail = TAIL * tf.exp(-tf.minimum(distance, FARTHEST) / 16) / 32
    return -tf.math.log(mass * (1 - TAIL) + tail) / LOG2


class Optimiser:
    """Adam on variables, under a cosine from `peak` to LEAST_RATE.

    Args:
        decay: of the second moments.
        clip: largest magnitude of a gradient's entry; larger ones are set to it.
    """

    def __init__(self, variables: Sequence[tf.Variable], peak: float, steps: int, decay: float, clip: float) -> None:
        self._adam, self._peak, self._steps, self._clip = Adam(beta2=decay, epsilon=EPSILON), peak, steps, clip
        self._moments = [(each, *(tf.Variable(tf.zeros_like(each)) for _ in range(2))) for each in variables]

    def apply(self, gradients: Sequence[tf.Tensor], step: tf.Tensor) -> None:
        """One step; `step` counts from 1, float32."""
        rate = self._peak * cosine(step, self._steps) + LEAST_RATE
        for variables, gradient in zip(self._moments, gradients):
            clipped = tf.clip_by_value(gradient, -self._clip, self._clip)
            moments = tuple(variable.read_value() for variable in variables)
            for variable, value in zip(variables, self._adam.update(moments, clipped, step - 1.0, rate)):
                variable.assign(value)


def context_outputs(weights: Sequence[tf.Tensor], features: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """Features float32 (N, F), already divided by INPUT_UNITS -> log2 scales and means, (N,) each.

    weights: w1, b1, w2, b2, w3, b3, skip (signed features, 1); the signed features come first.
    """
    w1, b1, w2, b2, w3, b3, skip = weights
    hidden = tf.clip_by_value(features @ w1 + b1, 0, HIDDEN_MAX)
    hidden = tf.clip_by_value(hidden @ w2 + b2, 0, HIDDEN_MAX)
    out = hidden @ w3 + b3
    means = out[:, 1] + (features[:, : skip.shape[0]] @ skip)[:, 0]
    return tf.clip_by_value(out[:, 0], SCALE_MIN, SCALE_MAX), means


def train_context(
    features: np.ndarray,
    values: np.ndarray,
    signed: int,
    hidden: Tuple[int, int],
    steps: int,
    seed: int,
    start: Optional[Arrays] = None,
) -> Arrays:
    """Weights of a context network.

    Args:
        features: int8 (N, F), the first `signed` of them signed.
        values: of the coefficients, in half steps, int16 (N,).
        start: weights to go on from, at a quarter of the rate.
    """
    rng = np.random.default_rng(seed)

    def normal(fan_in: int, units: int, gain: float) -> tf.Variable:
        return tf.Variable((rng.normal(size=(fan_in, units)) * gain / np.sqrt(fan_in)).astype(np.float32))

    def zeros(*shape: int) -> tf.Variable:
        return tf.Variable(np.zeros(shape, np.float32))

    first, second = hidden
    weights = [normal(features.shape[1], first, 0.9), zeros(first), normal(first, second, 1.4), zeros(second)]
    weights += [normal(second, 2, 0.1), tf.Variable(np.array([-1, 0], np.float32)), zeros(signed, 1)]
    if start is not None:
        weights = [tf.Variable(array.astype(np.float32)) for array in start]
    optimiser = Optimiser(weights, 4e-3 if start is None else 1e-3, steps, 0.995, 0.1)
    all_features, all_values = tf.constant(features), tf.constant(values.astype(np.int32))

    @tf.function
    def run(batches: tf.Tensor, done: tf.Tensor) -> None:
        for i in tf.range(tf.shape(batches)[0]):
            x = tf.cast(tf.gather(all_features, batches[i]), tf.float32) / INPUT_UNITS
            q = tf.cast(tf.gather(all_values, batches[i]), tf.float32) / 2
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(bits(q, *context_outputs(weights, x)))
            optimiser.apply(tape.gradient(loss, weights), done + tf.cast(i, tf.float32) + 1)

    for done in range(0, steps, CHUNK):
        batches = rng.integers(0, len(values), (min(CHUNK, steps - done), CONTEXT_BATCH)).astype(np.int32)
        run(tf.constant(batches), tf.constant(float(done)))
    return [weight.numpy() for weight in weights]


def context_bits(weights: Arrays, features: np.ndarray, values: np.ndarray) -> float:
    """Mean bits of a coefficient under the float network; values in half steps."""
    total = 0.0
    for start in range(0, len(values), 1 << 16):
        x = tf.constant(features[start : start + (1 << 16)].astype(np.float32) / INPUT_UNITS)
        q = tf.constant(values[start : start + (1 << 16)].astype(np.float32) / 2)
        total += float(tf.reduce_sum(bits(q, *context_outputs(weights, x))))
    return total / len(values)


def without_mean(kernel: tf.Tensor) -> tf.Tensor:
    """A first layer that does not see a constant added to a plane: only differences of pixels matter to it."""
    split = tf.reshape(kernel, (9, 4, 3, -1))  # taps, pixel of the 2x2, plane
    return tf.reshape(split - tf.reduce_mean(split, axis=(0, 1), keepdims=True), tf.shape(kernel))


def corrections(
    kernels: Sequence[tf.Tensor],
    biases: Sequence[tf.Tensor],
    conditions: Sequence[tf.Tensor],
    blocks: tf.Tensor,
    step_features: tf.Tensor,
) -> tf.Tensor:
    """Blocks of 2x2 of rebuilt planes (N, rows, columns, 12), in steps -> (N, corrections, H, W, 3).

    H is 2 (rows - 2 layers), W likewise: nothing is padded, and the outputs are those of the middle. A hidden layer's
    bias moves with t = (step feature - 64) / 32: `conditions` hold its factors of t and t^2.
    """
    position = (step_features - 64) / 32
    powers = tf.stack([position, position**2], 1)
    hidden = blocks
    for i, (kernel, bias) in enumerate(zip(kernels, biases)):
        hidden = tf.nn.conv2d(hidden, kernel, 1, "VALID") + bias
        if i < len(conditions):
            hidden = tf.nn.relu(hidden + (powers @ conditions[i])[:, None, None, :])
    each = tf.split(hidden, hidden.shape[3] // BLOCK_CHANNELS, axis=3)
    return tf.stack([tf.nn.depth_to_space(part, 2) for part in each], 1)


def best_weights(change: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    """Least-squares weights (N, corrections) of changes (N, corrections, P) that come nearest to a residual, (N, P).

    A ridge towards 1 keeps weights of corrections that do nothing near it. No gradient passes: at the best weights
    there is none (envelope theorem).
    """
    change = tf.stop_gradient(change)
    products = tf.einsum("nkp,nlp->nkl", change, change)
    wanted = tf.einsum("nkp,np->nk", change, residual) - tf.reduce_sum(products, axis=2)
    ridge = RIDGE * tf.reduce_sum(residual**2, axis=1) + 1e-6
    matrix = products + ridge[:, None, None] * tf.eye(change.shape[1])
    weights = 1 + tf.linalg.solve(matrix, wanted[..., None])[..., 0]
    return tf.round(weights * WEIGHT_UNIT) / WEIGHT_UNIT


def errors(change: tf.Tensor, rebuilt: tf.Tensor, original: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """Mean squared errors (N,) of patches, corrected with the best weights for luma and for chroma, and before."""
    border = (rebuilt.shape[1] - change.shape[2]) // 2
    residual = (original - rebuilt)[:, border:-border, border:-border]
    count = tf.shape(residual)[0]
    after = tf.zeros(count)
    for where in (slice(0, 1), slice(1, 3)):
        parts = tf.reshape(change[..., where], [count, change.shape[1], -1])
        left = tf.reshape(residual[..., where], [count, -1])
        weights = best_weights(parts, left)
        after += tf.reduce_sum((left - tf.einsum("nk,nkp->np", weights, parts)) ** 2, axis=1)
    return after / (3.0 * residual.shape[1] * residual.shape[2]), tf.reduce_mean(residual**2, axis=(1, 2, 3))


def train_filter(
    rebuilt: np.ndarray,
    originals: np.ndarray,
    features: np.ndarray,
    steps: int,
    seed: int,
    report: Callable[[int, int], None],
) -> Tuple[Arrays, Arrays, Arrays]:
    """Kernels (3, 3, in, out), biases (out,) and conditions (2, out) of the restoration filter.

    The loss is the share of a patch's error that is left with its best weights, so that every step weighs the same.
    """
    rng = np.random.default_rng(seed)
    sizes = [BLOCK_CHANNELS] + [FILTER_CHANNELS] * (FILTER_LAYERS - 1) + [BLOCK_CHANNELS * CORRECTIONS]
    kernels = []
    for i, (width, units) in enumerate(zip(sizes, sizes[1:])):
        gain = 1.4 if i < FILTER_LAYERS - 1 else 0.05  # starts as the identity
        values = rng.normal(size=(3, 3, width, units)) * gain / np.sqrt(9 * width)
        kernels.append(tf.Variable(values.astype(np.float32)))
    biases = [tf.Variable(np.zeros(units, np.float32)) for units in sizes[1:]]
    conditions = [tf.Variable(np.zeros((2, units), np.float32)) for units in sizes[1:-1]]
    weights = kernels + biases + conditions
    optimiser = Optimiser(weights, 2e-3, steps, 0.99, np.inf)

    @tf.function
    def train_step(x: tf.Tensor, y: tf.Tensor, f: tf.Tensor, step: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            change = corrections(
                [without_mean(kernels[0]), *kernels[1:]], biases, conditions, tf.nn.space_to_depth(x, 2), f
            )
            after, before = errors(change, x, y)
            loss = tf.reduce_mean(after / (before + 0.02))
        optimiser.apply(tape.gradient(loss, weights), step)

    for step in range(steps):
        chosen = rng.integers(0, len(features), FILTER_BATCH)
        batch = [tf.constant(array[chosen].astype(np.float32)) for array in (rebuilt, originals, features)]
        train_step(*batch, tf.constant(step + 1.0))
        report(step + 1, steps)
    kernels = [without_mean(kernels[0]), *kernels[1:]]
    return [k.numpy() for k in kernels], [b.numpy() for b in biases], [c.numpy() for c in conditions]


def filter_gain(
    kernels: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    conditions: Sequence[np.ndarray],
    rebuilt: np.ndarray,
    originals: np.ndarray,
    features: np.ndarray,
) -> float:
    """Decibels that the network gains with each patch's best weights, mean over all patches."""
    constants = [[tf.constant(array.astype(np.float32)) for array in part] for part in (kernels, biases, conditions)]
    gains: List[float] = []
    for start in range(0, len(features), 16):
        x, y, f = (
            tf.constant(array[start : start + 16].astype(np.float32)) for array in (rebuilt, originals, features)
        )
        change = corrections(constants[0], constants[1], constants[2], tf.nn.space_to_depth(x, 2), f)
        after, before = errors(change, x, y)
        gains += (10 * np.log10(before.numpy() / after.numpy())).tolist()
    return float(np.mean(gains))
