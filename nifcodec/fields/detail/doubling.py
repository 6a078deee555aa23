"""A field on a lattice above its native size: read from the lattice doubled, as often as the output needs."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np

from nifcodec.fields.cells import CellField
from nifcodec.fields.detail import networks
from nifcodec.fields.detail.contract import REACH
from nifcodec.fields.detail.network import DetailNetwork
from nifcodec.fields.detail.reference import DetailReference
from nifcodec.fields.family import Samples
from nifcodec.fields.parts import Span
from nifcodec.native.detail import load_detail
from nifcodec.picture.window import Window


def described(reference: Optional[DetailReference]) -> str:
    """What `info` says of it."""
    if reference is None:
        return "none"
    name = reference.network.hex()
    return name if networks.find(reference.network) is not None else f"{name} (not in this installation)"


def enlarged(samples: Samples, reference: Optional[DetailReference], window: Window) -> Samples:
    """The field as a window reads it: up to scale 2 from the doubled lattice, above it from one doubled again.

    Args:
        samples: the field as a kernel reads it, and as it stays where the window needs no more of it, and where no
            network is named or this installation does not have it.
    """
    doublings = window.doublings()
    file = None if reference is None or not doublings else networks.find(reference.network)
    if file is None or reference is None:
        return samples
    network = DetailNetwork(file, reference.log_step, load_detail())
    width, height = window.source
    for level in range(1, doublings + 1):
        size, across = (width << level, height << level), window.width << level
        samples = CellField(size, Doubled(samples, (width << level - 1, height << level - 1), network), across=across)
    return samples


class Doubled:
    """The samples in a rectangle of a doubled lattice, as `CellField` makes cells of them.

    Args:
        samples: the field, which is read at the centres of its lattice.
        size: width and height of that lattice. Samples beyond its edge repeat the edge.
    """

    def __init__(self, samples: Samples, size: Tuple[int, int], network: DetailNetwork) -> None:
        self._samples, self._size, self._network = samples, size, network

    def __call__(self, rows: Span, columns: Span) -> np.ndarray:
        us, vs = (_centres(span, side) for span, side in zip((columns, rows), self._size))
        doubled = self._network.double(self._samples(us, vs))
        (top, bottom), (left, right) = ((span[0] % 2, span[1] - span[0] + span[0] % 2) for span in (rows, columns))
        return doubled[top:bottom, left:right]


def _centres(span: Span, side: int) -> np.ndarray:
    """Centres, as fractions of a side, of what samples in a span of the doubled lattice are made from."""
    index = np.arange(span[0] // 2 - REACH, -(-span[1] // 2) + REACH)
    return (np.clip(index, 0, side - 1) + 0.5) / side
