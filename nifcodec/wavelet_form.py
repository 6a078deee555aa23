"""A picture as one lattice: quantized at any step, in closed form or towards planes that training found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nifcodec import priors
from nifcodec.coding.compand import UNIT
from nifcodec.coding.lattice import Conditions, Lattice
from nifcodec.coding.rdoq import quantize
from nifcodec.fields import wavelet
from nifcodec.fields.lifting import analyse_levels, synthesise_plane
from nifcodec.fields.wavelet import WaveletSpec
from nifcodec.task import Task, Trained

# Step = LAGRANGIAN sqrt(lambda), the ratio that gave the least J on held-out pictures (docs/wavelet-field.md).
LAGRANGIAN = 5.0
# What a bit is worth in squared steps, where it leads to the least J: a little less than the lambda of the step, since
# a coefficient that is kept also serves the contexts of others.
BIT = 0.8 * 3 / LAGRANGIAN**2


@dataclass(frozen=True)
class Attempt:
    """A field at one step.

    Attributes:
        wanted: planes that were quantized, on colours of 0..1, float64 (C, H, W).
        planes: as rebuilt from the integers, in steps, float32 (C, H, W).
        error: of the corrected planes, summed, in squared steps.
        cost: the error and the bits at their usual price.
    """

    spec: WaveletSpec
    payload: bytes
    wanted: np.ndarray
    planes: np.ndarray
    error: float
    cost: float

    def trained(self, steps: int = 0) -> Trained:
        """The parts of the file."""
        return Trained(wavelet.FAMILY_ID, self.spec.pack(), self.payload, steps)


class Form:
    """A picture to be quantized at any step.

    The planes whose coefficients are quantized are the picture's own, until training finds others from which the
    synthesis network leads nearer to the picture.
    """

    def __init__(self, task: Task) -> None:
        self.prior = priors.named()
        channels = task.wanted.shape[2]
        self.lattice = Lattice(task.image.width, task.image.height, wavelet.colours(channels), synthesise_plane)
        self.target = wavelet.to_planes(task.values())
        self.aim(self.target)

    def aim(self, wanted: np.ndarray) -> None:
        """Take other planes, on colours of 0..1, to quantize from now on."""
        self._wanted = wanted
        self._low, details = analyse_levels(wanted, self.lattice.levels)
        places = [(band, self.lattice.colours.index(band.colour)) for band in self.lattice.bands]
        self._details = [{band: bands[band.orientation][i] for band, i in places} for bands in details]

    def attempt(self, index: int, price: float = 1.0) -> Attempt:
        """Integers at a step, as bytes, and the synthesis network as strong as suits the picture.

        Args:
            price: of a bit, in units of what is best for the step.
        """
        spec = WaveletSpec(index, self.prior.hash)
        conditions = Conditions(self.prior.context, spec.step_feature)
        scaled = [{band: values / spec.step for band, values in bands.items()} for bands in self._details]
        quantized = quantize(self.lattice, conditions, self._low / spec.step, scaled, price * BIT)
        planes = quantized.plane.astype(np.float32) / np.float32(UNIT)
        change = wavelet.correction(planes, spec, self.prior.synthesis)
        target = self.target / spec.step
        fit = wavelet.CorrectionFit()
        fit.add(target, planes, change)
        spec = replace(spec, strengths=fit.strengths())
        payload = quantized.pack(self.lattice, conditions)
        error = fit.error(spec.strengths)
        return Attempt(spec, payload, self._wanted, planes, error, error + BIT * 8 * len(payload))
