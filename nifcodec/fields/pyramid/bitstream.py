"""Latents <-> a stream, in NumPy: from the coarsest grid to the finest, diagonal by diagonal.

A latent's neighbours lie on the rows above at most two columns further on, so that those on a diagonal, x + 3 y = t, do
not see each other: they are coded at once.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Tuple

import numpy as np

from nifcodec.entropy.range_coder import Decoder, Encoder
from nifcodec.fields.parts import CodedPart
from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, FEATURES, NEIGHBOURS, Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork, activations, feature_activations
from nifcodec.fields.pyramid.laplacians import Frames
from nifcodec.fields.pyramid.networks import feature_sums

SLOPE = 3  # columns that a diagonal moves by with each row
AROUND = 4  # zeros around a grid

Code = Callable[[Frames, np.ndarray, np.ndarray], np.ndarray]  # frames, rows and columns -> values


def encode_part(
    network: IntegerNetwork, values: Mapping[Grid, np.ndarray], known: Mapping[Grid, np.ndarray]
) -> CodedPart:
    """The stream of the grids' integers."""
    encoder = Encoder()
    ends: List[int] = []

    def code(grid: Grid) -> Code:
        def put(frames: Frames, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            found = values[grid][rows, columns].astype(np.int64)
            frames.put(encoder, found)
            return found

        return put

    found = dict(known)
    for grid in reversed(all_grids()):
        if grid in values:
            found[grid] = _scan(network, grid, values[grid].shape, found, code(grid))
            if not grid.hyper:
                ends.append(encoder.needed())
    data = encoder.finish()
    return CodedPart(data, tuple(min(end, len(data)) for end in ends))


def decode_part(
    network: IntegerNetwork,
    data: bytes,
    shapes: "Mapping[Grid, Tuple[int, ...]]",
    known: Mapping[Grid, np.ndarray],
    finest: int = 0,
) -> Dict[Grid, np.ndarray]:
    """The inverse of `encode_part`. Raises TruncatedError, MalformedError."""
    decoder = Decoder(data)
    found = dict(known)
    for grid in reversed(all_grids()):
        if grid in shapes and grid.level >= finest:
            found[grid] = _scan(
                network, grid, shapes[grid], found, lambda frames, rows, columns: frames.get(decoder, len(data))
            )
    if finest == 0:
        decoder.finish()
    return {grid: found[grid] for grid in shapes if grid in found}


def _scan(
    network: IntegerNetwork, grid: Grid, shape: Tuple[int, ...], known: Mapping[Grid, np.ndarray], code: Code
) -> np.ndarray:
    height, width = shape
    features = np.zeros((FEATURES, -(-height // 2), -(-width // 2)))
    if not grid.hyper and grid.level in FEATURED_LEVELS:
        matrix, bias = network.features[grid.level]
        features = feature_activations(feature_sums(matrix, grid.level, known) + bias[:, None, None])
    return _scan_grid(network, height, width, features, code)


def _scan_grid(network: IntegerNetwork, height: int, width: int, features: np.ndarray, code: Code) -> np.ndarray:
    padded = np.zeros((height + AROUND, width + 2 * AROUND))  # as activations
    values = np.zeros((height, width), np.int64)
    flat, stride = padded.ravel(), padded.shape[1]
    offsets = NEIGHBOURS[0] * stride + NEIGHBOURS[1]
    units = len(offsets) + FEATURES
    for diagonal in range(width + SLOPE * (height - 1)):
        first = max(0, -(-(diagonal - width + 1) // SLOPE))
        rows = np.arange(first, min(height - 1, diagonal // SLOPE) + 1)
        if not len(rows):
            continue
        columns = diagonal - SLOPE * rows
        places = (rows + AROUND) * stride + columns + AROUND
        inputs = np.empty((len(rows), units))
        inputs[:, : len(offsets)] = flat[places[:, None] + offsets]
        inputs[:, len(offsets) :] = features[:, rows >> 1, columns >> 1].T
        found = code(Frames.of(*network.contexts(inputs)), rows, columns)
        values[rows, columns] = found
        flat[places] = activations(found)
    return values
