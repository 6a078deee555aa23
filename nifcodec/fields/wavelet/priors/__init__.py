"""The shipped priors, found by the identity of their files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import List

from nifcodec.errors import UnknownPriorError
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.description import HASH_BYTES
from nifcodec.fields.wavelet.priors.prior_file import PriorFile, unpack
from nifcodec.fields.wavelet.restoration import RestorationFilter

DEFAULT = "photo"
ENDING = ".nifprior"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Prior:
    """The networks of the wavelet field, as trained over many pictures.

    Attributes:
        hash: the first bytes of the SHA-256 of the file, by which a `.nif` names it.
        file: what it holds, in integers.
    """

    hash: bytes
    file: PriorFile
    context: ContextModel
    restoration: RestorationFilter


def named(name: str = DEFAULT) -> Prior:
    """A shipped prior by its name."""
    return _load(_FOLDER / f"{name}{ENDING}")


def names() -> List[str]:
    """The shipped priors."""
    return sorted(path.stem for path in _FOLDER.glob(f"*{ENDING}"))


def find(wanted: bytes) -> Prior:
    """A shipped prior by the identity in a file.

    Raises:
        UnknownPriorError: this installation does not have it.
    """
    for path in sorted(_FOLDER.glob(f"*{ENDING}")):
        if _identity(path) == wanted:
            return _load(path)
    raise UnknownPriorError(
        f"the file was coded with the prior {wanted.hex()}, which this installation lacks: update nifcodec"
    )


@lru_cache(maxsize=None)
def _identity(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()[:HASH_BYTES]


@lru_cache(maxsize=None)
def _load(path: Path) -> Prior:
    file = unpack(path.read_bytes())
    context = ContextModel(file.context_networks(), file.tables)
    filters = None if context.kernels is None else context.kernels.filters
    return Prior(_identity(path), file, context, replace(file.restoration.filter(), native=filters))
