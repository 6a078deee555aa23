"""Training on several devices: replicas of one process, processes of a cluster, and a worker that dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import List

import cluster_worker
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from nifcodec.errors import ConfigError, DeviceError
from nifcodec.training.devices.base import Placement
from nifcodec.training.devices.open import open_device

GPUS = tf.config.list_physical_devices("GPU")
HERE = Path(__file__).parent
# The CPU can be divided once a process, before TensorFlow does anything.
REPLICAS = """
import sys
import numpy as np
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.training.fit import fit
from cluster_worker import PICTURE, config
image = PICTURE.astype(np.float32) / 255
spec = MlpDescription("siren", 3, 8, 2, "none", omega=30.0)
results = {}
for replicas, parts in ((4, 1), (2, 2), (1, 1)):
    result = fit(image, spec, config(40, replicas=replicas, gradient_accumulation=parts))
    assert f"{replicas} replicas" in result.placement or replicas == 1, result.placement
    results[f"flat{replicas}"] = np.concatenate([tensor.ravel() for tensor in result.float_tensors])
np.savez(sys.argv[1], **results)
"""
# Handlers run last first: this one says what is left when the strategy's has run, and before that of multiprocessing.
LEAVE = """
import atexit
import multiprocessing.pool
import threading
from multiprocessing.dummy import DummyProcess
atexit.register(lambda: print([each for each in threading.enumerate() if isinstance(each, DummyProcess)]))
import tensorflow as tf
from nifcodec.training.devices.replicas import Replicas
strategy = tf.distribute.MultiWorkerMirroredStrategy()
Replicas(strategy, "cpu")
print(any(isinstance(each, DummyProcess) for each in threading.enumerate()))
"""


def test_replicas_of_the_same_batch_give_the_same_field(tmp_path: Path) -> None:
    path = tmp_path / "fields.npz"
    subprocess.run([sys.executable, "-c", REPLICAS, str(path)], check=True, cwd=str(HERE))
    fields = np.load(str(path))
    assert np.abs(fields["flat1"]).max() > 0.1
    np.testing.assert_allclose(fields["flat2"], fields["flat1"], atol=1e-5)
    np.testing.assert_allclose(fields["flat4"], fields["flat1"], atol=1e-5)


def test_no_thread_of_a_strategy_is_left_when_the_interpreter_ends() -> None:
    ended = subprocess.run([sys.executable, "-c", LEAVE], stdout=subprocess.PIPE, text=True, check=True)
    before, after = ended.stdout.splitlines()
    assert after == "[]"
    if tf.__version__.startswith("2.6."):
        assert before == "True"


def test_what_a_device_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    tf.constant(0.0)  # from now on the CPU is undivided
    with pytest.raises(DeviceError, match="before TensorFlow has done anything"):
        open_device(Placement("cpu", 3))
    for broken in ("{", "[]", '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}'):
        monkeypatch.setenv("TF_CONFIG", broken)
        with pytest.raises(ConfigError, match="TF_CONFIG"):
            open_device(Placement("cpu"))
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}')
    assert open_device(Placement("cpu")).replicas == 1


@pytest.mark.skipif(bool(GPUS), reason="has a GPU")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="no GPU"):
        open_device(Placement("gpu"))


def free_addresses(count: int) -> List[str]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start(folder: Path, steps: int) -> "List[subprocess.Popen[bytes]]":
    addresses = free_addresses(2)
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = ["cluster_worker.py", str(folder / f"{index}.nif"), str(folder / "run.h5"), str(steps)]
        environment = dict(os.environ, TF_CONFIG=json.dumps(task))
        with open(folder / f"{index}.txt", "w") as said:
            workers.append(
                subprocess.Popen(
                    [sys.executable, *command], env=environment, cwd=str(HERE), stdout=said, stderr=subprocess.STDOUT
                )
            )
    return workers


def wait(workers: "List[subprocess.Popen[bytes]]", folder: Path) -> List[int]:
    """Exit codes; what the processes said is printed, for a test that fails."""
    try:
        return [worker.wait(150) for worker in workers]
    finally:
        for index, worker in enumerate(workers):
            worker.kill()
            worker.wait()
            print((folder / f"{index}.txt").read_text()[-3000:])


def test_a_worker_that_dies_is_named_and_the_checkpoint_goes_on_to_one_file(tmp_path: Path) -> None:
    steps = 800
    workers = start(tmp_path, steps)
    try:
        kept = tmp_path / "run.h5"
        deadline = time.monotonic() + 150
        while not kept.exists() and time.monotonic() < deadline and workers[1].poll() is None:
            time.sleep(0.02)
    finally:
        workers[1].kill()
    assert wait(workers, tmp_path)[0] == 1
    said = (tmp_path / "0.txt").read_text()
    assert "WorkerLostError: worker 1 (127.0.0.1:" in said and "--resume" in said
    import h5py

    with h5py.File(str(kept), "r") as file:
        done = [stage.attrs["done"] for training in file.values() for stage in training.values()]
    assert 0 < sum(done) < steps

    assert wait(start(tmp_path, steps), tmp_path) == [0, 0]
    files = [(tmp_path / f"{index}.nif").read_bytes() for index in range(2)]
    assert files[0] == files[1]
    from nifcodec import decoder
    from nifcodec.picture import metrics

    assert metrics.psnr(cluster_worker.PICTURE, decoder.decode(files[0])) > 12
