"""The prior's file (FORMAT.md, "Prior")."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from .conventions import Bytes, MissingPrior, known, require
from .entropy import cumulated

FOLDER = Path(__file__).resolve().parents[2] / "nifcodec"
"""Where the priors' files are, at any depth."""

Key = Tuple[int, int, int, int]
"""Plane 0 to 2, orientation, group of levels, parity."""


class Network(NamedTuple):
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    b3: np.ndarray
    skip: np.ndarray


class Layer(NamedTuple):
    """Of the restoration filter."""

    kernel: np.ndarray
    """(3, 3, in, out), with the steps multiplied in."""
    bias: np.ndarray
    conditioning: np.ndarray
    """(2, out); of the last layer empty."""


class Prior(NamedTuple):
    networks: Dict[Key, Network]
    tables: List[List[int]]
    """Cumulated, as the range decoder takes them."""
    corrections: int
    layers: List[Layer]


class Arrays(Bytes):
    """Arrays one after another."""

    def array(self, kind: str, *shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        data = self.take(count * np.dtype(kind).itemsize)
        return np.frombuffer(data, np.dtype(kind).newbyteorder("<")).reshape(shape)

    def integers(self, kind: str, *shape: int) -> np.ndarray:
        return self.array(kind, *shape).astype(np.int64)

    def floats(self, *shape: int) -> np.ndarray:
        values = self.array("f4", *shape)
        require(bool(np.isfinite(values).all()), "a number of the prior is not finite")
        return values.astype(np.float64)


def signed_inputs(plane: int, orientation: int, parity: int) -> int:
    return (46, 39, 48)[plane] + 4 * parity + (5 if plane else 9) * orientation


def read_prior(data: bytes) -> Prior:
    file = Arrays(data)
    require(file.take(8) == b"NIFPRIOR", "magic of the prior")
    known(file.number(1) == 1, "prior file")
    known(tuple(file.take(4)) == (1, 1, 8, 3), "profile of the prior")
    hidden = [(file.number(1), file.number(1)) for _ in range(3)]
    corrections, layers, channels = file.take(3)
    require(min(corrections, layers, channels, *(min(pair) for pair in hidden)) >= 1, "size of the prior")
    require(layers > 1 or channels == 1, "channels between layers that are not there")

    networks = {}
    for key in product(range(3), range(3), range(3), range(2)):
        plane, orientation, _, parity = key
        signed, (first, second) = signed_inputs(plane, orientation, parity), hidden[plane]
        networks[key] = Network(
            w1=file.integers("i2", 2 * signed + 3, first),
            b1=file.integers("i4", first),
            w2=file.integers("i2", first, second),
            b2=file.integers("i4", second),
            w3=file.integers("i2", second, 2),
            b3=file.integers("i4", 2),
            skip=file.integers("i2", signed),
        )
        require(is_exact(networks[key]), f"sums of network {key} reach 2^23")
    frequencies = file.integers("u4", 832, 33)
    require(bool((frequencies >= 1).all() and (frequencies.sum(axis=1) == 2**24).all()), "tables of the prior")
    found = []
    for layer in range(layers):
        inputs = 12 if layer == 0 else channels
        outputs = channels if layer < layers - 1 else 12 * corrections
        kernel = file.integers("i1", 3, 3, inputs, outputs) * file.floats(outputs)
        bias = file.floats(outputs)
        found.append(Layer(kernel, bias, file.floats(2 if layer < layers - 1 else 0, outputs)))
    require(not file.rest(), "bytes after the prior")
    return Prior(networks, [cumulated(row) for row in frequencies], corrections, found)


def is_exact(network: Network) -> bool:
    """Whether no sum reaches 2^23, whatever the features are."""
    w1, b1, w2, b2, w3, b3, skip = (np.abs(array) for array in network)
    first = 127 * w1.sum(axis=0) + b1
    second = 1023 * w2.sum(axis=0) + b2
    third = 1023 * w3.sum(axis=0) + b3 + [0, 127 * skip.sum()]
    return max(first.max(), second.max(), third.max()) < 2**23


@lru_cache(maxsize=None)
def find_prior(identity: bytes) -> Prior:
    return read_prior(find_file(identity))


def find_file(identity: bytes) -> bytes:
    """The file of a prior, of whatever family."""
    for path in FOLDER.rglob("*.nifprior"):
        data = path.read_bytes()
        if hashlib.sha256(data).digest()[:8] == identity:
            return data
    raise MissingPrior(f"the prior {identity.hex()} is missing")
