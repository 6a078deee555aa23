"""A picture as a coordinate network, at the size or the quality that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

from nifcodec.config import EncodeConfig
from nifcodec.entropy.tensors import encode_tensors
from nifcodec.errors import InterruptedEncodeError
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import CodedField, EncodeJob, Goal
from nifcodec.fields.mlp.description import FAMILY_IDS, MlpDescription, pack
from nifcodec.fields.mlp.sizing import design
from nifcodec.fields.mlp.weights import STEP_INDICES, STEPS_PER_OCTAVE, QuantizedMlp, quantize
from nifcodec.fields.rate_control import IndexRange, coarsest_above, is_above, measured
from nifcodec.picture.signal import Signal

if TYPE_CHECKING:
    from nifcodec.fields.mlp.training.fit import FitResult

    Fit = Callable[[MlpDescription, Optional[float]], FitResult]

# Bits per pixel of the weights at quality 0, and the qualities over which they double: 0.05 to 3.8.
LEAST_BPP, DOUBLING = 0.05, 16.0
# What a photograph takes at 30 dB, and the decibels that twice the bits gain: where the search for a PSNR starts.
BPP_AT_30_DB, DECIBELS_PER_DOUBLING = 0.5, 2.5
PSNR_TRAININGS = 3
LOOK_AHEAD_PIXELS = 2**22  # decoded at most to look for a smaller file
PSNR_SURPLUS = 3.0  # decibels above the target from which a smaller network is tried
PSNR_MARGIN = 0.3  # what quantization may cost
COARSER, FINER = 40, 16  # step indices by which a trained network's steps may be moved
FRAMING_BYTES = 16  # the description and the length of the payload


def encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    """Trains a network whose size follows from the goal, then moves its quantization steps until the goal is met.

    Raises:
        MissingDependencyError: TensorFlow is not installed.
        TrainingError, ConfigError, InterruptedEncodeError.
    """
    job = EncodeJob(signal, goal, config, hooks)
    fit = _trainer(job)
    if goal.psnr is not None:
        result = _fit_for_psnr(job, fit, goal.psnr)
        return _coded(result, _shift_for_psnr(job, result))
    if goal.target_bytes is not None:
        bits = 8.0 * max(goal.target_bytes - goal.overhead - FRAMING_BYTES, 1)
        result = fit(_design(job, bits), bits)
        coded = _coded(result, _coarsest_above(job, result) + 1)
        job.check_smallest(len(goal.pack(coded)))
        return coded
    return _coded(fit(_design(job, quality_bpp(goal.quality) * signal.pixels), None))


def quality_bpp(quality: float) -> float:
    """Quality 0 to 100 -> bits per pixel that the network is dimensioned for."""
    return LEAST_BPP * 2.0 ** (quality / DOUBLING)


def _fit_for_psnr(job: EncodeJob, fit: "Fit", target: float) -> "FitResult":
    """The last network that reaches the PSNR before its quantization, of a few sizes, or else the last of them."""
    bpp = BPP_AT_30_DB * 2.0 ** ((target - 30.0) / DECIBELS_PER_DOUBLING)
    reaching: Optional["FitResult"] = None
    for _ in range(PSNR_TRAININGS):
        spec = _design(job, bpp * job.signal.pixels)
        if reaching is not None and spec == reaching.quantized.spec:
            break
        result = fit(spec, None)
        missing = target + PSNR_MARGIN - result.psnr_float
        if missing <= 0:
            reaching = result
        if -PSNR_SURPLUS <= missing <= 0 or job.hooks.interrupted():
            break
        # Half a decibel of the surplus is left, so that the smaller network does not fall short.
        doublings = (missing if missing > 0 else missing + 0.5) / DECIBELS_PER_DOUBLING
        bpp *= 2.0 ** (max(doublings, 0.5) if missing > 0 else doublings)
    return result if reaching is None else reaching


def _shift_for_psnr(job: EncodeJob, result: "FitResult") -> int:
    """The coarsest shift of the steps at which the file reaches the PSNR; 0 where none does."""
    shifts, shift = _shifts(result), _coarsest_above(job, result)
    # Rounding coarser than in training jitters: the first step that misses may not be the last that meets.
    ahead = min(STEPS_PER_OCTAVE * _tensors(result), max(1, LOOK_AHEAD_PIXELS // job.signal.pixels))
    for further in range(shift + ahead, shift, -1):
        if _is_above(job, result, further):
            return further
    return shift if shift >= shifts.first else 0


def _coarsest_above(job: EncodeJob, result: "FitResult") -> int:
    """The coarsest shift of the steps at which the file is above the goal, where it is at all finer ones."""
    return coarsest_above(lambda shift: _is_above(job, result, shift), _shifts(result))


def _is_above(job: EncodeJob, result: "FitResult", shift: int) -> bool:
    excess, _ = measured(job.goal, _coded(result, shift))
    return is_above(job.goal, excess)


def _shifts(result: "FitResult") -> IndexRange:
    """Of all tensors together: a shift by one moves the step of one tensor."""
    return IndexRange(-FINER * _tensors(result), COARSER * _tensors(result) - 1)


def _tensors(result: "FitResult") -> int:
    return len(result.quantized.steps)


def _design(job: EncodeJob, bits: float) -> MlpDescription:
    signal = job.signal
    return design(
        job.config.field, signal.channels, (signal.height, signal.width), bits, job.config.options, job.config.seed
    )


def _trainer(job: EncodeJob) -> "Fit":
    """What trains a network on the picture: (description, bits or None) -> result.

    Raises MissingDependencyError, and ConfigError where the checkpoint is not of this job.
    """
    config = job.config
    job.start_training()
    checkpoint = job.open_checkpoint()
    from nifcodec.fields.mlp.training.fit import fit

    def train(spec: MlpDescription, target_bits: Optional[float]) -> "FitResult":
        result = fit(job.signal.values(), spec, config, job.hooks, target_bits=target_bits, checkpoint=checkpoint)
        if result.steps == 0:
            raise InterruptedEncodeError("interrupted before the first training step: nothing was written")
        return result

    return train


def _coded(result: "FitResult", shift: int = 0) -> CodedField:
    """The parts of the file, with quantization steps coarser by `shift`."""
    network = result.quantized if shift == 0 else _requantized(result, shift)
    payload = encode_tensors(network.to_payload())
    family = FAMILY_IDS[network.spec.family]
    return CodedField(family, pack(network.spec), payload, result.steps, result.placement)


def _requantized(result: "FitResult", shift: int) -> QuantizedMlp:
    """The tuned weights with steps coarser by `shift` index steps, spread evenly over the tensors."""
    steps = result.quantized.steps
    indices = tuple(
        min(max(index - (shift + tensor) // len(steps), 0), STEP_INDICES - 1) for tensor, index in enumerate(steps)
    )
    symbols = tuple(quantize(tensor, index) for tensor, index in zip(result.tuned_tensors, indices))
    return QuantizedMlp(result.quantized.spec, symbols, indices)
