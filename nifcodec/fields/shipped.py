"""Trained files that ship with the package, found by the hash of their content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Callable, Dict, Generic, List, Optional, TypeVar

from nifcodec.errors import UnknownPriorError

Read = TypeVar("Read")


class Shipped(Generic[Read]):
    """The files of one kind in a folder. Each is read once, when it is asked for.

    Args:
        ending: of their names, with the dot.
        hash_bytes: first bytes of the SHA-256 of a file by which a `.nif` names it: its identity.
        read: identity and content -> what the file holds.
    """

    def __init__(self, folder: Path, ending: str, hash_bytes: int, read: Callable[[bytes, bytes], Read]) -> None:
        self._folder, self._ending, self._hash_bytes, self._read = folder, ending, hash_bytes, read
        self._identities: Dict[str, bytes] = {}
        self._found: Dict[str, Read] = {}

    def names(self) -> List[str]:
        """Of all files, sorted."""
        return sorted(path.stem for path in self._folder.glob(f"*{self._ending}"))

    def named(self, name: str) -> Read:
        """What a file holds."""
        if name not in self._found:
            self._found[name] = self._read(self._identity(name), self._content(name))
        return self._found[name]

    def find(self, identity: bytes) -> Optional[Read]:
        """What the file of an identity holds; None where this installation does not have it."""
        return next((self.named(name) for name in self.names() if self._identity(name) == identity), None)

    def prior(self, identity: bytes) -> Read:
        """The same of a prior, without which nothing is decoded. Raises UnknownPriorError."""
        found = self.find(identity)
        if found is None:
            raise UnknownPriorError(
                f"the file was coded with the prior {identity.hex()}, which this installation lacks: update nifcodec"
            )
        return found

    def _identity(self, name: str) -> bytes:
        if name not in self._identities:
            self._identities[name] = hashlib.sha256(self._content(name)).digest()[: self._hash_bytes]
        return self._identities[name]

    def _content(self, name: str) -> bytes:
        return (self._folder / f"{name}{self._ending}").read_bytes()
