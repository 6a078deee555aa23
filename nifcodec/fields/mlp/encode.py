"""A picture as a coordinate network, at the size or the quality that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

from nifcodec.config import EncodeConfig
from nifcodec.entropy.tensors import encode_tensors
from nifcodec.errors import InterruptedEncodeError
from nifcodec.fields.family import CodedField
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import EncodeJob, Goal
from nifcodec.fields.mlp.description import FAMILY_IDS, MlpDescription, pack
from nifcodec.fields.mlp.sizing import design
from nifcodec.fields.mlp.weights import STEP_INDICES, QuantizedMlp, quantize
from nifcodec.picture.signal import Signal

if TYPE_CHECKING:
    from nifcodec.fields.mlp.training.fit import FitResult

    Fit = Callable[[MlpDescription, Optional[float]], FitResult]

# Bits per pixel of the weights at quality 0, and the qualities over which they double: 0.05 to 3.8.
LEAST_BPP, DOUBLING = 0.05, 16.0
# What a photograph takes at 30 dB, and the decibels that twice the bits gain: where the search for a PSNR starts.
BPP_AT_30_DB, DECIBELS_PER_DOUBLING = 0.5, 2.5
PSNR_TRAININGS = 3
OCTAVE = 8  # step indices
LOOK_AHEAD_PIXELS = 2**22  # decoded at most to look for a smaller file
PSNR_SURPLUS = 3.0  # decibels above the target from which a smaller network is tried
PSNR_MARGIN = 0.3  # what quantization may cost
COARSER, FINER = 40, 16  # step indices, eight to an octave, by which a trained network's steps may be moved


def encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    """Trains a network whose size follows from the target, then moves its quantization steps until the target is met.

    Raises:
        MissingDependencyError: TensorFlow is not installed.
        TrainingError, ConfigError, InterruptedEncodeError.
    """
    job = EncodeJob(signal, goal, config, hooks)
    fit = _trainer(job)
    if job.config.psnr is not None:
        return _at_psnr(job, fit, job.config.psnr)
    target = job.goal.target_bytes
    if target is None:
        return _trained(fit(_design(job, quality_bpp(job.goal.quality) * job.signal.pixels), None))
    overhead = job.goal.overhead() + 16  # the description and the length of the payload
    bits = 8.0 * max(target - overhead, 1)
    result = fit(_design(job, bits), bits)
    trained = _trained(result, _shift(result, lambda trained: len(job.goal.pack(trained)) <= target))
    job.check_smallest(len(job.goal.pack(trained)))
    return trained


def quality_bpp(quality: float) -> float:
    """Quality 0 to 100 -> bits per pixel that the network is dimensioned for."""
    return LEAST_BPP * 2.0 ** (quality / DOUBLING)


def _at_psnr(job: EncodeJob, fit: "Fit", target: float) -> CodedField:
    """A network that reaches the PSNR where one of a few sizes does, with the coarsest steps that still do."""
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
        bpp *= 2.0 ** (
            max(missing / DECIBELS_PER_DOUBLING, 0.5) if missing > 0 else (missing + 0.5) / DECIBELS_PER_DOUBLING
        )
    result = result if reaching is None else reaching

    def missed(trained: CodedField) -> bool:
        return job.goal.measure(job.goal.pack(trained)) < target

    coarsest = _shift(result, missed) - 1
    # Rounding coarser than in training jitters: the first step that misses may not be the last that meets.
    ahead = min(OCTAVE * len(result.quantized.steps), max(1, LOOK_AHEAD_PIXELS // job.signal.pixels))
    for shift in range(coarsest + ahead, coarsest, -1):
        if not missed(_trained(result, shift)):
            coarsest = shift
            break
    return _trained(result, coarsest if coarsest >= -FINER * len(result.quantized.steps) else 0)


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
    checkpoint = job.start_training()
    from nifcodec.fields.mlp.training.fit import fit

    def train(spec: MlpDescription, target_bits: Optional[float]) -> "FitResult":
        result = fit(job.signal.values(), spec, config, job.hooks, target_bits=target_bits, checkpoint=checkpoint)
        if result.steps == 0:
            raise InterruptedEncodeError("interrupted before the first training step: nothing was written")
        return result

    return train


def _trained(result: "FitResult", shift: int = 0) -> CodedField:
    network = result.quantized if shift == 0 else _requantized(result, shift)
    payload = encode_tensors(network.to_payload())
    family = FAMILY_IDS[network.spec.family]
    return CodedField(family, pack(network.spec), payload, result.steps, result.placement)


def _shift(result: "FitResult", reached: Callable[[CodedField], bool]) -> int:
    """The least shift of the steps for which `reached` holds, where it holds for all coarser ones."""
    tensors = len(result.quantized.steps)
    low, high = -FINER * tensors - 1, COARSER * tensors
    while high - low > 1:
        middle = (low + high) // 2
        if reached(_trained(result, middle)):
            high = middle
        else:
            low = middle
    return high


def _requantized(result: "FitResult", shift: int) -> QuantizedMlp:
    """The tuned weights with steps coarser by `shift` index steps, spread evenly over the tensors."""
    steps = result.quantized.steps
    indices = tuple(
        min(max(index - (shift + tensor) // len(steps), 0), STEP_INDICES - 1) for tensor, index in enumerate(steps)
    )
    symbols = tuple(quantize(tensor, index) for tensor, index in zip(result.tuned_tensors, indices))
    return QuantizedMlp(result.quantized.spec, symbols, indices)
