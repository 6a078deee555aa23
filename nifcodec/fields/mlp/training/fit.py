"""Fitting a coordinate network to a picture: the training loop, and the way from float weights to integers."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.config import EncodeConfig
from nifcodec.fields.checkpoint import Checkpoint
from nifcodec.fields.hooks import Progress, Watch
from nifcodec.fields.mlp.description import MlpDescription, pack
from nifcodec.fields.mlp.options import OPTIONS, MlpOptions, SirenOptions
from nifcodec.fields.mlp.render import Network, pixel_centres, render
from nifcodec.fields.mlp.sizing import BITS_PER_PARAMETER
from nifcodec.fields.mlp.training import memory, networks, rounding
from nifcodec.fields.mlp.training.networks import Arithmetic, Layout
from nifcodec.fields.mlp.training.samples import Sampler
from nifcodec.fields.mlp.training.step_choice import choose_steps
from nifcodec.fields.mlp.weights import QuantizedMlp
from nifcodec.picture.metrics import estimated_psnr
from nifcodec.training.adam import Objective, Samples
from nifcodec.training.devices.base import Device, Placement, Work
from nifcodec.training.devices.open import open_device
from nifcodec.training.loop import Loop, Reached, Snapshot, record_of, snapshot_of

EFFORT_STEPS = (250, 500, 1000, 2500, 5000, 10_000, 20_000, 50_000, 100_000)  # efforts 1 to 9
LEARNING_RATES = {"fourier": 1e-2, "siren": 2e-3}
# Noise moves weights by about rate * sqrt(steps), and a siren whose weights grow falls to high frequencies that it does
# not unlearn: beyond so many steps its rate falls with their root.
SIREN_FULL_RATE_STEPS = 2500
TUNING_SHARE = 0.25  # of the steps, spent on the rounded weights
TUNING_RATE = 0.1  # of the learning rate
CHUNK_FLOPS = 1e11  # of a compiled call: seconds, so that progress and Ctrl-C are answered
EVALUATION_SAMPLES = 2**16


Score = Callable[[tf.Tensor], Tuple[float, float, float]]


@dataclass(frozen=True)
class FitResult:
    """A trained field.

    Attributes:
        quantized: the network as it is stored.
        float_tensors: its weights before rounding.
        tuned_tensors: the float weights whose rounding `quantized` is, for another choice of steps near it.
        psnr_float: PSNR in dB of the picture (clipped, not rounded) rendered from `float_tensors`.
        steps: training steps done.
        placement: on what it was trained and how a batch was split, for people.
    """

    quantized: QuantizedMlp
    float_tensors: Tuple[np.ndarray, ...]
    tuned_tensors: Tuple[np.ndarray, ...]
    psnr_float: float
    steps: int
    placement: str


def distortion(options: MlpOptions, predicted: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    """Mean squared error, or Huber's loss, over samples and channels."""
    error = predicted - colours
    if options.loss == "mse":
        return tf.reduce_mean(tf.square(error))
    magnitude, delta = tf.abs(error), options.huber_delta
    return tf.reduce_mean(tf.where(magnitude <= delta, 0.5 * tf.square(error), delta * (magnitude - 0.5 * delta)))


def training_steps(config: EncodeConfig) -> int:
    """Steps that the configuration asks for, the tuning of the rounded weights included."""
    return EFFORT_STEPS[config.effort - 1] if config.steps is None else config.steps


def peak_rate(config: EncodeConfig, options: MlpOptions, family: str) -> float:
    """Learning rate at the top of the schedule: the configured one, or what suits the family and the steps."""
    if options.learning_rate is not None:
        return options.learning_rate
    rate = LEARNING_RATES[family]
    return rate * min(1.0, math.sqrt(SIREN_FULL_RATE_STEPS / training_steps(config))) if family == "siren" else rate


def fit(
    image: np.ndarray,
    spec: MlpDescription,
    config: EncodeConfig,
    progress: Optional[Callable[[Progress], None]] = None,
    interrupt: Optional[Callable[[], bool]] = None,
    *,
    target_bits: Optional[float] = None,
    checkpoint: Optional[Checkpoint] = None,
    watch: Optional[Watch] = None,
) -> FitResult:
    """Train `spec` on a picture and turn it into integers.

    Args:
        image: (H, W, C) float32 in [0, 1].
        progress: called every few seconds.
        interrupt: polled between chunks of steps; once it returns True, the best state so far is finished.
        target_bits: bits that the weights should take; None trades them against the error by itself.
        checkpoint: where the training is kept, and gone on from.
        watch: called with the progress, with scalars and the network of that step; in the chief process only.

    Raises:
        TrainingError: training diverged.
        ConfigError, DeviceError, MissingDependencyError, WorkerLostError: of the device.
    """
    options: MlpOptions = OPTIONS[spec.family]() if config.options is None else config.options
    device = open_device(
        _placement(config, options)
    )  # first: a cluster has to be joined before TensorFlow does anything else
    image = np.ascontiguousarray(image, dtype=np.float32)
    pixels = image.shape[0] * image.shape[1]
    arithmetic = Arithmetic(options.precision == "float16", isinstance(options, SirenOptions) and options.half_sine)
    wanted = min(options.batch_size, pixels)
    split = memory.split(spec, wanted, device.replicas, options.gradient_accumulation, arithmetic, device.memory)
    sampler = Sampler(image, split.batch, options.sampling, config.seed)
    layout = Layout(spec)
    total = training_steps(config)
    tuning = round(total * TUNING_SHARE)
    peak = peak_rate(config, options, spec.family)
    stages = _Stages(
        device=device,
        draw=sampler.draw,
        chunk=max(round(CHUNK_FLOPS / (6.0 * spec.macs_per_pixel() * sampler.batch_size)), 1),
        parts=split.parts,
        half=arithmetic.half,
        config=config,
        pixels=pixels,
        progress=progress,
        interrupt=interrupt if interrupt is not None else lambda: False,
        checkpoint=checkpoint,
        watch=watch,
        name=f"{pack(spec).hex()} {target_bits}",
    )

    expected_bits = BITS_PER_PARAMETER * spec.parameter_count() if target_bits is None else target_bits
    coords, colours = sampler.fixed(EVALUATION_SAMPLES)

    @tf.function(autograph=False)
    def squared_error(flat: tf.Tensor) -> tf.Tensor:
        predicted = tf.clip_by_value(networks.forward(spec, layout.split(flat), coords), 0.0, 1.0)
        return tf.reduce_mean(tf.square(predicted - colours))

    def float_objective(flat: tf.Tensor, at: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        return distortion(options, networks.forward(spec, layout.split(flat), at, arithmetic), wanted)

    def float_score(flat: tf.Tensor) -> Tuple[float, float, float]:
        error = float(squared_error(flat))
        return error, error, expected_bits

    def float_network(flat: tf.Tensor) -> Network:
        return Network(spec, tuple(tensor.numpy() for tensor in layout.split(flat)))

    start = layout.join(networks.initial_tensors(spec, config.seed, image.mean(axis=(0, 1))))
    trained, done = stages.run("fit", float_objective, float_score, float_network, start, 0, total - tuning, peak)
    float_tensors = tuple(tensor.numpy() for tensor in layout.split(trained))

    tune = tuning > 0 and done == total - tuning and not stages.stops()
    plan = choose_steps(
        float_tensors,
        lambda tensors: device.agree(float(squared_error(layout.join(tensors)))),
        target_bits,
        tuned=tune,
    )
    sizes = plan.sizes

    def rounded(flat: tf.Tensor) -> List[tf.Tensor]:
        return [rounding.straight_through(tensor, size) for tensor, size in zip(layout.split(flat), sizes)]

    # Huber's loss has another scale than the squared error that the price of a bit was measured in.
    price = plan.price if options.loss == "mse" else plan.price * _huber_scale(options, plan.error)
    # Bits below the target are worth nothing: where rounding hurts, their price is so high that tuning would shed them.
    free_bits = 0.0 if target_bits is None else target_bits

    def tuned_objective(flat: tf.Tensor, at: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        tensors = rounded(flat)
        excess = tf.maximum(rounding.rate(tensors, sizes) - free_bits, 0.0)
        return distortion(options, networks.forward(spec, tensors, at, arithmetic), wanted) + price * excess

    @tf.function(autograph=False)
    def rounded_state(flat: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        tensors = rounded(flat)
        return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0), rounding.rate(tensors, sizes)

    def tuned_score(flat: tf.Tensor) -> Tuple[float, float, float]:
        values, bits = rounded_state(flat)
        error = float(squared_error(values))
        return error + plan.price * max(float(bits) - free_bits, 0.0), error, float(bits)

    def rounded_network(flat: tf.Tensor) -> Network:
        return Network(spec, plan.apply(spec, float_network(flat).tensors).dequantize())

    if tune:
        trained, tuned = stages.run(
            "tune", tuned_objective, tuned_score, rounded_network, trained, done, tuning, peak * TUNING_RATE
        )
        done += tuned
    tuned_tensors = tuple(tensor.numpy() for tensor in layout.split(trained))
    return FitResult(
        plan.apply(spec, tuned_tensors),
        float_tensors,
        tuned_tensors,
        device.agree(_picture_psnr(spec, float_tensors, image)),
        done,
        split.describe(device.label, device.memory),
    )


def _placement(config: EncodeConfig, options: MlpOptions) -> Placement:
    return Placement(
        config.device,
        config.replicas,
        precision=options.precision,
        stochastic_rounding=options.stochastic_rounding,
        partials=options.partials,
    )


class _Stages:
    """The two runs of a training, over the same samples: on the float weights, then on the rounded ones."""

    def __init__(
        self,
        *,
        device: Device,
        draw: Callable[[tf.Tensor], Samples],
        chunk: int,
        parts: int,
        half: bool,
        config: EncodeConfig,
        pixels: int,
        progress: Optional[Callable[[Progress], None]],
        interrupt: Callable[[], bool],
        checkpoint: Optional[Checkpoint],
        watch: Optional[Watch],
        name: str,
    ) -> None:
        self._device, self._draw, self._chunk, self._parts, self._config = device, draw, chunk, parts, config
        self._pixels, self._progress, self._interrupt, self._half = pixels, progress, interrupt, half
        self._checkpoint, self._name = checkpoint, name
        self._watch = watch if device.chief else None
        self._began = time.monotonic()

    def stops(self) -> bool:
        """Whether any process that takes part was interrupted."""
        return self._device.agree(float(self._interrupt())) > 0.0

    def run(
        self,
        stage: str,
        objective: Objective,
        score: Score,
        network: Callable[[tf.Tensor], Network],
        start: tf.Tensor,
        offset: int,
        steps: int,
        rate: float,
    ) -> Tuple[tf.Tensor, int]:
        """The best parameters, and the steps done of `steps`; `offset` of all went before.

        network: what parameters stand for, to be watched.
        """
        name = f"{self._name}/{stage}"
        total = training_steps(self._config)

        def report(reached: Reached) -> None:
            step, seen = offset + reached.done, reached.scalars(self._pixels)
            if self._progress is not None:
                seconds = time.monotonic() - self._began
                self._progress(Progress(stage, step, total, seconds, seen["psnr"], seen["bits_per_pixel"]))
            if self._watch is not None:
                self._watch(step, seen, lambda: network(reached.parameters))

        def save(snapshot: Snapshot) -> None:
            if self._checkpoint is not None and self._device.chief:
                self._checkpoint.save(name, record_of(snapshot))

        half = self._half
        chunk = min(self._chunk, steps)
        loop = Loop(
            device=self._device,
            work=Work(objective, self._draw, steps, chunk, self._parts, half, self._config.seed),
            evaluate=score,
            report=report,
            stops=self.stops,
            save=save,
        )
        if self._checkpoint is None:
            return loop.run(start, rate)
        kept = self._checkpoint.load(name)
        result = loop.run(start, rate, None if kept is None else snapshot_of(kept))
        self._checkpoint.flush()
        return result


def _huber_scale(options: MlpOptions, squared: float) -> float:
    """Huber's loss per squared error where the errors are about the root of `squared`."""
    deviation = math.sqrt(squared)
    delta = options.huber_delta
    return 0.5 if deviation <= delta else delta * (deviation - 0.5 * delta) / squared


def _picture_psnr(spec: MlpDescription, tensors: Sequence[np.ndarray], image: np.ndarray) -> float:
    height, width = image.shape[:2]
    total, rows = 0.0, max(2**20 // width, 1)
    for top in range(0, height, rows):
        band = render(spec, tensors, pixel_centres(width), pixel_centres(height)[top : top + rows])
        total += float(np.square(np.clip(band, 0, 1) - image[top : top + rows], dtype=np.float64).sum())
    return estimated_psnr(total / image.size)
