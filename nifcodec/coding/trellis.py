"""Dependent quantization: the path through the states of least squared error + weight * bits, by Viterbi's search.

The contexts are those of an earlier attempt and stay what they were: a coefficient's choice does not move the contexts
of others, but for the estimate in `influence`. A walk at the end gives the contexts that the choices have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nifcodec.coding.cells import frame
from nifcodec.coding.compand import UNIT
from nifcodec.coding.context import MEAN_MAX, SCALE_MAX, ContextModel
from nifcodec.coding.influence import Influence
from nifcodec.coding.lattice import MAX_VALUE, Conditions, Contexts, Lattice, Planes
from nifcodec.coding.neighbours import Band
from nifcodec.coding.payload import used_bands
from nifcodec.coding.rdoq import Choice, Prices, Quantized, QuantizedBands, rounded_low, settle
from nifcodec.coding.states import EVEN, KIND, NEXT, ODD, to_values

SCALES_PER_OCTAVE, INDICES_PER_OCTAVE = 4, 64

# Branches by kind of quantizer and parity of the index; and for each state, the two that lead to it.
BRANCHES = [(kind, parity) for kind in (EVEN, ODD) for parity in (0, 1)]
_INTO = [[(s, p) for s in range(len(NEXT)) for p in (0, 1) if NEXT[s, p] == state] for state in range(len(NEXT))]
FROM = np.array([[state for state, _ in pair] for pair in _INTO])
BRANCH = np.array([[BRANCHES.index((KIND[state], parity)) for state, parity in pair] for pair in _INTO])


@dataclass(frozen=True)
class Start:
    """An earlier attempt: integers of each level, finest first, and their contexts."""

    levels: Sequence[Planes]
    contexts: Sequence[Contexts]

    def at_step(self, indices: int) -> "Start":
        """With the contexts that they would have at a step so many indices coarser."""
        octaves = indices / INDICES_PER_OCTAVE

        def rescaled(context: np.ndarray) -> np.ndarray:
            scales = np.rint(context[0] - SCALES_PER_OCTAVE * octaves).clip(0, SCALE_MAX)
            means = np.rint(context[1] * 2.0**-octaves).clip(-MEAN_MAX, MEAN_MAX)
            return np.stack([scales, means, context[2]]).astype(np.int32)

        contexts = [{band: rescaled(context) for band, context in bands.items()} for bands in self.contexts]
        return Start(self.levels, contexts)


def requantize(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    details: Sequence[Mapping[Band, np.ndarray]],
    weight: float,
    start: Start,
    others: Optional[Influence] = None,
) -> Quantized:
    """A whole lattice: the low-pass plane is rounded, the bands as in `requantize_bands`."""
    rounded = rounded_low(low)
    bands = requantize_bands(lattice, conditions, rounded * UNIT, (), details, weight, start, others)
    return Quantized.of(lattice, rounded, bands)


def requantize_bands(
    lattice: Lattice,
    conditions: Conditions,
    low: np.ndarray,
    coarser: Sequence[Planes],
    details: Sequence[Mapping[Band, np.ndarray]],
    weight: float,
    start: Start,
    others: Optional[Influence] = None,
    prices: Optional[Prices] = None,
) -> QuantizedBands:
    """Integers of least squared error + weight * bits along each chain, under the contexts of an earlier attempt.

    Args:
        conditions: of dependent quantization.
        low, coarser, details, weight, others, prices: as `quantize_bands` takes them.
        start: the earlier attempt; a band that is all zero there stays so.
    """
    levels: List[Planes] = []
    for level, bands in enumerate(used_bands(lattice, start.levels)):
        planes = {band: np.zeros(values.shape, np.int32) for band, values in details[level].items()}
        if bands:
            paths = _Chains(bands, [lattice.shape(level, band) for band in bands])
            for band in bands:
                effects = np.zeros((0, *planes[band].shape)) if others is None else others[level][band]
                weights = np.full(planes[band].shape, weight) * (1.0 if prices is None else prices[level][band])
                paths.add(band, details[level][band], start.contexts[level][band], effects, weights, conditions.model)
            planes.update(paths.best())
        levels.append(planes)
    return settle(lattice, conditions, low, coarser, levels)


class _Chains:
    """The chains of a level's bands, side by side: two columns each, as long as the tallest band.

    Args:
        shapes: rows and columns of each band.
    """

    def __init__(self, bands: Sequence[Band], shapes: Sequence[Tuple[int, int]]) -> None:
        self._bands, self._shapes = list(bands), list(shapes)
        rows, columns = (max(shape[i] for shape in shapes) for i in range(2))
        self._room = (rows, (columns + 1) // 2)
        links, chains = 2 * rows, len(bands) * self._room[1]
        self._costs = np.zeros((links, len(BRANCHES), chains), np.float32)
        self._values = np.zeros((links, len(BRANCHES), chains), np.int32)
        self._valid = np.zeros((links, chains), bool)

    def add(
        self,
        band: Band,
        wanted: np.ndarray,
        context: np.ndarray,
        effects: np.ndarray,
        weights: np.ndarray,
        model: ContextModel,
    ) -> None:
        """Cost and value of each branch at each coefficient of a band; `effects` and `weights` as in `Choice`."""
        here = self._columns(band)
        self._valid[:, here] = self._linked(np.ones(wanted.shape, bool))
        for number, (kind, parity) in enumerate(BRANCHES):
            choice = Choice(wanted, frame(context[0], context[1], np.array(kind)), kind, effects, weights)
            values, costs = _branch(choice, parity, model)
            self._values[:, number, here], self._costs[:, number, here] = self._linked(values), self._linked(costs)

    def best(self) -> Planes:
        """The values along the path of least cost."""
        links, _, chains = self._costs.shape
        everywhere = np.arange(chains)
        totals = np.full((len(NEXT), chains), np.inf, np.float32)
        totals[0] = 0
        second = np.zeros((links, *totals.shape), bool)  # which of the two branches into a state is on the path to it
        for link, costs in enumerate(self._costs):
            one, two = (totals[FROM[:, i]] + costs[BRANCH[:, i]] for i in range(2))
            second[link] = two < one
            totals = np.where(self._valid[link], np.minimum(one, two), totals)
        states = totals.argmin(axis=0)
        found = np.zeros((links, chains), np.int32)
        for link in range(links - 1, -1, -1):
            which = second[link, states, everywhere].astype(np.intp)
            found[link] = self._values[link, BRANCH[states, which], everywhere]
            states = np.where(self._valid[link], FROM[states, which], states)
        return {band: self._unlinked(found[:, self._columns(band)], shape) for band, shape in self._placed()}

    def _placed(self) -> "List[Tuple[Band, Tuple[int, int]]]":
        return list(zip(self._bands, self._shapes))

    def _columns(self, band: Band) -> slice:
        first = self._bands.index(band) * self._room[1]
        return slice(first, first + self._room[1])

    def _linked(self, plane: np.ndarray) -> np.ndarray:
        """(rows, columns) -> (links, chains), filled up with zeros."""
        rows, chains = self._room
        full = np.zeros((rows, 2 * chains), plane.dtype)
        full[: plane.shape[0], : plane.shape[1]] = plane
        return full.reshape(rows, chains, 2).transpose(0, 2, 1).reshape(2 * rows, chains)

    def _unlinked(self, links: np.ndarray, shape: Tuple[int, int]) -> np.ndarray:
        rows, chains = self._room
        full = links.reshape(rows, 2, chains).transpose(0, 2, 1).reshape(rows, 2 * chains)
        return full[: shape[0], : shape[1]]


def _branch(choice: Choice, parity: int, model: ContextModel) -> Tuple[np.ndarray, np.ndarray]:
    """The better of the nearest index of a parity and the one below it: values in half steps, and costs."""
    magnitude = np.abs(choice.wanted) + (0.5 if choice.kind == ODD else 0.0)
    nearest = 2 * np.floor((magnitude - parity + 1) / 2).astype(np.int64) + parity
    nearest = np.minimum(nearest, MAX_VALUE - parity)
    sign = np.where(choice.wanted < 0, -1, 1)
    indices = sign * nearest
    costs = choice.cost(indices, model)
    lowers = np.nonzero(nearest > parity + 1)
    lower = indices[lowers] - 2 * sign[lowers]
    part = choice.at(lowers).cost(lower, model)
    better = part < costs[lowers]
    indices[lowers] = np.where(better, lower, indices[lowers])
    costs[lowers] = np.where(better, part, costs[lowers])
    return to_values(indices, np.array(choice.kind)).astype(np.int32), costs.astype(np.float32)
