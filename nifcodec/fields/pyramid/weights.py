"""The weights of a pyramid as integers: each tensor in a step of its own, as differences from a start.

Most weights hardly matter, and a few matter much. So a training pulls them to the start as far as bits are dear
(`bit_gradient`), and rounds them in its last steps (`rounded`), so that all others make good what rounding does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, Mapping

import numpy as np

from nifcodec.entropy.adaptive_bits import AdaptiveDecoder, AdaptiveEncoder
from nifcodec.entropy.range_coder import Decoder, Encoder
from nifcodec.errors import MalformedError
from nifcodec.fields.pyramid.grids import LEVELS
from nifcodec.fields.pyramid.integer_network import WEIGHT_BITS
from nifcodec.fields.pyramid.networks import CUBIC, Layout, Part

COARSEST_STEP, FINEST_STEP = 0, 14  # steps are 2^-i
FINEST_INTEGER_STEP = WEIGHT_BITS  # of the networks that a decoder runs in integers
MAX_WEIGHT = 1 << 18
# The step that tensors of a kind mostly have, which the steps of a file are told from.
TYPICAL_STEPS = {
    "entropy matrix": 6,
    "entropy out": 7,
    "entropy bias": 6,
    "features": 7,
    "taps": 10,
    "synthesis matrix": 9,
    "synthesis colours": 8,
    "synthesis kernel": 10,
    "synthesis bias": 11,
}
MOST_PLACE = 3  # of `_place`
BITS = 2.2  # that weights of photographs take for each that `bit_gradient` counts


def plain_start(layout: Layout) -> np.ndarray:
    """Weights that do nothing but cubic doubling, float64: what differences are from without a prior."""
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
        start: what they are differences from, float64.
        steps: i of a step 2^-i, by tensor.
        integers: int32, one for each weight.
    """

    layout: Layout
    start: np.ndarray
    steps: Mapping[str, int]
    integers: np.ndarray

    def weights(self) -> np.ndarray:
        """As the networks have them, float32."""
        return (self.start + self.integers * step_sizes(self.layout, self.steps)).astype(np.float32)

    def pack(self) -> bytes:
        """The tensors that differ from the start, with their steps, range coded."""
        coder = Encoder()
        bits, deviation = AdaptiveEncoder(coder), 0
        for part in self.layout.parts.values():
            kind, integers = kind_of(part), part.of(self.integers)
            is_used = bool(integers.any())
            bits.bit("used", is_used)
            if not is_used:
                continue
            before, deviation = deviation, self.steps[part.name] - TYPICAL_STEPS[kind]
            bits.integer("step", deviation - before)
            rows = integers.reshape(len(integers), -1).tolist() if integers.ndim > 1 else [integers.tolist()]
            for y, row in enumerate(rows):
                for x, value in enumerate(row):
                    bits.integer(kind, value, _place(rows, y, x))
        return coder.finish()


def unpack_weights(data: bytes, layout: Layout, start: np.ndarray) -> QuantizedWeights:
    """The inverse of `QuantizedWeights.pack`. Steps of unused tensors are typical ones. Raises MalformedError."""
    coder = Decoder(data)
    bits, deviation = AdaptiveDecoder(coder), 0
    steps, found = {}, np.zeros(layout.count, np.int32)
    for part in layout.parts.values():
        kind = kind_of(part)
        steps[part.name] = TYPICAL_STEPS[kind]
        if not bits.bit("used"):
            continue
        deviation += bits.integer("step")
        steps[part.name] += deviation
        if not COARSEST_STEP <= steps[part.name] <= FINEST_STEP:
            raise MalformedError("steps of the weights", f"are not all within {COARSEST_STEP} to {FINEST_STEP}")
        height = part.shape[0] if len(part.shape) > 1 else 1
        width = (part.end - part.start) // height
        rows = [[0] * width for _ in range(height)]
        for y, row in enumerate(rows):
            for x in range(width):
                row[x] = bits.integer(kind, _place(rows, y, x))
        part.of(found)[...] = np.array(rows).reshape(part.shape)
        if not part.of(found).any():
            raise MalformedError("weights", f"name the tensor {part.name}, which is that of the prior")
    coder.finish()
    return QuantizedWeights(layout, start, steps, found)


def kind_of(part: Part) -> str:
    """Of which tensor's odds and steps a tensor has: a key of `TYPICAL_STEPS`."""
    network, *_, last = words = part.name.split()
    if network in ("double", "filter"):
        return "taps"
    if network == "features":
        return network
    if last == "bias":
        return f"{network} bias"
    if network == "entropy":
        return "entropy matrix" if last in ("first", "second") else "entropy out"
    return {"hidden": "synthesis matrix", "colours": "synthesis colours"}.get(words[1], "synthesis kernel")


def step_sizes(layout: Layout, steps: Mapping[str, int]) -> np.ndarray:
    """The step of each weight, float64."""
    found = np.empty(layout.count)
    for part in layout.parts.values():
        part.of(found)[...] = 2.0 ** -steps[part.name]
    return found


def typical_steps(layout: Layout) -> Dict[str, int]:
    """Before anything is known of a picture."""
    return {part.name: TYPICAL_STEPS[kind_of(part)] for part in layout.parts.values()}


def best_steps(layout: Layout, curvature: np.ndarray, price: float) -> Dict[str, int]:
    """Steps at which a finer one costs as many bits as it saves of the loss.

    A weight's error is even within a step: half the curvature times step^2 / 12; its bits fall by one as steps double.

    Args:
        curvature: second derivative of the loss by each weight, above 0; a tensor's mean counts.
        price: of a bit in units of the loss.
    """
    found = {}
    for part in layout.parts.values():
        step = math.sqrt(12 * price / (math.log(2) * float(part.of(curvature).mean())))
        finest = FINEST_INTEGER_STEP if part.name.startswith(("entropy", "features")) else FINEST_STEP
        found[part.name] = min(max(round(-math.log2(step)), COARSEST_STEP), finest)
    return found


def rounded(layout: Layout, start: np.ndarray, steps: Mapping[str, int], weights: np.ndarray) -> QuantizedWeights:
    """The nearest integers of weights."""
    off = np.rint((weights - start) / step_sizes(layout, steps))
    return QuantizedWeights(layout, start, steps, np.clip(off, -MAX_WEIGHT, MAX_WEIGHT).astype(np.int32))


def estimated_bits(off: np.ndarray, sizes: np.ndarray) -> float:
    """Of weights that are not rounded yet, about. Arguments as of `bit_gradient`."""
    return BITS * float(np.log2(1 + (off / sizes) ** 2).sum()) / 2


def bit_gradient(off: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """What pulls at weights: the derivative of log2(1 + (off / size)^2) / 2, which grows with the bits they take.

    Args:
        off: differences from the start.
        sizes: steps.
    """
    return np.asarray(off / (sizes**2 + off**2) / math.log(2))


def _place(rows: "list[list[int]]", y: int, x: int) -> int:
    """What an integer's neighbours, the one before it and the one above, say of its size: 0 to `MOST_PLACE`."""
    known = [rows[y][x - 1]] * bool(x) + [rows[y - 1][x]] * bool(y)
    return min(sum(each.bit_length() for each in known) * (3 - len(known)), MOST_PLACE)
