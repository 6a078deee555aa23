"""A picture as a wavelet field: the step that meets the goal, untrained, and after training the coefficients."""

from __future__ import annotations

import time
from functools import partial
from typing import List, Optional, Tuple

from nifcodec.config import EncodeConfig
from nifcodec.fields import rate_control
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import CodedField, EncodeJob, Goal
from nifcodec.fields.rate_control import IndexRange, Miss
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.candidate import Candidate
from nifcodec.fields.wavelet.checkpoint import Kept, Rounds
from nifcodec.fields.wavelet.descent import CpuDescent
from nifcodec.fields.wavelet.description import COARSEST_INDEX, FAMILY_ID, FINEST_INDEX
from nifcodec.fields.wavelet.options import WaveletOptions
from nifcodec.fields.wavelet.picture_encoder import ROUNDS_PER_GRADIENT, PictureEncoder, Training
from nifcodec.fields.wavelet.tile_source import MARGIN
from nifcodec.picture.signal import Signal

# The step index at quality 0, and how far it falls to quality 100: steps from 1.6 to 1/90.
INDEX_AT_QUALITY_0, INDEX_FALL = 556, 460
# From this quality on, pictures of more than 8 bits fall on faster, to FINEST_INDEX at quality 100.
DEEP_QUALITY = 80.0
ROUNDS = (0, 1, 2, 3, 6, 10, 15, 25, 40)  # of training, efforts 1 to 9
START_INDEX = 300  # of a search
STEP_INDICES_PER_SIZE_OCTAVE = 80  # by which the step grows while a photograph's size halves
# Relative gain of the first dependent candidate above which scalar quantization is not tried again.
CLEAR_GAIN = 0.015
# A tiled picture is searched on one tile in six, within limits, and then corrected on the whole.
SAMPLE_SHARE, SAMPLE_LIMITS = 6, (2, 8)


def encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    """The field at the step that meets the goal: untrained, then trained as far as the effort goes."""
    job = EncodeJob(signal, goal, config, hooks)
    options: WaveletOptions = config.options or WaveletOptions()
    exponent = options.exponent_for(signal.pixels)
    training = _open_training(job, exponent)
    encoder = PictureEncoder(job, exponent, training)
    if training is None:
        return _at_goal(job, encoder)[0].coded()
    if exponent:
        best, done = _at_goal(job, encoder)[0], training.rounds
    else:
        best, done = _trained(job, encoder, training)
    return best.coded(done, training.descent.placement)


def quality_index(quality: float, depth: int = 8) -> int:
    """Quality 0 to 100 -> step index, for a picture of `depth` bits a channel."""
    index = INDEX_AT_QUALITY_0 - INDEX_FALL * quality / 100
    if depth > 8 and quality > DEEP_QUALITY:
        start = INDEX_AT_QUALITY_0 - INDEX_FALL * DEEP_QUALITY / 100
        index = start + (FINEST_INDEX - start) * (quality - DEEP_QUALITY) / (100 - DEEP_QUALITY)
    return round(index)


def _open_training(job: EncodeJob, exponent: int) -> Optional[Training]:
    """What the effort asks for; None where that is nothing. The CPU needs no TensorFlow.

    Raises MissingDependencyError, DeviceError, ConfigError.
    """
    config, signal = job.config, job.signal
    rounds = ROUNDS[config.effort - 1] if config.steps is None else config.steps
    if not rounds:
        return None
    restoration = priors.named().restoration
    if config.device in ("auto", "cpu") and config.replicas in (None, 1):
        return Training(rounds, CpuDescent(restoration), job.open_checkpoint())
    job.start_training()
    from nifcodec.fields.wavelet.training.device_descent import open_device_descent

    sides = signal.height, signal.width
    if exponent:
        largest = (1 << exponent) + 2 * MARGIN
        sides = min(sides[0], largest), min(sides[1], largest)
    return Training(rounds, open_device_descent(restoration, signal.channels, sides, config), job.open_checkpoint())


def _at_goal(job: EncodeJob, encoder: PictureEncoder, start: Optional[Candidate] = None) -> Tuple[Candidate, Miss]:
    """The candidate that meets the goal, or comes nearest to it, and how it misses it.

    Args:
        start: where dependent quantization starts from, as `PictureEncoder.encode_at` takes it.
    """
    goal = job.goal
    if goal.is_quality:
        index = max(encoder.finest, quality_index(goal.quality, job.signal.depth))
        return encoder.encode_at(index, start=start), Miss(False, 0.0, 0)
    indices = IndexRange(encoder.finest, COARSEST_INDEX, START_INDEX, STEP_INDICES_PER_SIZE_OCTAVE)
    if encoder.tiling is None:
        tries = rate_control.step_tries(goal, indices)
    else:
        estimate = partial(_estimate, job, encoder, _sample(encoder.tiling.count))
        tries = rate_control.estimated_tries(goal, indices, estimate)
    # The coding of tiles tells of itself.
    reported = encoder.tiling is None
    return rate_control.meet(job, indices, tries, partial(encoder.encode_at, start=start), reported)


def _estimate(job: EncodeJob, encoder: PictureEncoder, sample: List[int], index: int) -> float:
    """The excess of a file at a step, from a sample of its tiles, untrained."""
    candidate = encoder.encode_at(index, sample=sample)
    frame = CodedField(FAMILY_ID, candidate.root.spec.pack(), candidate.root.part.data, 0)
    size = len(job.goal.pack(frame)) + candidate.size * job.signal.pixels / candidate.pixels
    return rate_control.excess_of(job.goal, size, lambda: candidate.scalars()["psnr"])


def _sample(count: int) -> List[int]:
    """Tiles spread over the picture: multiples of the golden ratio fall into the same column only by chance."""
    size = min(max(count // SAMPLE_SHARE, SAMPLE_LIMITS[0]), SAMPLE_LIMITS[1])
    return sorted({int(count * ((i + 0.5) * 0.6180339887 % 1)) for i in range(size)})


def _trained(job: EncodeJob, encoder: PictureEncoder, training: Training) -> Tuple[Candidate, int]:
    """An untiled picture, trained at the step that meets the goal, then moved to the goal again; the rounds done."""
    rounds = _train(job, encoder, training)
    if job.goal.is_quality:
        return rounds.best, rounds.done
    if rounds.parent is None:
        encoder.source.set_target(encoder.source.original)
    else:
        training.set_target(encoder.source, rounds.parent.root, rounds.parent.root)
    met = _at_goal(job, encoder, _dependent(rounds.best))
    if met[1].wrong:
        # A flat picture's step may be so wide that what training moved is no likeness of it: then untrained.
        encoder.source.set_target(encoder.source.original)
        met = min(met, _at_goal(job, encoder), key=lambda found: found[1])
    return met[0], rounds.done


def _train(job: EncodeJob, encoder: PictureEncoder, training: Training) -> Rounds:
    """The last round that there is time for, and the candidate of least cost, at the step of the first one."""
    began = time.monotonic()
    kept = Kept(training.checkpoint, f"{encoder.prior.hash.hex()}/rounds")
    record = kept.load()
    if record is not None:
        rounds = Rounds.read(record, encoder.decode)
    else:
        first = _at_goal(job, encoder)[0]
        rounds = Rounds(0, first, first)
    while True:
        done, last, best, parent, graded = rounds
        seen = last.scalars()
        job.hooks.report("train", done, training.rounds, began, seen)
        if job.hooks.watch is not None:
            job.hooks.watch(done, seen, partial(job.goal.pack, last.coded(done)))
        kept.save(rounds.record())
        if done == training.rounds or job.hooks.interrupted():
            kept.flush()
            return rounds
        graded = last if graded is None or done % ROUNDS_PER_GRADIENT == 0 else graded
        training.set_target(encoder.source, last.root, graded.root)
        candidate = _requantized(encoder, last, first=done == 0)
        better = candidate.root.cost < best.root.cost
        rounds = Rounds(done + 1, candidate, candidate if better else best, last if better else parent, graded)


def _requantized(encoder: PictureEncoder, before: Candidate, first: bool) -> Candidate:
    """The next candidate at the same lambda. The first one decides whether quantization is dependent from then on."""
    index = before.scalar_index
    if not first:
        return encoder.encode_at(index, start=_dependent(before))
    dependent = encoder.encode_at(index, start=before)
    if dependent.root.cost <= (1 - CLEAR_GAIN) * before.root.cost:
        return dependent
    return min(dependent, encoder.encode_at(index), key=lambda candidate: candidate.root.cost)


def _dependent(candidate: Candidate) -> Optional[Candidate]:
    """The candidate, where its quantization is dependent."""
    return candidate if candidate.root.spec.dependent else None
