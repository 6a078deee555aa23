"""Rate control: which step index meets a size or a PSNR, for every family of fields.

The step of a quality is in each family's `encode`. A file's excess says how far it lies above its goal, in octaves of
its size; it falls as the step grows. All searches narrow a `Bracket` of step indices between one above the goal and one
that is not. What differs is how an excess is found: on the file itself (`step_tries`, `coarsest_above`), or on an
estimate that whole files correct (`estimated_tries`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log2
from typing import Callable, Dict, Generator, NamedTuple, Optional, Protocol, Set, Tuple, TypeVar

from nifcodec.fields.job import CodedField, EncodeJob, Goal

DECIBELS_PER_OCTAVE = 4.5  # that a photograph gains while its size doubles
SIZE_TOLERANCE, PSNR_TOLERANCE = 0.02, 0.02  # in octaves: 1.4 % of a size, 0.09 dB
IDENTICAL = 200.0  # dB, in place of an infinite PSNR: more than one wrong sample of 16 bits in any picture has
SLOW_TRIES = 2  # tries in a row that did not halve the bracket: the next one halves it
# Where sizes leap between two steps, bits that cost more than usual lead from the one to the other.
HIGHEST_FACTOR, FACTOR_TRIES = 2.0, 8
ESTIMATED_TRIES = 4  # whole files that correct an estimate
OCTAVES_PER_TRY = 3  # by which a try brings the miss down, to guess how many are left


# The price of a bit a pixel at quality 0, in squared errors on 0..1, and the octaves by which it falls to quality 100.
PRICE_AT_QUALITY_0, PRICE_FALL = 0.104, 14.375
# From DEEP_QUALITY on, pictures of more than 8 bits fall on faster.
DEEP_QUALITY, DEEP_FALL = 80.0, 13.875


def quality_price(quality: float, depth: int = 8) -> float:
    """Quality 0 to 100 -> what a bit a pixel may cost in squared errors on 0..1: for all trained fields on lattices.

    Args:
        depth: bits a channel of the picture.
    """
    if depth == 8 or quality <= DEEP_QUALITY:
        octaves = PRICE_FALL * quality / 100
    else:
        octaves = (PRICE_FALL * DEEP_QUALITY + DEEP_FALL * 100 * (quality - DEEP_QUALITY) / (100 - DEEP_QUALITY)) / 100
    return float(PRICE_AT_QUALITY_0 * 2.0**-octaves)


class Candidate(Protocol):
    """What a family codes at one step."""

    def coded(self) -> CodedField:
        """Its parts of the file."""

    def scalars(self) -> Dict[str, float]:
        """What is shown of it, as `Hooks.report` takes it."""


C = TypeVar("C", bound=Candidate)
# Step indices to try, each with a factor on the cost of a bit; each is answered with the excess that it had.
Tries = Generator[Tuple[int, float], float, None]


class Miss(NamedTuple):
    """How a file misses its goal; the least miss is best.

    Attributes:
        wrong: it lies on the wrong side: above a size, or below a PSNR.
        distance: octaves between it and the goal.
        size: bytes of the file. Of equal misses, as identical pictures have, the shortest file is best.
    """

    wrong: bool
    distance: float
    size: int


@dataclass(frozen=True)
class IndexRange:
    """The step indices that a search may try.

    Attributes:
        first, last: the finest and the coarsest.
        start: the first one to try; None is the middle.
        per_octave: indices by which the step grows while the size halves; None where that is not known.
    """

    first: int
    last: int
    start: Optional[int] = None
    per_octave: Optional[int] = None


class Bracket:
    """Two step indices, the finer one above the goal and the coarser one not, and the index to try between them.

    Attributes:
        above: the coarsest index known to be above the goal, or one less than the first.
        met: the finest index known not to be above it, or one more than the last.
        index: to try next.
    """

    def __init__(self, indices: IndexRange) -> None:
        self._indices, self._slow = indices, 0
        self.above, self.met = indices.first - 1, indices.last + 1
        self.index = (self.above + self.met) // 2 if indices.start is None else indices.start

    @property
    def is_open(self) -> bool:
        """Whether an index is left to try."""
        return self.met - self.above > 1

    @property
    def is_known(self) -> bool:
        """Whether both of its ends were tried."""
        return self._indices.first <= self.above and self.met <= self._indices.last

    def narrow(self, above: bool, octaves: float = 0.0) -> None:
        """Takes the answer of `index`, and moves on by interpolation, or halves the bracket where that is slow.

        Args:
            above: the file is above the goal.
            octaves: by which it is above what is aimed at.
        """
        width = self.met - self.above
        if above:
            self.above = self.index
        else:
            self.met = self.index
        self._slow = self._slow + 1 if 2 * (self.met - self.above) > width else 0
        per_octave = self._indices.per_octave
        if per_octave is None or (self._slow >= SLOW_TRIES and self.is_known):
            self.index, self._slow = (self.above + self.met) // 2, 0
        else:
            index = self.index + round(octaves * per_octave)
            self.index = min(max(index, self.above + 1), self.met - 1)


def excess_of(goal: Goal, size: float, psnr: Callable[[], float]) -> float:
    """How far above a goal of a size or a PSNR a file is, in octaves of its size.

    Args:
        psnr: in dB, asked for only where the goal is one.
    """
    if goal.psnr is None:
        assert goal.target_bytes is not None
        return log2(size / goal.target_bytes)
    return (min(psnr(), IDENTICAL) - goal.psnr) / DECIBELS_PER_OCTAVE


def measured(goal: Goal, coded: CodedField) -> Tuple[float, int]:
    """The excess of the whole file of a field, and its size in bytes."""
    data = goal.pack(coded)
    return excess_of(goal, len(data), lambda: goal.measure(data)), len(data)


def is_above(goal: Goal, excess: float) -> bool:
    """Whether a file is larger than a size, or reaches a PSNR."""
    return excess > 0 if goal.psnr is None else excess >= 0


def tolerance(goal: Goal) -> Tuple[float, float]:
    """How near to a goal is near enough, and the excess to aim at, in octaves.

    The excess is half of the tolerance on the right side, so that the next try does not fall on the wrong one.
    """
    if goal.psnr is None:
        return SIZE_TOLERANCE, -SIZE_TOLERANCE / 2
    return PSNR_TOLERANCE, PSNR_TOLERANCE / 2


def coarsest_above(above: Callable[[int], bool], indices: IndexRange) -> int:
    """The coarsest step index above the goal, where all finer ones are; `indices.first` - 1 where none is."""
    bracket = Bracket(indices)
    while bracket.is_open:
        bracket.narrow(above(bracket.index))
    return bracket.above


def step_tries(goal: Goal, indices: IndexRange) -> Tries:
    """Narrows a bracket of steps, then the factor on the cost of a bit between its two ends."""
    bracket, (_, aim) = Bracket(indices), tolerance(goal)
    while bracket.is_open:
        excess = yield bracket.index, 1.0
        bracket.narrow(is_above(goal, excess), excess - aim)
    if bracket.is_known:
        low, high = 1.0, HIGHEST_FACTOR
        for _ in range(FACTOR_TRIES):
            factor = (low * high) ** 0.5
            if is_above(goal, (yield bracket.above, factor)):
                low = factor
            else:
                high = factor


def estimated_tries(goal: Goal, indices: IndexRange, estimate: Callable[[int], float]) -> Tries:
    """The step at which an estimate of the excess meets the goal, corrected by what the whole files differ from it.

    Args:
        estimate: step index -> excess.
    """
    estimate = lru_cache(maxsize=None)(estimate)
    (_, aim), correction = tolerance(goal), 0.0
    tried: Set[int] = set()
    while len(tried) < ESTIMATED_TRIES:
        index = _crossing(estimate, aim - correction, indices)
        if index in tried:
            return
        tried.add(index)
        correction = (yield index, 1.0) - estimate(index)
        indices = IndexRange(indices.first, indices.last, index, indices.per_octave)


def _crossing(estimate: Callable[[int], float], aim: float, indices: IndexRange) -> int:
    """The step index at which an estimate comes nearest to the excess that is aimed at."""
    assert indices.per_octave is not None
    bracket = Bracket(indices)
    while bracket.is_open:
        octaves = estimate(bracket.index) - aim
        if abs(octaves) * indices.per_octave <= 0.5:
            return bracket.index
        bracket.narrow(octaves > 0, octaves)
    return min(bracket.met, indices.last)


def meet(
    job: EncodeJob, indices: IndexRange, tries: Tries, encode: Callable[[int, float], C], reported: bool
) -> Tuple[C, Miss]:
    """The candidate nearest to the goal. The search ends once one is near enough, or when the user interrupts it.

    Args:
        encode: (step index, factor on the cost of a bit) -> candidate.
        reported: tell `job.hooks` of each try, as the stage "search".

    Raises:
        ConfigError: the coarsest step gives a file above a target size.
    """
    goal, began, done, tried_coarsest = job.goal, time.monotonic(), 0, False
    near, _ = tolerance(goal)
    best: Optional[Tuple[C, Miss]] = None
    following: Optional[Tuple[int, float]] = next(tries)
    while following is not None:
        candidate = encode(*following)
        tried_coarsest = tried_coarsest or following[0] == indices.last
        excess, size = measured(goal, candidate.coded())
        miss = Miss(is_above(goal, excess) is (goal.psnr is None), abs(excess), size)
        if best is None or miss < best[1]:
            best = candidate, miss
        met = not best[1].wrong and best[1].distance <= near
        following, done = None if met or job.hooks.interrupted() else _answered(tries, excess), done + 1
        if reported:
            left = 0 if following is None else max(1, ceil(log2(max(abs(excess) / near, 1)) / OCTAVES_PER_TRY))
            job.hooks.report("search", done, done + left, began, candidate.scalars())
    assert best is not None
    if tried_coarsest:
        job.check_smallest(best[1].size)
    return best


def _answered(tries: Tries, excess: float) -> Optional[Tuple[int, float]]:
    try:
        return tries.send(excess)
    except StopIteration:
        return None
