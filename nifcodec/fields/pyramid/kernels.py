"""The seam to the native library: the scan of latents in its native form. `scan.Scan` is the same in NumPy.

Integers, bytes and errors are the same either way.
"""

from __future__ import annotations

import ctypes
from typing import Mapping, Optional, Protocol, Sequence

import numpy as np

from nifcodec.entropy.range_coder import is_canonical
from nifcodec.fields.pyramid.grids import NEIGHBOURS, Grid
from nifcodec.fields.pyramid.laplacians import frequencies
from nifcodec.fields.pyramid.networks import coarser_grids
from nifcodec.native.latents import LatentDecoder, Matrix, NativeLatents, Network


class GridEncoder(Protocol):
    """Appends grids to a stream."""

    def put(self, values: np.ndarray, group: int, features: Optional[np.ndarray]) -> None:
        """The next grid, integers (rows, columns), of a group, under features of its level or without."""

    def needed(self) -> int:
        """Bytes from the beginning of the stream that a decoder has read after the grids so far, at most."""

    def finish(self) -> bytes:
        """The stream."""


class GridDecoder(Protocol):
    """Reads grids from a stream."""

    def get(self, height: int, width: int, group: int, features: Optional[np.ndarray]) -> np.ndarray:
        """The next grid, integers (height, width), of a group. Raises TruncatedError, MalformedError."""

    def is_canonical(self) -> bool:
        """Whether the stream is that of the grids so far, and of nothing else."""


class Scanner(Protocol):
    """What codes grids under an entropy network."""

    def features(self, level: int, known: Mapping[Grid, np.ndarray]) -> np.ndarray:
        """Of the latents of a featured level, from all coarser grids; what `put` and `get` take."""

    def encoder(self, count: int) -> GridEncoder:
        """Of a stream of so many latents."""

    def decoder(self, data: bytes) -> GridDecoder:
        """At the beginning of a stream."""


class Kernels:
    """A `Scanner` of a loaded library."""

    def __init__(self, loaded: ctypes.CDLL, networks: Sequence[Network], features: "Mapping[int, Matrix]") -> None:
        self._native = NativeLatents(loaded, networks, NEIGHBOURS, frequencies())
        self._features = features

    def features(self, level: int, known: Mapping[Grid, np.ndarray]) -> np.ndarray:
        """As `Scanner`."""
        grids = [(grid.level - level - 1, known[grid]) for grid in coarser_grids(level)]
        return self._native.features(self._features[level], grids)

    def encoder(self, count: int) -> GridEncoder:
        """As `Scanner`."""
        return self._native.encoder(count)

    def decoder(self, data: bytes) -> GridDecoder:
        """As `Scanner`."""
        return _Decoder(self._native.decoder(data), data)


class _Decoder:
    def __init__(self, decoder: LatentDecoder, data: bytes) -> None:
        self.get, self._state, self._data = decoder.get, decoder.state, data

    def is_canonical(self) -> bool:
        return is_canonical(self._data, *self._state())
