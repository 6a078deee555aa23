"""Grids under an entropy network, in NumPy: diagonal by diagonal.

A latent's neighbours lie on the rows above at most two columns further on, so that those on a diagonal, x + 3 y = t, do
not see each other: they are coded at once.
"""

from __future__ import annotations

from typing import Callable, Mapping, Optional

import numpy as np

from nifcodec.entropy.range_coder import Decoder, Encoder
from nifcodec.errors import MalformedError
from nifcodec.fields.pyramid.grids import FEATURES, NEIGHBOURS, Grid
from nifcodec.fields.pyramid.integer_network import GroupNetwork, IntegerNetwork, activations, feature_activations
from nifcodec.fields.pyramid.kernels import GridDecoder, GridEncoder
from nifcodec.fields.pyramid.laplacians import VALUE_LIMIT, Frames
from nifcodec.fields.pyramid.networks import feature_sums

SLOPE = 3  # columns that a diagonal moves by with each row
AROUND = 4  # zeros around a grid

Code = Callable[[Frames, np.ndarray, np.ndarray], np.ndarray]  # frames, rows and columns -> values


class Scan:
    """A `kernels.Scanner` in NumPy."""

    def __init__(self, network: IntegerNetwork) -> None:
        self._network = network

    def features(self, level: int, known: Mapping[Grid, np.ndarray]) -> np.ndarray:
        """As activations, (FEATURES, rows, columns) at half the level's size."""
        matrix, bias = self._network.features[level]
        return feature_activations(feature_sums(matrix, level, known) + bias[:, None, None])

    def encoder(self, count: int) -> GridEncoder:
        """As `Scanner`."""
        return _Encoder(self._network)

    def decoder(self, data: bytes) -> GridDecoder:
        """As `Scanner`."""
        return _Decoder(self._network, data)


class _Encoder:
    def __init__(self, network: IntegerNetwork) -> None:
        self._network, self._coder = network, Encoder()
        self.needed, self.finish = self._coder.needed, self._coder.finish

    def put(self, values: np.ndarray, group: int, features: Optional[np.ndarray]) -> None:
        def code(frames: Frames, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            here = values[rows, columns].astype(np.int64)
            frames.put(self._coder, here)
            return here

        _scan_grid(self._network.groups[group], values.shape[0], values.shape[1], features, code)


class _Decoder:
    def __init__(self, network: IntegerNetwork, data: bytes) -> None:
        self._network, self._coder, self._size = network, Decoder(data), len(data)
        self.is_canonical = self._coder.is_canonical

    def get(self, height: int, width: int, group: int, features: Optional[np.ndarray]) -> np.ndarray:
        def code(frames: Frames, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            here = frames.get(self._coder, self._size)
            if int(np.abs(here).max()) > VALUE_LIMIT:
                raise MalformedError("latent", f"is above {VALUE_LIMIT}")
            return here

        return _scan_grid(self._network.groups[group], height, width, features, code)


def _scan_grid(
    network: GroupNetwork, height: int, width: int, features: Optional[np.ndarray], code: Code
) -> np.ndarray:
    padded = np.zeros((height + AROUND, width + 2 * AROUND))  # as activations
    values = np.zeros((height, width), np.int32)
    flat, stride = padded.ravel(), padded.shape[1]
    offsets = NEIGHBOURS[0] * stride + NEIGHBOURS[1]
    for diagonal in range(width + SLOPE * (height - 1)):
        first = max(0, -(-(diagonal - width + 1) // SLOPE))
        rows = np.arange(first, min(height - 1, diagonal // SLOPE) + 1)
        if not len(rows):
            continue
        columns = diagonal - SLOPE * rows
        places = (rows + AROUND) * stride + columns + AROUND
        inputs = np.zeros((len(rows), len(offsets) + FEATURES))
        inputs[:, : len(offsets)] = flat[places[:, None] + offsets]
        if features is not None:
            inputs[:, len(offsets) :] = features[:, rows >> 1, columns >> 1].T
        found = code(Frames.of(*network.contexts(inputs)), rows, columns)
        values[rows, columns] = found
        flat[places] = activations(found)
    return values
