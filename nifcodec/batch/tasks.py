"""What a worker is told and what it answers: plain values, so that they can be pickled and written as JSON."""

from __future__ import annotations

import hashlib
import json
import math
import socket
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from nifcodec import __version__
from nifcodec.config import EncodeConfig
from nifcodec.options import described

AnyBytes = bytes  # which the name of a row's part hides

WRITING, DONE, FAILED, SKIPPED = "writing", "done", "failed", "skipped"
EXISTING = ("skip", "replace", "fail")


@dataclass(frozen=True)
class Row:
    """What came of one attempt at one input: a line of the manifest.

    Attributes:
        source: path or URL of the input.
        output: path or URL of the `.nif`.
        status: "done", "failed", or "writing": made, and perhaps not yet there.
        run: the run of a driver that this belongs to; later runs sort behind earlier ones.
        attempt: 1 for the first of the run.
        settings: options that the file depends on, where they are not at their default.
        version: of nifcodec.
        host: name of the machine.
        ended: when, in UTC, as ISO 8601.
        seconds: from the first byte read to the output's name.
        size, digest: bytes of the input, and their digest; None while they are not read.
        bytes, output_digest: of the `.nif`.
        width, height: pixels.
        field, prior: the family that was taken, and the prior's hash where it has one.
        psnr: dB of the decoded file, as `encode` reports it; None where nothing was measured or there is no error.
        identical: whether there is no error; None where nothing was measured.
        missed: whether the file misses the size or the PSNR that was asked for.
        warnings: what `encode` would have warned of, also of that.
        error, cause: of a failure, the sentence and the class.
        transient: whether another attempt may succeed.
    """

    source: str
    output: str
    status: str
    run: str
    attempt: int
    settings: Dict[str, Any]
    version: str
    host: str
    ended: str = ""
    seconds: float = 0.0
    size: Optional[int] = None
    digest: Optional[str] = None
    bytes: Optional[int] = None
    output_digest: Optional[str] = None
    width: Optional[int] = None
    height: Optional[int] = None
    field: Optional[str] = None
    prior: Optional[str] = None
    psnr: Optional[float] = None
    identical: Optional[bool] = None
    missed: bool = False
    warnings: Tuple[str, ...] = ()
    error: Optional[str] = None
    cause: Optional[str] = None
    transient: bool = False

    def to_json(self) -> str:
        """One line, in ASCII: names that are no text survive it too."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: "Union[str, AnyBytes]") -> "Optional[Row]":
        """The row of a line; None of a line that is cut off or no row. Keys of later versions are left out."""
        try:
            found = json.loads(line)
            known = {part.name: found[part.name] for part in fields(Row) if part.name in found}
            return Row(**{**known, "warnings": tuple(known.get("warnings", ()))})
        except (ValueError, TypeError):
            return None

    @property
    def complaint(self) -> str:
        """The error, with the input's name in it."""
        said = str(self.error)
        return said if self.source in said else f"{self.source}: {said}"

    def of(self, digest: str, settings: Mapping[str, Any]) -> bool:
        """Whether it speaks of an input of these bytes under these settings."""
        return self.digest == digest and self.settings == settings


@dataclass(frozen=True)
class Task:
    """One input to convert, as a worker is told it.

    Attributes:
        source, output, run, attempt: those of the row.
        options: options of the encode by name, as they were given.
        existing: what becomes of an output that is there: one of `EXISTING`.
        latest: the manifest's last word on this input and output.
        kept: the last row of it whose output was written, or was about to be.
        existed: the output was there before the run.
        retry_failed: try again what failed before.
        journal: folder of the workers' own rows, where the worker sees it.
        threads: at most.
        seconds, memory: at most, of one picture; bytes of the latter.
    """

    source: str
    output: str
    run: str
    options: Dict[str, Any]
    existing: str = "skip"
    attempt: int = 1
    latest: Optional[Row] = None
    kept: Optional[Row] = None
    existed: bool = False
    retry_failed: bool = False
    journal: Optional[str] = None
    threads: int = 1
    seconds: Optional[float] = None
    memory: Optional[int] = None

    @property
    def may_replace(self) -> bool:
        """Whether an output that is there may be replaced: asked for, or a row says that it was made of this input."""
        return self.existing == "replace" or (self.existing == "skip" and self.kept is not None)

    def row(self, status: str, settings: Mapping[str, Any], **found: Any) -> Row:
        """A row of this task on this machine, now."""
        here = {"version": __version__, "host": socket.gethostname(), "ended": utc_now()}
        return Row(self.source, self.output, status, self.run, self.attempt, dict(settings), **{**here, **found})

    def failure(self, error: BaseException, settings: Mapping[str, Any], **found: Any) -> Row:
        """The row of a failure."""
        said = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.strerror and error.filename is not None:
            doing = "read" if error.filename == self.source else "read or write"
            said = f"cannot {doing} {error.filename}: {error.strerror}"
        elif isinstance(error, FileNotFoundError):  # of a store
            said = f"{said} is not there"
        return self.row(FAILED, settings, error=said, cause=type(error).__name__, **found)

    def again(self) -> "Task":
        """The next attempt."""
        return replace(self, attempt=self.attempt + 1)


def settings_of(config: EncodeConfig) -> Dict[str, Any]:
    """The options that the file depends on, where they are not at their default."""
    defaults = {
        name: about.default
        for holder in (config, config.options)
        if holder is not None
        for name, about in described(type(holder)).items()
    }
    return {name: value for name, value in config.of_the_result().items() if value != defaults[name]}


def digest_of(data: bytes) -> str:
    """SHA-256, with its name."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def finite(psnr: Optional[float]) -> Optional[float]:
    """JSON has no infinity."""
    return None if psnr is None or math.isinf(psnr) else psnr


def utc_now() -> str:
    """Now, as ISO 8601 to the millisecond."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
