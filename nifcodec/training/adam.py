"""Adam, and one training step as a pure function: the same for every device, compiled by each in its own way.

Plain TensorFlow operations with static shapes, float32 (float16 inside the objective) and int32 only; samples are
handed in. The state is all that a step changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Optional, Tuple

import tensorflow as tf

WARM_UP = 50  # steps over which the learning rate rises
# Of the loss in float16, whose gradients would vanish otherwise: the original example's scale to start from.
FIRST_SCALE, LEAST_SCALE, LARGEST_SCALE = 2.0**15, 1.0, 2.0**24
STEPS_TO_DOUBLE = 1000  # without an overflow
LARGEST_FLOAT = 3.4e38

# Parameters, first and second moments: flat float32 vectors of one length; (2,) float32: scale of the loss, and steps
# since it changed, which float32 arithmetic hands on untouched.
State = Tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
Samples = Tuple[tf.Tensor, tf.Tensor]  # coords (..., 2) and colours (..., channels), float32
Objective = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
Average = Callable[[tf.Tensor], tf.Tensor]
Moments = Tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # parameters, first and second moments, of one shape


@dataclass(frozen=True)
class Adam:
    """The update of Adam (Kingma and Ba 2015, algorithm 1).

    Attributes:
        beta1, beta2: decay of the first and of the second moments.
        epsilon: added to the root of the corrected second moments.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-15

    def update(self, moments: Moments, gradient: tf.Tensor, step: tf.Tensor, learning_rate: tf.Tensor) -> Moments:
        """The moments after a gradient.

        Args:
            step: scalar float32, number of updates done on these moments.
        """
        parameters, first, second = moments
        first = self.beta1 * first + (1.0 - self.beta1) * gradient
        second = self.beta2 * second + (1.0 - self.beta2) * tf.square(gradient)
        correction = tf.sqrt(1.0 - self.beta2 ** (step + 1.0))
        rate = learning_rate * correction / (1.0 - self.beta1 ** (step + 1.0))
        return parameters - rate * first / (tf.sqrt(second) + self.epsilon * correction), first, second


ADAM = Adam()  # of the networks of single pictures


def fresh_state(flat: tf.Tensor) -> State:
    """The state of parameters that no step has changed yet."""
    return flat, tf.zeros_like(flat), tf.zeros_like(flat), tf.constant([FIRST_SCALE, 0.0])


def learning_rate(peak: tf.Tensor, step: tf.Tensor, fresh: tf.Tensor, steps: int) -> tf.Tensor:
    """A cosine from `peak` to 0 at `steps`, where it stays, under a rise of WARM_UP steps.

    Args:
        peak: scalar float32.
        step: scalar int32, number of the step in the schedule.
        fresh: scalar float32, steps since the moments were zero.
    """
    rise = tf.minimum(1.0, (fresh + 1.0) / WARM_UP)
    return peak * rise * cosine(tf.cast(tf.minimum(step, steps), tf.float32), steps)


def cosine(step: tf.Tensor, steps: int) -> tf.Tensor:
    """Half a wave: 1 at step 0 (scalar float32), 0 at `steps`."""
    return 0.5 * (1.0 + tf.cos(math.pi * step / steps))


def train_step(
    objective: Objective,
    state: State,
    step: tf.Tensor,
    samples: Samples,
    learning_rate: tf.Tensor,
    *,
    average: Optional[Average] = None,
    scaled: bool = False,
) -> Tuple[State, tf.Tensor]:
    """One update of Adam (Kingma and Ba 2015) without side effects.

    Args:
        objective: (flat parameters, coords, colours) -> scalar float32 loss, a mean over samples.
        step: scalar float32, number of updates done on these moments.
        samples: coords (micro-batches, n, 2) and colours (micro-batches, n, channels); the gradient is the mean.
        average: the mean of a vector over the replicas; None where there is one.
        scaled: multiply the loss by the state's scale, which an overflow halves; the step is then left out.

    Returns:
        The new state and the loss before the update.
    """
    flat, first, second, scaling = state
    gradient, loss = _accumulate(objective, flat, samples, scaling[0] if scaled else None)
    if average is not None:
        both = average(tf.concat([gradient, tf.reshape(loss, [1])], axis=0))
        gradient, loss = both[:-1], both[-1]
    if not scaled:
        return (*ADAM.update((flat, first, second), gradient, step, learning_rate), scaling), loss
    gradient = gradient / scaling[0]
    # An infinite or undefined number compares as false.
    finite = tf.reduce_all(tf.abs(gradient) <= LARGEST_FLOAT)
    moved = ADAM.update((flat, first, second), gradient, step, learning_rate)
    kept = [tf.where(finite, new, old) for new, old in zip(moved, state)]
    return (*kept, _next_scaling(scaling, finite)), loss


def _accumulate(
    objective: Objective, flat: tf.Tensor, samples: Samples, scale: Optional[tf.Tensor]
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Mean gradient (times `scale`) and mean loss of the micro-batches, one at a time."""
    coords, colours = samples
    parts = coords.shape[0]
    if parts == 1:
        return _gradient(objective, flat, coords[0], colours[0], scale)

    def part(tensor: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        size = tensor.shape[1:].as_list()
        return tf.reshape(tf.slice(tensor, tf.stack([index, 0, 0]), [1, *size]), size)

    def body(index: tf.Tensor, total: tf.Tensor, loss: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        gradient, part_loss = _gradient(objective, flat, part(coords, index), part(colours, index), scale)
        return index + 1, total + gradient / parts, loss + part_loss / parts

    first = (tf.constant(0), tf.zeros_like(flat), tf.constant(0.0))
    _, gradient, loss = tf.while_loop(lambda index, *_: index < parts, body, first)
    return gradient, loss


def _gradient(
    objective: Objective, flat: tf.Tensor, coords: tf.Tensor, colours: tf.Tensor, scale: Optional[tf.Tensor]
) -> Tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(flat)
        loss = objective(flat, coords, colours)
        target = loss if scale is None else loss * scale
    return tape.gradient(target, flat), loss


def _next_scaling(scaling: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
    scale, good = scaling[0], scaling[1] + 1.0
    doubles = good >= STEPS_TO_DOUBLE
    grown = tf.where(doubles, tf.minimum(2.0 * scale, LARGEST_SCALE), scale)
    kept = tf.where(doubles, 0.0, good)
    shrunk = tf.maximum(0.5 * scale, LEAST_SCALE)
    return tf.stack([tf.where(finite, grown, shrunk), tf.where(finite, kept, 0.0)])
