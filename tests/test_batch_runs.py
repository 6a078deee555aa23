"""Runs of `nifcodec batch` through processes and through a Dask cluster, and what may happen to them on the way.

Everything is on this machine. Nothing depends on how quick it is: what is waited for is polled, until a deadline that
only a hanging run reaches.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import batch_faults
import numpy as np
import pytest
from PIL import Image

import nifcodec
from nifcodec.batch import driver, manifest
from nifcodec.batch.driver import Batch
from nifcodec.batch.tasks import DONE, FAILED, SKIPPED, Row, digest_of
from nifcodec.errors import WorkerLostError
from nifcodec.files import TEMPORARY

DEADLINE = 300.0
POLL = 0.02


def wait_for(what: Callable[[], Any], why: str) -> Any:
    """What the callable gives once it is true."""
    ends = time.monotonic() + DEADLINE
    while time.monotonic() < ends:
        found = what()
        if found:
            return found
        time.sleep(POLL)
    raise AssertionError(f"waited in vain: {why}")


def draw(folder: Path, names: "List[str]") -> None:
    """Small pictures, each another."""
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        pixels = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 24), Image.BICUBIC).save(folder / name)


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Old releases of Dask leave sockets open in cycles of references: they go here, not within another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(autouse=True)
def no_test_hangs() -> Iterator[None]:
    """A run that waits for ever says where, and ends the tests."""
    faulthandler.dump_traceback_later(2 * DEADLINE, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask cluster of two workers, with a thread each."""
    distributed = pytest.importorskip("distributed")
    import dask

    settings = {
        # One more death than that of whoever ran beside the picture that kills.
        "distributed.scheduler.allowed-failures": 1,
        # A cluster of this kind ends workers that are away so long after a death, also after another one.
        "distributed.deploy.lost-worker-timeout": "1 hour",
    }
    with dask.config.set(settings), distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # None is port 8787, which another run may have
        silence_logs=100,
        memory_limit="600MB",
    ) as cluster:
        yield "dask://" + cluster.scheduler_address.split("://")[1]


@pytest.fixture(params=["processes", "cluster"])
def workers(request: pytest.FixtureRequest) -> Dict[str, Any]:
    """Where the work is done, as arguments of a `Batch`: two processes, or the cluster."""
    if request.param == "processes":
        return {"workers": 2}
    return {"executor": request.getfixturevalue("scheduler")}


def batch(folder: Path, workers: Dict[str, Any], **more: Any) -> Batch:
    """Everything in `folder`/in, to `folder`/out."""
    given = {"options": {"effort": 1}, **workers, **more}
    return Batch((str(folder / "in"),), str(folder / "out"), str(folder / "rows.jsonl"), **given)


def rows(folder: Path) -> Dict[str, Row]:
    """The manifest's last word on each input, by its name."""
    merged = manifest.load(str(folder / "rows.jsonl"))
    assert merged.damaged == 0
    return {Path(row.source).name: row for row in merged.rows()}


def check_outputs(folder: Path, names: "List[str]") -> None:
    """Each has its row and its whole file, and there is nothing else."""
    found = rows(folder)
    assert sorted(found) == sorted(names)
    for name, row in found.items():
        data = Path(row.output).read_bytes()
        assert (row.status, row.bytes) == (DONE, len(data)), name
        assert nifcodec.decode(data).shape == (24, 32, 3)
        assert row.output_digest == digest_of(data)
    assert sorted(os.listdir(folder / "out")) == sorted(Path(name).stem + ".nif" for name in names)
    assert not [name for name in os.listdir(folder / "out") if name.startswith(TEMPORARY)]
    assert not (folder / "rows.jsonl.d").exists()


def states(folder: Path) -> Dict[str, Any]:
    """What changes where an output is touched."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (folder / "out").glob("*.nif")}


def test_a_folder_and_the_same_again(tmp_path: Path, workers: Dict[str, Any]) -> None:
    names = [f"{index}.png" for index in range(4)]
    draw(tmp_path / "in", names)
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (tmp_path / "in" / "read.me").write_bytes(b"text")
    tally = driver.run(batch(tmp_path, workers))
    assert (tally.total, tally.done, tally.failed) == (5, 4, 1)
    found = rows(tmp_path)
    assert (found["broken.png"].status, found["broken.png"].attempt) == (FAILED, 1)
    assert found["broken.png"].digest is not None
    (tmp_path / "in" / "broken.png").unlink()
    before, size = states(tmp_path), (tmp_path / "rows.jsonl").stat().st_size
    seen: List[Row] = []
    tally = driver.run(batch(tmp_path, workers), report=seen.append)
    assert (tally.total, tally.skipped) == (4, 4)
    assert [row.status for row in seen] == [SKIPPED] * 4
    assert (states(tmp_path), (tmp_path / "rows.jsonl").stat().st_size) == (before, size)


def test_a_worker_is_killed(tmp_path: Path, workers: Dict[str, Any]) -> None:
    names = ["victim.png", *(f"{index}.png" for index in range(7))]
    draw(tmp_path / "in", names)

    def kill() -> None:
        flag = tmp_path / "in" / "victim.png.pid"
        wait_for(flag.exists, "no worker took the picture")
        os.kill(int(flag.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    tally = driver.run(batch(tmp_path, workers), function=batch_faults.waiting_to_be_killed)
    killer.join()
    assert (tally.done, tally.failed) == (8, 0)
    check_outputs(tmp_path, names)


def test_a_picture_that_kills_harms_no_other(tmp_path: Path, workers: Dict[str, Any]) -> None:
    names = [f"{index}.png" for index in range(6)]
    draw(tmp_path / "in", [*names, "killer.png"])
    tally = driver.run(batch(tmp_path, workers, retries=1), function=batch_faults.killing)
    assert (tally.done, tally.failed) == (6, 1)
    found = rows(tmp_path)
    assert {name for name, row in found.items() if row.status == DONE} == set(names)
    lost = found["killer.png"]
    assert (lost.status, lost.attempt, lost.cause) == (FAILED, 2, "WorkerLostError")
    assert "the worker died" in str(lost.error)
    # Another run leaves it out, since its bytes are known.
    tally = driver.run(batch(tmp_path, workers, retries=1), function=batch_faults.slow)
    assert (tally.skipped, tally.failed_before) == (6, 1)
    tally = driver.run(batch(tmp_path, workers, retry_failed=True))
    assert (tally.skipped, tally.done) == (6, 1)
    check_outputs(tmp_path, [*names, "killer.png"])


def test_a_worker_dies_between_an_output_and_its_row(tmp_path: Path, workers: Dict[str, Any]) -> None:
    names = ["victim.png", "other.png"]
    draw(tmp_path / "in", names)
    tally = driver.run(batch(tmp_path, workers), function=batch_faults.published_and_killed)
    assert (tally.done, tally.failed) == (2, 0)
    check_outputs(tmp_path, names)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux alone says what memory a process holds")
def test_a_picture_that_eats_memory_is_one_failed_row(tmp_path: Path, workers: Dict[str, Any]) -> None:
    draw(tmp_path / "in", ["a.png", "b.png"])
    Image.new("RGB", (9000, 9000)).save(tmp_path / "in" / "large.png")
    # Workers of a cluster have a limit of their own.
    limit = {} if "executor" in workers else {"memory": 80 << 20}
    tally = driver.run(batch(tmp_path, workers, **limit, retries=1))
    assert (tally.done, tally.failed) == (2, 1)
    row = rows(tmp_path)["large.png"]
    assert (row.status, row.attempt) == (FAILED, 2)
    assert "memory" in str(row.error)
    assert row.cause in (("WorkerLostError",) if "executor" in workers else ("ImageError", "MemoryError"))


def test_passing_trouble_is_tried_again(tmp_path: Path, workers: Dict[str, Any]) -> None:
    draw(tmp_path / "in", ["a.png"])
    assert driver.run(batch(tmp_path, workers), function=batch_faults.passing_trouble).done == 1
    assert rows(tmp_path)["a.png"].attempt == 2
    row = driver.run(batch(tmp_path, workers, existing="replace", retries=0), function=batch_faults.passing_trouble)
    assert (row.done, row.failed) == (0, 1)


def test_what_a_worker_cannot_do_is_a_failure_too(tmp_path: Path, workers: Dict[str, Any]) -> None:
    draw(tmp_path / "in", ["a.png"])
    assert driver.run(batch(tmp_path, workers, retries=1), function=batch_faults.raising).failed == 1
    row = rows(tmp_path)["a.png"]
    assert (row.status, row.cause, row.attempt) == (FAILED, "RuntimeError", 2)
    assert "attempt 2" in str(row.error)


def test_a_run_that_is_stopped_goes_on(tmp_path: Path, workers: Dict[str, Any]) -> None:
    names = [f"{index:02}.png" for index in range(12)]
    draw(tmp_path / "in", names)
    seen: List[Row] = []
    tally = driver.run(batch(tmp_path, workers), seen.append, stopping=lambda: len(seen) >= 2)
    assert 2 <= tally.done < 12
    before = states(tmp_path)
    assert len(before) == tally.done
    again = driver.run(batch(tmp_path, workers))
    assert (again.skipped, again.done) == (tally.done, 12 - tally.done)
    assert before.items() <= states(tmp_path).items()
    check_outputs(tmp_path, names)


def test_a_run_that_is_left_at_once_goes_on(tmp_path: Path, workers: Dict[str, Any]) -> None:
    names = [f"{index:02}.png" for index in range(12)]
    draw(tmp_path / "in", names)

    def leave(row: Row) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.run(batch(tmp_path, workers), leave, function=batch_faults.slow)
    tally = driver.run(batch(tmp_path, workers))
    assert tally.skipped >= 1
    assert tally.skipped + tally.done == 12
    assert {row.status for row in rows(tmp_path).values()} == {DONE}
    assert len(states(tmp_path)) == 12


def start_driver(folder: Path, workers: Dict[str, Any]) -> "subprocess.Popen[bytes]":
    """A driver in a process of its own, of slow work."""
    where = workers.get("executor") or str(workers["workers"])
    paths = [str(folder / name) for name in ("in", "out", "rows.jsonl")]
    here = [str(Path(nifcodec.__file__).parents[1]), str(Path(__file__).parent)]
    code = "import sys, batch_faults; sys.exit(batch_faults.main())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(here)}
    return subprocess.Popen([sys.executable, "-c", code, *paths, where], env=environment)


def own_workers(folder: Path) -> List[int]:
    """The processes that have rows of their own."""
    return [int(path.stem.rsplit("-", 1)[1]) for path in (folder / "rows.jsonl.d").glob("*.jsonl")]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").exists() is False or " Z " not in Path(f"/proc/{process}/stat").read_text()


def test_the_driver_is_killed(tmp_path: Path, workers: Dict[str, Any]) -> None:
    names = [f"{index:02}.png" for index in range(24)]
    draw(tmp_path / "in", names)
    process = start_driver(tmp_path, workers)
    try:
        wait_for(lambda: process.poll() is not None or len(states(tmp_path)) >= 10, "no outputs")
        assert process.poll() is None, "done before it was killed"
    finally:
        process.kill()
        process.wait()
    if "executor" not in workers:
        wait_for(lambda: not any(map(is_alive, own_workers(tmp_path))), "workers outlive their driver")
    else:  # whose workers finish what they have begun
        settled = states(tmp_path)
        wait_for(lambda: not changes(tmp_path, settled), "the cluster goes on")
    before = states(tmp_path)
    assert 10 <= len(before) < 24
    tally = driver.run(batch(tmp_path, workers))
    assert (tally.failed, tally.settled) == (0, 24)
    assert tally.skipped >= 10
    assert before.items() <= states(tmp_path).items(), "a finished file was touched"
    found = rows(tmp_path)
    assert len(found) == 24
    assert {row.status for row in found.values()} == {DONE}


def changes(folder: Path, settled: Dict[str, Any]) -> bool:
    """Whether there is something new after several pictures' time."""
    time.sleep(4 * batch_faults.PAUSE)
    now = states(folder)
    new = now != settled
    settled.update(now)
    return new


def test_two_drivers_on_one_folder(tmp_path: Path, workers: Dict[str, Any]) -> None:
    names = [f"{index:02}.png" for index in range(8)]
    draw(tmp_path / "in", names)
    drivers = [start_driver(tmp_path, workers) for _ in range(2)]
    assert [process.wait(DEADLINE) for process in drivers] == [0, 0]
    check_outputs(tmp_path, names)


class Threads:
    """Threads of this process, as a pool: they see what is patched here, and fsspec's memory."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(2)

    def capacity(self) -> int:
        return 4

    def submit(self, function: Any, task: Any) -> "Future[Row]":
        return self._executor.submit(function, task)

    def close(self, now: bool) -> None:
        self._executor.shutdown()


def test_urls_for_inputs_and_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr(driver, "open_pool", lambda workers, executor: Threads())
    draw(tmp_path / "in", ["a.png", "b.png"])
    system = fsspec.filesystem("memory")
    for name in ("a.png", "b.png"):
        system.pipe_file(f"/batch/in/deep/{name}", (tmp_path / "in" / name).read_bytes())
    given = Batch(("memory://batch/in",), "memory://batch/out", str(tmp_path / "rows.jsonl"), {"effort": 1})
    try:
        assert driver.run(given).done == 2
        assert sorted(system.find("/batch/out")) == ["/batch/out/deep/a.nif", "/batch/out/deep/b.nif"]
        assert nifcodec.decode(system.cat_file("/batch/out/deep/a.nif")).shape == (24, 32, 3)
        assert driver.run(given).skipped == 2
        pattern = replace(given, inputs=("memory://batch/in/**/a.png",), existing="replace")
        assert driver.run(pattern).done == 1
        # An output of unknown origin stays, in a store of objects too.
        system.pipe_file("/batch/out/deep/c.nif", b"somebody's")
        system.pipe_file("/batch/in/deep/c.png", (tmp_path / "in" / "a.png").read_bytes())
        assert driver.run(given).failed == 1
        assert system.cat_file("/batch/out/deep/c.nif") == b"somebody's"
    finally:
        system.rm("/batch", recursive=True)


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    from nifcodec.batch import pools

    monkeypatch.setattr(pools, "CONNECT_SECONDS", 1)
    draw(tmp_path / "in", ["a.png"])
    with pytest.raises(WorkerLostError, match="no Dask scheduler answers"):
        driver.run(batch(tmp_path, {"executor": "dask://127.0.0.1:9"}))
    assert not rows(tmp_path)
    assert not (tmp_path / "rows.jsonl.d").exists()


def test_ctrl_c_ends_the_command_and_it_goes_on(tmp_path: Path) -> None:
    names = [f"{index:02}.png" for index in range(40)]
    draw(tmp_path / "in", names)
    command = [sys.executable, "-m", "nifcodec", "batch", "in", "--out", "out", "--manifest", "rows.jsonl", "-e", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(nifcodec.__file__).parents[1])}
    with subprocess.Popen(
        [*command, "--workers", "1", "--json"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
        code = process.wait(DEADLINE)
    assert first["status"] == DONE
    # On a busy machine all may be done before the signal arrives.
    assert code == (130 if len(rest) < 39 else 0)
    again = subprocess.run([*command, "--quiet"], cwd=tmp_path, env=environment, check=False)
    assert again.returncode == 0
    check_outputs(tmp_path, names)


def test_a_cluster_without_workers_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    distributed = pytest.importorskip("distributed")
    draw(tmp_path / "in", ["a.png"])
    with distributed.LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=100,
    ) as cluster:
        address = "dask://" + cluster.scheduler_address.split("://")[1]
        looks = 0

        def add_one(tally: Any) -> None:
            nonlocal looks
            looks += 1
            if looks == 2:
                cluster.scale(1)

        assert driver.run(batch(tmp_path, {"executor": address}), show=add_one).done == 1
    assert "has no workers: waiting for one" in capsys.readouterr().err
    check_outputs(tmp_path, ["a.png"])
