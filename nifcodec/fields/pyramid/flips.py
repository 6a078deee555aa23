"""Rounded latents, each changed by one where the loss is smaller for it: iterated conditional modes (Besag 1986).

A training ends near the best integers. Its soft rounding does not see what a single latent would gain by the integer
beside it, and no more steps show it. So the latents that pull hardest are tried, many at once, so far apart that none
of them matters where another one does: then the loss around each tells whether it stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, List, Optional, Tuple

import numpy as np

from nifcodec.fields.pyramid.contract import Step, rounded_latents
from nifcodec.fields.pyramid.fit import State
from nifcodec.fields.pyramid.grids import Grid, all_grids

# Pixels around a latent of the finest levels in which it matters: by its filters, the synthesis and its neighbours.
REACHES = (5, 10, 18)
CELL = 10  # latents along a cell's side; of each cell one latent is tried at a time
TURNS = 2  # of the four colours that cells have, under one gradient

Area = Callable[[Grid], Tuple[slice, slice]]


def flipped(
    step: Step,
    state: State,
    price: float,
    rounds: int,
    stopped: Callable[[], bool],
    area: Optional[Area] = None,
    seed: int = 0,
) -> State:
    """A state of rounded weights with better latents, integers, or else the state as it is.

    Args:
        step: of the picture; its latents become those of the result.
        rounds: over the finest levels, each of which tries one to two percent of the latents.
        area: rows and columns of a grid's latents that may change; None where all may.
    """
    if not rounds:
        return state
    latents = rounded_latents(state.latents)
    random, weights = np.random.RandomState(seed), state.weights
    step.set_latents(latents)
    costs = step.costs(weights, price)
    for _ in range(rounds):
        for grid in map(Grid, range(len(REACHES))):
            if stopped():
                break
            _try_grid(step, weights, price, latents, costs, grid, area, random)
    step.set_latents(latents)
    loss = step.evaluate(weights)
    if loss.at(price) < state.loss.at(price):
        return replace(state, latents=latents, loss=loss)
    step.set_latents(state.latents)
    return state


def _try_grid(
    step: Step,
    weights: np.ndarray,
    price: float,
    latents: List[np.ndarray],
    costs: np.ndarray,
    grid: Grid,
    area: Optional[Area],
    random: np.random.RandomState,
) -> None:
    """Changes latents of a grid, and what all cost where they are."""
    number = all_grids().index(grid)
    step.set_latents(latents)
    step.step(weights, None, price, learn=False)
    gradient = step.gradients()[number]
    pulls = np.zeros_like(gradient)
    where = (slice(None), slice(None)) if area is None else area(grid)
    pulls[where] = np.abs(gradient[where])
    values = latents[number]
    for turn in range(4 * TURNS):
        if turn % 4 == 0:
            corner = random.randint(0, CELL, 2)
        rows, columns = _strongest(pulls, (corner[0], corner[1]), (turn >> 1 & 1, turn & 1))
        pulls[rows, columns] = 0
        before = values[rows, columns]
        values[rows, columns] = before - np.sign(gradient[rows, columns])
        step.set_latents(latents)
        tried = step.costs(weights, price)
        windows = _windows(rows, columns, grid.level, costs.shape)
        better = _sums(tried - costs, windows) < 0
        values[rows[~better], columns[~better]] = before[~better]
        for top, bottom, left, right in np.stack(windows, axis=1)[better].tolist():
            costs[top:bottom, left:right] = tried[top:bottom, left:right]


def _strongest(pulls: np.ndarray, corner: Tuple[int, int], colour: Tuple[int, int]) -> "Tuple[np.ndarray, np.ndarray]":
    """Rows and columns of the latent with the greatest pull above 0 in each cell of a colour, one of 2 x 2."""
    height, width = pulls.shape
    down, across = (-(-(size + first) // CELL) for size, first in zip((height, width), corner))
    whole = np.zeros((down * CELL, across * CELL), pulls.dtype)
    whole[corner[0] : corner[0] + height, corner[1] : corner[1] + width] = pulls
    cells = whole.reshape(down, CELL, across, CELL)[colour[0] :: 2, :, colour[1] :: 2].transpose(0, 2, 1, 3)
    flat = cells.reshape(*cells.shape[:2], CELL * CELL)
    best = flat.argmax(axis=2)
    y, x = np.nonzero(flat.max(axis=2) > 0)
    inside = best[y, x]
    rows = (2 * y + colour[0]) * CELL + inside // CELL - corner[0]
    columns = (2 * x + colour[1]) * CELL + inside % CELL - corner[1]
    return rows, columns


def _windows(
    rows: np.ndarray, columns: np.ndarray, level: int, size: "Tuple[int, ...]"
) -> "Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]":
    """Top, bottom, left and right of the pixels in which latents matter."""
    side, reach = 1 << level, REACHES[level]
    top, left = np.maximum(rows * side - reach, 0), np.maximum(columns * side - reach, 0)
    bottom, right = (rows + 1) * side + reach, (columns + 1) * side + reach
    return top, np.minimum(bottom, size[0]), left, np.minimum(right, size[1])


def _sums(values: np.ndarray, windows: "Tuple[np.ndarray, ...]") -> np.ndarray:
    """Of values in each window."""
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    table[1:, 1:] = values.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    top, bottom, left, right = windows
    return np.asarray(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left])
