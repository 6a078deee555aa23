"""The IPU without one: a stand-in of its package, a lint of the graph that it would compile, and XLA on the step."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import graph_lint
import ipu_standin
import tensorflow as tf

from nifcodec import decoder, encoder
from nifcodec.errors import ConfigError, DeviceError, MissingDependencyError
from nifcodec.fields.families import configure
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.training import networks, rounding
from nifcodec.fields.mlp.training.fit import fit
from nifcodec.picture import metrics
from nifcodec.training.adam import fresh_state, learning_rate, train_step
from nifcodec.training.devices.base import Placement, Work
from nifcodec.training.devices.local import Local
from nifcodec.training.devices.open import open_device
from tests import ipu_check

# Signatures of SDK 3.4, as its sources have them.
SIGNATURES = {
    "config.configure_ipu_system": "(config, device='cpu', reset_configuration=True)",
    "config.get_ipu_config": "(session=None)",
    "utils.reset_ipu_seed": "(seed, device='/device:IPU:0', cpu_device='cpu', experimental_identical_replicas=False)",
    "utils.get_num_of_ipus_in_device": "(ipu_device, device='cpu')",
    "ipu_strategy.IPUStrategy": "(ipu_device='/device:IPU:0', cpu_device='/device:CPU:0', "
    "enable_dataset_iterators=True, enable_keras_extensions=True)",
    "ipu_strategy.IPUStrategy.run": "(self, fn, args=(), kwargs=None, options=None)",
    "ipu_infeed_queue.IPUInfeedQueue": "(dataset, device_ordinal=None, prefetch_depth=None, optimise_latency=False, "
    "**kwargs)",
    "loops.repeat": "(n, body, inputs=None, infeed_queue=None, use_while_v1=True)",
}
V, U = np.mgrid[0:24, 0:32]
PICTURE = np.stack([127 + 100 * np.sin(U / 6 + c) * np.cos(V / 5) for c in range(3)], axis=-1).astype(np.uint8)
SPECS = [
    MlpDescription("fourier", 3, 16, 4, "powers", dimension=4, sigma=2.0, colour="ycocg"),
    MlpDescription("fourier", 4, 12, 2, "gaussian", features=5, scale=3.5, seed=9, colour="yuv"),
    MlpDescription("siren", 3, 16, 2, "none", omega=30.0),
]


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_stand_in_has_the_sdks_signatures(name: str) -> None:
    with ipu_standin.installed(1):
        from tensorflow.python import ipu

        member: Any = ipu
        for part in name.split("."):
            member = getattr(member, part)
    signature = inspect.signature(member)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == SIGNATURES[name]


def test_the_stand_in_is_as_strict() -> None:
    with ipu_standin.installed(1) as machine:
        from tensorflow.python import ipu

        config = ipu.config.IPUConfig()
        with pytest.raises(ValueError, match="not a valid attribute"):
            config.auto_select_ipu = 1
        with pytest.raises(TypeError):
            config.floating_point_behaviour.esr = True
        with pytest.raises(Exception, match="category"):
            config.matmuls = {}
        with pytest.raises(RuntimeError, match="No IPU devices configured"):
            ipu.utils.reset_ipu_seed(1)
        config.auto_select_ipus = 1
        config.matmuls.poplar_options = {"availableMemoryProportion": 0.3}
        with pytest.raises(TypeError):
            config.configure_ipu_system()
        config.matmuls.poplar_options = {"availableMemoryProportion": "0.3"}
        config.configure_ipu_system()
        strategy = ipu.ipu_strategy.IPUStrategy()
        with pytest.raises(ValueError, match="eager"):
            strategy.run(lambda: 1)
        with pytest.raises(TypeError, match="float64"):
            strategy.run(tf.function(lambda x: x), args=(tf.constant(1.0, tf.float64),))
        with pytest.raises(TypeError, match="int64"):
            ipu.ipu_infeed_queue.IPUInfeedQueue(tf.data.Dataset.range(3))
        with pytest.raises(ValueError, match="fully defined"):
            ipu.ipu_infeed_queue.IPUInfeedQueue(tf.data.Dataset.from_tensor_slices(tf.zeros(3)).batch(2))
        with pytest.raises(TypeError, match="Python int"):
            ipu.loops.repeat(tf.constant(3), lambda x: x, [1])
        assert machine.configured is config


@pytest.mark.parametrize(
    "options",
    [
        {"field": "fourier", "gradient_accumulation": 2},
        {"field": "siren", "precision": "float16", "half_sine": True, "bpp": 3.0},
    ],
)
def test_the_whole_encoder_through_the_stand_in(options: dict) -> None:
    network = {"batch_size": 256, "width": 12, "layers": 2, "report_every": 30}
    config = configure(device="ipu", steps=220, seed=5, **network, **options)
    reports: list = []
    with ipu_standin.installed(1) as machine:
        encoded = encoder.encode_image(encoder.from_array(PICTURE), config, reports.append)
    assert metrics.psnr(PICTURE, decoder.decode(encoded.data)) == encoded.report.psnr_rgb > 12
    assert encoded.report.steps == 220
    assert encoded.report.device.startswith("ipu, 256 samples a step")
    assert encoded.report.device.endswith("of 450 MB")
    half = config.options.precision == "float16"
    asked = machine.configured
    assert asked.floating_point_behaviour.esr.name == ("ON" if half else "OFF")
    assert asked.matmuls.poplar_options == {"partialsType": "half" if half else "float"}
    assert machine.seeds == [5, 5]
    # One program a stage, run several times.
    assert len(machine.compiled) == 2
    assert machine.runs == sum(report.stage != "measure" for report in reports) > 4


def test_an_ipu_gives_the_network_of_the_cpu() -> None:
    image = PICTURE.astype(np.float32) / 255
    config = {"field": "siren", "steps": 40, "batch_size": 256, "report_every": 20}
    with ipu_standin.installed(1):
        ipu = fit(image, SPECS[2], configure(device="ipu", **config))
    cpu = fit(image, SPECS[2], configure(device="cpu", **config))
    for one, other in zip(ipu.float_tensors, cpu.float_tensors):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(MissingDependencyError, match="Poplar SDK"):
        open_device(Placement("ipu"))
    with ipu_standin.installed(0), pytest.raises(DeviceError, match="Could not find an available device"):
        open_device(Placement("ipu"))
    with ipu_standin.installed(2), pytest.raises(DeviceError, match="Could not find an available device"):
        open_device(Placement("ipu", 4))
    with pytest.raises(ConfigError, match="--device ipu"):
        configure(field="siren", partials="float16")


def test_the_check_for_owners_of_the_sdk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its two parts run through the stand-in; what they are for needs the SDK."""
    with ipu_standin.installed(1):
        assert ipu_check.main(["model"]) == 0
    assert capsys.readouterr().out.count(": ok") == len(ipu_check.CASES)
    with ipu_standin.installed(0) as machine:
        # The stand-in compiles nothing that could be kept.
        assert ipu_check.main(["compile", "--cache", str(tmp_path)]) == 1
    assert "0 programs" in capsys.readouterr().out
    assert machine.configured.device_connection.type.name == "PRE_COMPILE"
    assert machine.configured.device_connection.version == "ipu2"
    assert ipu_check.main(["model"]) == 1
    assert "Poplar SDK" in capsys.readouterr().out


def objective(spec: MlpDescription, arithmetic: networks.Arithmetic) -> Callable[..., Any]:
    """As a training has it, rounded weights and rate included."""
    layout = networks.Layout(spec)
    sizes = [0.125] * len(spec.tensor_shapes())

    def loss(flat: Any, coords: Any, colours: Any) -> Any:
        tensors = [rounding.straight_through(tensor, size) for tensor, size in zip(layout.split(flat), sizes)]
        error = networks.forward(spec, tensors, coords, arithmetic) - colours
        return tf.reduce_mean(tf.square(error)) + 1e-6 * tf.maximum(rounding.rate(tensors, sizes) - 100.0, 0.0)

    return loss


def steps(spec: MlpDescription, arithmetic: networks.Arithmetic, parts: int) -> Callable[..., Any]:
    """Three steps in a loop of constant length, as a device takes them."""
    loss = objective(spec, arithmetic)

    def three(flat: Any, first: Any, second: Any, scaling: Any, coords: Any, colours: Any, counter: Any) -> Any:
        def body(index: Any, *state: Any) -> Any:
            fresh = tf.cast(counter + index, tf.float32)
            rate = learning_rate(tf.constant(1e-2), counter + index, fresh, 100)
            state, _ = train_step(loss, state, fresh, (coords, colours), rate, scaled=arithmetic.half)
            return (index + 1, *state)

        return tf.while_loop(lambda index, *_: index < 3, body, (tf.constant(0), flat, first, second, scaling))[1:]

    shapes = [(spec.parameter_count(),)] * 3 + [(2,), (parts, 32, 2), (parts, 32, spec.channels)]
    three.signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes] + [tf.TensorSpec((), tf.int32)]
    return three


CASES = [(spec, half, parts) for spec in SPECS for half, parts in ((False, 1), (True, 4))]


@pytest.mark.parametrize(("spec", "half", "parts"), CASES)
def test_the_step_is_clean_and_compiles_to_the_same_numbers(spec: MlpDescription, half: bool, parts: int) -> None:
    three = steps(spec, networks.Arithmetic(half, half and spec.family == "siren"), parts)
    assert graph_lint.defects(tf.function(three, autograph=False).get_concrete_function(*three.signature)) == []
    tensors = networks.initial_tensors(spec, 1, np.full(spec.channels, 0.4))
    generator = np.random.RandomState(2)
    coords = tf.constant(generator.uniform(size=(parts, 32, 2)), tf.float32)
    colours = tf.constant(generator.uniform(size=(parts, 32, spec.channels)), tf.float32)
    arguments = (*fresh_state(networks.Layout.join(tensors)), coords, colours, tf.constant(4))
    plain = three(*arguments)
    compiled = tf.function(three, autograph=False, jit_compile=True)(*arguments)
    # Adam divides by the gradient's own size: where it is near nothing, rounding decides.
    differences = np.abs(plain[0].numpy() - compiled[0].numpy())
    assert np.mean(differences > (2e-3 if half else 1e-4)) < 0.02
    assert np.isfinite(compiled[0].numpy()).all()
    np.testing.assert_array_equal(plain[3], compiled[3])


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("float64", lambda x: tf.cast(tf.cast(x, tf.float64) + 1.0, tf.float32)),
        ("int64", lambda x: x + tf.cast(tf.argmax(x), tf.float32)),
        ("shape", lambda x: tf.boolean_mask(x, x > 0)),
        ("Where", lambda x: tf.where(x > 0)),
        ("Gather", lambda x: tf.gather(x, tf.constant([0, 1]))),
        ("Stateless", lambda x: x + tf.random.stateless_uniform((4,), [1, 2])),
        ("no kernel", lambda x: tf.py_function(lambda y: y, [x], tf.float32)),
        ("FFT", lambda x: tf.abs(tf.signal.rfft(x))),
        ("float64", lambda x: tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y + deep(y)), (0, x))[1]),
    ],
)
def test_the_lint_finds_what_an_ipu_refuses(name: str, function: Callable[..., Any]) -> None:
    traced = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec((4,), tf.float32))
    assert any(name in defect for defect in graph_lint.defects(traced))


def deep(tensor: Any) -> Any:
    return tf.cast(tf.cast(tensor, tf.float64), tf.float32)


def test_float16_training_lowers_its_scale_where_gradients_overflow() -> None:
    spec = SPECS[2]
    coords, colours = tf.random.stateless_uniform((64, 2), [1, 2]), tf.fill((64, 3), 1e4)
    work = Work(objective(spec, networks.Arithmetic(True)), lambda step: (coords, colours), 100, 30, scaled=True)
    state = fresh_state(networks.Layout.join(networks.initial_tensors(spec, 1, np.full(3, 0.4))))

    class Start:
        done, fresh = 0, 0

    Start.state = state
    after, loss = Local().compile(work, state, 0)(Start, 1e-3, 30)
    assert np.isfinite(after[0].numpy()).all() and np.isfinite(loss)
    assert float(after[3][0]) < float(state[3][0])
    assert not np.array_equal(after[0], state[0])
