"""What the two stages of a training minimise, and how they compare their states: float weights, then rounded ones."""

from __future__ import annotations

import math
from typing import List, Protocol, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.options import MlpOptions
from nifcodec.fields.mlp.render import Network
from nifcodec.fields.mlp.training import networks, rounding
from nifcodec.fields.mlp.training.networks import Arithmetic, Layout
from nifcodec.fields.mlp.training.step_choice import StepPlan
from nifcodec.training.adam import Samples


class Stage(Protocol):
    """A stage of a training. Parameters are flat float32 vectors, as `Layout` splits them."""

    name: str

    def loss(self, flat: tf.Tensor, coords: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
        """What a step lowers: a scalar, over samples (n, 2) and (n, channels)."""

    def score(self, flat: tf.Tensor) -> Tuple[float, float, float]:
        """What the best state has least of, its mean squared error, and the bits of its weights."""

    def network(self, flat: tf.Tensor) -> Network:
        """What parameters stand for, to be watched."""


class Model:
    """A network to be trained, and the samples that its states are compared on.

    Args:
        probe: coords (n, 2) and colours (n, channels), always the same ones.
    """

    def __init__(self, spec: MlpDescription, options: MlpOptions, arithmetic: Arithmetic, probe: Samples) -> None:
        self.spec, self.options, self.layout = spec, options, Layout(spec)
        self._arithmetic, self._probe = arithmetic, probe
        self._compiled_error = tf.function(self._error, autograph=False)

    def distortion(self, tensors: Sequence[tf.Tensor], coords: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
        """Loss of the network with these tensors, over samples and channels, in the training's arithmetic."""
        return distortion(self.options, networks.forward(self.spec, tensors, coords, self._arithmetic), colours)

    def squared_error(self, flat: tf.Tensor) -> float:
        """Mean squared error of the clipped colours, in float32."""
        return float(self._compiled_error(flat))

    def arrays(self, flat: tf.Tensor) -> Tuple[np.ndarray, ...]:
        """The network's tensors."""
        return tuple(tensor.numpy() for tensor in self.layout.split(flat))

    def _error(self, flat: tf.Tensor) -> tf.Tensor:
        coords, colours = self._probe
        predicted = networks.forward(self.spec, self.layout.split(flat), coords)
        return tf.reduce_mean(tf.square(tf.clip_by_value(predicted, 0.0, 1.0) - colours))


class FloatStage:
    """The weights as floats.

    Args:
        bits: that they are expected to take.
    """

    name = "fit"

    def __init__(self, model: Model, bits: float) -> None:
        self._model, self._bits = model, bits

    def loss(self, flat: tf.Tensor, coords: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
        return self._model.distortion(self._model.layout.split(flat), coords, colours)

    def score(self, flat: tf.Tensor) -> Tuple[float, float, float]:
        error = self._model.squared_error(flat)
        return error, error, self._bits

    def network(self, flat: tf.Tensor) -> Network:
        return Network(self._model.spec, self._model.arrays(flat))


class RoundedStage:
    """The weights as multiples of their steps: D + lambda R, where the gradient passes the rounding.

    Args:
        plan: the steps, and lambda.
        free_bits: that cost nothing. Bits below a target are worth nothing: where rounding hurts, lambda is so high
            that training would shed them.
    """

    name = "tune"

    def __init__(self, model: Model, plan: StepPlan, free_bits: float) -> None:
        self._model, self._plan, self._free_bits = model, plan, free_bits
        self._sizes = plan.sizes
        # Huber's loss has another scale than the squared error that lambda was measured in.
        scale = 1.0 if model.options.loss == "mse" else _huber_scale(model.options, plan.error)
        self._lagrangian = plan.lagrangian * scale
        self._compiled_rounding = tf.function(self._rounding, autograph=False)

    def loss(self, flat: tf.Tensor, coords: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
        tensors = self._rounded(flat)
        excess = tf.maximum(rounding.rate(tensors, self._sizes) - self._free_bits, 0.0)
        return self._model.distortion(tensors, coords, colours) + self._lagrangian * excess

    def score(self, flat: tf.Tensor) -> Tuple[float, float, float]:
        values, rate = self._compiled_rounding(flat)
        error, bits = self._model.squared_error(values), float(rate)
        return error + self._plan.lagrangian * max(bits - self._free_bits, 0.0), error, bits

    def network(self, flat: tf.Tensor) -> Network:
        spec = self._model.spec
        return Network(spec, self._plan.apply(spec, self._model.arrays(flat)).dequantize())

    def _rounded(self, flat: tf.Tensor) -> List[tf.Tensor]:
        return [rounding.straight_through(*pair) for pair in zip(self._model.layout.split(flat), self._sizes)]

    def _rounding(self, flat: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        tensors = self._rounded(flat)
        return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0), rounding.rate(tensors, self._sizes)


def distortion(options: MlpOptions, predicted: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    """Mean squared error, or Huber's loss, over samples and channels."""
    error = predicted - colours
    if options.loss == "mse":
        return tf.reduce_mean(tf.square(error))
    magnitude, delta = tf.abs(error), options.huber_delta
    return tf.reduce_mean(tf.where(magnitude <= delta, 0.5 * tf.square(error), delta * (magnitude - 0.5 * delta)))


def _huber_scale(options: MlpOptions, squared: float) -> float:
    """Huber's loss per squared error where the errors are about the root of `squared`."""
    deviation = math.sqrt(squared)
    delta = options.huber_delta
    return 0.5 if deviation <= delta else delta * (deviation - 0.5 * delta) / squared
