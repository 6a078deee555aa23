"""Where inputs are read and outputs published: files of this machine, and whatever has a URL that fsspec knows."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import threading
from typing import Any, Iterator, List, Optional, Sequence, Set, Tuple

from nifcodec.errors import ConfigError, MissingDependencyError, NifError, OutputError, OutputExistsError
from nifcodec.files import check_output, check_writable, remove_strays, write_whole

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
LOCAL = "file://"
INSTALL = "is a URL: install fsspec (pip install 'nifcodec[cloud]')"

Entry = Tuple[str, Optional[int]]  # path or URL, and bytes where they are known

# A transaction is of a file system, which the threads of a process share.
_transaction = threading.Lock()


def is_url(path: str) -> bool:
    """Whether fsspec is to open it. A drive of Windows has one letter and is none."""
    return URL.match(path) is not None


def absolute(path: str) -> str:
    """The same place from any folder, and on any machine that has the file system; "file://" is none of its URLs."""
    if path.startswith(LOCAL):
        path = path[len(LOCAL) :]
    return path if is_url(path) else os.path.abspath(path)


def join(folder: str, below: str) -> str:
    """A path below a folder; `below` has "/" between its parts."""
    return f"{folder.rstrip('/')}/{below}" if is_url(folder) else os.path.join(folder, *below.split("/"))


def read(path: str) -> bytes:
    """All bytes. Raises OSError, or NifError where the URL cannot be understood."""
    if not is_url(path):
        with open(path, "rb") as source:
            return source.read()
    system, name = _open_url(path)
    with _as_os_errors(path):
        return bytes(system.cat_file(name))


def exists(path: str) -> bool:
    """Whether there is a file, or a folder, of this name. Raises as `read`."""
    if not is_url(path):
        return os.path.lexists(path)
    system, name = _open_url(path)
    with _as_os_errors(path):
        return bool(system.exists(name))


def is_folder(path: str) -> bool:
    """Whether it names a folder. Raises as `read`."""
    if not is_url(path):
        return os.path.isdir(path)
    system, name = _open_url(path)
    with _as_os_errors(path):
        return bool(system.isdir(name))


def below(folder: str) -> List[Entry]:
    """All files in a folder and the folders in it, in order. Links to folders are not followed. Raises as `read`."""
    if is_url(folder):
        return _listed(folder, lambda system, name: system.find(name, detail=True))
    found = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        found += [_entry(os.path.join(place, name)) for name in sorted(names)]
    return found


def matching(pattern: str) -> List[Entry]:
    """The files that a pattern of *, ?, [] and ** stands for, in order. Raises as `read`."""
    if is_url(pattern):
        return _listed(pattern, lambda system, name: system.glob(name, detail=True))
    return [_entry(name) for name in sorted(glob.glob(pattern, recursive=True)) if not os.path.isdir(name)]


def existing(folder: str, paths: Sequence[str]) -> Set[str]:
    """Those of these paths in a folder that are there. A store with URLs is asked for one list of all."""
    if not is_url(folder):
        return {path for path in paths if os.path.lexists(path)}
    system, _ = _open_url(folder)
    there = {name for name, _ in below(folder)}
    return {path for path in paths if system.unstrip_protocol(system._strip_protocol(path)) in there}


def prepare(folder: str, paths: Sequence[str]) -> None:
    """Makes the folder of the outputs, before any work, and removes what killed processes left where `paths` will be.

    Raises OutputError where nothing can be written there, ConfigError, MissingDependencyError.
    """
    if is_url(folder):
        system, name = _open_url(folder)
        try:
            system.makedirs(name, exist_ok=True)
        except Exception as error:  # of each store another
            raise OutputError(f"cannot write to {folder}: {error}") from None
        return
    try:
        os.makedirs(folder, exist_ok=True)
        check_writable(folder)
    except OSError as error:
        raise OutputError(f"cannot write to the folder {folder}: {error.strerror or error}") from None
    for place in {os.path.dirname(path) for path in paths}:
        remove_strays(place)


def publish(path: str, data: bytes, replace: bool) -> None:
    """Gives all of `data` its name in one step; without `replace` only where the name is free: the first writer wins.

    Locally a temporary file is linked; a store of objects is asked to create and not to replace, which S3, Google's and
    Azure's do in one step; of another store a transaction, where it has them, and there two writers at the same instant
    may replace each other's whole file.

    Raises OutputExistsError, or OutputError with the system's reason.
    """
    try:
        if is_url(path):
            _publish_url(path, data, replace)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        check_output(path, replace)
        write_whole(os.path.realpath(path), data, replace)
    except OutputExistsError:  # whose advice is that of another command
        raise there(path) from None
    except NifError:
        raise
    except Exception as error:  # of a store, any
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise OutputError(f"cannot write {path}: {reason}") from None


def there(path: str) -> OutputExistsError:
    """The error of an output whose name is taken."""
    return OutputExistsError(f"{path} exists, and no row says that it was made from this input: use --existing replace")


def _publish_url(path: str, data: bytes, replace: bool) -> None:
    from fsspec import AbstractFileSystem

    system, name = _open_url(path)
    if type(system).pipe_file is not AbstractFileSystem.pipe_file:  # which writes objects as wholes
        try:
            system.pipe_file(name, data, mode="overwrite" if replace else "create")
        except Exception:  # for a name that is taken too, the stores have several
            if not replace and system.exists(name):
                raise there(path) from None
            raise
        return
    with _transaction:
        system.makedirs(system._parent(name), exist_ok=True)
        if not replace and system.exists(name):
            raise there(path)
        with system.transaction, system.open(name, "wb") as target:
            target.write(data)


def _open_url(path: str) -> Tuple[Any, str]:
    """The file system of a URL and the path in it. Raises MissingDependencyError, ConfigError, OSError."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingDependencyError(f"{path} {INSTALL}") from None
    with _as_os_errors(path):
        try:
            system, name = url_to_fs(path)
        except ImportError as error:
            raise MissingDependencyError(f"{path} needs another package: {error}") from None
        except ValueError as error:
            raise ConfigError(f"{path} is no URL that can be opened: {error}") from None
    return system, name


@contextlib.contextmanager
def _as_os_errors(path: str) -> Iterator[None]:
    """Stores raise their clients' own errors beside OSError."""
    try:
        yield
    except (OSError, NifError, MemoryError):
        raise
    except Exception as error:
        raise OSError(f"cannot reach {path}: {type(error).__name__}: {error}") from error


def _listed(path: str, find: Any) -> List[Entry]:
    system, name = _open_url(path)
    with _as_os_errors(path):
        found = find(system, name)
        files = sorted(name for name, about in found.items() if about.get("type") != "directory")
        return [(system.unstrip_protocol(name), found[name].get("size")) for name in files]


def _entry(path: str) -> Entry:
    try:
        return path, os.stat(path).st_size
    except OSError:  # a dangling link, or gone meanwhile: reading will say so
        return path, None


def _raise(error: OSError) -> None:
    raise error
