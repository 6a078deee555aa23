"""The latent pyramid trained by TensorFlow: that it is the native training, and that devices can compile it."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING

pytest.importorskip("tensorflow")

import graph_lint
import ipu_standin
import tensorflow as tf
from test_pyramid_step import PRICE, gradients_by_latents, problem

from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError, DeviceError
from nifcodec.fields.pyramid.contract import Loss, Quantizer
from nifcodec.fields.pyramid.fit import PROBES, State, Training
from nifcodec.fields.pyramid.grids import GROUPS
from nifcodec.fields.pyramid.schedule import ROUNDED_FROM, Price, phases
from nifcodec.fields.pyramid.step import Pyramid
from nifcodec.fields.pyramid.together import SHARE, TOGETHER_FROM, Together, inverses_of
from nifcodec.fields.pyramid.training import networks
from nifcodec.fields.pyramid.training.device_pyramid import DevicePyramid, open_device_pyramid, step_bytes
from nifcodec.native.pyramid import NativePyramid
from nifcodec.training.devices.local import Local
from nifcodec.training.devices.replicas import Replicas

native = pytest.mark.skipif(not LIBRARIES, reason=MISSING)
GRADIENT = 3  # of the latents, in the state
ROWS, COLUMNS = np.mgrid[:24, :40] / 8
PICTURE = np.stack([np.sin(ROWS), np.cos(COLUMNS), np.sin(ROWS + COLUMNS)], axis=-1).astype(np.float32) / 4 + 0.5


@pytest.fixture(scope="module")
def pyramid() -> DevicePyramid:
    """Its programs are traced once."""
    return open_device_pyramid(PICTURE, 255.0, EncodeConfig(device="cpu"))


def trained(pyramid: DevicePyramid, told: List[Tuple[int, float]]) -> State:
    """After 30 steps. told: where the evaluations go, steps and loss."""
    pyramid.set_latents([np.zeros_like(each) for each in pyramid.latents()])
    training = Training(pyramid, phases(30), pyramid.layout.initial(0), Price(1e-3))

    def tell(loss: Loss, evaluated: bool) -> None:
        if evaluated:
            told.append((training.done, loss.at(1e-3)))

    training.run(tell, lambda: False)
    return training.best


# Odd sizes, one of which has more than one sample in its coarsest grid. Some scales are beyond their limits and, of the
# smaller ones, some probabilities below theirs.
@native
@pytest.mark.parametrize(
    ("size", "colours", "log_scale", "light"),
    [((131, 21), 3, -4.5, 0.0), ((37, 45), 1, 4.5, 0.0), ((24, 20), 3, 1.0, 0.5)],
)
def test_a_step_is_the_native_one(size: Tuple[int, int], colours: int, log_scale: float, light: float) -> None:
    ours, weights = problem(size, colours=colours)
    ours.layout.parts["synthesis linear bias"].of(weights)[...] += light  # colours beyond white
    for group in range(GROUPS):
        ours.layout.parts[f"entropy {group} last bias"].of(weights)[1] = log_scale
    theirs = DevicePyramid(ours._target.inner.transpose(1, 2, 0), 255.0, Local())
    theirs.set_latents(ours.latents())
    moves = TOGETHER_FROM - 1
    for quantizer in (Quantizer(0.8, 0.0), Quantizer(0.1, 0.0), None):
        (loss, wanted), (found_loss, found) = (each.step(weights, quantizer, PRICE) for each in (ours, theirs))
        assert found_loss.error == pytest.approx(loss.error, rel=1e-5)
        assert found_loss.bits == pytest.approx(loss.bits, rel=1e-5)
        for name, part in ours.layout.parts.items():
            scale = np.abs(part.of(wanted)).max()
            np.testing.assert_allclose(part.of(found), part.of(wanted), atol=3e-3 * scale + 1e-6, err_msg=name)
        if quantizer is None:
            for gradient, by_rounded in zip(theirs.gradients(), ours.gradients()):
                np.testing.assert_allclose(gradient, by_rounded, atol=1e-3 * np.abs(by_rounded).max() + 1e-6)
            np.testing.assert_allclose(theirs.costs(weights, PRICE), ours.costs(weights, PRICE), rtol=0.05, atol=1e-3)
        else:
            ends = np.cumsum([each.size for each in theirs.latents()])[:-1]
            for gradient, by_latents in zip(np.split(theirs._held.read(GRADIENT), ends), gradients_by_latents(ours)):
                np.testing.assert_allclose(gradient, by_latents.ravel(), atol=1e-3 * np.abs(by_latents).max() + 1e-6)
            moves += 1
            for each in (ours, theirs):
                each.move(0.1, (0.9, 0.99), 0.1, moves)
            for one, other in zip(ours.latents(), theirs.latents()):
                np.testing.assert_allclose(other, one, atol=2e-3)
            # The next step is of the same latents: a kink between two that differ by rounding would be seen.
            theirs.set_latents(ours.latents())
    loss, found_loss = ours.evaluate(weights), theirs.evaluate(weights)
    assert found_loss.error == pytest.approx(loss.error, rel=1e-4)
    assert found_loss.bits == pytest.approx(loss.bits, rel=1e-5)
    off = np.abs(theirs.picture() - ours.picture())
    assert off.max() < 1.01 / 255 and np.mean(off > 1e-6) < 0.01
    # A restart forgets the moments of both moves.
    for each in (ours, theirs):
        each.restart()
        each.step(weights, Quantizer(0.8, 0.0), PRICE)
        each.move(0.1, (0.9, 0.99), 0.1, 1)
    for one, other in zip(ours.latents(), theirs.latents()):
        np.testing.assert_allclose(other, one, atol=2e-3)


def test_training_lowers_the_loss_and_an_ipu_trains_the_same(pyramid: DevicePyramid) -> None:
    assert pyramid.placement.startswith("cpu, 40x24 pixels, about ")
    before = pyramid.evaluate(pyramid.layout.initial(0)).at(1e-3)
    told: List[Tuple[int, float]] = []
    state = trained(pyramid, told)
    assert told[-1][0] == 30
    # The best one since weights are rounded.
    assert state.quantized is not None
    assert state.loss.at(1e-3) <= min(loss for step, loss in told if step > ROUNDED_FROM * 30) < 0.7 * before
    assert pyramid.evaluate(state.weights) == state.loss
    assert np.mean((pyramid.picture() - PICTURE) ** 2) == pytest.approx(state.loss.error, rel=0.05)
    for one, other in zip(state.latents, pyramid.latents()):
        np.testing.assert_array_equal(one, other)
    with ipu_standin.installed(1) as machine:
        ipu = open_device_pyramid(PICTURE, 255.0, EncodeConfig(device="ipu"))
        again = trained(ipu, [])
    assert ipu.placement.endswith("of 450 MB")
    assert again.loss.at(1e-3) == pytest.approx(state.loss.at(1e-3), rel=1e-3)
    # Programs of both kinds of steps, of evaluations, and of the moves that nothing else follows.
    assert len(machine.compiled) <= 4
    assert machine.runs < 30 + 2 * len(told) + 2 * PROBES + 5


@native
@pytest.mark.parametrize("colours", [2, 3, 4])
def test_what_latents_do_together_is_the_same_by_tensorflow(colours: int) -> None:
    random, (height, width) = np.random.RandomState(colours), (77, 67)
    picture = random.uniform(size=(height, width, colours)).astype(np.float32)
    native_steps = NativePyramid(LIBRARIES["installed"])
    pyramid = Pyramid(native_steps, picture)
    for latents in pyramid.grids:
        latents.moves.inner[...] = random.normal(1, 1, latents.moves.inner.shape)
    moves = [tf.constant(latents.moves.inner[0]) for latents in pyramid.grids]
    found = networks.together(tf.constant(picture), tf.constant(inverses_of(picture)), moves)
    Together(native_steps, picture).move(pyramid.grids)
    added = [np.abs(each).max() for each in pyramid.latents()]
    assert [each > 1 for each in added[:3]] == [True, True, False] and max(added[2:]) == 0
    for ours, theirs in zip(pyramid.latents(), found):
        np.testing.assert_allclose(SHARE * theirs.numpy(), ours, atol=2e-4)


def test_the_noise_follows_the_seed_and_rounding_leaves_the_latents(pyramid: DevicePyramid) -> None:
    pyramid.restart()
    pyramid.set_latents([np.full(each.shape, 0.3, np.float32) for each in pyramid.latents()])
    weights = pyramid.layout.initial(0)
    bits = [pyramid.step(weights, Quantizer(0.3, 0.2, seed), 1e-3)[0].bits for seed in (1, 1, 2)]
    assert bits[0] == bits[1] != bits[2]
    pyramid.step(weights, None, 1e-3)
    pyramid.move(0.1, (0.9, 0.99), 1e-8, 1)
    assert all((each == np.float32(0.3)).all() for each in pyramid.latents())


def test_the_programs_are_clean_and_compile_to_the_same_numbers() -> None:
    picture = np.tile(PICTURE, (2, 1, 1))[:35, :33]
    pyramid, random = DevicePyramid(picture, 255.0, Local()), np.random.RandomState(1)
    count = sum(each.size for each in pyramid.latents())
    moment, gradient, noise = random.normal(size=(3, count))
    state = (random.normal(0, 1.5, count), moment, random.uniform(size=count), gradient, picture, inverses_of(picture))
    weights = pyramid.layout.initial(1) + random.normal(0, 0.03, pyramid.layout.count)
    rounding = np.repeat([[1.2], [0.6]], len(pyramid.latents()), axis=1)
    arrays = (state, np.array([0.1, 0.9, 0.99, 1e-2, 3, 4]), weights, PRICE, 0.2 * noise, rounding)
    given = tf.nest.map_structure(lambda array: tf.constant(array, tf.float32), arrays)
    for function, used in ((pyramid.soft_step, given), (pyramid.evaluation, given[:3])):
        specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), used)
        traced = tf.function(function, autograph=False).get_concrete_function(*specs)
        assert graph_lint.defects(traced) == []
    plain = pyramid.soft_step(*given)
    compiled = tf.function(pyramid.soft_step, autograph=False, jit_compile=True)(*given)
    for one, other in zip(tf.nest.flatten(plain), tf.nest.flatten(compiled)):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)


def test_what_no_device_has_is_refused() -> None:
    with ipu_standin.installed(2), pytest.raises(ConfigError, match="leave --replicas out"):
        open_device_pyramid(PICTURE, 255.0, EncodeConfig(device="ipu", replicas=2))
    replicas = Replicas(tf.distribute.OneDeviceStrategy("/CPU:0"), "cpu")
    with pytest.raises(ConfigError, match="leave --replicas out"):
        DevicePyramid(PICTURE, 255.0, replicas)
    with pytest.raises(DeviceError, match="a picture of 40x24 pixels takes"):
        DevicePyramid(PICTURE, 255.0, Local(memory=1_000_000))


def test_the_estimate_counts_what_a_step_stores() -> None:
    """By hand: 64x64 pixels have 5461 latents and 21 hyperlatents; layers of 20 and 20, of 48, 2 numbers, 7 grids."""
    latents, pixels = 5461 + 16 + 4 + 1, 64 * 64
    stored = latents * (5 * 20 + 2) + pixels * (2 * 7 + 2 * 48 + 8 * 3)
    assert step_bytes(64, 64, 3) == 4 * (4 * latents + 3 * pixels + 7 * 76**2) + 6 * stored
