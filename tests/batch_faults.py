"""What goes wrong on workers, for tests of `nifcodec batch`: functions to use in place of `convert`.

They are in a module of their own since workers import them by name.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from nifcodec.batch import driver
from nifcodec.batch.convert import convert
from nifcodec.batch.tasks import Row, Task

PAUSE = 0.15


def slow(task: Task) -> Row:
    """Takes long enough for others to step in."""
    time.sleep(PAUSE)
    return convert(task)


def waiting_to_be_killed(task: Task) -> Row:
    """The first to work on a picture whose name begins with "victim" says who it is, and waits for its end."""
    flag = Path(task.source + ".pid")
    if Path(task.source).name.startswith("victim") and not flag.exists():
        part = flag.with_suffix(".part")
        part.write_text(str(os.getpid()))
        part.replace(flag)
        time.sleep(600)
    return convert(task)


def killing(task: Task) -> Row:
    """A picture whose name begins with "killer" kills whoever works on it."""
    if Path(task.source).name.startswith("killer"):
        os.kill(os.getpid(), signal.SIGKILL)
    return convert(task)


def published_and_killed(task: Task) -> Row:
    """The first to work on each "victim" dies between the name of the output and its row."""
    flag = Path(task.source + ".flag")
    if Path(task.source).name.startswith("victim") and not flag.exists():
        flag.touch()
        from nifcodec.batch import convert as module

        publish = module._publish

        def once(task: Task, coded: bytes) -> None:
            publish(task, coded)
            os.kill(os.getpid(), signal.SIGKILL)

        module._publish = once
    return convert(task)


def passing_trouble(task: Task) -> Row:
    """Fails at the first attempt, as a network does."""
    if task.attempt == 1:
        return replace(task.failure(OSError("the network was away"), {}), transient=True)
    return convert(task)


def raising(task: Task) -> Row:
    """What `convert` never does."""
    raise RuntimeError(f"attempt {task.attempt}")


def main() -> int:
    """A driver of slow work: `-c "import batch_faults; batch_faults.main()" IN OUT MANIFEST WORKERS|dask://...`."""
    source, out, manifest, where = sys.argv[1:]
    workers, executor = (None, where) if where.startswith("dask") else (int(where), None)
    batch = driver.Batch((source,), out, manifest, {"effort": 1}, workers, executor)
    tally = driver.run(batch, function=slow)
    return int(tally.failed > 0 or tally.settled < tally.total)
