"""The shipped detail networks, found by the identity of their files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import List, NamedTuple, Optional

from nifcodec.fields.detail.detail_file import ENDING, DetailFile
from nifcodec.fields.detail.reference import HASH_BYTES

DEFAULT = "photo"
_FOLDER = Path(__file__).parent


class Named(NamedTuple):
    """A network and the first bytes of the SHA-256 of its file, by which a `.nif` names it."""

    hash: bytes
    file: DetailFile


def named(name: str = DEFAULT) -> Named:
    """A shipped network by its name."""
    return _load(_FOLDER / f"{name}{ENDING}")


def names() -> List[str]:
    """The shipped networks."""
    return sorted(path.stem for path in _FOLDER.glob(f"*{ENDING}"))


def find(wanted: bytes) -> Optional[DetailFile]:
    """A shipped network by the identity in a file; None where this installation does not have it."""
    for name in names():
        if named(name).hash == wanted:
            return named(name).file
    return None


@lru_cache(maxsize=None)
def _load(path: Path) -> Named:
    data = path.read_bytes()
    return Named(hashlib.sha256(data).digest()[:HASH_BYTES], DetailFile.unpack(data))
