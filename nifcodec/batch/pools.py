"""Where the work is done: processes of this machine, or the workers of a Dask cluster; both give futures."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Callable, List, Optional, Protocol

from nifcodec.batch.convert import publishing
from nifcodec.batch.tasks import Row, Task
from nifcodec.errors import ConfigError, MissingDependencyError, WorkerLostError
from nifcodec.files import say

DASK = "dask://"
DIED = "the worker died, by a signal or from lack of memory"
CONNECT_SECONDS = 30
ASK_SECONDS = 2.0  # between two questions for the size of a cluster
AHEAD = 2  # tasks that a thread of a cluster has, so that it does not wait for the next

Function = Callable[[Task], Row]


class Pool(Protocol):
    """A `concurrent.futures` executor that says how much it takes at once, and survives its workers."""

    def capacity(self) -> int:
        """Tasks to have in work now, at least 1. Raises WorkerLostError where there is no way on."""

    def submit(self, function: Function, task: Task) -> "Future[Row]":
        """The future of a task, whose exception says that the worker was lost."""

    def close(self, now: bool) -> None:
        """Ends the workers that are ours; `now`: does not wait for what they are doing."""


class Processes:
    """Processes of this machine. Each has an executor of its own: the death of one concerns nobody else's picture.

    They live no longer than this process: each waits for the end of a pipe that this process alone holds open.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._context = multiprocessing.get_context("spawn")
        self._lifeline, self._held = self._context.Pipe(duplex=False)
        self._lock = threading.Lock()
        self._idle: List[ProcessPoolExecutor] = []
        self._all: List[ProcessPoolExecutor] = []
        self._broken: List[ProcessPoolExecutor] = []

    def capacity(self) -> int:
        return self._workers

    def submit(self, function: Function, task: Task) -> "Future[Row]":
        outer: "Future[Row]" = Future()
        self._bury()
        while True:
            slot = self._slot()
            try:
                inner = slot.submit(function, task)
                break
            except BrokenProcessPool:  # killed while it had nothing to do
                self._drop(slot)

        def hand_on(done: "Future[Row]") -> None:
            error = done.exception()
            if isinstance(error, BrokenProcessPool):
                self._drop(slot)
                outer.set_exception(WorkerLostError(DIED))
                return
            with self._lock:
                self._idle.append(slot)
            if error is not None:
                outer.set_exception(error)
            else:
                outer.set_result(done.result())

        inner.add_done_callback(hand_on)
        return outer

    def close(self, now: bool) -> None:
        if now:
            self._held.close()
        self._bury()
        for slot in list(self._all):  # one that breaks now leaves the list
            slot.shutdown(wait=True)
        self._bury()
        self._held.close()
        self._lifeline.close()

    def _slot(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            slot = ProcessPoolExecutor(1, self._context, _begin_worker, (self._lifeline,))
            self._all.append(slot)
            return slot

    def _drop(self, slot: ProcessPoolExecutor) -> None:
        """Puts a broken executor aside. Its own thread may be here, which may neither end it nor be its last user."""
        with self._lock:
            self._all.remove(slot)
            self._broken.append(slot)

    def _bury(self) -> None:
        with self._lock:
            broken, self._broken = self._broken, []
        for slot in broken:
            slot.shutdown(wait=True)


def _begin_worker(lifeline: Connection) -> None:
    """In a new process: Ctrl-C at the terminal is the driver's to act on, and the driver's end is the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    with publishing:  # an output that has its name gets its row
        os._exit(1)


class Cluster:
    """The workers of a Dask cluster, which is somebody else's: it is neither started nor ended here."""

    def __init__(self, address: str) -> None:
        """Connects to `dask://HOST:PORT`. Raises ConfigError, MissingDependencyError, WorkerLostError."""
        if not address.startswith(DASK) or ":" not in address[len(DASK) :]:
            raise ConfigError(f"--executor is {address!r}: give dask://HOST:PORT, the address of a Dask scheduler")
        try:
            from distributed import Client
        except ImportError:
            raise MissingDependencyError(f"{address} needs Dask: pip install 'nifcodec[cluster]'") from None
        self._address = address
        try:
            self._client = Client("tcp://" + address[len(DASK) :], timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise WorkerLostError(f"no Dask scheduler answers at {address}: {error}") from None
        try:
            self._check_workers()
            # pure: equal tasks would be run once only.
            self._executor = self._client.get_executor(pure=False)
        except BaseException:
            self._client.close()
            raise
        self._asked, self._threads = -ASK_SECONDS, 0
        self._said = False  # that there are no workers

    def capacity(self) -> int:
        now = time.monotonic()
        if now > self._asked + ASK_SECONDS:
            try:
                self._asked, self._threads = now, sum(self._client.nthreads().values())
            except Exception as error:  # which of them depends on when it went, and on the version
                advice = "start it and give the same command again, which goes on"
                raise WorkerLostError(f"the Dask scheduler at {self._address} is gone: {advice}") from error
            if self._threads == 0 and not self._said:
                say(f"\nnifcodec: the cluster at {self._address} has no workers: waiting for one\n")
            self._said = self._threads == 0
        return max(1, AHEAD * self._threads)  # one may make an adaptive cluster start workers

    def submit(self, function: Function, task: Task) -> "Future[Row]":
        return self._executor.submit(function, task)

    def close(self, now: bool) -> None:
        self._executor.shutdown(wait=not now)
        self._client.close()

    def _check_workers(self) -> None:
        """Raises WorkerLostError for workers that cannot do the work. There may be none yet."""
        from nifcodec import __version__

        for worker, version in self._client.run(_version, on_error="return").items():
            if isinstance(version, OSError):  # gone while it was asked; the scheduler knows soon
                continue
            if isinstance(version, Exception):  # what unpickling raises there
                raise WorkerLostError(f"the worker {worker} has no nifcodec {__version__}: {version}")
            if version != __version__:
                raise WorkerLostError(f"the worker {worker} has nifcodec {version}, and this is {__version__}")


def _version() -> str:
    from nifcodec import __version__

    return __version__


def open_pool(workers: int, executor: Optional[str]) -> Pool:
    """The pool of `--executor`, or so many processes."""
    return Processes(workers) if executor is None else Cluster(executor)
