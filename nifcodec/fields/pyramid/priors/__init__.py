"""The shipped priors of pyramids, found by the identity of their files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence

import numpy as np

from nifcodec.errors import MalformedError
from nifcodec.fields.pyramid.description import HASH_BYTES
from nifcodec.fields.pyramid.first_latents import predict
from nifcodec.fields.pyramid.networks import Layout, layout
from nifcodec.fields.pyramid.priors.prior_file import COLOURS, UNIT_BITS, Start, unpack
from nifcodec.fields.shipped import Shipped

DEFAULT = "photo"
ENDING = ".nifprior"


@dataclass(frozen=True)
class Prior:
    """Starts of trainings, as found over many pictures.

    Attributes:
        hash: the first bytes of the SHA-256 of the file, by which a `.nif` names it.
        starts: of several prices.
    """

    hash: bytes
    starts: Sequence[Start]

    def nearest(self, price: float) -> int:
        """The number of the start whose price is nearest to one, in octaves."""
        return min(range(len(self.starts)), key=lambda number: abs(math.log(self.starts[number].price / price)))

    def weights(self, number: int, wanted: Layout) -> np.ndarray:
        """The weights of a start, float64. Raises MalformedError where there is no such start."""
        if number >= len(self.starts):
            raise MalformedError("pyramid description", f"names the start {number} of {len(self.starts)}")
        return for_colours(self.starts[number].weights * 2.0**-UNIT_BITS, wanted)

    def latents(self, number: int, picture: np.ndarray) -> List[np.ndarray]:
        """First latents of a picture, float32 (H, W, 1..4) of 0..1: of all grids, finest first."""
        return predict(picture, self.starts[number].maps)


def for_colours(weights: np.ndarray, wanted: Layout) -> np.ndarray:
    """Weights of a picture of three colours -> of one of others, float64.

    A grey picture is one of three equal colours; alpha has weights of 0.
    """
    source, found = layout(COLOURS), np.zeros(wanted.count)
    colours = COLOURS if wanted.colours > 2 else 1
    for name, part in wanted.parts.items():
        values, to = source.parts[name].of(weights), part.of(found)
        if values.shape == to.shape:
            to[...] = values
            continue
        if colours == 1:
            values = values.mean(axis=0, keepdims=True)
            values = values.sum(axis=1, keepdims=True) if values.ndim == 4 else values
        to[tuple(slice(size) for size in values.shape)] = values
    return found


_shipped = Shipped(
    Path(__file__).parent, ENDING, HASH_BYTES, lambda identity, content: Prior(identity, unpack(content))
)


def named(name: str = DEFAULT) -> Prior:
    """A shipped prior by its name."""
    return _shipped.named(name)


def find(wanted: bytes) -> Prior:
    """A shipped prior by the identity in a file.

    Raises UnknownPriorError: this installation does not have it.
    """
    return _shipped.prior(wanted)
