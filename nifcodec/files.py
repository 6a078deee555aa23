"""Whole files in and out: "-" for the standard streams, and no half-written output."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from typing import Union

from nifcodec.errors import ConfigError, NifError, OutputError, OutputExistsError

STREAM = "-"
PathLike = Union[str, "os.PathLike[str]"]


def read_bytes(path: PathLike) -> bytes:
    """The bytes of `path`, or of standard input for "-". Raises NifError with the system's reason."""
    if path == STREAM:
        return sys.stdin.buffer.read()
    try:
        with open(path, "rb") as source:
            return source.read()
    except OSError as error:
        raise NifError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from None


def check_output(path: PathLike, force: bool, source: PathLike = STREAM) -> None:
    """Refuses an output before any work: equal to its input, a folder, there already, or no place for it.

    Raises ConfigError, OutputError or OutputExistsError.
    """
    if path == STREAM:
        if sys.stdout.isatty():
            raise ConfigError("standard output is a terminal: redirect it or give -o FILE")
        return
    name = os.fspath(path)
    if source != STREAM and os.path.exists(name) and os.path.exists(source) and os.path.samefile(name, source):
        raise ConfigError(f"{name} is both input and output: give another -o or --out-dir")
    if os.path.isdir(name):
        raise OutputError(f"{name} is a folder: give a file name, or the folder as --out-dir")
    if os.path.isfile(name) and not force:
        raise OutputExistsError(f"{name} exists: use -f to replace it")
    folder = os.path.dirname(os.path.realpath(name))
    if not os.path.isdir(folder):
        raise OutputError(f"the folder {folder} does not exist: make it, or name it as --out-dir")


def write_bytes(path: PathLike, data: bytes, force: bool = False) -> None:
    """Writes all of `data` or nothing: to a temporary file beside `path`, then renamed over it.

    "-" is standard output. A link is followed; a device is written in place, since renaming would replace it.
    Raises OutputExistsError without `force`, OutputError with the system's reason.
    """
    if path == STREAM:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    check_output(path, force)
    target = os.path.realpath(path)
    try:
        if os.path.exists(target) and not os.path.isfile(target):
            with open(target, "wb") as device:
                device.write(data)
            return
        descriptor, temporary = tempfile.mkstemp(prefix=".nifcodec-", dir=os.path.dirname(target))
        try:
            with os.fdopen(descriptor, "wb") as output:
                output.write(data)
                os.fchmod(output.fileno(), _permissions(target)) if hasattr(os, "fchmod") else None
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from None


def _permissions(target: str) -> int:
    """Those of the file that is replaced, else what the process's umask gives a new one."""
    if os.path.exists(target):
        return os.stat(target).st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
