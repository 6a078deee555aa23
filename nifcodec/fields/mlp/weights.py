"""Weights as integers: one step size a tensor, on a fixed geometric grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from nifcodec.entropy.tensors import MAX_SYMBOL
from nifcodec.errors import MalformedError
from nifcodec.fields.mlp.description import MlpDescription

STEP_INDICES = 256
STEPS_PER_OCTAVE = 8

# 2^(-k/8) as literals: a library's pow may differ in the last bit, a literal and a power of two may not.
_OCTAVE = (
    1.0,
    0.9170040432046712,
    0.8408964152537145,
    0.7711054127039704,
    0.7071067811865476,
    0.6484197773255048,
    0.5946035575013605,
    0.5452538663326288,
)


def step(index: int) -> np.float32:
    """Step size of an index 0 to 255: 2^(-index / 8), from 1 down to 2^-31.875."""
    octave, part = divmod(index, STEPS_PER_OCTAVE)
    return np.float32(_OCTAVE[part] * 2.0**-octave)


def quantize(tensor: np.ndarray, index: int) -> np.ndarray:
    """The nearest multiples of step(index), int32 of the tensor's shape, clipped to what can be coded."""
    scaled = np.rint(tensor.astype(np.float64) / float(step(index)))
    return np.clip(scaled, -MAX_SYMBOL, MAX_SYMBOL).astype(np.int32)


@dataclass(frozen=True)
class QuantizedMlp:
    """A network as it is stored.

    Attributes:
        spec: its description.
        symbols: int32 arrays of `spec.tensor_shapes()`.
        steps: one step index (0 to 255) a tensor.
    """

    spec: MlpDescription
    symbols: Tuple[np.ndarray, ...]
    steps: Tuple[int, ...]

    def dequantize(self) -> Tuple[np.ndarray, ...]:
        """The float32 tensors that the decoder renders: symbol times step, rounded once to float32."""
        return tuple(symbols.astype(np.float32) * step(index) for symbols, index in zip(self.symbols, self.steps))

    def to_payload(self) -> Tuple[np.ndarray, ...]:
        """Integers to be coded: the step indices, the first and then differences, followed by the tensors."""
        return (np.diff(np.asarray((0, *self.steps), dtype=np.int32)), *self.symbols)

    @staticmethod
    def payload_shapes(spec: MlpDescription) -> Tuple[Tuple[int, ...], ...]:
        """Shapes of the arrays of `to_payload`."""
        shapes = spec.tensor_shapes()
        return ((len(shapes),), *shapes)

    @staticmethod
    def from_payload(spec: MlpDescription, arrays: Sequence[np.ndarray]) -> "QuantizedMlp":
        """The inverse of `to_payload`.

        Raises:
            MalformedError: a step index outside of 0 to 255, or arrays that are not those of the description.
        """
        if tuple(np.shape(array) for array in arrays) != QuantizedMlp.payload_shapes(spec):
            raise MalformedError("weights", "do not have the shapes of the description")
        steps = np.cumsum(arrays[0], dtype=np.int64)
        if np.min(steps) < 0 or np.max(steps) >= STEP_INDICES:
            raise MalformedError("steps", f"are not all within 0 to {STEP_INDICES - 1}")
        symbols = tuple(np.asarray(array, dtype=np.int32) for array in arrays[1:])
        return QuantizedMlp(spec, symbols, tuple(int(index) for index in steps))
