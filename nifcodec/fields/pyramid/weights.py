"""The weights of a pyramid as integers: each tensor in a step of its own, as differences from a start.

Most weights hardly matter, and a few matter much; the curvature of the loss says how much. An integer is chosen by the
loss that its error makes in a quadratic model, and by its bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

import numpy as np

from nifcodec.entropy.tables import code_lengths, largest
from nifcodec.entropy.tensors import decode_range, encode_range, table_costs
from nifcodec.errors import MalformedError
from nifcodec.fields.pyramid.grids import LEVELS
from nifcodec.fields.pyramid.integer_network import WEIGHT_BITS
from nifcodec.fields.pyramid.networks import CUBIC, Layout, Part

COARSEST_STEP, MIDDLE_STEP, FINEST_STEP = 0, 7, 14  # steps are 2^-i
MAX_WEIGHT = 1 << 18
LARGEST_CHOSEN = 1000  # steps in which a weight would be larger are not tried

FINEST_INTEGER_STEP = WEIGHT_BITS  # of the networks that a decoder runs in integers
PASSES = 3  # of choosing integers under the table that suits those of the pass before
FACTORS = (1.0, 0.25, 4.0)  # of the price in the model


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
    steps: Dict[str, int]
    integers: np.ndarray

    def weights(self) -> np.ndarray:
        """As the networks have them, float32."""
        found = self.start.copy()
        for part in self.layout.parts.values():
            part.of(found)[...] += part.of(self.integers) * 2.0 ** -self.steps[part.name]
        return found.astype(np.float32)

    def with_tensor(self, part: Part, step: int, integers: np.ndarray) -> "QuantizedWeights":
        """With another choice for a tensor."""
        changed = self.integers.copy()
        part.of(changed)[...] = integers
        return QuantizedWeights(self.layout, self.start, {**self.steps, part.name: step}, changed)

    def pack(self) -> bytes:
        """The steps and the integers, range coded."""
        steps = np.array([self.steps[name] for name in self.layout.parts], np.int32)
        return encode_range([steps - MIDDLE_STEP, *(part.of(self.integers) for part in self.layout.parts.values())])

    def bits(self) -> float:
        """What they take, as far as their tables say."""
        return sum(float(table_costs(part.of(self.integers).ravel()).min()) for part in self.layout.parts.values())


def unpack_weights(data: bytes, layout: Layout, start: np.ndarray) -> QuantizedWeights:
    """The inverse of `QuantizedWeights.pack`. Raises TruncatedError, MalformedError, LimitError."""
    parts = layout.parts.values()
    coded, *tensors = decode_range(data, [(len(parts),), *(part.shape for part in parts)])
    steps = dict(zip(layout.parts, (coded + MIDDLE_STEP).tolist()))
    if not COARSEST_STEP <= min(steps.values()) <= max(steps.values()) <= FINEST_STEP:
        raise MalformedError("steps of the weights", f"are not all within {COARSEST_STEP} to {FINEST_STEP}")
    return QuantizedWeights(
        layout, start, steps, np.concatenate([tensor.ravel() for tensor in tensors]).astype(np.int32)
    )


def quantize_weights(
    layout: Layout,
    weights: np.ndarray,
    start: np.ndarray,
    curvature: np.ndarray,
    cost: Callable[[np.ndarray], float],
    price: float,
) -> QuantizedWeights:
    """The integers of least cost.

    Args:
        start: what they are differences from, float64.
        curvature: second derivative of the cost by each weight, above 0.
        cost: of weights, float32, without their own bits.
        price: of a bit in its units.
    """
    found = QuantizedWeights(layout, start, {name: 0 for name in layout.parts}, np.zeros(layout.count, np.int32))
    choices: Dict[str, List[Tuple[int, np.ndarray]]] = {}
    for part in layout.parts.values():
        off, curved = (part.of(weights) - part.of(start)).ravel(), part.of(curvature).ravel()
        choices[part.name] = [_tensor(part, off, curved, factor * price) for factor in FACTORS]
        found = found.with_tensor(part, *choices[part.name][0])
    # The model knows nothing of how errors add up: coarser choices, and none at all, are tried on the loss itself.
    least = cost(found.weights()) + price * found.bits()
    for part in sorted(layout.parts.values(), key=lambda each: each.start - each.end):
        for choice in [*choices[part.name][1:], (0, np.zeros(part.shape, np.int32))]:
            if np.array_equal(choice[1], part.of(found.integers)):
                continue
            tried = found.with_tensor(part, *choice)
            total = cost(tried.weights()) + price * tried.bits()
            if total < least:
                found, least = tried, total
    return found


def _tensor(part: Part, off: np.ndarray, curvature: np.ndarray, price: float) -> Tuple[int, np.ndarray]:
    """The step of a tensor and its integers, of least modelled cost.

    Args:
        off: its differences.
        curvature: of the cost by each.
    """
    is_integer = part.name.startswith(("entropy", "features"))
    finest = FINEST_INTEGER_STEP if is_integer else FINEST_STEP
    _, chosen, step = min(
        (
            (*_choose(off * 2.0**step, curvature * 4.0**-step, price), step)
            for step in range(COARSEST_STEP, finest + 1)
            if step == COARSEST_STEP or np.abs(off).max() * 2.0**step <= LARGEST_CHOSEN
        ),
        key=lambda each: each[0],
    )
    return step, chosen.reshape(part.shape).astype(np.int32)


def _choose(wanted: np.ndarray, curvature: np.ndarray, price: float) -> Tuple[float, np.ndarray]:
    """Integers of least modelled cost for numbers in steps, and that cost."""
    nearest = np.clip(np.rint(wanted), -MAX_WEIGHT, MAX_WEIGHT).astype(np.int64)
    sign, most = np.sign(nearest), np.abs(nearest)
    # The nearest integer, one nearer to zero, half of it, and zero.
    candidates = np.stack([sign * size for size in (most, np.maximum(most - 1, 0), most // 2, 0 * most)])
    errors = 0.5 * curvature * (candidates - wanted) ** 2
    chosen, total = nearest, np.inf
    for _ in range(PASSES):
        bits = _bits(candidates, int(np.argmin(table_costs(chosen))))
        costs = errors + price * bits
        best = costs.argmin(axis=0)
        chosen = np.take_along_axis(candidates, best[None], axis=0)[0]
        total = float(np.take_along_axis(errors, best[None], axis=0).sum() + price * table_costs(chosen).min())
    return total, chosen


def _bits(values: np.ndarray, table_id: int) -> np.ndarray:
    """That each integer takes under a table; an escape, as a fair guess, eight more than the table's symbol for it."""
    lengths, top = code_lengths(table_id), largest(table_id)
    outside = np.abs(values) > top
    return np.where(outside, lengths[-1] + 8, lengths[np.clip(values, -top, top) + top])
