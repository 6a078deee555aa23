"""The weights of a latent pyramid's networks: one array in the order of the native library, and its named parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterator, List, Tuple

import numpy as np

from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, FEATURES, LEVELS, NEIGHBOURS, Grid, all_grids

UNITS = NEIGHBOURS.shape[1] + FEATURES  # of the entropy network's layers
HIDDEN = 48  # of the synthesis
COLOURS = 3
TAPS = 4
FIRST_LOG_SCALE = -4.0
# The cubic kernel that doubling starts from, from the furthest tap on one side to the nearest on the other.
CUBIC = (-0.0351562, 0.2617187, 0.8789063, -0.1054687)


@dataclass(frozen=True)
class Part:
    """Where a tensor lies in the weights. A bias has no input side."""

    name: str
    start: int
    shape: Tuple[int, ...]

    @property
    def end(self) -> int:
        """Behind its last weight."""
        return self.start + int(np.prod(self.shape))

    def of(self, weights: np.ndarray) -> np.ndarray:
        """The tensor, a view."""
        return weights[self.start : self.end].reshape(self.shape)


def _shapes() -> Iterator[Tuple[str, Tuple[int, ...]]]:
    yield from _entropy_shapes()
    for level in FEATURED_LEVELS:
        yield f"features {level}", (FEATURES, len(coarser_grids(level)))
        yield f"features {level} bias", (FEATURES,)
    for level in range(LEVELS - 1):
        yield f"double {level}", (TAPS,)
    for level in range(LEVELS - 1):
        yield f"filter {level}", (TAPS,)
    yield from _synthesis_shapes()


def _entropy_shapes() -> Iterator[Tuple[str, Tuple[int, ...]]]:
    yield "entropy first", (UNITS, UNITS)
    yield "entropy first bias", (UNITS,)
    yield "entropy second", (UNITS, UNITS)
    yield "entropy second bias", (UNITS,)
    yield "entropy last", (2, UNITS)
    yield "entropy last bias", (2,)
    yield "entropy linear", (2, UNITS)


def _synthesis_shapes() -> Iterator[Tuple[str, Tuple[int, ...]]]:
    yield "synthesis hidden", (HIDDEN, LEVELS)
    yield "synthesis hidden bias", (HIDDEN,)
    yield "synthesis colours", (COLOURS, HIDDEN)
    yield "synthesis colours bias", (COLOURS,)
    yield "synthesis linear", (COLOURS, LEVELS)
    yield "synthesis linear bias", (COLOURS,)
    for name in ("first", "second"):
        yield f"synthesis {name} kernel", (COLOURS, COLOURS, 3, 3)
        yield f"synthesis {name} kernel bias", (COLOURS,)


def coarser_grids(level: int) -> List[Grid]:
    """The grids that are coded before the picture's of this level."""
    grids = all_grids()
    return grids[grids.index(Grid(level)) + 1 :]


def _parts() -> Dict[str, Part]:
    parts, start = {}, 0
    for name, shape in _shapes():
        parts[name] = Part(name, start, shape)
        start = parts[name].end
    return parts


PARTS = _parts()
COUNT = max(part.end for part in PARTS.values())
ENTROPY = slice(0, PARTS["entropy linear"].end)
SYNTHESIS = slice(PARTS["synthesis hidden"].start, COUNT)


def initial(seed: int) -> np.ndarray:
    """Weights to begin a training with, float32 (COUNT,): residual layers do nothing, the synthesis hardly anything."""
    random = np.random.RandomState(seed)
    weights = np.zeros(COUNT, np.float32)

    def put(name: str, values: np.ndarray) -> None:
        PARTS[name].of(weights)[...] = values

    for name in ("entropy last", "entropy linear"):
        put(name, random.normal(0, 1 / 4, (2, UNITS)))
    put("entropy last bias", np.array([0, FIRST_LOG_SCALE]))
    for level in FEATURED_LEVELS:
        part = PARTS[f"features {level}"]
        put(part.name, random.normal(0, 1 / FEATURES**2, part.shape))
    for level in range(LEVELS - 1):
        put(f"double {level}", np.array(CUBIC))
        put(f"filter {level}", np.array([1, 0, 0, 0]))
    for name, outputs, inputs in (
        ("hidden", HIDDEN, LEVELS),
        ("colours", COLOURS, HIDDEN),
        ("linear", COLOURS, LEVELS),
    ):
        bound = inputs**-0.5 / outputs**2
        put(f"synthesis {name}", random.uniform(-bound, bound, (outputs, inputs)))
    return weights
