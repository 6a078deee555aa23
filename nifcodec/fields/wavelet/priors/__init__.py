"""The shipped priors, found by the identity of their files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import List

from nifcodec.fields.shipped import Shipped
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.description import HASH_BYTES
from nifcodec.fields.wavelet.priors.prior_file import PriorFile, unpack
from nifcodec.fields.wavelet.restoration import RestorationFilter

DEFAULT = "photo"
ENDING = ".nifprior"


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


def read(identity: bytes, content: bytes) -> Prior:
    """The prior of a file."""
    file = unpack(content)
    context = ContextModel(file.context_networks(), file.tables)
    filters = None if context.kernels is None else context.kernels.filters
    return Prior(identity, file, context, replace(file.restoration.filter(), native=filters))


_shipped = Shipped(Path(__file__).parent, ENDING, HASH_BYTES, read)


def named(name: str = DEFAULT) -> Prior:
    """A shipped prior by its name."""
    return _shipped.named(name)


def names() -> List[str]:
    """The shipped priors."""
    return _shipped.names()


def find(wanted: bytes) -> Prior:
    """A shipped prior by the identity in a file.

    Raises:
        UnknownPriorError: this installation does not have it.
    """
    return _shipped.prior(wanted)
