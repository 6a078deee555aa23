"""The entropy network in integers, which a decoder runs: the same on every machine.

Weights are multiples of 2^-11, activations of 1/64. An activation is below 2^14 in magnitude, and a unit's weights and
its bias are so small that no sum reaches 2^31.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np

from nifcodec.errors import LimitError
from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, GROUPS
from nifcodec.fields.pyramid.kernels import Kernels
from nifcodec.fields.pyramid.laplacians import LOWEST_OCTAVE, MEAN_LIMIT, SCALES, SCALES_PER_OCTAVE
from nifcodec.fields.pyramid.networks import Layout
from nifcodec.native import library

WEIGHT_BITS, ACTIVATION_BITS = 11, 6
ACTIVATION_LIMIT = (1 << 14) - 1
MEAN_SHIFT = WEIGHT_BITS + ACTIVATION_BITS - 5  # to 1/32
SUM_LIMIT = (1 << 31) - (1 << MEAN_SHIFT)  # half a unit of what it is rounded to is added
FEATURE_LIMIT = 64 << WEIGHT_BITS  # of a feature's weights together, and of its bias
SCALE_FACTOR = round(SCALES_PER_OCTAVE * 1.4426950408889634 * (1 << 10))  # scale numbers in a natural logarithm, 2^-10


@dataclass(frozen=True)
class GroupNetwork:
    """The network of a group of grids, its weights as integers, float64 (exact, and BLAS multiplies them).

    Attributes:
        layers: matrices (out, in) and biases of both hidden layers and of the last one.
        linear: the branch beside these, which has no bias.
    """

    layers: Sequence[Tuple[np.ndarray, np.ndarray]]
    linear: np.ndarray

    def check(self) -> None:
        """Raises LimitError: a unit's weights are too large."""
        both = np.concatenate([self.layers[2][0], self.linear], axis=1)
        for matrix, bias in (*self.layers[:2], (both, self.layers[2][1])):
            # Whatever is no number is refused too.
            if not (np.abs(matrix).sum(axis=1) * ACTIVATION_LIMIT + np.abs(bias) < SUM_LIMIT).all():
                raise LimitError("a unit of the entropy network has weights above 64 together")

    def contexts(self, inputs: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Activations (n, units), float64 integers -> means in 1/32 and scale numbers, int64 (n,)."""
        hidden = inputs
        for matrix, bias in self.layers[:2]:
            total = np.floor((hidden @ matrix.T + bias) / (1 << WEIGHT_BITS) + 0.5) + hidden
            hidden = np.clip(total, 0, ACTIVATION_LIMIT)
        matrix, bias = self.layers[2]
        out = (hidden @ matrix.T + inputs @ self.linear.T + bias).astype(np.int64)
        means = np.clip((out[:, 0] + (1 << MEAN_SHIFT - 1)) >> MEAN_SHIFT, -MEAN_LIMIT, MEAN_LIMIT)
        shift = WEIGHT_BITS + ACTIVATION_BITS + 10
        scales = (out[:, 1] * SCALE_FACTOR + (1 << shift - 1)) >> shift
        return means, np.clip(scales - LOWEST_OCTAVE * SCALES_PER_OCTAVE, 0, SCALES - 1)


@dataclass(frozen=True)
class IntegerNetwork:
    """The networks of all groups of grids, and the features that they see.

    Attributes:
        groups: a network each.
        features: by level, the matrix (features, grids) and its biases, float64 integers.
        kernels: the native forms of what takes the time; None where NumPy serves.
    """

    groups: Sequence[GroupNetwork]
    features: "dict[int, Tuple[np.ndarray, np.ndarray]]"
    kernels: Optional[Kernels] = None

    @staticmethod
    def of(layout: Layout, weights: np.ndarray, native: bool = True) -> "IntegerNetwork":
        """Of a pyramid's weights, rounded to multiples of 2^-11. Raises LimitError: a unit's weights are too large."""

        def part(name: str, bits: int = WEIGHT_BITS) -> np.ndarray:
            return np.rint(layout.parts[name].of(weights).astype(np.float64) * (1 << bits))

        groups = []
        for group in range(GROUPS):
            names = [f"entropy {group} {layer}" for layer in ("first", "second", "last")]
            # Biases are added to sums of products.
            layers = [(part(name), part(f"{name} bias", WEIGHT_BITS + ACTIVATION_BITS)) for name in names]
            groups.append(GroupNetwork(layers, part(f"entropy {group} linear")))
            groups[-1].check()
        features = {
            level: (part(f"features {level}"), part(f"features {level} bias", WEIGHT_BITS)) for level in FEATURED_LEVELS
        }
        for matrix, bias in features.values():
            if not (np.abs(matrix).sum(axis=1) + np.abs(bias) <= FEATURE_LIMIT).all():
                raise LimitError("a feature of the entropy network has weights above 64 together")
        loaded = library.load() if native else None
        networks = [(network.layers, network.linear) for network in groups]
        return IntegerNetwork(groups, features, None if loaded is None else Kernels(loaded, networks, features))


def activations(values: np.ndarray) -> np.ndarray:
    """Latents as inputs: float64 integers in 1/64, clipped."""
    return np.asarray(np.clip(values * float(1 << ACTIVATION_BITS), -ACTIVATION_LIMIT, ACTIVATION_LIMIT))


def feature_activations(sums: np.ndarray) -> np.ndarray:
    """Sums of weights times latents, in 2^-11, as inputs."""
    rounded = np.floor(sums / (1 << WEIGHT_BITS - ACTIVATION_BITS) + 0.5)
    return np.asarray(np.clip(rounded, -ACTIVATION_LIMIT, ACTIVATION_LIMIT))
