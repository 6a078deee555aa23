"""Latents <-> a stream, from the coarsest grid to the finest: those of a picture, or a part of them.

A tile's stream holds its finer grids; the coarser ones are cropped from those of the whole picture, which have a stream
of their own.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Tuple

import numpy as np

from nifcodec.errors import LimitError, MalformedError
from nifcodec.fields.parts import CodedPart
from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.kernels import Scanner
from nifcodec.fields.pyramid.laplacians import VALUE_LIMIT
from nifcodec.fields.pyramid.networks import coarser_grids
from nifcodec.fields.pyramid.scan import Scan

Grids = Mapping[Grid, np.ndarray]
Shapes = Mapping[Grid, Tuple[int, int]]


def encode_part(network: IntegerNetwork, values: Grids, known: Grids) -> CodedPart:
    """The stream of some grids, and of each of their levels where it ends.

    Args:
        values: integers (rows, columns) of grids that follow each other in coding order.
        known: all coarser grids of the same area, where a network sees features of them; they are coded elsewhere.

    Raises:
        LimitError: a latent is above VALUE_LIMIT.
        ValueError: grids are missing, or their sizes do not belong to one area.
    """
    order = _order({grid: _size(array) for grid, array in values.items()}, known)
    _bound({**known, **values})
    scanner = _scanner(network)
    encoder = scanner.encoder(sum(values[grid].size for grid in order))
    needed: Dict[int, int] = {}
    for grid in order:
        encoder.put(values[grid], grid.group, _features(scanner, grid, {**known, **values}))
        needed[grid.level] = encoder.needed()
    data = encoder.finish()
    return CodedPart(data, tuple(min(end, len(data)) for end in needed.values()))


def decode_part(
    network: IntegerNetwork, data: bytes, shapes: Shapes, known: Grids, finest: int = 0
) -> Dict[Grid, np.ndarray]:
    """The inverse of `encode_part`: int32 grids, coarsest first.

    Args:
        shapes: rows and columns of the grids that the stream holds.
        finest: the level to end with. Where the stream holds finer ones, it may be cut after this level's end, and what
            follows is not looked at.

    Raises:
        TruncatedError, MalformedError: the stream is damaged, or a latent is above VALUE_LIMIT.
        LimitError, ValueError: as `encode_part`, of what is known and of sizes.
    """
    order = _order(shapes, known)
    _bound(known)
    scanner = _scanner(network)
    decoder = scanner.decoder(data)
    found: Dict[Grid, np.ndarray] = {}
    chosen = [grid for grid in order if grid.level >= finest]
    for grid in chosen:
        found[grid] = decoder.get(*shapes[grid], grid.group, _features(scanner, grid, {**known, **found}))
    if len(chosen) == len(order) and not decoder.is_canonical():
        raise MalformedError("range coded stream", "has missing, changed or surplus bytes")
    return found


def _scanner(network: IntegerNetwork) -> Scanner:
    return Scan(network) if network.kernels is None else network.kernels


def _features(scanner: Scanner, grid: Grid, known: Grids) -> Optional[np.ndarray]:
    return None if grid.hyper or grid.level not in FEATURED_LEVELS else scanner.features(grid.level, known)


def _order(shapes: Shapes, known: Grids) -> List[Grid]:
    """The grids of a stream in coding order. Raises ValueError."""
    order = [grid for grid in reversed(all_grids()) if grid in shapes]
    start = len(all_grids()) - 1 - all_grids().index(order[0]) if order else 0
    if not order or list(reversed(all_grids()))[start : start + len(order)] != order or len(order) != len(shapes):
        raise ValueError("the grids of a stream do not follow each other")
    sizes = {**{grid: _size(array) for grid, array in known.items()}, **shapes}
    if order[-1].level in FEATURED_LEVELS and not all(grid in sizes for grid in coarser_grids(order[-1].level)):
        raise ValueError("a coarser grid is missing")
    # The finest grid's size alone tells those of all coarser ones.
    base = order[-1]
    height, width = sizes[base]
    for grid, size in sizes.items():
        if min(size) < 1 or (grid.level >= base.level and size != Grid(grid.level - base.level).size(height, width)):
            raise ValueError(f"a grid of {size[0]} x {size[1]} does not belong to one of {height} x {width}")
    return order


def _size(values: np.ndarray) -> Tuple[int, int]:
    rows, columns = values.shape
    return rows, columns


def _bound(grids: Grids) -> None:
    for values in grids.values():
        if max(int(values.max()), -int(values.min())) > VALUE_LIMIT:
            raise LimitError(f"a latent is above {VALUE_LIMIT}")
