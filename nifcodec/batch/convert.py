"""The work on one input, wherever a worker is: read, encode, publish, and say what came of it."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
import warnings
from dataclasses import replace
from functools import lru_cache
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from nifcodec.batch import manifest, stores
from nifcodec.batch.limits import Shared, at_most_bytes, at_most_seconds
from nifcodec.batch.tasks import DONE, SKIPPED, WRITING, Row, Task, digest_of, finite, settings_of
from nifcodec.errors import ImageError, OutputError, OutputExistsError
from nifcodec.fields import families

# What reading or writing says again however often it is tried.
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
TENSORFLOW_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

# Held from the row that announces an output to the row that says it is there: a process that is to end waits for it.
publishing = threading.Lock()


def convert(task: Task) -> Row:
    """Encodes one input and publishes it; the row of what came of it, which is in the worker's journal too.

    Nothing is raised, whatever the input is, and the process goes on. The same task may run twice, at the same time
    too: the first output stays, and the second run agrees with it. A row of the status "skipped" is the manifest's own,
    where that holds still: its output is there, whole, from the same input under the same settings.
    """
    started = time.monotonic()
    found: Dict[str, Any] = {}
    try:
        row = _convert(task, found, started)
    except Exception as error:
        found["seconds"] = time.monotonic() - started
        row = task.failure(error, found.pop("settings", {}), **found, transient=_is_transient(error))
        _note(task, row)
    return row


def _convert(task: Task, found: Dict[str, Any], started: float) -> Row:
    """`convert`, as far as all goes well. `found` gets what is known of the row, for a failure later on."""
    for name in TENSORFLOW_THREADS:  # which it reads once, when it is loaded
        os.environ.setdefault(name, str(task.threads))
    said: List[str] = []
    if task.memory is not None:
        _load_all()
    with at_most_bytes(task.memory), at_most_seconds(task.seconds) as interrupt, _warnings_to(said):
        config = families.configure(**{**task.options, "threads": task.threads})
        settings = found["settings"] = settings_of(config)
        data = stores.read(task.source)
        found["size"], found["digest"] = len(data), digest_of(data)
        before = _known(task, found["digest"], settings)
        if before is not None:
            if before.status == DONE:
                _note(task, before)
            return before
        if task.existed and not task.may_replace:
            raise stores.there(task.output)
        coded, about = _encode(_Named(task.source, data), config, interrupt)
    found.update(about, warnings=tuple(said), bytes=len(coded), output_digest=digest_of(coded))
    with publishing:
        _note(task, task.row(WRITING, **found))
        _publish(task, coded)
        row = task.row(DONE, seconds=time.monotonic() - started, **found)
        _note(task, row)
    return row


@lru_cache(maxsize=None)
def _load_all() -> None:
    """Encodes a picture, for what a process loads and keeps: it is no part of what the next one takes.

    OpenBLAS has buffers that it does not survive to be refused.
    """
    import numpy as np

    from nifcodec import encoder
    from nifcodec.config import EncodeConfig
    from nifcodec.picture import read  # noqa: F401

    encoder.encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), EncodeConfig(effort=1))


class _Named(io.BytesIO):
    """The bytes of a file, which errors and warnings call by its name."""

    def __init__(self, path: str, data: bytes) -> None:
        super().__init__(data)
        self.name = path


def _encode(picture: BinaryIO, config: Any, interrupt: Callable[[], bool]) -> Tuple[bytes, Dict[str, Any]]:
    """The `.nif` of a picture file, as `nifcodec encode` makes it, and what its row says of it."""
    from nifcodec import decoder, encoder
    from nifcodec.picture.read import read_image

    encoded = encoder.encode_image(read_image(picture), config, interrupt=interrupt)
    if encoded.missed is not None:
        warnings.warn(encoded.missed, stacklevel=2)
    report = encoded.report
    psnr = report.psnr_log if report.psnr_rgb is None else report.psnr_rgb
    return encoded.data, {
        "width": report.width,
        "height": report.height,
        "field": report.field,
        "prior": decoder.inspect(encoded.data).settings.get("prior"),
        "psnr": finite(psnr),
        "identical": None if psnr is None else finite(psnr) is None,
        "missed": encoded.missed is not None,
    }


def _known(task: Task, digest: str, settings: Mapping[str, Any]) -> Optional[Row]:
    """The answer where the manifest has it: the output is there still, or the input failed before; else None."""
    latest, kept = task.latest, task.kept
    if task.existing != "replace" and kept is not None and kept.of(digest, settings) and _is_there(kept):
        if latest is not None and latest.status == DONE:
            return replace(kept, status=SKIPPED)
        # A run that was killed behind the name of its output, or a failure after it.
        return replace(kept, status=DONE, run=task.run, attempt=task.attempt)
    if latest is None or task.retry_failed or latest.cause is None or latest.cause == OutputExistsError.__name__:
        return None
    return replace(latest, status=SKIPPED) if latest.of(digest, settings) else None


def _is_there(row: Row) -> bool:
    """Whether the output is the one that the row speaks of, byte by byte."""
    try:
        return digest_of(stores.read(row.output)) == row.output_digest
    except OSError:
        return False


def _publish(task: Task, coded: bytes) -> None:
    """Publishes the output; one that is there already will do where it is the same.

    One that has come since the run was planned may be of a worker that an earlier run has left behind: then the
    manifest has its row by now. Raises OutputExistsError for any other.
    """
    try:
        stores.publish(task.output, coded, task.may_replace)
    except OutputExistsError:
        if stores.read(task.output) == coded:
            return
        if task.existing != "skip" or not _is_of_an_earlier_run(task):
            raise
        stores.publish(task.output, coded, replace=True)


def _is_of_an_earlier_run(task: Task) -> bool:
    """Whether the manifest says so by now, where this machine has it."""
    if task.journal is None or manifest.journal_of(task.journal, task.run) is None:
        return False
    return manifest.has_earlier(task.journal, task.run, task.source, task.output)


def _is_transient(error: BaseException) -> bool:
    """Whether another attempt may end better: of reading, writing and memory it may, of a bad picture it will not."""
    if isinstance(error, ImageError):  # also that of a picture that did not fit into memory
        return isinstance(error.__context__, MemoryError)
    if isinstance(error, OutputExistsError):
        return False
    return isinstance(error, (OutputError, MemoryError, OSError)) and not isinstance(error, FINAL)


def _note(task: Task, row: Row) -> None:
    """Adds a row to this process's journal. Where that fails, the driver has the row still."""
    with contextlib.suppress(OSError):
        path = manifest.journal_of(task.journal, task.run)
        if path is not None:
            manifest.append(path, [row], sync=True)


# Sentences that the threads of this process were warned of. Warnings are the process's, so that one hook serves all.
_said: "Dict[int, List[str]]" = {}


@contextlib.contextmanager
def _recording() -> Iterator[None]:
    def record(message: "Warning | str", *_: Any, **__: Any) -> None:
        _said.get(threading.get_ident(), []).append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning, module=r"nifcodec\.")
        warnings.showwarning = record
        yield


_recorder = Shared(_recording)


@contextlib.contextmanager
def _warnings_to(said: List[str]) -> Iterator[None]:
    """Adds what nifcodec warns of in this thread to a list."""
    thread = threading.get_ident()
    with _recorder():
        _said[thread] = said
        try:
            yield
        finally:
            del _said[thread]
