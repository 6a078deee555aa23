"""Rate-distortion optimised scalar quantization, inside of the wavefront scan.

Each coefficient is quantized under the context of those before it, whose integers are chosen already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.binarization import Binarization, binarization_of
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.dependent_quantization import SCALAR, to_values
from nifcodec.fields.wavelet.coding.neighbours import compand
from nifcodec.fields.wavelet.coding.wavefront import Pass
from nifcodec.fields.wavelet.lattice import HALF, MAX_VALUE, BandArrays
from nifcodec.fields.wavelet.search.coding import Coding, QuantizedBands, blank_contexts, filled
from nifcodec.fields.wavelet.search.rate_gradient import RateGradient

# The share of the rate gradient that counts. The whole of it overshoots, since neighbours change together
# (docs/wavelet-field.md).
TRUSTED = 0.5


@dataclass(frozen=True)
class Choice:
    """Coefficients of which each is to become an index of one kind of quantizer.

    Attributes:
        coefficients: in steps.
        where: their contexts.
        kind: of quantizer.
        gradient: bits of other coefficients per unit of an integer's companded value and of its magnitude, (2, ...);
            (0, ...) leaves them out.
        lagrangian: what a bit costs, in squared steps.
    """

    coefficients: np.ndarray
    where: Binarization
    kind: int
    gradient: np.ndarray
    lagrangian: np.ndarray

    def cost(self, indices: np.ndarray, model: ContextModel) -> np.ndarray:
        """Squared error + lagrangian * bits of each."""
        values = to_values(indices, np.array(self.kind))
        bits = model.code_length(indices, self.where)
        if len(self.gradient):
            seen = compand(values * HALF).astype(np.float32)
            bits += TRUSTED * (self.gradient[0] * seen + self.gradient[1] * np.abs(seen))
        result: np.ndarray = (self.coefficients - values / 2) ** 2 + self.lagrangian * bits
        return result

    def at(self, chosen: Tuple[np.ndarray, ...]) -> "Choice":
        """Some of them, by their rows and columns."""
        gradient = self.gradient[:, chosen[0], chosen[1]]
        return Choice(self.coefficients[chosen], self.where.at(chosen), self.kind, gradient, self.lagrangian[chosen])


def quantize_bands(
    coding: Coding,
    coefficients: BandArrays,
    lagrangian: float,
    gradient: Optional[RateGradient] = None,
    weights: Optional[BandArrays] = None,
) -> QuantizedBands:
    """Integers of least squared error + lagrangian * bits, each by itself under the context of those before it.

    A coefficient is rounded, or lowered by one where that costs less.

    Args:
        coding: of scalar quantization.
        coefficients: in steps, of each level, finest first.
        lagrangian: what a bit costs, in squared steps.
        gradient: what integers do to the bits of those that see them, estimated at an earlier candidate.
        weights: factors on the lagrangian, one a coefficient; None is 1 for all.
    """
    kernels = coding.conditions.model.kernels
    if kernels is not None:
        return QuantizedBands(*kernels.quantize_bands(coding, coefficients, lagrangian, gradient, weights))
    contexts = blank_contexts(coefficients)
    # Bands in which plain rounding leaves nothing stay out of the scan, and nothing asks for their contexts.
    bands = coding.lattice.bands
    coded = [[band for band in bands if np.abs(level[band]).max(initial=0) > 0.5] for level in coefficients]

    def code_pass(part: Pass) -> np.ndarray:
        here, costs = np.zeros(part.valid.shape), np.full(part.valid.shape, lagrangian)
        gradients = np.zeros((0 if gradient is None else 2, *part.valid.shape), np.float32)
        for i, count, level, band, where in coding.places(part, coded):
            here[i, :count] = coefficients[level][band][where]
            contexts[level][band][:, where[0], where[1]] = part.contexts[:, i, :count]
            if weights is not None:
                costs[i, :count] *= weights[level][band][where]
            if gradient is not None:
                gradients[:, i, :count] = gradient[level][band][:, where[0], where[1]]
        indices = np.clip(np.rint(here), -MAX_VALUE, MAX_VALUE).astype(np.int32)
        which = np.nonzero(indices)
        rounded = indices[which]
        contexts_here, gradients_here = (values[:, which[0], which[1]] for values in (part.contexts, gradients))
        choice = Choice(here[which], binarization_of(*contexts_here), SCALAR, gradients_here, costs[which])
        lowered = rounded - np.sign(rounded)
        cheaper = choice.cost(lowered, coding.conditions.model) < choice.cost(rounded, coding.conditions.model)
        indices[which] = np.where(cheaper, lowered, rounded)
        return to_values(indices, np.array(SCALAR))

    plane, scanned = coding.scan(coded, code_pass)
    return QuantizedBands(filled(scanned, coefficients), contexts, plane)
