"""One run over all inputs, from the arguments to the last row."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

from nifcodec.batch import inputs, manifest, stores
from nifcodec.batch.convert import convert
from nifcodec.batch.engine import Engine
from nifcodec.batch.pools import Function, open_pool
from nifcodec.batch.progress import Tally
from nifcodec.batch.tasks import SKIPPED, Row, Task
from nifcodec.errors import ConfigError
from nifcodec.files import say
from nifcodec.threads import cores


@dataclass(frozen=True)
class Batch:
    """What a run is asked for.

    Attributes:
        inputs: files, folders, patterns, URLs, or "-" for a list on standard input.
        out: folder or URL of the outputs.
        manifest: file of the rows, of this machine.
        options: options of the encode by name, as they were given.
        workers: processes of this machine; None means one for each core.
        executor: "dask://HOST:PORT" in place of them.
        existing: what becomes of outputs that are there: one of `tasks.EXISTING`.
        retry_failed: try again what failed in an earlier run.
        retries: attempts beyond the first, of what may succeed then.
        seconds, memory: limits of one picture; bytes of the latter.
    """

    inputs: Tuple[str, ...]
    out: str
    manifest: str
    options: Dict[str, Any] = field(default_factory=dict)
    workers: Optional[int] = None
    executor: Optional[str] = None
    existing: str = "skip"
    retry_failed: bool = False
    retries: int = 2
    seconds: Optional[float] = None
    memory: Optional[int] = None


def run(
    batch: Batch,
    report: Callable[[Row], None] = lambda row: None,
    show: Callable[[Tally], None] = lambda tally: None,
    stopping: Callable[[], bool] = lambda: False,
    function: Function = convert,
) -> Tally:
    """Converts all inputs; each gets its row in the manifest, unless `stopping` ends the run before.

    Args:
        report: called with the row of each input; a "skipped" one is that of an earlier run.
        show: called now and then with what is counted so far.
        stopping: polled; True ends the run once the pictures in work are done.
        function: what is done on a worker.

    Raises ConfigError, MissingDependencyError, OutputError and NifError before any work, WorkerLostError where a
    cluster is gone; KeyboardInterrupt leaves at once, with nothing half written.
    """
    if batch.executor is not None and batch.workers is not None:
        raise ConfigError("--workers are processes of this machine, and --executor names others: give one of them")
    if batch.executor is not None and batch.memory is not None:
        advice = "give dask worker its own --memory-limit"
        raise ConfigError(f"--memory-limit is of processes of this machine, and --executor names others: {advice}")
    if stores.is_url(batch.manifest):
        raise ConfigError("a manifest is added to, which stores of objects cannot: give a file of this machine")
    path = os.path.abspath(batch.manifest)
    name = manifest.new_run()
    tasks, left_out = _plan(batch, path, name)
    if left_out:
        say(f"nifcodec: left out, by their endings or names: {left_out} (a pattern as 'DIR/**' takes every file)\n")
    tally = Tally(len(tasks))

    def finish(row: Row) -> None:
        if row.status != SKIPPED:
            rows.add(row)
        tally.add(row)
        report(row)

    rows = manifest.Manifest(path, name)
    whole = True
    try:
        pool = open_pool(_workers(batch, len(tasks)), batch.executor)
        whole = False
        try:
            engine = Engine(pool, function, batch.retries, finish, stopping, lambda: show(tally))
            engine.run(tasks)
            whole = True
        finally:
            pool.close(now=not whole)
    finally:
        rows.close(whole)
    return tally


def _plan(batch: Batch, path: str, name: str) -> Tuple[List[Task], int]:
    """The task of each input, and the number of files in folders that are none."""
    found = inputs.expand(batch.inputs)
    out = stores.absolute(batch.out)
    before = manifest.load(path)
    if before.damaged:
        say(f"nifcodec: warning: {before.damaged} lines of {path} are no rows, and left out\n")
    outputs = inputs.outputs(found.sources, out, before.known)
    stores.prepare(out, outputs)
    there = stores.existing(out, outputs)
    # Once more: what another driver has published meanwhile had its row before.
    known = manifest.load(path).known
    workers = _workers(batch, len(outputs))
    # The threads of a cluster's workers are its own to say: each has one picture.
    threads = 1 if batch.executor is not None else max(1, cores() // workers)
    tasks = []
    for source, output in zip(found.sources, outputs):
        of_it = known.get((source.path, output))
        task = Task(
            source.path,
            output,
            name,
            batch.options,
            batch.existing,
            latest=None if of_it is None else of_it.latest,
            kept=None if of_it is None else of_it.kept,
            existed=output in there,
            retry_failed=batch.retry_failed,
            journal=manifest.journal(path),
            threads=batch.options.get("threads", threads),
            seconds=batch.seconds,
            memory=batch.memory,
        )
        tasks.append(task)
    return tasks, found.left_out


def _workers(batch: Batch, tasks: int) -> int:
    """Processes, where they are this machine's."""
    return min(batch.workers or cores(), max(1, tasks))
