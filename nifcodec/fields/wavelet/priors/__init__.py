"""The shipped priors, found by the hash of their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Dict, List

import numpy as np

from nifcodec.errors import UnknownPriorError
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.description import HASH_BYTES
from nifcodec.fields.wavelet.priors.packing import unpack_context, unpack_restoration
from nifcodec.fields.wavelet.restoration import RestorationFilter

DEFAULT = "photo"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Prior:
    """Both networks of the wavelet field, as trained over many pictures.

    Attributes:
        hash: the first bytes of the SHA-256 of the file, by which a `.nif` names it.
    """

    hash: bytes
    context: ContextModel
    restoration: RestorationFilter


def named(name: str = DEFAULT) -> Prior:
    """A shipped prior by its name."""
    return _load(str(_FOLDER / f"{name}.npz"))


def names() -> List[str]:
    """The shipped priors."""
    return sorted(path.stem for path in _FOLDER.glob("*.npz"))


def find(wanted: bytes) -> Prior:
    """A shipped prior by the hash in a file.

    Raises:
        UnknownPriorError: this installation does not have it.
    """
    for path in sorted(_FOLDER.glob("*.npz")):
        if _hash(str(path)) == wanted:
            return _load(str(path))
    raise UnknownPriorError(
        f"the file was coded with the prior {wanted.hex()}, which this installation lacks: update nifcodec"
    )


def arrays_of(name: str) -> Dict[str, np.ndarray]:
    """The arrays of a shipped prior's file (FORMAT.md, "Priors")."""
    return _arrays(str(_FOLDER / f"{name}.npz"))


def _arrays(path: str) -> Dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@lru_cache(maxsize=None)
def _hash(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()[:HASH_BYTES]


@lru_cache(maxsize=None)
def _load(path: str) -> Prior:
    arrays = _arrays(path)
    context = ContextModel(unpack_context(arrays), arrays["tables"])
    return Prior(_hash(path), context, unpack_restoration(arrays))
