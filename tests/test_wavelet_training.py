"""The wavelet field's training elsewhere than on one CPU: tiles, replicas, the IPU's stand-in, checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import graph_lint
import ipu_standin
import tensorflow as tf
from conftest import SAMPLES, kill_after

from nifcodec import decoder, encoder
from nifcodec.cli.main import main
from nifcodec.errors import ConfigError, DeviceError, MissingDependencyError
from nifcodec.fields.families import configure
from nifcodec.fields.job import EncodeJob
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.descent import CpuDescent
from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.fields.wavelet.planes import filtered_planes
from nifcodec.fields.wavelet.training import memory
from nifcodec.fields.wavelet.training.device_descent import DeviceDescent
from nifcodec.fields.wavelet.training.prior_networks import corrections
from nifcodec.picture import metrics
from nifcodec.picture.read import read_image
from nifcodec.training.devices.base import Placement
from nifcodec.training.devices.ipu import MEMORY, open_ipu
from nifcodec.training.devices.local import Local
from nifcodec.training.devices.open import open_device

HERE = Path(__file__).parent
NETWORK = priors.named().restoration
# Of a photograph, since training gains nothing on noise: two tiles of at most 128 pixels, or one lattice.
WIDE = read_image(str(SAMPLES / "chelsea.png")).pixels[100:172, 100:250]
PICTURE = WIDE[:, :90]
SPEC = WaveletDescription(330, priors.named().hash, ((30, 9, -4, 2, 0, 1), (28, -7, 3, 0, 5, 1)))


def problem(height: int, width: int, planes: int) -> "tuple[np.ndarray, np.ndarray]":
    """Rebuilt planes in steps, and the picture's on colours of 0..1."""
    generator = np.random.RandomState(height)
    target = generator.normal(0, 0.2, (planes, height, width))
    return (target / SPEC.step + generator.uniform(-0.5, 0.5, target.shape)).astype(np.float32), target


def by_the_book(planes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The gradient step by automatic differentiation of the whole, the mirrored border included."""
    count, (height, width) = filtered_planes(len(planes)), planes.shape[1:]
    even = [np.pad(part[:count], ((0, 0), (0, height % 2), (0, width % 2)), mode="edge") for part in (planes, target)]
    mixed = NETWORK.mixed(SPEC.mixture)
    here = tf.constant(np.moveaxis(np.pad(even[0], ((0, 3 - count), (0, 0), (0, 0))), 0, -1)[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(here)
        blocks = tf.nn.space_to_depth(here, 2)
        for axis in (1, 2):
            mirrored = np.pad(np.arange(blocks.shape[axis]), len(mixed.kernels), mode="symmetric")
            blocks = tf.gather(blocks, mirrored, axis=axis)
        feature = tf.constant([SPEC.step_feature], tf.float32)
        change = corrections(mixed.kernels, mixed.biases, mixed.conditioning, blocks, feature)[0, 0, ..., :count]
        missing = np.moveaxis(even[1] / SPEC.step, 0, -1) - here[0, ..., :count] - change
        loss = 0.5 * tf.reduce_sum(tf.square(missing))
    moved = (here - tape.gradient(loss, here)).numpy()[0, :height, :width, :count]
    return np.concatenate([np.moveaxis(moved, -1, 0) * SPEC.step, target[count:]])


@pytest.mark.parametrize(("height", "width", "planes"), [(45, 70, 3), (70, 33, 4), (33, 1, 1), (2, 3, 3), (1, 9, 2)])
def test_tiles_give_the_gradient_step_of_the_whole(height: int, width: int, planes: int) -> None:
    given = problem(height, width, planes)
    wanted = by_the_book(*given)
    assert np.abs(wanted[: filtered_planes(planes)] - given[0][: filtered_planes(planes)] * SPEC.step).max() > 0.05
    np.testing.assert_allclose(
        DeviceDescent(NETWORK, planes, (height, width), Local())(*given, SPEC), wanted, atol=1e-5
    )
    for limit in ((16, 16), (24, 40)):
        device = Local(memory=memory.tile_bytes(NETWORK, limit))
        descent = DeviceDescent(NETWORK, planes, (height, width), device)
        assert descent._tile[0] * descent._tile[1] <= limit[0] * limit[1]
        np.testing.assert_allclose(descent(*given, SPEC), wanted, atol=1e-5)
    # Parts smaller than the largest are given in its tiles.
    larger = DeviceDescent(NETWORK, planes, (90, 90), device)
    np.testing.assert_allclose(larger(*given, SPEC), wanted, atol=1e-5)


def test_the_planner_cuts_what_does_not_fit() -> None:
    whole = memory.cut(NETWORK, (1365, 2049), 1, None)
    assert (whole.tile, whole.count) == ((1366, 2050), 1)
    assert whole.describe("cpu", None) == f"cpu, 1 tile of 2050x1366 pixels at most, about {whole.bytes / 1e6:.0f} MB"
    assert whole.bytes > MEMORY
    tiles = memory.cut(NETWORK, (1365, 2049), 1, MEMORY)
    assert tiles.bytes <= MEMORY and tiles.count > 1
    # One cut fewer, and they would not fit.
    assert memory.tile_bytes(NETWORK, (tiles.tile[0], 2 * tiles.tile[1])) > MEMORY
    assert memory.cut(NETWORK, (1365, 2049), 4, None).count >= 4
    assert memory.cut(NETWORK, (20, 20), 64, None).count < 64
    with pytest.raises(DeviceError, match="a tile of 16x16 pixels"):
        memory.cut(NETWORK, (1365, 2049), 1, 1000)


def test_the_estimate_counts_what_a_tile_stores() -> None:
    """By hand: a tile of 16 pixels is 8 blocks and 4 on each side; four layers of 12, 48, 48, 48, 12 values."""
    values = (12 + 48 + 48 + 48) + (48 + 48 + 48 + 12) + 5 * 12
    weights = 9 * (12 * 48 + 48 * 48 + 48 * 48 + 48 * 12)
    assert memory.tile_bytes(NETWORK, (16, 16)) == 4 * weights + 6 * 16 * 16 * values


def test_the_step_is_clean_and_compiles_to_the_same_numbers() -> None:
    descent, mixed = DeviceDescent(NETWORK, 3, (24, 32), Local()), NETWORK.mixed(SPEC.mixture)
    generator = np.random.RandomState(4)
    shapes = ((1, 24 + 2 * NETWORK.reach, 32 + 2 * NETWORK.reach, 3), (1, 24, 32, 3), (1, 24, 32, 1))
    tile = [generator.normal(size=shape).astype(np.float32) for shape in shapes]
    arrays = [*tile, np.array([70], np.float32), *mixed.kernels, *mixed.biases, *mixed.conditioning]
    tensors = [tf.constant(array) for array in arrays]
    traced = tf.function(descent.vjp, autograph=False).get_concrete_function(
        *(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors)
    )
    assert graph_lint.defects(traced) == []
    compiled = tf.function(descent.vjp, autograph=False, jit_compile=True)(*tensors)
    for one, other in zip(descent.vjp(*tensors), compiled):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_an_ipu_of_little_memory_is_given_tiles() -> None:
    given = problem(45, 70, 3)
    with ipu_standin.installed(2) as machine:
        device = open_ipu(Placement("ipu", 2, independent=True), memory=memory.tile_bytes(NETWORK, (24, 40)))
        found = DeviceDescent(NETWORK, 3, (45, 70), device)(*given, SPEC)
    assert len(machine.compiled) == 2
    assert machine.runs == 4
    np.testing.assert_allclose(found, by_the_book(*given), atol=1e-5)


@pytest.mark.parametrize(("ipus", "tiles"), [(1, "1 tile of 90x72"), (3, "4 tiles of 46x36")])
def test_the_whole_encoder_through_the_ipus_stand_in(ipus: int, tiles: str) -> None:
    config = configure(effort=3, device="ipu", replicas=ipus)
    with ipu_standin.installed(3) as machine:
        encoded = encoder.encode_image(encoder.from_array(PICTURE), config)
    assert machine.configured.auto_select_ipus == [1] * ipus
    # A program a device, called with each tile of each round.
    assert len(machine.compiled) == ipus
    assert machine.runs == int(tiles[0]) * 2
    assert encoded.report.device.startswith(f"ipu, {tiles} pixels at most")
    assert encoded.report.steps == 2
    assert metrics.psnr(PICTURE, decoder.decode(encoded.data)) == encoded.report.psnr_rgb
    cpu = encoder.encode_image(encoder.from_array(PICTURE), configure(effort=3)).report
    assert encoded.report.psnr_rgb == pytest.approx(cpu.psnr_rgb, abs=0.02)
    assert encoded.report.bytes == pytest.approx(cpu.bytes, rel=0.01)


def test_a_device_that_is_not_there_is_no_reason_to_leave_training_out() -> None:
    with pytest.raises(MissingDependencyError, match="Poplar SDK"):
        encoder.encode(PICTURE, configure(device="ipu"))
    with ipu_standin.installed(1), pytest.raises(DeviceError, match="Could not find an available device"):
        encoder.encode(PICTURE, configure(device="ipu", replicas=2))


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="has a GPU")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="no GPU"):
        encoder.encode(PICTURE, configure(device="gpu"))


def test_the_cpu_trains_without_tensorflow_and_other_devices_say_that_they_need_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(job: EncodeJob) -> None:
        raise MissingDependencyError("training needs TensorFlow")

    monkeypatch.setattr(EncodeJob, "start_training", missing)
    report = encoder.encode_image(encoder.from_array(PICTURE), configure(effort=2)).report
    assert (report.device or "").startswith("cpu, ") and report.steps == 1
    with pytest.raises(MissingDependencyError, match="needs TensorFlow"):
        encoder.encode(PICTURE, configure(effort=2, replicas=2))


@pytest.mark.parametrize(("height", "width", "planes"), [(45, 70, 3), (70, 33, 4), (33, 1, 1), (2, 3, 3), (1, 9, 2)])
@pytest.mark.parametrize("native", [False, True])
def test_the_cpu_descends_as_tensorflow_does(height: int, width: int, planes: int, native: bool) -> None:
    if native and NETWORK.native is None:
        pytest.skip("the native library is not built here")
    network = NETWORK if native else replace(NETWORK, native=None)
    given = problem(height, width, planes)
    wanted = DeviceDescent(NETWORK, planes, (height, width), Local())(*given, SPEC)
    np.testing.assert_allclose(CpuDescent(network)(*given, SPEC), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient_accumulation": 2}, "no gradient_accumulation"),
        ({"half_sine": True}, "no half_sine"),
        ({"device": "ipu", "partials": "float16"}, "no partials"),
        ({"precision": "float16"}, "no precision"),
        ({"effort": 1, "device": "cpu", "checkpoint": "a.h5"}, "device and checkpoint would do nothing"),
        ({"resume": True}, "--checkpoint"),
        ({"executable_cache": "x"}, "--device ipu"),
    ],
)
def test_what_means_nothing_for_this_field_is_refused(options: Dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(**options)


# The CPU can be divided once a process, before TensorFlow does anything.
REPLICAS = """
import sys
import numpy as np
from nifcodec import encoder
from nifcodec.fields.families import configure
from test_wavelet_training import PICTURE
for replicas in (4, 2, 1):
    encoded = encoder.encode_image(encoder.from_array(PICTURE), configure(effort=3, device="cpu", replicas=replicas))
    print(encoded.report.device)
    with open(f"{sys.argv[1]}/{replicas}.nif", "wb") as file:
        file.write(encoded.data)
"""


def test_replicas_share_the_tiles_and_give_the_same_picture(tmp_path: Path) -> None:
    environment = dict(
        os.environ, TF_CONFIG='{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}'
    )
    said = subprocess.run(
        [sys.executable, "-c", REPLICAS, str(tmp_path)],
        check=True,
        cwd=str(HERE),
        env=environment,  # in a cluster, each process trains alone
        stdout=subprocess.PIPE,
    ).stdout.decode()
    *shared, alone = [line.split(" pixels")[0] for line in said.splitlines()]
    assert shared == ["cpu, 4 tiles of 46x36", "cpu, 2 tiles of 46x72"]
    assert alone in ("cpu, native", "cpu, NumPy")  # without TensorFlow
    assert "4 replicas" in said and "2 replicas" in said
    files = [(tmp_path / f"{replicas}.nif").read_bytes() for replicas in (1, 2, 4)]
    pictures = [decoder.decode(file).astype(int) for file in files]
    # Where rounding decides between two integers, a neighbourhood differs by a fraction of a step.
    for file, pixels in zip(files[1:], pictures[1:]):
        assert abs(len(file) - len(files[0])) <= 0.005 * len(files[0])
        assert np.abs(pixels - pictures[0]).mean() < 0.1


TILED = {"largest_whole": 0, "tile_exponent": 7}  # pictures above 128 pixels as tiles of 128


class Died(Exception):
    """What ends an encode in the middle."""


def dies_at(report: int) -> Any:
    seen: List[Any] = []

    def progress(given: Any) -> None:
        seen.append(given)
        if len(seen) == report:
            raise Died

    return progress


@pytest.mark.parametrize(
    ("kind", "options"), [("whole", {"bpp": 0.8}), ("whole", {}), ("tiled", {}), ("tiled", {"bpp": 0.8})]
)
def test_an_encode_that_ended_anywhere_goes_on_to_the_same_bytes(
    kind: str, options: Dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: List[None] = []
    step = CpuDescent.__call__
    monkeypatch.setattr(CpuDescent, "__call__", lambda *given: (calls.append(None), step(*given))[1])
    picture = PICTURE if kind == "whole" else WIDE
    options = {**options, **(TILED if kind == "tiled" else {})}
    config = configure(steps=2 if kind == "whole" else 1, **options)
    whole: List[Any] = []
    undisturbed = encoder.encode(picture, config, whole.append)
    steps = len(calls)
    assert undisturbed != encoder.encode(picture, configure(effort=1, **options))
    for report in (len(whole),) if "bpp" in options else (len(whole) // 2, len(whole)):
        asked = replace(config, checkpoint=str(tmp_path / f"{report}.h5"), checkpoint_every=0.0)
        with pytest.raises(Died):
            encoder.encode(picture, asked, dies_at(report))
        del calls[:]
        asked = replace(asked, resume=True)
        assert encoder.encode(picture, asked) == undisturbed
        assert len(calls) <= steps
    # What was done before the last report is not done again.
    assert len(calls) < steps
    with pytest.raises(ConfigError, match="another picture or of other options"):
        encoder.encode(picture + 1, asked)


SCRIPT = """
import sys
from nifcodec import encoder
from nifcodec.fields.families import configure
from test_wavelet_training import PICTURE
kept = {"checkpoint": sys.argv[1], "checkpoint_every": 0.0, "resume": True}
data = encoder.encode(PICTURE, configure(steps=6, quality=70, **kept))
open(sys.argv[2], "wb").write(data)
"""


def test_a_killed_run_resumes_to_the_bytes_of_the_undisturbed_one(tmp_path: Path) -> None:
    kept, output = tmp_path / "run.h5", tmp_path / "out.nif"

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(kept), str(output)], cwd=str(HERE))

    kill_after(start(), kept, 3)
    assert start().wait() == 0
    assert output.read_bytes() == encoder.encode(PICTURE, configure(steps=6, quality=70))


def test_after_an_interruption_the_training_goes_on(tmp_path: Path) -> None:
    """Of a tiled picture too, whose tiles after the interruption are quantized untrained, and not kept."""
    picture, config = WIDE, configure(steps=1, **TILED)
    undisturbed = encoder.encode(picture, config)
    asked = replace(config, checkpoint=str(tmp_path / "run.h5"))
    assert encoder.encode(picture, asked, interrupt=lambda: True) != undisturbed
    assert encoder.encode(picture, replace(asked, resume=True)) == undisturbed


def test_the_command_line_says_where_it_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, out = str(SAMPLES / "odd.png"), str(tmp_path / "a.nif")
    kept = ["--checkpoint", str(tmp_path / "a.h5")]
    assert main(["encode", picture, "-o", out, "-e", "2", "--device", "cpu", "-v", *kept]) == 0
    assert "  trained on cpu, " in capsys.readouterr().err
    assert main(["encode", picture, "-o", out, "-e", "2", "-f", "--json", "--quiet", *kept, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["device"].startswith("cpu, ")
    assert main(["encode", picture, "-o", out, "-e", "2", "-f", "--precision", "float16"]) == 2


def test_in_a_cluster_each_process_trains_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{")
    assert open_device(Placement("cpu", independent=True)).replicas == 1
