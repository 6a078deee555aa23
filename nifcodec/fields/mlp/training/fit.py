"""Fitting a coordinate network to a picture: float weights, a step for each tensor, then the rounded weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np

from nifcodec.config import EncodeConfig
from nifcodec.fields.checkpoint import Checkpoint
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.mlp.description import MlpDescription, pack
from nifcodec.fields.mlp.options import OPTIONS, MlpOptions, SirenOptions
from nifcodec.fields.mlp.render import pixel_centres, render
from nifcodec.fields.mlp.sizing import BITS_PER_PARAMETER
from nifcodec.fields.mlp.training import memory, networks
from nifcodec.fields.mlp.training.networks import Arithmetic
from nifcodec.fields.mlp.training.objectives import FloatStage, Model, RoundedStage
from nifcodec.fields.mlp.training.samples import Sampler
from nifcodec.fields.mlp.training.schedule import Schedule, chunk_steps
from nifcodec.fields.mlp.training.stages import Stages
from nifcodec.fields.mlp.training.step_choice import choose_steps
from nifcodec.fields.mlp.weights import QuantizedMlp
from nifcodec.picture.metrics import estimated_psnr
from nifcodec.training.devices.base import Device, Placement
from nifcodec.training.devices.open import open_device

EVALUATION_SAMPLES = 2**16
BAND_SAMPLES = 2**20  # of the picture, rendered at a time


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


def fit(
    image: np.ndarray,
    spec: MlpDescription,
    config: EncodeConfig,
    hooks: Hooks = Hooks(),  # noqa: B008  frozen
    *,
    target_bits: Optional[float] = None,
    checkpoint: Optional[Checkpoint] = None,
) -> FitResult:
    """Train `spec` on a picture and turn it into integers.

    Args:
        image: (H, W, C) float32 in [0, 1].
        hooks: called every few seconds; once interrupted, the best state so far is finished. What is watched is
            scalars and the network of that step.
        target_bits: bits that the weights should take; None trades them against the error by itself.
        checkpoint: where the training is kept, and gone on from.

    Raises:
        TrainingError: training diverged.
        ConfigError, DeviceError, MissingDependencyError, WorkerLostError: of the device.
    """
    options: MlpOptions = OPTIONS[spec.family]() if config.options is None else config.options
    # First: a cluster has to be joined before TensorFlow does anything else.
    device = open_device(placement(config, options))
    image = np.ascontiguousarray(image, dtype=np.float32)
    arithmetic = arithmetic_of(options)
    split, sampler = _batches(image, spec, config, options, arithmetic, device)
    schedule = Schedule.of(config, options, spec.family)
    stages = Stages(
        device=device,
        draw=sampler.draw,
        chunk=options.report_every or chunk_steps(spec, split.batch),
        parts=split.parts,
        scaled=arithmetic.half,
        seed=config.seed,
        steps=schedule.steps,
        pixels=image.shape[0] * image.shape[1],
        hooks=hooks,
        checkpoint=checkpoint,
        training=f"{pack(spec).hex()} {target_bits}",
    )
    model = Model(spec, options, arithmetic, sampler.fixed(EVALUATION_SAMPLES))

    floats = FloatStage(model, BITS_PER_PARAMETER * spec.parameter_count() if target_bits is None else target_bits)
    start = model.layout.join(networks.initial_tensors(spec, config.seed, image.mean(axis=(0, 1))))
    trained, done = stages.run(floats, start, 0, schedule.fitting, schedule.rate)
    float_tensors = model.arrays(trained)

    tunes = schedule.tuning > 0 and done == schedule.fitting and not stages.stopped()

    def error(tensors: Sequence[np.ndarray]) -> float:
        return device.agree(model.squared_error(model.layout.join(tensors)))

    plan = choose_steps(float_tensors, error, target_bits, tuned=tunes)
    if tunes:
        rounded = RoundedStage(model, plan, 0.0 if target_bits is None else target_bits)
        trained, tuned = stages.run(rounded, trained, done, schedule.tuning, schedule.tuning_rate)
        done += tuned
    tuned_tensors = model.arrays(trained)
    return FitResult(
        plan.apply(spec, tuned_tensors),
        float_tensors,
        tuned_tensors,
        device.agree(_picture_psnr(spec, float_tensors, image)),
        done,
        split.describe(device.label, device.memory),
    )


def placement(config: EncodeConfig, options: MlpOptions) -> Placement:
    """Where a configuration asks to train a coordinate network, and in which arithmetic."""
    return Placement(
        config.device,
        config.replicas,
        precision=options.precision,
        stochastic_rounding=options.stochastic_rounding,
        partials=options.partials,
    )


def arithmetic_of(options: MlpOptions) -> Arithmetic:
    """The precision that options ask for."""
    return Arithmetic(options.precision == "float16", isinstance(options, SirenOptions) and options.half_sine)


def _batches(
    image: np.ndarray,
    spec: MlpDescription,
    config: EncodeConfig,
    options: MlpOptions,
    arithmetic: Arithmetic,
    device: Device,
) -> Tuple[memory.Split, Sampler]:
    """How a step's samples are split over the device, and what draws them."""
    wanted = min(options.batch_size, image.shape[0] * image.shape[1])
    split = memory.split(spec, wanted, device.replicas, options.gradient_accumulation, arithmetic, device.memory)
    return split, Sampler(image, split.batch, options.sampling, config.seed)


def _picture_psnr(spec: MlpDescription, tensors: Sequence[np.ndarray], image: np.ndarray) -> float:
    height, width = image.shape[:2]
    total, rows = 0.0, max(BAND_SAMPLES // width, 1)
    for top in range(0, height, rows):
        band = render(spec, tensors, pixel_centres(width), pixel_centres(height)[top : top + rows])
        total += float(np.square(np.clip(band, 0, 1) - image[top : top + rows], dtype=np.float64).sum())
    return estimated_psnr(total / image.size)
