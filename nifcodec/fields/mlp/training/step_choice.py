"""One step size a tensor: the quantization of a trained network that minimises D + lambda R."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.weights import STEP_INDICES, STEPS_PER_OCTAVE, QuantizedMlp, quantize, step

# A network with twice the parameters has about half the squared error, so that at the best trade a per cent of rate is
# worth a per cent of error; rounding that fine-tuning can no longer repair makes the smaller weight the better one.
ERROR_PER_RATE = 0.45
UNTUNED_ERROR_PER_RATE = 0.1  # where no fine-tuning follows, as after an interrupt
# Lambda is lowered where rounding makes the error so many times as large, 1 dB, unless it stays below 60 dB.
MOST_SPOILED, NEGLIGIBLE = 10**0.1, 1e-6
PROBE_STEPS = 6.0  # standard deviation of a tensor over the step that its sensitivity is measured with
BISECTIONS = 40


@dataclass(frozen=True)
class StepPlan:
    """Step indices of a network, lambda in squared error a bit, and the error before rounding."""

    indices: Tuple[int, ...]
    lagrangian: float
    error: float

    @property
    def sizes(self) -> Tuple[float, ...]:
        return tuple(float(step(index)) for index in self.indices)

    def apply(self, spec: MlpDescription, tensors: Sequence[np.ndarray]) -> QuantizedMlp:
        symbols = tuple(quantize(tensor, index) for tensor, index in zip(tensors, self.indices))
        return QuantizedMlp(spec, symbols, self.indices)


def choose_steps(
    tensors: Sequence[np.ndarray],
    error: Callable[[Sequence[np.ndarray]], float],
    target_bits: Optional[float] = None,
    *,
    tuned: bool = True,
) -> StepPlan:
    """Choose a step for each tensor.

    The error of a tensor's rounding grows with the square of its step while it is small: one evaluation with that
    tensor alone rounded gives the factor, and then every lambda has its best steps in closed form. In a network
    that has hardly been trained, or at a very high lambda, errors are not small and do not add up: without a budget the
    lambda is lowered until the network with all tensors rounded measures well.

    Args:
        tensors: float32 weights of a trained network.
        error: tensors -> mean squared error.
        target_bits: bits of the weights, or None for the lambda ERROR_PER_RATE * D / R.
        tuned: whether fine-tuning will follow; if not, that lambda is UNTUNED_ERROR_PER_RATE * D / R.
    """
    base = error(tensors)
    error_per_rate = ERROR_PER_RATE if tuned else UNTUNED_ERROR_PER_RATE
    errors, bits = [], []
    for index, tensor in enumerate(tensors):
        slope = _sensitivity(tensors, index, error, base)
        squared = np.asarray([float(step(k)) ** 2 for k in range(STEP_INDICES)])
        errors.append(slope * squared)
        bits.append(_rates(tensor))

    def best(lagrangian: float) -> List[int]:
        return [int(np.argmin(cost + lagrangian * rate)) for cost, rate in zip(errors, bits)]

    def total_bits(indices: Sequence[int]) -> float:
        return float(sum(rate[index] for rate, index in zip(bits, indices)))

    def acceptable(lagrangian: float) -> bool:
        indices = best(lagrangian)
        if target_bits is not None:
            return total_bits(indices) <= target_bits
        spoiled = base + sum(float(cost[index]) for cost, index in zip(errors, indices))
        return lagrangian * total_bits(indices) >= error_per_rate * spoiled

    def spoils(lagrangian: float) -> bool:
        measured = error([_rounded(tensor, index) for tensor, index in zip(tensors, best(lagrangian))])
        return measured > MOST_SPOILED * base + NEGLIGIBLE

    least, high = -60.0, 20.0  # log2 of lambda
    low = least
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if acceptable(2.0**middle):
            high = middle
        else:
            low = middle
    while target_bits is None and high > least and spoils(2.0**high):
        high -= 1.0
    return StepPlan(tuple(best(2.0**high)), 2.0**high, base)


def _rounded(tensor: np.ndarray, index: int) -> np.ndarray:
    """The float32 multiples of step(index) that a tensor is stored as."""
    return (quantize(tensor, index) * step(index)).astype(np.float32)


def _sensitivity(
    tensors: Sequence[np.ndarray], index: int, error: Callable[[Sequence[np.ndarray]], float], base: float
) -> float:
    """Added squared error per squared step of tensor `index`."""
    tensor = tensors[index]
    deviation = float(np.sqrt(np.mean(np.square(tensor, dtype=np.float64)))) or 1.0
    probe = int(np.clip(round(-STEPS_PER_OCTAVE * np.log2(deviation / PROBE_STEPS)), 0, STEP_INDICES - 1))
    changed = list(tensors)
    changed[index] = _rounded(tensor, probe)
    added = error(changed) - base
    return max(added, base * 1e-6) / float(step(probe)) ** 2


def _rates(tensor: np.ndarray) -> np.ndarray:
    """(STEP_INDICES,) estimated bits of the rounded tensor, the counterpart of `rounding.rate`."""
    rates = np.empty(STEP_INDICES)
    for index in range(STEP_INDICES):
        symbols = tensor.astype(np.float64) / float(step(index))
        magnitude = np.mean(np.sqrt(np.square(symbols) + 1 / 12))
        power = np.mean(np.square(symbols)) + 1 / 12
        laplacian = np.log2(2 * np.e * magnitude)
        gaussian = 0.5 * np.log2(2 * np.pi * np.e * power)
        rates[index] = tensor.size * min(laplacian, gaussian)
    return rates
