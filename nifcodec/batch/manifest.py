"""The manifest: what came of each input, a row a line, only ever added to.

The driver adds every row that it sees to FILE.jsonl. Each worker that sees the folder FILE.jsonl.d adds its own rows to
a file of its own there, as soon as an output is there: so a row survives a driver that is killed. The folder is removed
at the end of a run whose rows have all reached FILE.jsonl.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from nifcodec.batch.tasks import DONE, FAILED, WRITING, Row
from nifcodec.errors import ConfigError, NifError, OutputError
from nifcodec.files import locked

SUFFIX = ".d"
ENDING = ".jsonl"
MOST_TRIES = 100
ORDER = {WRITING: 0, FAILED: 1, DONE: 2}

Key = Tuple[str, str]  # input and output


def new_run() -> str:
    """A name for a run; those of later ones sort behind it."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Known:
    """What a manifest says of one input and output.

    Attributes:
        latest: the last word.
        kept: the last row whose output was written, or was about to be.
    """

    latest: Row
    kept: Optional[Row]


@dataclass(frozen=True)
class Merged:
    """All rows of a manifest, one word on each input and output, and the number of lines that are no rows."""

    known: Dict[Key, Known]
    damaged: int

    def rows(self) -> List[Row]:
        """The last word on each, in the order in which they came up first."""
        return [known.latest for known in self.known.values()]

    def counts(self) -> Dict[str, int]:
        """Rows of each status."""
        return dict(Counter(row.status for row in self.rows()))


def load(path: str) -> Merged:
    """Reads a manifest and the workers' rows beside it; what is not there is empty.

    Raises NifError where it cannot be read, ConfigError for a file of another kind.
    """
    # Last, since a run that ends adds to it before it removes the others.
    parts = [_read(name) for name in _journals(path)]
    parts.insert(0, _read(path))
    if parts[0][1] and not parts[0][0]:
        raise ConfigError(f"{path} is no manifest, as none of its lines is a row: give another name")
    return Merged(merge(row for rows, _ in parts for row in rows), sum(damaged for _, damaged in parts))


def _read(path: str) -> Tuple[List[Row], int]:
    """The rows of a file, and how many lines are none."""
    try:
        with open(path, "rb") as lines:
            rows = [Row.from_json(line) for line in lines if line.strip()]
    except FileNotFoundError:
        rows = []
    except OSError as error:
        raise NifError(f"cannot read the manifest {path}: {error.strerror or error}") from None
    found = [row for row in rows if row is not None]
    return found, len(rows) - len(found)


def merge(rows: Iterable[Row]) -> Dict[Key, Known]:
    """The last word on each input and output: that of the latest run, of its last attempt, and of the end of that."""
    known: Dict[Key, Known] = {}
    for row in rows:
        key = row.source, row.output
        before = known.get(key)
        if before is None:
            known[key] = Known(row, None if row.status == FAILED else row)
            continue
        latest = max(before.latest, row, key=_age)
        kept = before.kept
        if row.status != FAILED:
            kept = row if kept is None else max(kept, row, key=_age)
        known[key] = Known(latest, kept)
    return known


def has_earlier(folder: str, run: str, source: str, output: str) -> bool:
    """Whether an earlier run has by now a row that says that this output is made of this input.

    Workers that a run has left behind go on with what they have begun, and add their rows to the folder.

    Args:
        folder: of the workers' rows.
        run: to which the others are earlier; its own rows say nothing.

    Raises NifError where the rows cannot be read.
    """
    path = folder[: -len(SUFFIX)]
    rows = (row for name in (path, *_journals(path)) for row in _read(name)[0])
    return any((row.source, row.output) == (source, output) and row.status != FAILED and row.run < run for row in rows)


def _age(row: Row) -> Tuple[str, int, int, str]:
    return row.run, row.attempt, ORDER.get(row.status, 0), row.ended


def journal(path: str) -> str:
    """The folder of the workers' rows, beside the manifest."""
    return path + SUFFIX


class Manifest:
    """FILE.jsonl and the workers' folder beside it, as one run of a driver writes them.

    Raises OutputError where they cannot be written.
    """

    def __init__(self, path: str, run: str) -> None:
        self._path, self._run = path, run
        self._journal = journal(path)
        self._synced = time.monotonic()
        try:
            self._mark()
            append(path, [])
        except OSError as error:
            raise self._unwritable(error) from None

    def _mark(self) -> None:
        """Leaves the run's name in the folder: a worker knows by it that this is not another machine's of that name."""
        for _ in range(MOST_TRIES):
            os.makedirs(self._journal, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another run has ended in between, and removed the folder
                open(_marker(self._journal, self._run), "wb").close()
                return

    def add(self, row: Row) -> None:
        """Adds a row. It is on the disk after a second at most, or at the end."""
        now = time.monotonic()
        try:
            append(self._path, [row], sync=now > self._synced + 1)
        except OSError as error:
            raise self._unwritable(error) from None
        self._synced = now if now > self._synced + 1 else self._synced

    def close(self, whole: bool) -> None:
        """Ends the run; where all of its rows were added (`whole`), those of its workers are not needed any more.

        Else a worker may be at work still, and goes on adding to its own.
        """
        try:
            append(self._path, [], sync=True)
        except OSError as error:
            raise self._unwritable(error) from None
        if not whole:
            return
        with contextlib.suppress(OSError):
            os.unlink(_marker(self._journal, self._run))
            for name in _journals(self._path):
                if os.path.basename(name).startswith(self._run):
                    os.unlink(name)
            os.rmdir(self._journal)  # unless another run is using it

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write the manifest {self._path}: {error.strerror or error}")


def journal_of(folder: Optional[str], run: str) -> Optional[str]:
    """The file that this process adds its rows to; None where it does not see the run's folder."""
    if folder is None or not os.path.exists(_marker(folder, run)):
        return None
    return os.path.join(folder, f"{run}-{socket.gethostname()}-{os.getpid()}{ENDING}")


def append(path: str, rows: Iterable[Row], sync: bool = False) -> None:
    """Adds whole lines to a file, also behind one that was cut off. Raises OSError."""
    with open(path, "a+b") as file, locked(file):
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            lines = b"" if file.read(1) == b"\n" else b"\n"
        else:
            lines = b""
        file.write(lines + b"".join(row.to_json().encode() + b"\n" for row in rows))
        file.flush()
        if sync:
            os.fsync(file.fileno())


def _marker(folder: str, run: str) -> str:
    return os.path.join(folder, run)


def _journals(path: str) -> Iterator[str]:
    folder = journal(path)
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):
            if name.endswith(ENDING):
                yield os.path.join(folder, name)
