"""A picture as a wavelet field: the step that meets the target, in closed form and after training the coefficients."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import lru_cache, partial
from math import ceil, log2
from typing import TYPE_CHECKING, Callable, Dict, Generator, List, Optional, Tuple

from nifcodec.config import EncodeConfig
from nifcodec.errors import MissingDependencyError
from nifcodec.fields.checkpoint import Checkpoint
from nifcodec.fields.family import CodedField
from nifcodec.fields.hooks import Hooks, Progress
from nifcodec.fields.job import EncodeJob, Goal
from nifcodec.fields.rate_control import START_INDEX, crossing, tries
from nifcodec.fields.wavelet.description import FAMILY_ID, FINEST_INDEX, STEP_INDICES
from nifcodec.fields.wavelet.options import LARGEST_WHOLE, WaveletOptions
from nifcodec.fields.wavelet.picture_encoder import Attempt, Form, scalars
from nifcodec.fields.wavelet.restoration import RestorationFilter
from nifcodec.fields.wavelet.rounds import Rounds, start
from nifcodec.fields.wavelet.tile_source import MARGIN
from nifcodec.fields.wavelet.tiled_encoder import TiledAttempt, TiledForm
from nifcodec.picture.signal import Signal

if TYPE_CHECKING:
    from nifcodec.fields.wavelet.training.descent import Descent

# The step index at quality 0, and how far it falls to quality 100: steps from 1.6 to 1/90.
COARSEST_INDEX, INDEX_RANGE = 556, 460
# From this quality on, pictures of more than 8 bits fall on faster, to FINEST_INDEX at quality 100.
DEEP_QUALITY = 80.0
ROUNDS = (0, 1, 2, 3, 6, 10, 15, 25, 40)  # of training, efforts 1 to 9
# What dependent quantization gains over the untrained field, in cost, from which scalar quantization is not tried too.
CLEAR_GAIN = 0.015
DECIBELS = 4.5  # that a photograph gains while its size doubles
BITS_TOLERANCE, DECIBEL_TOLERANCE = 0.02, 0.02  # in octaves: 1.4 % of a size, 0.09 dB
EASE = 3  # octaves by which one try of the search brings the miss down, to estimate how many are left
IDENTICAL = 200.0  # dB, in place of an infinite PSNR: more than one wrong sample of 16 bits in any picture has
# A tiled picture is searched on one tile in six, within limits, and then corrected on the whole.
SAMPLE_SHARE, SAMPLE_LIMITS = 6, (2, 8)
WHOLE_PASSES = 4


def encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    """The field at the step that meets the target: in closed form, then trained as far as the effort goes.

    Without TensorFlow there is no training; a warning says so.
    """
    job = EncodeJob(signal, goal, config, hooks)
    options: WaveletOptions = config.options or WaveletOptions()
    rounds = ROUNDS[job.config.effort - 1] if job.config.steps is None else job.config.steps
    if job.signal.pixels > options.largest_whole:
        return _train_tiles(job, rounds, options.tile_exponent)
    form = Form(job)
    descent, checkpoint = _descent(form.prior.restoration, job) if rounds else (None, None)
    if descent is None:
        return _at_target(form, job).trained()
    best, source, done = _train(form, job, descent, Rounds(form, checkpoint), rounds)
    if _has_target(job):
        _aim(form, descent, source)
        best, missed = _search(form, job, _start(best))
        if missed[0]:
            # A flat picture's step may be so wide that what training moved is no likeness of it: then untrained.
            _aim(form, descent, None)
            best, _ = min((best, missed), _search(form, job), key=lambda found: found[1])
    return replace(best.trained(done), placement=descent.placement)


def _descent(
    network: RestorationFilter, job: EncodeJob, largest: int = LARGEST_WHOLE
) -> "Tuple[Optional[Descent], Optional[Checkpoint]]":
    """What trains, and the checkpoint where one is asked for.

    Args:
        largest: side of what is trained at once.
    """
    try:
        checkpoint = job.start_training()
        from nifcodec.fields.wavelet.training.descent import open_descent
    except MissingDependencyError as error:
        if job.config.placed:
            raise
        warnings.warn(f"not trained, as with -e 1: {error}", stacklevel=5)
        return None, None
    sides = min(job.signal.height, largest), min(job.signal.width, largest)
    return open_descent(network, job.signal.channels, sides, job.config), checkpoint


def _has_target(job: EncodeJob) -> bool:
    return job.goal.target_bytes is not None or job.config.psnr is not None


def quality_index(quality: float, depth: int = 8) -> int:
    """Quality 0 to 100 -> step index, for a picture of `depth` bits a channel."""
    index = COARSEST_INDEX - INDEX_RANGE * quality / 100
    if depth > 8 and quality > DEEP_QUALITY:
        start = COARSEST_INDEX - INDEX_RANGE * DEEP_QUALITY / 100
        index = start + (FINEST_INDEX - start) * (quality - DEEP_QUALITY) / (100 - DEEP_QUALITY)
    return round(index)


def _index_of_quality(job: EncodeJob, finest: int) -> int:
    return max(finest, quality_index(job.goal.quality, job.signal.depth))


def _excess(job: EncodeJob, size: float, psnr: Callable[[], float]) -> float:
    """How far above its target a file is, in octaves of its size; falls as the step grows."""
    target, wanted = job.goal.target_bytes, job.config.psnr
    if target is not None:
        return log2(size / target)
    assert wanted is not None
    return (min(psnr(), IDENTICAL) - wanted) / DECIBELS


def _missed(job: EncodeJob, excess: float) -> Tuple[bool, float]:
    """Whether a field is on the wrong side of its target, and by how much it misses it: the least is best."""
    return (excess > 0 if job.config.psnr is None else excess < 0), abs(excess)


def _excess_of_file(job: EncodeJob, trained: CodedField) -> float:
    data = job.goal.pack(trained)
    return _excess(job, len(data), lambda: job.goal.measure(data))


def _tolerance(job: EncodeJob) -> Tuple[float, float]:
    """How near to a target is near enough, and the excess that is aimed at.

    That is half of the former, so that the next try does not fall on the wrong side of the target.
    """
    if job.config.psnr is None:
        return BITS_TOLERANCE, -BITS_TOLERANCE / 2
    return DECIBEL_TOLERANCE, DECIBEL_TOLERANCE / 2


def _at_target(form: Form, job: EncodeJob) -> Attempt:
    if not _has_target(job):
        return form.attempt(_index_of_quality(job, form.finest))
    return _search(form, job)[0]


def _train(
    form: Form, job: EncodeJob, descent: "Descent", kept: Rounds, rounds: int
) -> Tuple[Attempt, Optional[Attempt], int]:
    """The attempt of least cost at the step of the first one, the one that it was aimed from, and the rounds done."""
    began = time.monotonic()
    done, attempt, best, source = kept.load() or start(_at_target(form, job))
    while True:
        seen = _report(job, "train", done, rounds, began, attempt)
        if job.hooks.watch is not None:
            job.hooks.watch(done, seen, partial(_file, job, attempt, done))
        kept.save(done, attempt, best, source)
        if done == rounds or job.hooks.interrupted():
            kept.flush()
            return best, source, done
        _aim(form, descent, attempt)
        before, attempt, done = attempt, _requantized(form, attempt, first=done == 0), done + 1
        if attempt.cost < best.cost:
            best, source = attempt, before


def _requantized(form: Form, before: Attempt, first: bool) -> Attempt:
    """The next attempt at the same lambda: the first one says whether quantization is dependent from then on."""
    index = before.scalar_index
    if not first:
        return form.attempt(index, start=_start(before))
    dependent = form.attempt(index, start=before)
    if dependent.cost <= (1 - CLEAR_GAIN) * before.cost:
        return dependent
    return min(dependent, form.attempt(index), key=lambda attempt: attempt.cost)


def _start(before: Attempt) -> Optional[Attempt]:
    """What dependent quantization goes on from, where it is."""
    return before if before.spec.dependent else None


def _aim(form: Form, descent: "Descent", attempt: Optional[Attempt]) -> None:
    """Quantize what an attempt leads to from now on; the picture itself without one."""
    if attempt is None:
        form.aim(form.target)
    else:
        form.aim(descent(attempt.planes, form.target, attempt.spec), form.rate_gradient(attempt))


def _file(job: EncodeJob, attempt: Attempt, done: int) -> bytes:
    return job.goal.pack(attempt.trained(done))


def _report(job: EncodeJob, stage: str, done: int, steps: int, began: float, attempt: Attempt) -> Dict[str, float]:
    """Tells of an attempt; returns what is shown of it."""
    seen = scalars(attempt.error, len(attempt.payload), attempt.spec, job.signal.pixels)
    if job.hooks.progress is not None:
        seconds = time.monotonic() - began
        job.hooks.progress(Progress(stage, done, steps, seconds, seen["psnr"], seen["bits_per_pixel"]))
    return seen


def _train_tiles(job: EncodeJob, rounds: int, exponent: int) -> CodedField:
    """The same for a large picture, each tile trained as it is quantized."""
    form = TiledForm(job, exponent)
    largest = (1 << exponent) + 2 * MARGIN
    descent, checkpoint = _descent(form.prior.restoration, job, largest) if rounds else (None, None)
    done = rounds if descent else 0

    def attempt(index: int) -> TiledAttempt:
        return form.attempt(index, descent=descent, rounds=done, checkpoint=checkpoint)

    def trained(found: TiledAttempt) -> CodedField:
        return replace(found.trained(done), placement=descent.placement if descent else None)

    if not _has_target(job):
        return trained(attempt(_index_of_quality(job, form.finest)))
    numbers = _sample(form.tiling.count)

    @lru_cache(maxsize=None)
    def estimate(index: int) -> float:
        found = form.attempt(index, numbers)
        frame = len(job.goal.pack(CodedField(FAMILY_ID, found.spec.pack(), found.root.data, 0)))
        size = frame + sum(len(tile.data) for tile in found.tiles) * job.signal.pixels / found.pixels
        return _excess(job, size, lambda: found.scalars()["psnr"])

    (tolerance, aim), index, offset = _tolerance(job), START_INDEX, 0.0
    tried: List[Tuple[Tuple[bool, float], int, TiledAttempt]] = []
    while len(tried) < WHOLE_PASSES and not form.stopped:
        index = crossing(estimate, aim - offset, index, form.finest)
        if index in [known[1] for known in tried]:
            break
        whole = attempt(index)
        miss = _excess_of_file(job, whole.trained())
        wrong, distance = _missed(job, miss)
        if index == STEP_INDICES - 1:
            job.check_smallest(len(job.goal.pack(whole.trained())))
        tried.append(((wrong, distance), index, whole))
        if distance <= tolerance and not wrong:
            break
        offset = miss - estimate(index)
    return trained(min(tried, key=lambda known: known[0])[2])


def _sample(count: int) -> List[int]:
    """Tiles spread over the picture: multiples of the golden ratio fall into the same column only by chance."""
    size = min(max(count // SAMPLE_SHARE, SAMPLE_LIMITS[0]), SAMPLE_LIMITS[1])
    return sorted({int(count * ((i + 0.5) * 0.6180339887 % 1)) for i in range(size)})


def _search(form: Form, job: EncodeJob, start: Optional[Attempt] = None) -> Tuple[Attempt, Tuple[bool, float, int]]:
    """The field nearest to the job's target, and how it misses it: what `_missed` says, then the bytes of its payload.

    Of equal misses, as identical pictures have, the shortest payload is best.

    Args:
        start: where dependent quantization starts from, if that is wanted.
    """
    tolerance, aim = _tolerance(job)
    steps = tries(aim, form.finest)
    best: Optional[Attempt] = None
    best_miss, began, done = (True, float("inf"), 0), time.monotonic(), 0
    following: Optional[Tuple[int, float]] = next(steps)
    while following is not None:
        attempt = form.attempt(*following, start)
        miss = _excess_of_file(job, attempt.trained())
        missed = (*_missed(job, miss), len(attempt.payload))
        if best is None or missed < best_miss:
            best, best_miss = attempt, missed
        stopped = (not best_miss[0] and best_miss[1] <= tolerance) or job.hooks.interrupted()
        following, done = None if stopped else _sent(steps, miss), done + 1
        left = 0 if following is None else max(1, ceil(log2(max(abs(miss) / tolerance, 1)) / EASE))
        _report(job, "search", done, done + left, began, attempt)
    assert best is not None
    job.check_smallest(len(job.goal.pack(best.trained())))
    return best, best_miss


def _sent(tries: "Generator[Tuple[int, float], float, None]", miss: float) -> Optional[Tuple[int, float]]:
    try:
        return tries.send(miss)
    except StopIteration:
        return None
