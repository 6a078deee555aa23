"""A picture as one lattice: quantized at any step, in closed form or towards planes that training found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Dict, Optional

import numpy as np

from nifcodec.fields.family import CodedField
from nifcodec.fields.job import EncodeJob
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.bitstream import decode_lattice, decode_low
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import (
    FAMILY_ID,
    FINEST_INDEX,
    STEP_INDICES,
    WaveletDescription,
    unpack_description,
)
from nifcodec.fields.wavelet.lattice import MAX_VALUE, UNIT, Lattice
from nifcodec.fields.wavelet.lifting import analyse_levels
from nifcodec.fields.wavelet.planes import filtered_planes, plane_kinds, to_planes
from nifcodec.fields.wavelet.restoration_fit import MixtureFit
from nifcodec.fields.wavelet.search.rate_gradient import RateGradient, rate_gradient
from nifcodec.fields.wavelet.search.rdoq import Quantized, contexts_of, quantize
from nifcodec.fields.wavelet.search.trellis import Start, requantize
from nifcodec.picture.metrics import estimated_psnr

# Step = LAGRANGIAN sqrt(lambda), the ratio that gave the least J on held-out pictures (docs/wavelet-field.md).
LAGRANGIAN = 5.0
# What a bit is worth in squared steps, where it leads to the least J: a little less than the lambda of the step, since
# a coefficient that is kept also serves the contexts of others.
BIT = 0.8 * 3 / LAGRANGIAN**2
# By how much the step of dependent quantization is wider, for the same lambda: in indices, 64 to an octave.
WIDER = 18


def bit_price(spec: WaveletDescription) -> float:
    """What a bit is worth in squared steps of a field, at the lambda of its step."""
    return float(BIT * 2.0 ** (-2 * WIDER / 64)) if spec.dependent else BIT


def cost(error: float, size: int, spec: WaveletDescription) -> float:
    """What training lowers, in squared colours of 0..1: an error, and the bits at their usual price.

    Args:
        error: of the corrected planes, summed, in squared steps.
        size: bytes of the payload.
    """
    return spec.step**2 * (error + bit_price(spec) * 8 * size)


def scalars(error: float, size: int, spec: WaveletDescription, pixels: int) -> Dict[str, float]:
    """What is shown of a field while it trains, by name: its squared errors on colours of 0..1, its rate in bits.

    Args:
        error, size: as `cost` takes them.
    """
    # Opponent colours are orthonormal: the mean over planes is that over RGB.
    unit, bits = spec.step**2 / (3 * pixels), 8.0 * size
    return {
        "loss": cost(error, size, spec) / (3 * pixels),
        "distortion": unit * error,
        "rate": bits,
        "psnr": estimated_psnr(unit * error),
        "bits_per_pixel": bits / pixels,
    }


@dataclass(frozen=True)
class Attempt:
    """A field at one step.

    Attributes:
        quantized: the integers.
        planes: as rebuilt from them, in steps, float32 (C, H, W).
        error: of the corrected planes, summed, in squared steps.
    """

    spec: WaveletDescription
    payload: bytes
    quantized: Quantized
    planes: np.ndarray
    error: float

    @property
    def cost(self) -> float:
        """The error and the bits at their usual price, in squared colours of 0..1."""
        return cost(self.error, len(self.payload), self.spec)

    @property
    def scalar_index(self) -> int:
        """The step index that scalar quantization has at the same lambda."""
        return self.spec.step_index - WIDER * self.spec.dependent

    def trained(self, steps: int = 0) -> CodedField:
        """The parts of the file."""
        return CodedField(FAMILY_ID, self.spec.pack(), self.payload, steps)


def finest_index(job: EncodeJob, low: np.ndarray) -> int:
    """The least step index for a picture: its coarsest low-pass plane, the largest of the integers, has to fit."""
    if job.signal.depth == 8:
        return 0
    least = 64 * (log2(float(np.abs(low).max()) / (0.9 * MAX_VALUE) + 1e-9) + 8)
    return max(FINEST_INDEX, ceil(least))


class Form:
    """A picture to be quantized at any step.

    The planes whose coefficients are quantized are the picture's own, until training finds others from which the
    restoration filter leads nearer to the picture.

    Attributes:
        finest: the least step index for the picture.
    """

    def __init__(self, job: EncodeJob) -> None:
        self.prior = priors.named()
        channels = job.signal.channels
        self.lattice = Lattice(job.signal.width, job.signal.height, plane_kinds(channels))
        self.target = to_planes(job.signal.values())
        self.aim(self.target)
        self.finest = finest_index(job, self._low)

    def aim(self, wanted: np.ndarray, others: Optional[RateGradient] = None) -> None:
        """Take other planes, on colours of 0..1, to quantize from now on.

        Args:
            others: what integers do to the bits of those that see them.
        """
        self._others = others
        self._low, details = analyse_levels(wanted, self.lattice.levels)
        self._details = self.lattice.by_band(details)

    def attempt(self, index: int, price: float = 1.0, start: Optional[Attempt] = None) -> Attempt:
        """Integers at a step, as bytes, and the mixture of corrections that suits the picture.

        Args:
            index: of the step that scalar quantization has; that of dependent quantization is `WIDER`.
            price: of a bit, in units of what is best for the step.
            start: an earlier attempt, from whose contexts dependent quantization starts; None quantizes each by itself.
        """
        spec = self._spec(index, start is not None)
        conditions = self._conditions(spec)
        low, weight = self._low / spec.step, price * bit_price(spec)
        scaled = [{band: values / spec.step for band, values in bands.items()} for bands in self._details]
        if start is None:
            quantized = quantize(self.lattice, conditions, low, scaled, weight, self._others)
        else:
            found = Start(start.quantized.levels, start.quantized.contexts)
            found = found.at_step(spec.step_index - start.spec.step_index)
            quantized = requantize(self.lattice, conditions, low, scaled, weight, found, self._others)
        planes = in_steps(quantized.plane)
        seen = planes[: filtered_planes(len(planes))]
        fit = MixtureFit.of(self.target / spec.step, planes, self.prior.restoration(seen, spec.step_feature))
        spec = replace(spec, mixture=fit.mixture())
        payload = quantized.pack(self.lattice, conditions).data
        return Attempt(spec, payload, quantized, planes, fit.error(spec.mixture))

    def read(self, description: bytes, payload: bytes, error: float) -> Attempt:
        """An attempt from what a file holds of it, and its error."""
        spec = unpack_description(description)
        conditions = self._conditions(spec)
        low, _ = decode_low(payload, self.lattice)
        _, levels = decode_lattice(payload, self.lattice, conditions)
        for level, bands in enumerate(levels):
            for band in self.lattice.bands:
                bands.setdefault(band, np.zeros(self.lattice.shape(level, band), np.int32))
        quantized = Quantized.of(self.lattice, low, contexts_of(self.lattice, conditions, low * UNIT, (), levels))
        return Attempt(spec, payload, quantized, in_steps(quantized.plane), error)

    def rate_gradient(self, attempt: Attempt) -> RateGradient:
        """What each integer of an attempt does to the bits of those that see it."""
        found = attempt.quantized
        return rate_gradient(self.lattice, self._conditions(attempt.spec), found.low * UNIT, (), found.levels)

    def _spec(self, index: int, dependent: bool) -> WaveletDescription:
        step_index = min(index + WIDER, STEP_INDICES - 1) if dependent else index
        return WaveletDescription(step_index, self.prior.hash, dependent=dependent)

    def _conditions(self, spec: WaveletDescription) -> Conditions:
        return Conditions(self.prior.context, spec.step_feature, spec.dependent)


def in_steps(plane: np.ndarray) -> np.ndarray:
    """Integers in 1/UNIT steps -> steps, float32."""
    steps: np.ndarray = plane.astype(np.float32) / np.float32(UNIT)
    return steps
