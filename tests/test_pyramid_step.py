"""A step of training a latent pyramid: its gradients, and that it is the same everywhere."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING

from nifcodec.fields.pyramid.contract import Quantizer
from nifcodec.fields.pyramid.fit import Training, curvature
from nifcodec.fields.pyramid.grids import GROUPS, LEVELS, NEIGHBOURS, all_grids
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.schedule import Price, phases
from nifcodec.fields.pyramid.step import Pyramid
from nifcodec.fields.pyramid.together import TOGETHER_FROM, has_map
from nifcodec.native.planes import REACH
from nifcodec.native.pyramid import NativePyramid
from nifcodec.threads import at_most

pytestmark = pytest.mark.skipif(not LIBRARIES, reason=MISSING)
PRICE = 0.02
QUANTIZER = Quantizer(0.8, 0.0)


def problem(size: Tuple[int, int], library: str = "installed", colours: int = 3) -> Tuple[Pyramid, np.ndarray]:
    """A picture under random latents and weights, away from where the loss has kinks."""
    random = np.random.RandomState(sum(size))
    picture = random.uniform(size=(*size, colours)).astype(np.float32)
    picture = (picture + np.roll(picture, 1, 0) + np.roll(picture, 1, 1)) / 3
    pyramid = Pyramid(NativePyramid(LIBRARIES[library]), picture)
    parts = pyramid.layout.parts
    weights = pyramid.layout.initial(1) + random.normal(0, 0.03, pyramid.layout.count).astype(np.float32)
    for name, deviation, middle in (("colours", 0.06, 0.1), ("linear", 0.01, 0.4)):
        part = parts[f"synthesis {name}"]
        part.of(weights)[...] = random.normal(0, deviation, part.shape)
        parts[f"synthesis {name} bias"].of(weights)[...] = middle
    for group in range(GROUPS):
        parts[f"entropy {group} last bias"].of(weights)[...] = [0, 1]
    for latents in pyramid.grids:
        latents.y.inner[...] = random.normal(0, 1.5, latents.y.inner.shape)
    return pyramid, weights


def loss_of(pyramid: Pyramid, weights: np.ndarray) -> float:
    loss, _ = pyramid.step(weights.astype(np.float32), QUANTIZER, PRICE)
    return pyramid.pixels * loss.at(PRICE)


def gradients_by_latents(pyramid: Pyramid) -> "list[np.ndarray]":
    """Of each grid, (H, W), as `move` follows it."""
    return [found * latents.slope.inner[0] for found, latents in zip(pyramid.gradients(), pyramid.grids)]


def test_neighbours_come_before() -> None:
    assert all(down < 0 or (down == 0 and right < 0) for down, right in NEIGHBOURS.T)
    assert len(set(map(tuple, NEIGHBOURS.T))) == NEIGHBOURS.shape[1]
    assert -NEIGHBOURS[0].min() <= REACH


@pytest.mark.parametrize(("size", "colours"), [((70, 77), 3), ((64, 128), 1), ((40, 50), 4), ((5, 9), 2), ((1, 1), 3)])
def test_gradients_are_those_of_finite_differences(size: Tuple[int, int], colours: int) -> None:
    pyramid, weights = problem(size, colours=colours)
    _, by_weights = pyramid.step(weights, QUANTIZER, PRICE)
    by_latents = gradients_by_latents(pyramid)

    def check(direction: np.ndarray, expected: float, latents: "int | None", what: str) -> None:
        errors = []
        for far in (1e-2, 3e-3, 1e-3):
            sides = []
            for sign in (1, -1):
                if latents is None:
                    sides.append(loss_of(pyramid, weights + sign * far * direction))
                    continue
                y = pyramid.grids[latents].y.inner
                before = y.copy()
                y[0] += sign * far * direction
                sides.append(loss_of(pyramid, weights))
                y[...] = before
            errors.append(abs((sides[0] - sides[1]) / (2 * far) - expected))
        # Kinks of ReLUs and of the quantizer leave a little; the loss is in single precision.
        assert min(errors) <= 0.015 * abs(expected) + 2e-3 * pyramid.pixels**0.5, what

    for name, part in layout(colours).parts.items():
        direction = np.zeros(layout(colours).count)
        part.of(direction)[...] = np.sign(part.of(by_weights)) / np.sqrt(part.end - part.start)
        check(direction, float(direction @ by_weights), None, name)
    for number, (grid, gradient) in enumerate(zip(all_grids(), by_latents)):
        check(np.sign(gradient), float(np.abs(gradient).sum()), number, str(grid))


@pytest.mark.parametrize("colours", [1, 3])
def test_colours_beyond_the_limits_cost_nothing_there_and_come_back_elsewhere(colours: int) -> None:
    _, weights = problem((20, 24), colours=colours)
    made = layout(colours)
    bias = made.parts["synthesis linear bias"].of(weights)
    for target, output, error in ((1.0, 7.0, 0.0), (0.0, -7.0, 0.0), (0.25, 7.0, 0.5625), (0.75, -7.0, 0.5625)):
        picture = np.full((20, 24, colours), target, np.float32)
        pyramid = Pyramid(NativePyramid(LIBRARIES["installed"]), picture)
        bias[...] = output
        loss, gradient = pyramid.step(weights, QUANTIZER, PRICE)
        assert loss.error == pytest.approx(error, abs=1e-6)
        pull = made.parts["synthesis linear bias"].of(gradient)
        np.testing.assert_allclose(pull, 20 * 24 * 2 * np.sign(output) * error**0.5 / colours, rtol=1e-4)


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_each_build_computes_the_same(library: str) -> None:
    (ours, weights), (theirs, _) = problem((50, 90)), problem((50, 90), library)
    quantizer = Quantizer(0.3, 0.2, seed=5)
    found = [(pyramid, *pyramid.step(weights, quantizer, PRICE)) for pyramid in (ours, theirs)]
    (_, loss, by_weights), (_, other_loss, other_by_weights) = found
    assert loss.at(PRICE) == pytest.approx(other_loss.at(PRICE), rel=1e-5)
    np.testing.assert_allclose(by_weights, other_by_weights, atol=2e-3 * np.abs(by_weights).max())
    for one, other in zip(*map(gradients_by_latents, (ours, theirs))):
        np.testing.assert_allclose(one, other, atol=1e-3 * np.abs(one).max() + 1e-6)
    for pyramid in (ours, theirs):
        pyramid.move(0.1, (0.9, 0.99), 1e-8, 1)
    np.testing.assert_allclose(ours.grids[0].y.inner, theirs.grids[0].y.inner, atol=0.21)


def test_coarser_grids_are_rounded_more_softly() -> None:
    pyramid, weights = problem((130, 70))
    pyramid.set_latents([np.full(each.shape, 2.3, np.float32) for each in pyramid.latents()])
    pyramid.step(weights, Quantizer(0.25, 0.0), PRICE)
    found = {}
    for latents in pyramid.grids:
        temperature = Quantizer(0.25, 0.0).temperature_of(latents.grid)
        value = 2.3
        for _ in range(2):  # before the noise and after it
            curve = np.tanh((value - 2.5) / temperature) / np.tanh(0.5 / temperature)
            value = 2.5 + curve / 2
        np.testing.assert_allclose(latents.s.inner, value, atol=1e-5)
        found[latents.grid.level] = value
    assert 2 < found[0] < found[1] < found[2] == found[LEVELS - 1] < 2.3


def trained(pyramid: Pyramid, steps: int) -> Training:
    training = Training(pyramid, phases(steps), pyramid.layout.initial(0), Price(1e-3))
    training.run(lambda loss, evaluated: None, lambda: False)
    return training


@pytest.mark.parametrize("last", [70, 113])  # before weights are rounded, and after
def test_a_training_goes_on_where_it_was_left(last: int) -> None:
    whole = trained(problem((40, 30))[0], 120)
    pyramid, _ = problem((40, 30))
    halted = Training(pyramid, phases(120), pyramid.layout.initial(0), Price(1e-3))
    records = []
    halted.run(
        lambda loss, evaluated: records.append(halted.record()) if evaluated else None, lambda: halted.done > last
    )
    assert last < halted.done < 120
    pyramid, _ = problem((40, 30))
    resumed = Training(pyramid, phases(120), pyramid.layout.initial(0), Price(1e-3))
    resumed.restore(records[-1])
    assert 0 < resumed.done <= halted.done
    assert (resumed.best.quantized is not None) == (last > 100)
    resumed.run(lambda loss, evaluated: None, lambda: False)
    np.testing.assert_array_equal(resumed.best.weights, whole.best.weights)
    for one, other in zip(resumed.best.latents, whole.best.latents):
        np.testing.assert_array_equal(one, other)


def test_threads_change_nothing() -> None:
    states = []
    for threads in (1, 3):
        pyramid, _ = problem((100, 70))
        with at_most(threads):
            states.append(trained(pyramid, 20).best)
    assert states[0].loss == states[1].loss
    np.testing.assert_array_equal(states[0].weights, states[1].weights)
    for one, other in zip(states[0].latents, states[1].latents):
        np.testing.assert_array_equal(one, other)


def test_training_lowers_the_loss() -> None:
    rows, columns = np.mgrid[:64, :96] / 16
    picture = np.stack([np.sin(rows), np.cos(columns), np.sin(rows + columns)], axis=-1) / 4 + 0.5
    pyramid = Pyramid(NativePyramid(LIBRARIES["installed"]), picture.astype(np.float32))
    training = trained(pyramid, 400)
    state = training.best
    assert training.done == 400
    assert state.loss.at(1e-3) < 2e-3  # a flat picture has 0.03
    assert pyramid.evaluate(state.weights) == state.loss
    assert np.mean((pyramid.picture() - picture) ** 2) == pytest.approx(state.loss.error, rel=0.01)


def test_curvature_is_that_of_the_loss() -> None:
    pyramid, weights = problem((24, 24))
    found = curvature(pyramid, weights, PRICE, probes=300)
    part = pyramid.layout.parts["synthesis linear bias"]  # the error's curvature by a shift of a colour: 2 / 3 a pixel
    np.testing.assert_allclose(part.of(found), 2 / 3 * pyramid.pixels, rtol=0.5)
    assert found.min() > 0


@pytest.mark.parametrize(("size", "colours"), [((150, 270), 3), ((40, 33), 1), ((33, 50), 4)])
def test_what_latents_do_together_is_added_again(size: Tuple[int, int], colours: int) -> None:
    pyramid, weights = problem(size, colours=colours)
    pyramid.step(weights, QUANTIZER, PRICE)
    before = pyramid.latents()
    pyramid.move(0.1, (0.9, 0.99), 1e-6, TOGETHER_FROM)
    level = pyramid._target.inner.transpose(1, 2, 0)[..., : 3 if colours > 2 else 1].astype(np.float64) - 0.5
    levels = [level]
    for _ in range(LEVELS - 1):
        height, width = levels[-1].shape[:2]
        even = np.pad(levels[-1], ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        levels.append((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)
    for latents, start, end in zip(pyramid.grids, before, pyramid.latents()):
        moved = latents.moves.inner[0].astype(np.float64)
        height, width = moved.shape
        if not has_map(latents.grid, *size):
            np.testing.assert_allclose(end, start + moved, atol=1e-6)
            continue
        padded = np.pad(levels[latents.grid.level], ((2, 2), (2, 2), (0, 0)), mode="edge")
        around = [padded[y : y + height, x : x + width] for y in range(5) for x in range(5)]
        surroundings = np.concatenate([*around, np.ones((height, width, 1))], axis=2).reshape(height * width, -1)
        count = surroundings.shape[1]
        squares = surroundings.T @ surroundings
        ridge = 1e-3 * np.trace(squares) / count * np.eye(count)
        together = surroundings @ np.linalg.solve(squares + ridge, surroundings.T @ moved.ravel())
        assert np.abs(together).max() > 1e-3
        np.testing.assert_allclose(end, start + moved + 4 * together.reshape(height, width), atol=2e-5)
