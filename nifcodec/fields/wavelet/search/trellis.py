"""Dependent quantization: the path through the states of least squared error + lagrangian * bits, by Viterbi's search.

The contexts are those of an earlier candidate and stay what they were: a coefficient's choice does not move the
contexts of others, but for the estimate in `rate_gradient`. A scan at the end gives the contexts of the choices.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.binarization import binarization_of
from nifcodec.fields.wavelet.coding.bitstream import used_bands
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.dependent_quantization import KIND, NEXT, Q0, Q1, to_values
from nifcodec.fields.wavelet.lattice import MAX_VALUE, BandArrays, BandValues, Subband
from nifcodec.fields.wavelet.search.coding import Coding, QuantizedBands, contexts_of
from nifcodec.fields.wavelet.search.rate_gradient import RateGradient
from nifcodec.fields.wavelet.search.rdoq import Choice

# Branches by kind of quantizer and parity of the index; and for each state, the two that lead to it.
BRANCHES = [(kind, parity) for kind in (Q0, Q1) for parity in (0, 1)]
_INTO = [[(s, p) for s in range(len(NEXT)) for p in (0, 1) if NEXT[s, p] == state] for state in range(len(NEXT))]
FROM = np.array([[state for state, _ in pair] for pair in _INTO])
BRANCH = np.array([[BRANCHES.index((KIND[state], parity)) for state, parity in pair] for pair in _INTO])


def requantize_bands(
    coding: Coding,
    coefficients: BandArrays,
    lagrangian: float,
    start: QuantizedBands,
    gradient: Optional[RateGradient] = None,
    weights: Optional[BandArrays] = None,
) -> QuantizedBands:
    """Integers of least squared error + lagrangian * bits along each chain, under the contexts of an earlier candidate.

    Args:
        coding: of dependent quantization.
        coefficients, lagrangian, gradient, weights: as `quantize_bands` takes them.
        start: the earlier candidate; a band that is all zero there stays so.
    """
    kernels = coding.conditions.model.kernels
    if kernels is not None:
        before = start.levels, start.contexts
        chosen = kernels.requantize_bands(coding, coefficients, lagrangian, *before, gradient, weights)
        return contexts_of(coding, chosen)
    lattice, levels = coding.lattice, []
    for level, bands in enumerate(used_bands(lattice, start.levels)):
        planes = {band: np.zeros(values.shape, np.int32) for band, values in coefficients[level].items()}
        if bands:
            chains = _Chains(bands, [lattice.shape(level, band) for band in bands])
            for band in bands:
                shape = planes[band].shape
                gradients = np.zeros((0, *shape)) if gradient is None else gradient[level][band]
                costs = np.full(shape, lagrangian) * (1.0 if weights is None else weights[level][band])
                context = start.contexts[level][band]
                chains.add(band, coefficients[level][band], context, gradients, costs, coding.conditions.model)
            planes.update(chains.best())
        levels.append(planes)
    return contexts_of(coding, levels)


class _Chains:
    """The chains of a level's bands, side by side: two columns each, as long as the tallest band.

    Args:
        shapes: rows and columns of each band.
    """

    def __init__(self, bands: Sequence[Subband], shapes: Sequence[Tuple[int, int]]) -> None:
        self._bands, self._shapes = list(bands), list(shapes)
        rows, columns = (max(shape[i] for shape in shapes) for i in range(2))
        self._room = (rows, (columns + 1) // 2)
        links, chains = 2 * rows, len(bands) * self._room[1]
        self._costs = np.zeros((links, len(BRANCHES), chains), np.float32)
        self._values = np.zeros((links, len(BRANCHES), chains), np.int32)
        self._valid = np.zeros((links, chains), bool)

    def add(
        self,
        band: Subband,
        coefficients: np.ndarray,
        context: np.ndarray,
        gradient: np.ndarray,
        lagrangian: np.ndarray,
        model: ContextModel,
    ) -> None:
        """Cost and value of each branch at each coefficient of a band; all but `context` as in `Choice`."""
        here = self._columns(band)
        self._valid[:, here] = self._linked(np.ones(coefficients.shape, bool))
        for number, (kind, parity) in enumerate(BRANCHES):
            where = binarization_of(context[0], context[1], np.array(kind))
            choice = Choice(coefficients, where, kind, gradient, lagrangian)
            values, costs = _branch(choice, parity, model)
            self._values[:, number, here], self._costs[:, number, here] = self._linked(values), self._linked(costs)

    def best(self) -> BandValues:
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

    def _placed(self) -> "List[Tuple[Subband, Tuple[int, int]]]":
        return list(zip(self._bands, self._shapes))

    def _columns(self, band: Subband) -> slice:
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
    magnitude = np.abs(choice.coefficients) + (0.5 if choice.kind == Q1 else 0.0)
    nearest = 2 * np.floor((magnitude - parity + 1) / 2).astype(np.int64) + parity
    nearest = np.minimum(nearest, MAX_VALUE - parity)
    sign = np.where(choice.coefficients < 0, -1, 1)
    indices = sign * nearest
    costs = choice.cost(indices, model)
    lowers = np.nonzero(nearest > parity + 1)
    lower = indices[lowers] - 2 * sign[lowers]
    part = choice.at(lowers).cost(lower, model)
    better = part < costs[lowers]
    indices[lowers] = np.where(better, lower, indices[lowers])
    costs[lowers] = np.where(better, part, costs[lowers])
    return to_values(indices, np.array(choice.kind)).astype(np.int32), costs.astype(np.float32)
