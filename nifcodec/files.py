"""Whole files in and out: "-" for the standard streams, and no half-written output."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from typing import BinaryIO, Iterator, Tuple, Union

from nifcodec.errors import ConfigError, NifError, OutputError, OutputExistsError

try:
    import fcntl
except ImportError:  # Windows, which refuses to remove or replace a file that is open
    fcntl = None  # type: ignore[assignment]

STREAM = "-"
TEMPORARY = ".nifcodec-"
PathLike = Union[str, "os.PathLike[str]"]


def read_bytes(path: PathLike) -> bytes:
    """The bytes of `path`, or of standard input for "-". Raises NifError with the system's reason."""
    try:
        if path == STREAM:
            if sys.stdin is None:
                raise NifError("standard input is closed: give a file")
            return sys.stdin.buffer.read()
        with open(path, "rb") as source:
            return source.read()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: PathLike, error: OSError) -> NifError:
    return NifError(f"cannot read {os.fspath(path)}: {error.strerror or error}")


def say(text: str) -> None:
    """Writes to standard error; where that is full or closed, what it says is lost, and not the work."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        # What is left in its buffer would be written when Python ends, and make that a failure.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def check_input(path: PathLike) -> None:
    """Refuses a file that is missing or cannot be opened, before any work; a pipe, to be opened once only, is left be.

    Raises NifError with the system's reason.
    """
    if path == STREAM or (os.path.exists(path) and not os.path.isfile(path)):
        return
    try:
        open(path, "rb").close()
    except OSError as error:
        raise _unreadable(path, error) from None


def is_device(path: PathLike) -> bool:
    """True for what is there and neither a file nor a folder: a pipe, a terminal, /dev/null."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def check_place(path: PathLike) -> None:
    """Refuses a folder or a device that cannot be written to, by trying. Raises OutputError with the system's reason.

    The folder is known to be there: `check_output`.
    """
    try:
        if path == STREAM:
            return
        if is_device(path):
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        with tempfile.TemporaryFile(prefix=TEMPORARY, dir=os.path.dirname(os.path.realpath(path))):
            pass
    except OSError as error:
        raise OutputError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from None


def check_output(path: PathLike, force: bool, source: PathLike = STREAM) -> None:
    """Refuses an output before any work: equal to its input, a folder, there already, or no place for it.

    Raises ConfigError, OutputError or OutputExistsError.
    """
    if path == STREAM:
        if sys.stdout is None:
            raise OutputError("standard output is closed: redirect it or give -o FILE")
        if sys.stdout.isatty():
            raise ConfigError("standard output is a terminal: redirect it or give -o FILE")
        return
    name = os.fspath(path)
    if source != STREAM and os.path.exists(name) and os.path.exists(source) and os.path.samefile(name, source):
        raise ConfigError(f"{name} is both input and output: check the input, or give another -o or --out-dir")
    if os.path.isdir(name):
        raise OutputError(f"{name} is a folder: give a file name, or the folder as --out-dir")
    if os.path.isfile(name) and not force:
        raise OutputExistsError(f"{name} exists: use -f to replace it")
    if is_device(name):
        return
    folder = os.path.dirname(os.path.realpath(name))
    if not os.path.isdir(folder):
        place = folder
        while not os.path.exists(place):
            place = os.path.dirname(place)
        if not os.path.isdir(place):
            raise OutputError(f"{place} is no folder, which {name} needs: give another name")
        raise OutputError(f"the folder {folder} does not exist: make it, or name it as --out-dir")


def write_bytes(path: PathLike, data: bytes, force: bool = False) -> None:
    """Writes all of `data` or nothing: to a temporary file beside `path`, which then gets its name at once.

    "-" is standard output. A link is followed; a device is written in place, since renaming would replace it. Of
    several processes that write one path, each gets a whole file there or an error. What a killed one left is removed.

    Raises OutputExistsError without `force`, OutputError with the system's reason.
    """
    try:
        if path == STREAM:
            left = memoryview(data)
            while left:  # without a buffer (PYTHONUNBUFFERED) a write may take a part
                left = left[sys.stdout.buffer.write(left) :]
            sys.stdout.buffer.flush()
            return
        check_output(path, force)
        if is_device(path):
            with open(path, "wb") as device:
                device.write(data)
            return
        target = os.path.realpath(path)
        remove_strays(os.path.dirname(target))
        write_whole(target, data, force)
    except BrokenPipeError:
        if path != STREAM:
            raise OutputError(f"cannot write {os.fspath(path)}: nobody reads it any more") from None
        raise
    except OSError as error:
        name = "standard output" if path == STREAM else os.fspath(path)
        raise OutputError(f"cannot write {name}: {error.strerror or error}") from None


def check_writable(folder: str) -> None:
    """Raises OSError where no file can be made in the folder."""
    descriptor, temporary = _open_temporary(folder)
    os.close(descriptor)
    os.unlink(temporary)


def write_whole(target: str, data: bytes, force: bool) -> None:
    """The step of `write_bytes` that writes: all of `data` under a temporary name, then its own.

    Raises OutputExistsError without `force`, OSError.
    """
    descriptor, temporary = _open_temporary(os.path.dirname(target))
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(data)
            output.flush()
            # A disk that is full may say so only now, and a name must not reach the disk before what it names.
            os.fsync(output.fileno())
            if hasattr(os, "fchmod"):
                os.fchmod(output.fileno(), _permissions(target))
            if fcntl is None:
                output.close()  # Windows names no open file; elsewhere the lock would go with it
            _name(temporary, target, force)
    finally:
        with contextlib.suppress(OSError):  # it has its name already, or there is no more to be done
            os.unlink(temporary)


def _open_temporary(folder: str) -> Tuple[int, str]:
    """A new file that is locked as long as this process lives: descriptor and path."""
    while True:
        descriptor, path = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)
        if fcntl is None:
            return descriptor, path
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # taken for a stray before it was locked


def _name(temporary: str, target: str, force: bool) -> None:
    """Gives the file its name, in one step; without `force` only where the name is free."""
    if not force:
        try:
            os.link(temporary, target)
            return
        except FileExistsError:
            raise OutputExistsError(f"{target} exists: use -f to replace it") from None
        except OSError:  # a file system without hard links: another process might come between these two
            check_output(target, force)
    os.replace(temporary, target)


@contextlib.contextmanager
def locked(file: BinaryIO) -> Iterator[None]:
    """Waits until no other process has the file locked; where there are no locks, this is none."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a file system without locks; closing the file ends the lock
            fcntl.flock(file, fcntl.LOCK_EX)
    yield


def remove_strays(folder: str) -> None:
    """Removes the temporary files of processes that were killed: those that nobody holds a lock on."""
    strays = []
    with contextlib.suppress(OSError):  # a folder that may be written to and not read
        strays = [name for name in os.listdir(folder) if name.startswith(TEMPORARY)]
    for name in strays:
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):  # somebody else's, locked, or gone meanwhile
            if fcntl is None:
                os.unlink(path)
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(descriptor)


def _permissions(target: str) -> int:
    """Those of the file that is replaced, else what the process's umask gives a new one."""
    if os.path.exists(target):
        return os.stat(target).st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
