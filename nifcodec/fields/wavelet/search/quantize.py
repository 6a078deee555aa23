"""What a bit costs, and the integers of least cost: scalar or dependent, as the coding says."""

from __future__ import annotations

from typing import Optional

from nifcodec.fields.wavelet.description import INDICES_PER_OCTAVE, WaveletDescription
from nifcodec.fields.wavelet.lattice import BandArrays
from nifcodec.fields.wavelet.search.coding import Coding, QuantizedBands
from nifcodec.fields.wavelet.search.rate_gradient import RateGradient
from nifcodec.fields.wavelet.search.rdoq import quantize_bands
from nifcodec.fields.wavelet.search.trellis import requantize_bands

# Step = STEP_PER_SQRT_LAMBDA * sqrt(lambda): the ratio of least J on held-out pictures (docs/wavelet-field.md).
STEP_PER_SQRT_LAMBDA = 5.0
# 0.8 times the lambda of a scalar step, in squared steps summed over three planes: the ratio of least J. It is below 1,
# since a coefficient that is kept also serves the contexts of others.
SCALAR_LAGRANGIAN = 0.8 * 3 / STEP_PER_SQRT_LAMBDA**2
# At the same lambda, the step of dependent quantization is wider by so many indices.
DEPENDENT_INDICES = 18


def cost_of_bit(spec: WaveletDescription) -> float:
    """What a bit costs at the step of a field, in squared steps."""
    if not spec.dependent:
        return SCALAR_LAGRANGIAN
    return float(SCALAR_LAGRANGIAN * 2.0 ** (-2 * DEPENDENT_INDICES / INDICES_PER_OCTAVE))


def cost(spec: WaveletDescription, error: float, size: int) -> float:
    """Squared error + lagrangian * bits, on colours of 0..1.

    Args:
        error: of the corrected planes, summed, in squared steps.
        size: bytes of the payload.
    """
    return spec.step**2 * (error + cost_of_bit(spec) * 8 * size)


def quantize(
    coding: Coding,
    coefficients: BandArrays,
    lagrangian: float,
    gradient: Optional[RateGradient] = None,
    weights: Optional[BandArrays] = None,
    start: Optional[QuantizedBands] = None,
) -> QuantizedBands:
    """Integers of least squared error + lagrangian * bits.

    Args:
        coding: says whether quantization is dependent.
        coefficients, lagrangian, gradient, weights: as `quantize_bands` takes them.
        start: an earlier candidate, from whose contexts dependent quantization starts; None is scalar quantization.
    """
    if not coding.conditions.dependent:
        return quantize_bands(coding, coefficients, lagrangian, gradient, weights)
    if start is None:
        start = quantize_bands(coding.quantized_by(dependent=False), coefficients, lagrangian, gradient, weights)
    return requantize_bands(coding, coefficients, lagrangian, start, gradient, weights)
