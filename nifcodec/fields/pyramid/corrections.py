"""The price at which a trained pyramid meets a size or a PSNR: a search over short trainings from one state."""

from __future__ import annotations

from typing import Callable, List, Optional, Tuple

from nifcodec.fields.job import CodedField, EncodeJob
from nifcodec.fields.rate_control import is_above, measured, tolerance

CORRECTIONS = 6
OCTAVES_PER_CORRECTION, MOST_OCTAVES = 0.2, 2.0  # that a size falls by in a correction while the price doubles


def nearest_to_goal(
    job: EncodeJob, coded: CodedField, price: float, again: Callable[[float, int], CodedField]
) -> CodedField:
    """The nearest to the goal of what is coded, and of it trained on at other prices.

    Args:
        price: that it was trained at.
        again: a price, and the number of the attempt -> what the same state becomes at it.

    Raises ConfigError where even the smallest file is above a size.
    """
    near, aim = tolerance(job.goal)
    best: Optional[Tuple[Tuple[bool, float], CodedField]] = None
    # All go on from one state, so that the excess is a function of the price: octaves of it, and the excess.
    known: List[Tuple[float, float]] = []
    octaves = 0.0
    for attempt in range(CORRECTIONS + 1):
        excess, size = measured(job.goal, coded)
        miss = is_above(job.goal, excess) is (job.goal.psnr is None), abs(excess)
        if best is None or miss < best[0]:
            best = miss, coded
        if (not miss[0] and miss[1] <= near) or attempt == CORRECTIONS or job.hooks.interrupted():
            break
        # The correction itself moves the size: the first state tells only where to begin.
        known = [*known, (octaves, excess - aim)] if attempt else []
        octaves = _next(known) if attempt else (excess - aim) / OCTAVES_PER_CORRECTION
        coded = again(price * 2.0**octaves, attempt)
    assert best is not None
    if best[0][0] and job.goal.psnr is None:
        job.check_smallest(size)
    return best[1]


def _next(known: List[Tuple[float, float]]) -> float:
    """Where a falling function may be 0, of its places and values so far: between two of them, or beyond the last."""
    above = [each for each in known if each[1] > 0]
    below = [each for each in known if each[1] <= 0]
    if above and below:
        (left, high), (right, low) = max(above), min(below)
        if left < right:
            return left + (right - left) * min(max(high / (high - low), 0.1), 0.9)
    place, value = known[-1]
    slope = OCTAVES_PER_CORRECTION
    if len(known) > 1 and place != known[-2][0]:
        slope = min(max((known[-2][1] - value) / (place - known[-2][0]), slope / 4), 4 * slope)
    return place + max(-MOST_OCTAVES, min(MOST_OCTAVES, value / slope))
