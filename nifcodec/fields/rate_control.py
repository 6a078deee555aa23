"""Which step index is tried next on the way to a target, from how far the last one missed it."""

from __future__ import annotations

from typing import Callable, Generator, Tuple

from nifcodec.fields.wavelet.description import STEP_INDICES

START_INDEX = 300
# Where sizes leap between two steps, a price of a bit above the usual one leads from the one to the other.
HIGHEST_PRICE, PRICES = 2.0, 8
INDICES_PER_OCTAVE = 80  # by which the step grows while a photograph's size halves
CREEPING = 2  # tries in a row that did not halve the bracket: the next one halves it


def crossing(excess: Callable[[int], float], wanted: float, index: int, least: int) -> int:
    """The step index from `least` on at which an excess comes nearest to the one that is wanted, from a guess."""
    finest, coarsest, crept = least - 1, STEP_INDICES, 0
    while coarsest - finest > 1:
        width = coarsest - finest
        miss = excess(index) - wanted
        if abs(miss) * INDICES_PER_OCTAVE <= 0.5:
            return index
        if miss > 0:
            finest = index
        else:
            coarsest = index
        crept = crept + 1 if 2 * (coarsest - finest) > width else 0
        if crept == CREEPING:
            index, crept = (finest + coarsest) // 2, 0
        else:
            index = min(max(index + round(miss * INDICES_PER_OCTAVE), finest + 1), coarsest - 1)
    return min(coarsest, STEP_INDICES - 1)


def tries(aim: float, least: int = 0) -> "Generator[Tuple[int, float], float, None]":
    """Step indices and prices of a bit to try; each is answered with the excess that it had.

    First interpolation inside a bracket of steps, halved where that creeps, and then of the price.

    Args:
        aim: the excess that is wanted.
        least: the index of the finest step.
    """
    finest, coarsest, index = least - 1, STEP_INDICES, START_INDEX
    creeping = 0
    while coarsest - finest > 1:
        width = coarsest - finest
        miss = yield index, 1.0
        if miss > 0:
            finest = index
        else:
            coarsest = index
        creeping = 0 if 2 * (coarsest - finest) <= width else creeping + 1
        if creeping >= CREEPING and least <= finest < coarsest < STEP_INDICES:
            index, creeping = (finest + coarsest) // 2, 0
        else:
            index = min(max(index + round((miss - aim) * INDICES_PER_OCTAVE), finest + 1), coarsest - 1)
    if least <= finest < coarsest < STEP_INDICES:
        usual, highest = 1.0, HIGHEST_PRICE
        for _ in range(PRICES):
            price = (usual * highest) ** 0.5
            if (yield finest, price) > 0:
                usual = price
            else:
                highest = price
