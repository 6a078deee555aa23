"""The shipped detail networks, found by the identity of their files."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional

from nifcodec.fields.detail.detail_file import ENDING, DetailFile
from nifcodec.fields.detail.reference import HASH_BYTES
from nifcodec.fields.shipped import Shipped

DEFAULT = "photo"


class Named(NamedTuple):
    """A network and the first bytes of the SHA-256 of its file, by which a `.nif` names it."""

    hash: bytes
    file: DetailFile


_shipped = Shipped(
    Path(__file__).parent, ENDING, HASH_BYTES, lambda identity, content: Named(identity, DetailFile.unpack(content))
)


def named(name: str = DEFAULT) -> Named:
    """A shipped network by its name."""
    return _shipped.named(name)


def names() -> List[str]:
    """The shipped networks."""
    return _shipped.names()


def find(wanted: bytes) -> Optional[DetailFile]:
    """A shipped network by the identity in a file; None where this installation does not have it."""
    found = _shipped.find(wanted)
    return None if found is None else found.file
