"""The weights of a pyramid as integers: each group of tensors in a step of its own, as differences from a start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

import numpy as np

from nifcodec.entropy.tensors import decode_range, encode_range, table_costs
from nifcodec.errors import MalformedError, TruncatedError
from nifcodec.fields.pyramid.grids import LEVELS
from nifcodec.fields.pyramid.integer_network import WEIGHT_BITS
from nifcodec.fields.pyramid.networks import CUBIC, Layout, Part

COARSEST_STEP, FINEST_STEP = 0, 14  # steps are 2^-i; the entropy network has none below 2^-11
MAX_WEIGHT = 1 << 18

# Tensors of a group have one step.
GROUPS: Tuple[str, ...] = (
    "entropy",
    "entropy bias",
    "features",
    "features bias",
    "taps",
    "synthesis",
    "synthesis bias",
)


def group_of(part: Part) -> str:
    """Of a tensor."""
    kind = part.name.split()[0]
    if kind in ("double", "filter"):
        return "taps"
    return f"{kind} bias" if part.name.endswith("bias") else kind


def start(layout: Layout) -> np.ndarray:
    """What weights are differences from: layers and filters that do nothing, cubic doubling; float64."""
    weights = np.zeros(layout.count)
    for level in range(LEVELS - 1):
        layout.parts[f"double {level}"].of(weights)[...] = CUBIC
        layout.parts[f"filter {level}"].of(weights)[0] = 1
    return weights


@dataclass(frozen=True)
class QuantizedWeights:
    """Integers of all weights, and the steps of their groups.

    Attributes:
        layout: of the weights.
        steps: i of a step 2^-i, by group.
        integers: int32, one for each weight.
    """

    layout: Layout
    steps: Dict[str, int]
    integers: np.ndarray

    def weights(self) -> np.ndarray:
        """As the networks have them, float32."""
        found = start(self.layout)
        for part in self.layout.parts.values():
            part.of(found)[...] += part.of(self.integers) * 2.0 ** -self.steps[group_of(part)]
        return found.astype(np.float32)

    def pack(self) -> bytes:
        """A byte for the step of each group, then the integers, range coded."""
        head = bytes(self.steps[group] for group in GROUPS)
        return head + encode_range([part.of(self.integers) for part in self.layout.parts.values()])

    def bits(self) -> float:
        """What they take, as far as their tables say."""
        return sum(float(table_costs(part.of(self.integers).ravel()).min()) for part in self.layout.parts.values())


def unpack_weights(data: bytes, layout: Layout) -> QuantizedWeights:
    """The inverse of `QuantizedWeights.pack`. Raises TruncatedError, MalformedError, LimitError."""
    if len(data) < len(GROUPS):
        raise TruncatedError("the weights are missing")
    steps = dict(zip(GROUPS, data))
    if max(steps.values()) > FINEST_STEP:
        raise MalformedError("steps of the weights", f"are not all within {COARSEST_STEP} to {FINEST_STEP}")
    tensors = decode_range(data[len(GROUPS) :], [part.shape for part in layout.parts.values()])
    return QuantizedWeights(layout, steps, np.concatenate([tensor.ravel() for tensor in tensors]).astype(np.int32))


def quantize_weights(
    layout: Layout, weights: np.ndarray, cost: Callable[[np.ndarray], float], price: float
) -> QuantizedWeights:
    """The steps of least cost, group by group: those before it are quantized already, those after it are not.

    Args:
        cost: of weights, float32, without their own bits.
        price: of a bit in its units.
    """
    found: Dict[str, int] = {}
    integers, current = np.zeros(layout.count, np.int32), weights.astype(np.float64)
    origin = start(layout)
    for group in sorted(GROUPS, key=lambda name: "bias" in name):
        tried: List[Tuple[float, int, np.ndarray, np.ndarray]] = []
        finest = WEIGHT_BITS if group.startswith(("entropy", "features")) else FINEST_STEP
        for step in range(COARSEST_STEP, finest + 1):
            rounded, moved, bits = integers.copy(), current.copy(), 0.0
            for part in layout.parts.values():
                if group_of(part) == group:
                    off = (part.of(weights) - part.of(origin)) * 2.0**step
                    part.of(rounded)[...] = np.clip(np.rint(off), -MAX_WEIGHT, MAX_WEIGHT)
                    part.of(moved)[...] = part.of(origin) + part.of(rounded) * 2.0**-step
                    bits += float(table_costs(part.of(rounded).ravel()).min())
            tried.append((cost(moved.astype(np.float32)) + price * bits, step, rounded, moved))
        _, found[group], integers, current = min(tried, key=lambda each: each[0])
    return QuantizedWeights(layout, found, integers)
