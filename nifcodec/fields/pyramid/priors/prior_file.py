"""A pyramid's prior <-> its file: a plain binary, one for each content (FORMAT.md, "Pyramid prior").

It holds weights that a picture's are differences from, for several prices of a bit, and what first latents are made of.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import List, Sequence

import numpy as np

from nifcodec.errors import MalformedError, UnsupportedVersionError
from nifcodec.fields.pyramid.first_latents import map_sizes
from nifcodec.fields.pyramid.networks import layout

MAGIC = b"NIFPYRAM"
VERSION = 1
HEAD = struct.Struct("<8sBBHII")
UNIT_BITS = 17  # weights are multiples of 2^-17, as the integer network's biases are
COLOURS = 3


@dataclass(frozen=True)
class Start:
    """What a training at about a price starts from.

    Attributes:
        price: of a bit a pixel, in squared errors on 0..1.
        weights: of the networks of a picture of three colours, int32 in 2^-17.
        maps: of each grid, float32, as `first_latents.predict` takes them. No reader needs them.
    """

    price: float
    weights: np.ndarray
    maps: Sequence[np.ndarray]


def pack(starts: Sequence[Start]) -> bytes:
    """The file of these starts."""
    count, numbers = layout(COLOURS).count, sum(map_sizes())
    parts = [HEAD.pack(MAGIC, VERSION, len(starts), 0, count, numbers)]
    for start in starts:
        maps = np.concatenate(list(start.maps))
        parts += [struct.pack("<f", start.price), start.weights.astype("<i4").tobytes(), maps.astype("<f4").tobytes()]
    return b"".join(parts)


def unpack(data: bytes) -> List[Start]:
    """The inverse of `pack`.

    Raises:
        MalformedError: it is no such file.
        UnsupportedVersionError: it is one of another version.
    """
    if len(data) < HEAD.size or data[: len(MAGIC)] != MAGIC:
        raise MalformedError("prior", "is no prior of a pyramid")
    _, version, amount, zero, count, numbers = HEAD.unpack_from(data)
    if version != VERSION:
        raise UnsupportedVersionError(f"the prior has version {version}, which this version does not know")
    each = 4 * (1 + count + numbers)
    sizes = map_sizes()
    expected = (0, layout(COLOURS).count, sum(sizes))
    if (zero, count, numbers) != expected or len(data) != HEAD.size + amount * each or not amount:
        raise MalformedError("prior", f"has {len(data)} bytes, which do not fit its numbers")
    starts = []
    for offset in range(HEAD.size, len(data), each):
        price = struct.unpack_from("<f", data, offset)[0]
        weights = np.frombuffer(data, "<i4", count, offset + 4).astype(np.int32)
        maps = np.frombuffer(data, "<f4", numbers, offset + 4 + 4 * count).astype(np.float32)
        if not (np.isfinite(price) and price > 0 and np.isfinite(maps).all()):
            raise MalformedError("prior", "has numbers that are not finite, or a price that is not above 0")
        starts.append(Start(price, weights, np.split(maps, np.cumsum(sizes)[:-1])))
    return starts
