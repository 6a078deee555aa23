"""Fitting a coordinate network to a picture: the training loop, and the way from float weights to integers."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.config import EncodeConfig
from nifcodec.errors import TrainingError
from nifcodec.fields.mlp import pixel_centres, render
from nifcodec.fields.quantize import QuantizedMlp
from nifcodec.fields.spec import BITS_PER_PARAMETER, MlpSpec
from nifcodec.progress import Progress
from nifcodec.training import networks, relax
from nifcodec.training.quantizer import choose_steps
from nifcodec.training.samples import Sampler

EFFORT_STEPS = (250, 500, 1000, 2500, 5000, 10_000, 20_000, 50_000, 100_000)  # efforts 1 to 9
LEARNING_RATES = {"fourier": 1e-2, "siren": 2e-3}
# Noise moves weights by about rate * sqrt(steps), and a siren whose weights grow falls to high frequencies that it does
# not unlearn: beyond so many steps its rate falls with their root.
SIREN_FULL_RATE_STEPS = 2500
TUNING_SHARE = 0.25  # of the steps, spent on the rounded weights
TUNING_RATE = 0.1  # of the learning rate
WARM_UP = 50  # steps over which the learning rate rises
CHUNK_FLOPS = 1e11  # of a compiled call: seconds, so that progress and Ctrl-C are answered
EVALUATION_SAMPLES = 2**16
COLLAPSE = 3.0  # times the best score: sines can fall off a cliff without ever reaching NaN
MAX_RESTARTS = 4
BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-15

State = Tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # parameters, first and second moments: flat float32 vectors
Samples = Tuple[tf.Tensor, tf.Tensor]  # coords, colours
Objective = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class FitResult:
    """A trained field.

    Attributes:
        quantized: the network as it is stored.
        float_tensors: its weights before rounding.
        tuned_tensors: the float weights whose rounding `quantized` is, for another choice of steps near it.
        psnr_float: PSNR in dB of the picture (clipped, not rounded) rendered from `float_tensors`.
        steps: training steps done.
    """

    quantized: QuantizedMlp
    float_tensors: Tuple[np.ndarray, ...]
    tuned_tensors: Tuple[np.ndarray, ...]
    psnr_float: float
    steps: int


class Layout:
    """The tensors of a network as one flat vector: one Adam update for all of them instead of one each."""

    def __init__(self, spec: MlpSpec) -> None:
        self._shapes = spec.tensor_shapes()
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]

    def split(self, flat: tf.Tensor) -> List[tf.Tensor]:
        return [tf.reshape(part, shape) for part, shape in zip(tf.split(flat, self._sizes), self._shapes)]

    @staticmethod
    def join(tensors: Sequence[np.ndarray]) -> tf.Tensor:
        return tf.constant(np.concatenate([np.ravel(tensor) for tensor in tensors]), tf.float32)


def distortion(config: EncodeConfig, predicted: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    """Mean squared error, or Huber's loss, over samples and channels."""
    error = predicted - colours
    if config.loss == "mse":
        return tf.reduce_mean(tf.square(error))
    magnitude, delta = tf.abs(error), config.huber_delta
    return tf.reduce_mean(tf.where(magnitude <= delta, 0.5 * tf.square(error), delta * (magnitude - 0.5 * delta)))


def train_step(
    objective: Objective, state: State, step: tf.Tensor, samples: Samples, learning_rate: tf.Tensor
) -> Tuple[State, tf.Tensor]:
    """One update of Adam (Kingma and Ba 2015) without side effects.

    Args:
        objective: (flat parameters, coords, colours) -> scalar loss.
        state: parameters and moments.
        step: scalar float32, number of updates done on these moments.
        samples: coords (batch, 2) and colours (batch, channels), float32.

    Returns:
        The new state and the loss before the update.
    """
    flat, first, second = state
    with tf.GradientTape() as tape:
        tape.watch(flat)
        loss = objective(flat, *samples)
    gradient = tape.gradient(loss, flat)
    first = BETA1 * first + (1.0 - BETA1) * gradient
    second = BETA2 * second + (1.0 - BETA2) * tf.square(gradient)
    rate = learning_rate * tf.sqrt(1.0 - BETA2 ** (step + 1.0)) / (1.0 - BETA1 ** (step + 1.0))
    return (flat - rate * first / (tf.sqrt(second) + EPSILON), first, second), loss


class Loop:
    """Many training steps on one objective: compiled chunks, a cosine schedule, the best state kept.

    Args:
        draw: batch number (scalar int32) -> coords and colours, inside the graph.
        evaluate: flat parameters -> (score to minimise, mean squared error, bits), Python floats.
        report: called after each chunk with (steps done, mean squared error, bits).
        interrupt: polled before each chunk; True ends the run.
        chunk: steps of a compiled call.
    """

    def __init__(
        self,
        *,
        draw: Callable[[tf.Tensor], Samples],
        objective: Objective,
        evaluate: Callable[[tf.Tensor], Tuple[float, float, float]],
        report: Callable[[int, float, float], None],
        interrupt: Callable[[], bool],
        chunk: int,
    ) -> None:
        self._draw, self._objective = draw, objective
        self._evaluate, self._report, self._interrupt = evaluate, report, interrupt
        self._chunk = chunk

    def run(self, start: tf.Tensor, steps: int, learning_rate: float) -> Tuple[tf.Tensor, int]:
        """Train from `start` for `steps` steps or until interrupted: the best parameters and the steps done.

        Where the loss is no number, or the score is far above the best, training restarts from the best state at half
        the rate.

        Raises:
            TrainingError: the loss is still no number after MAX_RESTARTS restarts.
        """
        compiled = self._compile(steps)
        best, best_score = start, self._evaluate(start)[0]
        state: State = (start, tf.zeros_like(start), tf.zeros_like(start))
        done, fresh, restarts = 0, 0, 0
        while done < steps and not self._interrupt():
            count = min(self._chunk, steps - done)
            peak = tf.constant(learning_rate * 0.5**restarts)
            state, loss = compiled(state, tf.constant((done, fresh)), peak, count)
            done, fresh = done + count, fresh + count
            score, error, bits = self._evaluate(state[0])
            finite = math.isfinite(float(loss)) and math.isfinite(score)
            if not finite and restarts == MAX_RESTARTS:
                raise TrainingError("training keeps diverging: try a lower learning rate or another seed")
            if not finite or (score > COLLAPSE * best_score and restarts < MAX_RESTARTS):
                restarts, fresh = restarts + 1, 0
                state = (best, tf.zeros_like(best), tf.zeros_like(best))
                continue
            if score < best_score:
                best, best_score = state[0], score
            self._report(done, error, bits)
        return best, done

    def _compile(self, steps: int) -> Callable[..., Tuple[State, tf.Tensor]]:
        # Measured on one core: XLA (jit_compile=True) is slower than TensorFlow's own kernels at these products.
        @tf.function(autograph=False)
        def chunk(state: State, counters: tf.Tensor, peak: tf.Tensor, count: int) -> Tuple[State, tf.Tensor]:
            def body(offset: tf.Tensor, state: State, _: tf.Tensor) -> Tuple[tf.Tensor, State, tf.Tensor]:
                step, fresh = counters[0] + offset, tf.cast(counters[1] + offset, tf.float32)
                rise = tf.minimum(1.0, (fresh + 1.0) / WARM_UP)
                fall = 0.5 * (1.0 + tf.cos(math.pi * tf.cast(step, tf.float32) / steps))
                state, loss = train_step(self._objective, state, fresh, self._draw(step), peak * rise * fall)
                return offset + 1, state, loss

            first = (tf.constant(0), state, tf.constant(0.0))
            return tf.while_loop(lambda offset, *_: offset < count, body, first, maximum_iterations=count)[1:]

        return chunk


def training_steps(config: EncodeConfig) -> int:
    """Steps that the configuration asks for, the tuning of the rounded weights included."""
    return EFFORT_STEPS[config.effort - 1] if config.steps is None else config.steps


def peak_rate(config: EncodeConfig, family: str) -> float:
    """Learning rate at the top of the schedule: the configured one, or what suits the family and the steps."""
    if config.learning_rate is not None:
        return config.learning_rate
    rate = LEARNING_RATES[family]
    return rate * min(1.0, math.sqrt(SIREN_FULL_RATE_STEPS / training_steps(config))) if family == "siren" else rate


def fit(
    image: np.ndarray,
    spec: MlpSpec,
    config: EncodeConfig,
    progress: Optional[Callable[[Progress], None]] = None,
    interrupt: Optional[Callable[[], bool]] = None,
    *,
    target_bits: Optional[float] = None,
) -> FitResult:
    """Train `spec` on a picture and turn it into integers.

    Args:
        image: (H, W, C) float32 in [0, 1].
        progress: called every few seconds.
        interrupt: polled between chunks of steps; once it returns True, the best state so far is finished.
        target_bits: bits that the weights should take; None trades them against the error by itself.

    Raises:
        TrainingError: training diverged.
    """
    image = np.ascontiguousarray(image, dtype=np.float32)
    pixels = image.shape[0] * image.shape[1]
    sampler = Sampler(image, min(config.batch_size, pixels), config.sampling, config.seed)
    layout = Layout(spec)
    total = training_steps(config)
    tuning = round(total * TUNING_SHARE)
    peak = peak_rate(config, spec.family)
    chunk = max(round(CHUNK_FLOPS / (6.0 * spec.macs_per_pixel() * sampler.batch_size)), 1)
    began = time.monotonic()
    stop = interrupt if interrupt is not None else lambda: False

    def reporter(stage: str, offset: int) -> Callable[[int, float, float], None]:
        def report(step: int, error: float, bits: float) -> None:
            if progress is not None:
                seconds = time.monotonic() - began
                progress(Progress(stage, offset + step, total, seconds, _decibels(error), bits / pixels))

        return report

    expected_bits = BITS_PER_PARAMETER * spec.parameter_count() if target_bits is None else target_bits
    coords, colours = sampler.fixed(EVALUATION_SAMPLES)

    @tf.function(autograph=False)
    def squared_error(flat: tf.Tensor) -> tf.Tensor:
        predicted = tf.clip_by_value(networks.forward(spec, layout.split(flat), coords), 0.0, 1.0)
        return tf.reduce_mean(tf.square(predicted - colours))

    def float_objective(flat: tf.Tensor, at: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        return distortion(config, networks.forward(spec, layout.split(flat), at), wanted)

    def float_score(flat: tf.Tensor) -> Tuple[float, float, float]:
        error = float(squared_error(flat))
        return error, error, expected_bits

    start = layout.join(networks.initial_tensors(spec, config.seed, image.mean(axis=(0, 1))))
    loop = Loop(
        draw=sampler.draw,
        objective=float_objective,
        evaluate=float_score,
        report=reporter("fit", 0),
        interrupt=stop,
        chunk=chunk,
    )
    trained, done = loop.run(start, total - tuning, peak)
    float_tensors = tuple(tensor.numpy() for tensor in layout.split(trained))

    tune = tuning > 0 and not stop()
    plan = choose_steps(
        float_tensors, lambda tensors: float(squared_error(layout.join(tensors))), target_bits, tuned=tune
    )
    sizes = plan.sizes

    def rounded(flat: tf.Tensor) -> List[tf.Tensor]:
        return [relax.straight_through(tensor, size) for tensor, size in zip(layout.split(flat), sizes)]

    # Huber's loss has another scale than the squared error that the price of a bit was measured in.
    price = plan.price if config.loss == "mse" else plan.price * _huber_scale(config, plan.error)
    # Bits below the target are worth nothing: where rounding hurts, their price is so high that tuning would shed them.
    free_bits = 0.0 if target_bits is None else target_bits

    def tuned_objective(flat: tf.Tensor, at: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        tensors = rounded(flat)
        excess = tf.maximum(relax.rate(tensors, sizes) - free_bits, 0.0)
        return distortion(config, networks.forward(spec, tensors, at), wanted) + price * excess

    @tf.function(autograph=False)
    def rounded_state(flat: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        tensors = rounded(flat)
        return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0), relax.rate(tensors, sizes)

    def tuned_score(flat: tf.Tensor) -> Tuple[float, float, float]:
        values, bits = rounded_state(flat)
        error = float(squared_error(values))
        return error + plan.price * max(float(bits) - free_bits, 0.0), error, float(bits)

    if tune:
        loop = Loop(
            draw=sampler.draw,
            objective=tuned_objective,
            evaluate=tuned_score,
            report=reporter("tune", done),
            interrupt=stop,
            chunk=chunk,
        )
        trained, tuned = loop.run(trained, tuning, peak * TUNING_RATE)
        done += tuned
    tuned_tensors = tuple(tensor.numpy() for tensor in layout.split(trained))
    quantized = plan.apply(spec, tuned_tensors)
    return FitResult(quantized, float_tensors, tuned_tensors, _picture_psnr(spec, float_tensors, image), done)


def _huber_scale(config: EncodeConfig, squared: float) -> float:
    """Huber's loss per squared error where the errors are about the root of `squared`."""
    deviation = math.sqrt(squared)
    delta = config.huber_delta
    return 0.5 if deviation <= delta else delta * (deviation - 0.5 * delta) / squared


def _picture_psnr(spec: MlpSpec, tensors: Sequence[np.ndarray], image: np.ndarray) -> float:
    height, width = image.shape[:2]
    total, rows = 0.0, max(2**20 // width, 1)
    for top in range(0, height, rows):
        band = render(spec, tensors, pixel_centres(width), pixel_centres(height)[top : top + rows])
        total += float(np.square(np.clip(band, 0, 1) - image[top : top + rows], dtype=np.float64).sum())
    return _decibels(total / image.size)


def _decibels(squared_error: float) -> float:
    return -10.0 * math.log10(max(squared_error, 1e-12))
