"""The loop that keeps a pool at work: what is begun, what is tried again, and when."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import replace
from typing import Callable, Deque, Dict, Iterable, List, Optional, Tuple

from nifcodec.batch import stores
from nifcodec.batch.pools import DIED, Function, Pool
from nifcodec.batch.tasks import FAILED, Row, Task, digest_of, settings_of
from nifcodec.errors import NifError, WorkerLostError
from nifcodec.fields import families

TICK = 0.2  # seconds between two looks at what is to be done
DASKS = "KilledWorker"  # raised where workers died as often as the scheduler allows
FIRST_PAUSE = 0.5  # seconds before the second attempt; twice as many before each further one


class Engine:
    """Runs a function on tasks by a pool.

    A failure that may be none the next time is tried again, `retries` times at most, after a pause. A task whose worker
    was lost waits for the end: tasks of one worker are lost together, and it is not known which of them killed it.
    There it is tried with nothing beside it, whatever `retries` is, so that it kills nobody else's worker.

    Args:
        retries: attempts beyond the first.
        finish: called with the row of each task, once.
        stopping: polled; True begins nothing more.
        tick: called now and then.
    """

    def __init__(
        self,
        pool: Pool,
        function: Function,
        retries: int,
        finish: Callable[[Row], None],
        stopping: Callable[[], bool],
        tick: Callable[[], None],
    ) -> None:
        self._pool, self._function, self._retries = pool, function, retries
        self._finish, self._stopping, self._tick = finish, stopping, tick
        self._running: "Dict[Future[Row], Task]" = {}
        self._paused: List[Tuple[float, Task]] = []
        self._suspects: Deque[Task] = deque()
        self._alone: "Optional[Future[Row]]" = None

    def run(self, tasks: Iterable[Task]) -> bool:
        """Runs the tasks; whether all have got their rows. Raises WorkerLostError where no pool is left."""
        waiting = deque(tasks)
        while True:
            stopping, capacity = self._stopping(), self._pool.capacity()
            if not stopping:
                self._begin(waiting, capacity)
            if not self._running:
                left = bool(waiting or self._paused or self._suspects)
                if stopping or not left:
                    return not left
                time.sleep(TICK)
            done, _ = wait(self._running, timeout=TICK, return_when=FIRST_COMPLETED)
            for future in done:
                self._end(future, self._running.pop(future))
            self._tick()

    def _begin(self, waiting: Deque[Task], capacity: int) -> None:
        now = time.monotonic()
        due = [task for when, task in self._paused if when <= now]
        self._paused = [(when, task) for when, task in self._paused if when > now]
        waiting.extendleft(due)
        while waiting and len(self._running) < capacity:
            self._submit(waiting.popleft())
        if self._suspects and not (waiting or self._paused or self._running):
            self._alone = self._submit(self._suspects.popleft())

    def _submit(self, task: Task) -> "Future[Row]":
        future = self._pool.submit(self._function, task)
        self._running[future] = task
        return future

    def _end(self, future: "Future[Row]", task: Task) -> None:
        tried_last = task.attempt > self._retries
        try:
            row = future.result()
        except (CancelledError, Exception) as error:
            if tried_last and future is self._alone:
                self._finish(_lost(task, error))
            else:
                self._suspects.append(task.again())
            return
        if row.status == FAILED and row.transient and not tried_last:
            self._paused.append((time.monotonic() + FIRST_PAUSE * 2 ** (task.attempt - 1), task.again()))
        else:
            self._finish(row)


def _lost(task: Task, error: BaseException) -> Row:
    """The row of a task whose workers were lost, with the input's digest, so that another run leaves it out."""
    size, digest = _read(task.source)
    settings = settings_of(families.configure(**task.options))
    if type(error).__name__ == DASKS:
        error = WorkerLostError(DIED)
    row = task.failure(error, settings, size=size, digest=digest)
    return replace(row, error=f"{row.error}, in the last of {task.attempt} attempts")


def _read(path: str) -> Tuple[Optional[int], Optional[str]]:
    try:
        data = stores.read(path)
    except (OSError, NifError):
        return None, None
    return len(data), digest_of(data)
