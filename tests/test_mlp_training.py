"""Training: the TensorFlow twin, samples, relaxed rounding, the loop, and a whole fit."""

import math
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from nifcodec.errors import TrainingError
from nifcodec.fields.families import configure
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.mlp import render
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.sizing import design
from nifcodec.fields.mlp.training import networks, rounding
from nifcodec.fields.mlp.training.fit import fit
from nifcodec.fields.mlp.training.samples import Sampler
from nifcodec.fields.mlp.training.step_choice import choose_steps
from nifcodec.fields.mlp.weights import QuantizedMlp
from nifcodec.training.devices.base import Work
from nifcodec.training.devices.local import Local
from nifcodec.training.loop import Loop

SPECS = [
    MlpDescription("fourier", 3, 64, 4, "powers", dimension=10, sigma=2.0, colour="ycocg"),
    MlpDescription("fourier", 4, 24, 5, "gaussian", features=7, scale=3.5, seed=9, colour="yuv"),
    MlpDescription("fourier", 1, 9, 1, "none"),
    MlpDescription("siren", 2, 16, 3, "none", omega=30.0),
]


def picture(height, width, channels=3):
    v, u = np.meshgrid(render.pixel_centres(height), render.pixel_centres(width), indexing="ij")
    waves = [0.5 + 0.4 * np.sin(7 * u + 3 * c) * np.cos(5 * v - c) for c in range(channels)]
    return np.stack(waves, axis=-1).astype(np.float32)


@pytest.mark.parametrize("spec", SPECS)
def test_twin_equals_the_renderer(spec):
    tensors = networks.initial_tensors(spec, 3, np.full(spec.channels, 0.4))
    assert tuple(tensor.shape for tensor in tensors) == spec.tensor_shapes()
    us, vs = render.pixel_centres(23), render.pixel_centres(17)
    grid = np.stack(np.meshgrid(us, vs), axis=-1).reshape(-1, 2).astype(np.float32)
    twin = networks.forward(spec, tensors, tf.constant(grid)).numpy()
    rendered = render.render(spec, tensors, us, vs).reshape(-1, spec.channels)
    assert rendered.std() > 1e-3
    np.testing.assert_allclose(twin, rendered, atol=1e-4)


def test_start_values_of_siren_are_the_papers():
    spec = MlpDescription("siren", 3, 200, 3, "none", omega=30.0)
    tensors = networks.initial_tensors(spec, 0, np.zeros(3))
    for kernel, bound in zip(tensors[0::2], (1 / 2, math.sqrt(6 / 200) / 30, math.sqrt(6 / 200) / 30)):
        assert 0.9 * bound < np.abs(kernel).max() <= bound


@pytest.mark.parametrize(("height", "width", "batch"), [(12, 20, 40), (7, 11, 10), (5, 3, 15)])
def test_an_epoch_takes_every_pixel(height, width, batch):
    image = picture(height, width)
    sampler = Sampler(image, batch, "pixels", 5)
    epoch = -(-height * width // batch)
    seen = []
    for step in range(epoch, 2 * epoch):
        coords, colours = (part.numpy() for part in sampler.draw(tf.constant(step)))
        columns, rows = np.floor(coords[:, 0] * width).astype(int), np.floor(coords[:, 1] * height).astype(int)
        np.testing.assert_allclose(coords[:, 0], (columns + 0.5) / width, atol=1e-6)
        np.testing.assert_allclose(coords[:, 1], (rows + 0.5) / height, atol=1e-6)
        np.testing.assert_array_equal(colours, image[rows, columns])
        seen.extend(rows * width + columns)
    assert set(seen) == set(range(height * width))
    if height * width % batch == 0:
        assert len(seen) == height * width


def test_random_samples_are_bilinear_and_keyed_by_seed_and_step():
    image = picture(6, 9)
    sampler = Sampler(image, 50, "random", 1)
    coords, colours = (part.numpy() for part in sampler.draw(tf.constant(4)))
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge").astype(np.float64)
    for (u, v), colour in zip(coords, colours):
        x, y = u * 9 + 0.5, v * 6 + 0.5
        left, top = int(x), int(y)
        quad = padded[top : top + 2, left : left + 2]
        across = quad[:, 0] + (x - left) * (quad[:, 1] - quad[:, 0])
        np.testing.assert_allclose(across[0] + (y - top) * (across[1] - across[0]), colour, atol=1e-5)
    again = Sampler(image, 50, "random", 1)
    np.testing.assert_array_equal(again.draw(tf.constant(4))[0], coords)
    assert not np.array_equal(again.draw(tf.constant(5))[0], coords)
    assert not np.array_equal(Sampler(image, 50, "random", 2).draw(tf.constant(4))[0], coords)


def test_rounding_passes_the_gradient():
    values = tf.constant([0.26, -0.9, 3.1])
    with tf.GradientTape() as tape:
        tape.watch(values)
        rounded = rounding.straight_through(values, 0.5)
        loss = tf.reduce_sum(rounded * [1.0, 2.0, 3.0])
    np.testing.assert_allclose(rounded, [0.5, -1.0, 3.0])
    np.testing.assert_allclose(tape.gradient(loss, values), [1.0, 2.0, 3.0])


@pytest.mark.parametrize("kind", ["laplace", "normal"])
@pytest.mark.parametrize("deviation", [0.7, 4.0, 40.0])
def test_rate_is_near_the_entropy(kind, deviation):
    drawn = getattr(np.random.RandomState(0), kind)(size=20_000)
    tensor = (0.125 * deviation * drawn / drawn.std()).astype(np.float32)
    counts = np.unique(np.rint(tensor / 0.125), return_counts=True)[1]
    entropy = -(counts * np.log2(counts / counts.sum())).sum()
    assert float(rounding.rate([tf.constant(tensor)], [0.125])) == pytest.approx(entropy, rel=0.1)


def test_steps_meet_a_budget_and_spare_the_sensitive_tensor():
    generator = np.random.RandomState(0)
    tensors = [generator.normal(0, 0.1, 4000).astype(np.float32) for _ in range(2)]

    def error(changed):
        parts = [float(np.square(new - old).sum()) for new, old in zip(changed, tensors)]
        return 1e-3 + 1e-2 * parts[0] + 1e-4 * parts[1]

    for budget in (20_000.0, 40_000.0):
        plan = choose_steps(tensors, error, budget)
        spent = float(rounding.rate([tf.constant(tensor) for tensor in tensors], plan.sizes))
        assert 0.95 * budget < spent <= budget
        # At the optimum both tensors add the same error: a hundred times the sensitivity is a tenth of the step.
        assert plan.sizes[1] / plan.sizes[0] == pytest.approx(10, rel=0.2)


def test_steps_do_not_spoil_a_network_whose_errors_do_not_add_up():
    generator = np.random.RandomState(0)
    tensors = [generator.normal(0, 0.1, 4000).astype(np.float32) for _ in range(2)]

    def error(changed):
        parts = [float(np.square(new - old).mean()) for new, old in zip(changed, tensors)]
        return 1e-3 + 1e-4 * sum(parts) + 1e4 * parts[0] * parts[1]

    plan = choose_steps(tensors, error)
    stored = [np.rint(tensor / size) * size for tensor, size in zip(tensors, plan.sizes)]
    assert error(stored) < 1.3e-3


@pytest.mark.parametrize("bad", [math.nan, math.inf, 9.5])
def test_diverging_training_restarts_from_the_best_state(bad):
    scores = iter([4.0, 3.0, bad, 2.0, 5.0])
    reports = []
    loop = Loop(
        device=Local(),
        work=Work(
            lambda flat, coords, colours: tf.reduce_sum(tf.square(flat)),
            lambda step: (tf.zeros((1, 2)), tf.zeros((1, 1))),
            40,
            10,
        ),
        evaluate=lambda flat: (next(scores), 0.0, 0.0),
        report=lambda reached: reports.append(reached.done),
        stops=lambda: False,
    )
    best, done = loop.run(tf.constant([1.0]), 0.01)
    assert (reports, done) == ([10, 30, 40], 40)
    assert 0.0 < float(best[0]) < 1.0


def test_training_that_keeps_diverging_is_an_error():
    loop = Loop(
        device=Local(),
        work=Work(
            lambda flat, coords, colours: tf.reduce_sum(flat) * math.nan,
            lambda step: (tf.zeros((1, 2)), tf.zeros((1, 1))),
            100,
            5,
        ),
        evaluate=lambda flat: (1.0, 0.0, 0.0),
        report=lambda reached: None,
        stops=lambda: False,
    )
    with pytest.raises(TrainingError, match="keeps diverging"):
        loop.run(tf.constant([1.0]), 0.1)


def psnr(result, image):
    height, width = image.shape[:2]
    values = render.render(
        result.quantized.spec, result.quantized.dequantize(), render.pixel_centres(width), render.pixel_centres(height)
    )
    return -10 * np.log10(np.mean(np.square(np.clip(values, 0, 1) - image)))


@pytest.mark.parametrize(
    ("family", "channels", "options"),
    [
        ("fourier", 3, {}),
        ("fourier", 4, {"loss": "huber", "sampling": "random"}),
        ("fourier", 1, {"encoding": "gaussian", "feature_scale": 2.0, "features": 8}),
        ("siren", 3, {"omega": 10.0}),
    ],
)
def test_fit_learns_a_picture_and_rounds_it_with_little_loss(family, channels, options):
    image = picture(24, 32, channels)
    config = configure(field=family, steps=300, batch_size=256, **options)
    spec = design(family, channels, image.shape[:2], 12_000, config.options)
    reports = []
    result = fit(image, spec, config, Hooks(reports.append))
    assert result.steps == 300
    assert result.psnr_float > 20
    assert psnr(result, image) > result.psnr_float - 1.0
    assert all(0 < report.bpp < 64 and report.psnr > 0 for report in reports)
    assert [report.step for report in reports] == sorted(report.step for report in reports)
    assert (reports[-1].step, reports[-1].stage) == (300, "tune")
    assert QuantizedMlp.from_payload(spec, result.quantized.to_payload()).steps == result.quantized.steps


def test_a_seed_makes_two_runs_equal():
    image = picture(16, 16)
    spec = design("fourier", 3, (16, 16), 6_000)
    runs = [fit(image, spec, configure(field="fourier", steps=40, seed=seed)).quantized.symbols for seed in (7, 7)]
    assert all(np.array_equal(one, other) for one, other in zip(runs[0], runs[1]))
    starts = [networks.initial_tensors(spec, seed, np.zeros(3))[0] for seed in (7, 8)]
    assert not np.array_equal(*starts)


def test_interrupt_finishes_with_the_best_so_far():
    image = picture(16, 16)
    reports = []
    result = fit(
        image,
        design("fourier", 3, (16, 16), 6_000),
        configure(field="fourier", steps=100_000, report_every=1),
        Hooks(reports.append, lambda: len(reports) >= 20),
    )
    assert result.steps == 20
    assert psnr(result, image) > 10


def test_missing_tensorflow_names_the_command_that_installs_it():
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from nifcodec.errors import MissingDependencyError\n"
        "try:\n    import nifcodec.fields.mlp.training.fit\n"
        "except MissingDependencyError as error:\n    print(error)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install tensorflow" in output
