"""Checkpoints: what they hold, what they refuse, and that a killed run goes on to the same bytes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from conftest import kill_after

from nifcodec import encoder
from nifcodec.errors import ConfigError
from nifcodec.fields.checkpoint import Checkpoint, identity
from nifcodec.fields.families import configure
from nifcodec.training.loop import Snapshot, record_of, snapshot_of

HERE = Path(__file__).parent
PICTURE = np.random.RandomState(0).randint(0, 255, (24, 32, 3)).astype(np.uint8)
# Short chunks, for an encode to end between any two of them.
NETWORK = {"field": "siren", "steps": 200, "batch_size": 256, "width": 8, "layers": 2, "report_every": 6}
CONFIG = configure(quality=30, **NETWORK)
# The encode of the picture in a process of its own, each chunk written.
SCRIPT = """
import sys
from nifcodec import encoder
from nifcodec.fields.families import configure
from test_training_checkpoint import NETWORK, PICTURE
config = configure(psnr=10.5, checkpoint=sys.argv[1], checkpoint_every=0.0, resume=True, **NETWORK)
open(sys.argv[2], "wb").write(encoder.encode(PICTURE, config))
"""


def snapshot(done: int, best_score: float = 0.25) -> Snapshot:
    vectors = [tf.constant(np.random.RandomState(seed).normal(size=5), tf.float32) for seed in range(4)]
    return Snapshot((*vectors[:3], tf.constant([2.0, 3.0])), vectors[3], best_score, done, done - 1, 1)


def same(one: Snapshot, other: Snapshot) -> bool:
    arrays = [[*each.state, each.best] for each in (one, other)]
    rest = [replace(each, state=(), best=None) for each in (one, other)]
    return rest[0] == rest[1] and all(np.array_equal(a, b) for a, b in zip(*arrays))


def test_a_checkpoint_holds_every_number_of_a_snapshot(tmp_path: Path) -> None:
    path = str(tmp_path / "run.h5")
    kept = Checkpoint(path, "me", resume=False)
    kept.save("a/fit", record_of(snapshot(7, 1 / 3)))
    kept.save("a/tune", record_of(snapshot(9)))
    kept.flush()
    read = Checkpoint(path, "me", resume=True)
    assert same(snapshot_of(read.load("a/fit")), snapshot(7, 1 / 3))
    assert same(snapshot_of(read.load("a/tune")), snapshot(9))
    assert read.load("b/fit") is None
    assert [item.name for item in tmp_path.iterdir()] == ["run.h5"]


def test_a_checkpoint_is_written_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    kept = Checkpoint(str(path), "me", resume=False, save_seconds=1e6)
    kept.save("a/fit", record_of(snapshot(1)))
    kept.save("a/fit", record_of(snapshot(2)))
    assert Checkpoint(str(path), "me", resume=True).load("a/fit")["done"] == 1
    kept.flush()
    assert Checkpoint(str(path), "me", resume=True).load("a/fit")["done"] == 2


def test_what_a_checkpoint_refuses(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    assert Checkpoint(str(path), "me", resume=True).load("a/fit") is None
    Checkpoint(str(path), "me", resume=False).save("a/fit", record_of(snapshot(1)))
    with pytest.raises(ConfigError, match="--resume"):
        Checkpoint(str(path), "me", resume=False)
    with pytest.raises(ConfigError, match="another picture or of other options"):
        Checkpoint(str(path), "you", resume=True)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ConfigError, match="damaged"):
        Checkpoint(str(path), "me", resume=True)
    with pytest.raises(ConfigError, match="--checkpoint"):
        configure(field="siren", resume=True)


def test_identity_is_of_the_result_not_of_the_device() -> None:
    image = np.zeros((2, 3, 3), np.float32)
    base = identity(image, CONFIG)
    placed = {"device": "ipu", "replicas": 2, "checkpoint": "x.h5", "checkpoint_every": 1.0, "resume": True}
    assert identity(image, replace(CONFIG, **placed)) == base
    own = {"gradient_accumulation": 2, "precision": "float16", "half_sine": True, "partials": "float32"}
    assert identity(image, configure(quality=30, device="ipu", **NETWORK, **own)) == base
    assert identity(image, replace(CONFIG, tensorboard="logs", eval_every=10)) == base
    for other in ({"seed": 1}, {"omega": 20.0}, {"learning_rate": 1e-3}, {"loss": "huber"}):
        assert identity(image, configure(quality=30, **NETWORK, **other)) != base
    assert identity(image, configure(quality=30, **{**NETWORK, "width": 9})) != base
    assert identity(image + 1, CONFIG) != base
    assert identity(image.reshape(3, 2, 3), CONFIG) != base


def test_a_training_goes_on_with_other_options_of_where_it_runs(tmp_path: Path) -> None:
    kept: dict = {"checkpoint": str(tmp_path / "run.h5"), "quality": 30}
    reports: list = []
    encoder.encode(PICTURE, configure(device="cpu", **kept, **NETWORK), reports.append, lambda: len(reports) >= 10)
    elsewhere = configure(device="auto", gradient_accumulation=2, resume=True, **kept, **NETWORK)
    again: list = []
    encoder.encode(PICTURE, elsewhere, again.append)
    assert again[0].step > reports[-1].step
    with pytest.raises(ConfigError, match="another picture or of other options"):
        encoder.encode(PICTURE, configure(omega=20.0, resume=True, **kept, **NETWORK))


def test_interrupted_training_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    undisturbed = encoder.encode(PICTURE, CONFIG)
    for stop_after in (3, 30):
        path = str(tmp_path / f"{stop_after}.h5")
        reports: list = []
        stopped = encoder.encode(
            PICTURE,
            replace(CONFIG, checkpoint=path),
            reports.append,
            lambda: len(reports) >= stop_after,  # noqa: B023
        )
        assert stopped != undisturbed
        again: list = []
        config = replace(CONFIG, checkpoint=path, resume=True)
        assert encoder.encode(PICTURE, config, again.append) == undisturbed
        assert again[0].step > reports[-1].step
        # A finished training is not done again.
        assert encoder.encode(PICTURE, config, lambda report: pytest.fail("trained")) == undisturbed


def test_a_killed_run_resumes_to_the_bytes_of_the_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = encoder.encode(PICTURE, replace(CONFIG, quality=None, psnr=10.5))
    checkpoint, output = tmp_path / "run.h5", tmp_path / "out.nif"

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(checkpoint), str(output)], cwd=str(HERE))

    for changes in (1, 3):  # of the checkpoint; it changes every few milliseconds, so that some kills hit a write
        kill_after(start(), checkpoint, changes)
    assert start().wait() == 0
    assert output.read_bytes() == undisturbed
