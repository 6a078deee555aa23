"""Latents that are changed one by one after a training: where they are tried, and that the loss falls."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Tuple

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING

from nifcodec.fields.pyramid import priors
from nifcodec.fields.pyramid.fit import State, Training
from nifcodec.fields.pyramid.flips import CELL, REACHES, _strongest, _sums, _windows, flipped
from nifcodec.fields.pyramid.grids import Grid, all_grids
from nifcodec.fields.pyramid.schedule import Price, phases
from nifcodec.fields.pyramid.step import Pyramid
from nifcodec.native.pyramid import NativePyramid
from nifcodec.threads import at_most

needs_library = pytest.mark.skipif(not LIBRARIES, reason=MISSING)
PRICE = 1e-3


def pyramid_of(height: int, width: int) -> Pyramid:
    rows, columns = np.mgrid[:height, :width] / 8
    picture = np.stack([np.sin(rows), np.cos(columns), np.sin(rows + columns)], axis=-1) / 4 + 0.5
    picture += np.random.RandomState(0).normal(0, 0.03, picture.shape)
    return Pyramid(NativePyramid(LIBRARIES["installed"]), picture.astype(np.float32))


def trained(pyramid: Pyramid, steps: int = 60) -> State:
    prior = priors.named()
    number = prior.nearest(PRICE)
    pyramid.set_latents(prior.latents(number, pyramid._target.inner.transpose(1, 2, 0)))
    training = Training(pyramid, phases(steps), prior.weights(number, pyramid.layout), Price(PRICE))
    training.run(lambda loss, evaluated: None, lambda: False)
    return training.finished()


def never() -> bool:
    return False


@needs_library
@pytest.mark.parametrize("size", [(1, 1), (37, 61), (90, 64)])
def test_costs_are_the_loss_where_it_is(size: Tuple[int, int]) -> None:
    pyramid = pyramid_of(*size)
    state = trained(pyramid, 10)
    costs = pyramid.costs(state.weights, PRICE)
    assert costs.shape == size
    assert costs.mean(dtype=np.float64) == pytest.approx(pyramid.evaluate(state.weights).at(PRICE), rel=1e-5)


@needs_library
def test_what_a_latent_changes_lies_in_its_window() -> None:
    pyramid = pyramid_of(100, 130)
    state = trained(pyramid, 10)
    latents = [np.round(values) for values in state.latents]
    pyramid.set_latents(latents)
    before = pyramid.costs(state.weights, PRICE)
    for level in range(len(REACHES)):
        changed = [values.copy() for values in latents]
        row, column = 60 >> level, 70 >> level
        changed[all_grids().index(Grid(level))][row, column] += 3
        pyramid.set_latents(changed)
        off = np.abs(pyramid.costs(state.weights, PRICE) - before)
        window = _windows(np.array([row]), np.array([column]), level, off.shape)
        assert off.sum() > 0
        assert _sums(off, window)[0] > 0.98 * off.sum()


@pytest.mark.parametrize("size", [(1, 1), (7, 45), (64, 83)])
def test_latents_that_are_tried_at_once_lie_apart(size: Tuple[int, int]) -> None:
    random = np.random.RandomState(1)
    pulls = random.uniform(0.1, 1, size).astype(np.float32)
    pulls[random.uniform(size=size) < 0.2] = 0
    tried: List[Tuple[int, int]] = []
    for colour in ((0, 0), (0, 1), (1, 0), (1, 1)):
        rows, columns = _strongest(pulls, (3, 8), colour)
        assert (pulls[rows, columns] > 0).all()
        places = np.stack([rows, columns], axis=1)
        apart = np.abs(places[:, None] - places).max(axis=2) + 99 * np.eye(len(places), dtype=int)
        assert apart.size == 0 or apart.min() > CELL
        tried += [(row, column) for row, column in places.tolist()]
    assert len(set(tried)) == len(tried)
    strongest = np.unravel_index(pulls.argmax(), size)
    assert pulls.max() == 0 or (int(strongest[0]), int(strongest[1])) in tried
    for level, reach in enumerate(REACHES):
        assert (CELL + 1) << level >= 2 * reach + (1 << level)  # two windows do not meet


@needs_library
def test_the_loss_falls_and_spoilt_latents_are_mended() -> None:
    pyramid = pyramid_of(96, 128)
    state = trained(pyramid)
    better = flipped(pyramid, state, PRICE, 2, never)
    assert better.loss.at(PRICE) < state.loss.at(PRICE)
    assert pyramid.evaluate(better.weights) == better.loss
    assert all((values == np.round(values)).all() for values in better.latents)
    spoilt = [values.copy() for values in better.latents]
    places = np.random.RandomState(2).randint(0, (96, 128), (40, 2)).T
    spoilt[0][places[0], places[1]] += 2
    pyramid.set_latents(spoilt)
    worse = replace(better, latents=spoilt, loss=pyramid.evaluate(better.weights))
    mended = flipped(pyramid, worse, PRICE, 4, never)
    lost = worse.loss.at(PRICE) - better.loss.at(PRICE)
    assert lost > 0
    assert mended.loss.at(PRICE) < better.loss.at(PRICE) + 0.4 * lost


@needs_library
def test_latents_outside_of_an_area_stay_and_threads_change_nothing() -> None:
    found = []
    for threads in (1, 2):
        with at_most(threads):
            pyramid = pyramid_of(80, 100)
            state = trained(pyramid, 20)

            def left(grid: Grid) -> Tuple[slice, slice]:
                return slice(None), slice(0, 50 >> grid.level)

            found.append(flipped(pyramid, state, PRICE, 1, never, left))
    for grid, first, one, other in zip(all_grids(), state.latents, found[0].latents, found[1].latents):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one[:, 50 >> grid.level :], np.floor(first + 0.5)[:, 50 >> grid.level :])
    assert any((one != np.floor(first + 0.5)).any() for first, one in zip(state.latents, found[0].latents))


@needs_library
def test_without_rounds_or_stopped_at_once_a_state_stays() -> None:
    pyramid = pyramid_of(30, 40)
    state = trained(pyramid, 10)
    for rounds, stop in ((0, False), (3, True)):
        found = flipped(pyramid, state, PRICE, rounds, lambda stop=stop: stop)  # type: ignore[misc]
        assert found is state
        for one, other in zip(pyramid.latents(), state.latents):
            np.testing.assert_array_equal(one, other)
