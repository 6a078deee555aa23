"""The weights of a latent pyramid's networks: one array in the order of the native library, and its named parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Dict, Iterator, List, Mapping, Tuple

import numpy as np

from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, FEATURES, GROUPS, LEVELS, NEIGHBOURS, Grid, all_grids

UNITS = NEIGHBOURS.shape[1] + FEATURES  # of the entropy network's layers
HIDDEN = 48  # of the synthesis
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

    @cached_property
    def end(self) -> int:
        """Behind its last weight."""
        return self.start + int(np.prod(self.shape))

    def of(self, weights: np.ndarray) -> np.ndarray:
        """The tensor, a view."""
        return weights[self.start : self.end].reshape(self.shape)


@dataclass(frozen=True)
class Layout:
    """All tensors of a picture's networks.

    Attributes:
        colours: of the picture, 1 to 4.
        parts: by name, in the order in which they lie.
    """

    colours: int
    parts: Dict[str, Part]

    @property
    def count(self) -> int:
        """Of all weights."""
        return max(part.end for part in self.parts.values())

    def entropy(self, group: int) -> slice:
        """Where the entropy network of a group of grids lies."""
        return slice(self.parts[f"entropy {group} first"].start, self.parts[f"entropy {group} linear"].end)

    @property
    def upsampling(self) -> slice:
        """Where filters and doubling lie: behind all that bits depend on, and before the synthesis."""
        return slice(self.parts["double 0"].start, self.parts["synthesis hidden"].start)

    @property
    def synthesis(self) -> slice:
        """Where the synthesis lies."""
        return slice(self.parts["synthesis hidden"].start, self.count)

    @property
    def matrices(self) -> List[Part]:
        """Tensors with an input side."""
        return [part for part in self.parts.values() if len(part.shape) > 1]

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-adds of a decode: of each latent's context, of doubling, and of the synthesis."""
        entropy = 2 * UNITS * UNITS + 4 * UNITS
        doubling = sum(2 * TAPS * 4.0**-(at) for level in range(1, LEVELS) for at in range(level))
        synthesis = HIDDEN * (LEVELS + self.colours) + self.colours * (LEVELS + 18 * self.colours)
        return entropy * 4 / 3 + doubling + synthesis

    def initial(self, seed: int) -> np.ndarray:
        """Weights to begin a training with, float32: residual layers do nothing, the synthesis hardly anything."""
        random = np.random.RandomState(seed)
        weights = np.zeros(self.count, np.float32)

        def put(name: str, values: np.ndarray) -> None:
            self.parts[name].of(weights)[...] = values

        for group in range(GROUPS):
            for name in ("last", "linear"):
                put(f"entropy {group} {name}", random.normal(0, 1 / 4, (2, UNITS)))
            put(f"entropy {group} last bias", np.array([0, FIRST_LOG_SCALE]))
        for level in FEATURED_LEVELS:
            part = self.parts[f"features {level}"]
            put(part.name, random.normal(0, 1 / FEATURES**2, part.shape))
        for level in range(LEVELS - 1):
            put(f"double {level}", np.array(CUBIC))
            put(f"filter {level}", np.array([1, 0, 0, 0]))
        for name in ("hidden", "colours", "linear"):
            outputs, inputs = self.parts[f"synthesis {name}"].shape
            bound = inputs**-0.5 / outputs**2
            put(f"synthesis {name}", random.uniform(-bound, bound, (outputs, inputs)))
        return weights


@lru_cache(maxsize=4)
def layout(colours: int) -> Layout:
    """Of a picture of so many colours."""
    parts, start = {}, 0
    for name, shape in _shapes(colours):
        parts[name] = Part(name, start, shape)
        start = parts[name].end
    return Layout(colours, parts)


def coarser_grids(level: int) -> List[Grid]:
    """The grids that are coded before the picture's of this level."""
    grids = all_grids()
    return grids[grids.index(Grid(level)) + 1 :]


def feature_sums(matrix: np.ndarray, level: int, known: Mapping[Grid, np.ndarray]) -> np.ndarray:
    """Of a level's features without their biases, (FEATURES, rows, columns) at half its size.

    Args:
        matrix: (FEATURES, coarser grids).
        known: the latents of all coarser grids, (rows, columns).
    """
    total: np.ndarray = np.zeros((FEATURES, 1, 1), matrix.dtype)
    for at in range(LEVELS - 1, level, -1):
        height, width = known[Grid(at)].shape
        total = total.repeat(2, 1).repeat(2, 2)[:, :height, :width] if at < LEVELS - 1 else total
        for index, grid in enumerate(coarser_grids(level)):
            if grid.level == at:
                total = total + matrix[:, index, None, None] * known[grid]
    return total


def _shapes(colours: int) -> Iterator[Tuple[str, Tuple[int, ...]]]:
    for group in range(GROUPS):
        for name, outputs in (("first", UNITS), ("second", UNITS), ("last", 2)):
            yield f"entropy {group} {name}", (outputs, UNITS)
            yield f"entropy {group} {name} bias", (outputs,)
        yield f"entropy {group} linear", (2, UNITS)
    for level in FEATURED_LEVELS:
        yield f"features {level}", (FEATURES, len(coarser_grids(level)))
        yield f"features {level} bias", (FEATURES,)
    for kind in ("double", "filter"):
        for level in range(LEVELS - 1):
            yield f"{kind} {level}", (TAPS,)
    for name, shape in (("hidden", (HIDDEN, LEVELS)), ("colours", (colours, HIDDEN)), ("linear", (colours, LEVELS))):
        yield f"synthesis {name}", shape
        yield f"synthesis {name} bias", shape[:1]
    for name in ("first", "second"):
        yield f"synthesis {name} kernel", (colours, colours, 3, 3)
        yield f"synthesis {name} kernel bias", (colours,)
