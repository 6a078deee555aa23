"""The inputs that arguments stand for, and the output of each."""

from __future__ import annotations

import glob
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Collection, Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple

from nifcodec.batch import stores
from nifcodec.errors import ConfigError, NifError
from nifcodec.files import STREAM, read_bytes

ENDING = ".nif"
FLOAT_ENDINGS = (".exr", ".hdr", ".pic")
# Pillow names these files and reads none of them.
NOT_READ = ("BUFR", "GRIB", "HDF5", "MPEG")


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
        path: absolute, or a URL.
        below: its path below the folder or the fixed part of the pattern that it was found by, with "/".
        size: bytes where they are known.
    """

    path: str
    below: str
    size: Optional[int] = None


@dataclass(frozen=True)
class Found:
    """All inputs, each once, and the number of files in folders that are none by their endings."""

    sources: List[Source]
    left_out: int


def expand(arguments: Iterable[str]) -> Found:
    """The inputs of files, folders, patterns, URLs of these, and "-", a list on standard input.

    A folder stands for all in it, in the folders in it too, whose ending is that of a picture and whose name does not
    begin with a dot. A list has a name a line, or, where it has a NUL, a name before each NUL.

    A file that does not exist is an input too: it will have its row. Raises ConfigError for a pattern or a folder with
    nothing in it, NifError where one cannot be read.
    """
    found: Dict[str, Source] = {}
    left_out = 0
    for argument in arguments:
        if argument == STREAM:
            sources = _listed(read_bytes(STREAM))
        else:
            try:
                sources, others = _expand(argument)
            except OSError as error:
                raise NifError(f"cannot read {argument}: {error.strerror or error}") from None
            left_out += others
        for source in sources:
            found.setdefault(source.path, source)
    if not found:
        raise ConfigError("there are no inputs: the list is empty")
    return Found(list(found.values()), left_out)


def _expand(argument: str) -> Tuple[List[Source], int]:
    path = stores.absolute(argument)
    is_pattern = glob.has_magic(argument) and not stores.exists(path)
    if is_pattern:
        entries = [entry for entry in stores.matching(path) if not _is_nif(entry[0])]
        if not entries:
            raise ConfigError(f"no file matches {argument}")
        return [_below(_fixed(path), entry) for entry in entries], 0
    if not stores.is_folder(path):
        size = None if stores.is_url(path) or not os.path.isfile(path) else os.path.getsize(path)
        return [Source(path, _name(path), size)], 0
    entries = stores.below(path)
    pictures = [entry for entry in entries if _is_picture(path, entry[0])]
    if not pictures:
        raise ConfigError(f"the folder {argument} has no file with the ending of a picture: give a pattern, as in '*'")
    own = sum(_is_nif(name) for name, _ in entries)
    return [_below(path, entry) for entry in pictures], len(entries) - len(pictures) - own


def _listed(data: bytes) -> List[Source]:
    """The files of a list, each named as it is, without patterns."""
    names = data.split(b"\0") if b"\0" in data else data.splitlines()
    here = os.getcwd()
    sources = []
    for name in map(os.fsdecode, filter(None, names)):
        path = stores.absolute(name)
        if not stores.is_url(path) and path.startswith(os.path.join(here, "")):
            sources.append(_below(here, (path, None)))
        else:
            sources.append(Source(path, _name(path)))
    return sources


def _below(folder: str, entry: stores.Entry) -> Source:
    path, size = entry
    if stores.is_url(path):
        # The store may spell the folder in another way, as with one "/" more.
        own, whole = (name.split("://", 1)[1].strip("/") for name in (folder, path))
        return Source(path, whole[len(own) :].strip("/") if whole.startswith(own) else _name(path), size)
    return Source(path, os.path.relpath(path, folder).replace(os.sep, "/"), size)


def _fixed(pattern: str) -> str:
    """The folder that no part of a pattern changes."""
    head = pattern
    while glob.has_magic(head):
        head = head.rsplit("/", 1)[0] if stores.is_url(pattern) else os.path.dirname(head)
    return head


def _name(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1] if stores.is_url(path) else os.path.basename(path)


def _is_nif(path: str) -> bool:
    return path.lower().endswith(ENDING)


def _is_picture(folder: str, path: str) -> bool:
    hidden = any(part.startswith(".") for part in _below(folder, (path, None)).below.split("/"))
    return not hidden and not _is_nif(path) and os.path.splitext(path)[1].lower() in _endings()


@lru_cache(maxsize=None)
def _endings() -> FrozenSet[str]:
    from PIL import Image

    readable: Any = Image.registered_extensions()
    named = {ending for ending, kind in readable.items() if kind in Image.OPEN and kind not in NOT_READ}
    return frozenset(named.union(FLOAT_ENDINGS))


def outputs(sources: Sequence[Source], folder: str, known: Collection[Tuple[str, str]]) -> List[str]:
    """The output of each input: its path below, with the ending ".nif".

    Inputs that differ in their endings alone keep them: "a.png.nif" and "a.jpg.nif". One that has a row keeps the
    output of the row.

    Args:
        folder: of the outputs, absolute or a URL.
        known: pairs of input and output that have rows.

    Raises ConfigError where two would still have the same.
    """
    short = [stores.join(folder, os.path.splitext(source.below)[0] + ENDING) for source in sources]
    whole = [stores.join(folder, source.below + ENDING) for source in sources]
    kept = {
        source.path: name
        for source, *names in zip(sources, whole, short)
        for name in names
        if (source.path, name) in known
    }
    wanted: Dict[str, int] = {}
    for source, name in zip(sources, short):
        key = _key(kept.get(source.path, name))
        wanted[key] = wanted.get(key, 0) + 1
    found = [
        kept.get(source.path) or (name if wanted[_key(name)] == 1 else long)
        for source, name, long in zip(sources, short, whole)
    ]
    owners: Dict[str, str] = {}
    for source, name in zip(sources, found):
        other = owners.setdefault(_key(name), source.path)
        if other != source.path:
            advice = "give the folder that they have in common, or another --out for each"
            raise ConfigError(f"{other} and {source.path} would both become {name}: {advice}")
    return found


def _key(name: str) -> str:
    """Names that differ in case alone are one name on Windows and macOS."""
    return name.casefold() if sys.platform in ("win32", "darwin") else name
