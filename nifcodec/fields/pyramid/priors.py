"""Weights that a picture's are coded as differences from."""

from __future__ import annotations

import numpy as np

from nifcodec.errors import UnknownPriorError
from nifcodec.fields.pyramid.description import HASH_BYTES
from nifcodec.fields.pyramid.networks import Layout
from nifcodec.fields.pyramid.weights import plain_start

NONE = bytes(HASH_BYTES)


def start(prior: bytes, number: int, layout: Layout) -> np.ndarray:
    """The weights of a number, float64, of the prior that has this identity.

    Raises UnknownPriorError: this installation does not have it.
    """
    if prior == NONE and number == 0:
        return plain_start(layout)
    raise UnknownPriorError(
        f"the file was coded with the prior {prior.hex()}, which this installation lacks: update nifcodec"
    )
