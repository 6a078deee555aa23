"""What a coefficient does to the bits of others: their gradient, back through the context networks.

The encoder's choice between two integers weighs their own bits and, with this, those of the coefficients whose
networks see them. The gradient is a linear estimate around the integers of an earlier candidate. It is in floating
point: how integers were found does not matter to a file.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.context_model import (
    HIDDEN_MAX,
    HIDDEN_SHIFTS,
    OUTPUT_UNIT,
    SCALE_MAX,
    SCALE_OF_ONE_STEP,
    Network,
)
from nifcodec.fields.wavelet.coding.neighbours import WAVEFRONT_LAG, LevelFeatures, LevelGradients
from nifcodec.fields.wavelet.coding.wavefront import Conditions, level_feature
from nifcodec.fields.wavelet.lattice import BandValues, Subband
from nifcodec.fields.wavelet.search.coding import Coding

# Of each level and band, (2, rows, columns): bits per unit of the signed companded value, and of its magnitude.
RateGradient = List[Dict[Subband, np.ndarray]]

SCALE_RANGE = (-SCALE_OF_ONE_STEP / 4, (SCALE_MAX - SCALE_OF_ONE_STEP) / 4)  # log2 of scales in steps


def rate_gradient(coding: Coding, levels: Sequence[BandValues]) -> RateGradient:
    """The gradient of all bits by each integer. What integers do through the low-pass planes is left out.

    Args:
        levels: integers of each level in half steps, finest first.
    """
    kernels = coding.conditions.model.kernels
    if kernels is not None:
        return kernels.rate_gradient(coding, levels)
    lattice = coding.lattice
    found: RateGradient = [
        {band: np.zeros((2, *lattice.shape(level, band)), np.float32) for band in lattice.bands}
        for level in range(lattice.levels)
    ]
    known: List[BandValues] = [*levels, *coding.coarser, {}, {}]
    plane = coding.low
    for level in range(lattice.levels - 1, -1, -1):
        bands = [band for band in lattice.bands if levels[level][band].any()]
        if bands:
            low = dict(zip(lattice.plane_ids, plane))
            features = LevelFeatures(lattice.sizes[level + 1], bands, low, known[level + 1], known[level + 2])
            features.set_all(levels[level])
            gradients = _level_gradients(features, coding.conditions, lattice.first + level, levels[level])
            for index, band in enumerate(bands):
                found[level][band] += gradients.own(index, lattice.shape(level, band))
                if level + 1 < lattice.levels:
                    found[level + 1][band] += gradients.parent(index, lattice.shape(level + 1, band))
                if level + 2 < lattice.levels:
                    found[level + 2][band] += gradients.grandparent(index, lattice.shape(level + 2, band))
        if level:
            plane = lattice.rebuild(plane, levels[level], level)
    return found


def _level_gradients(features: LevelFeatures, conditions: Conditions, level: int, planes: BandValues) -> LevelGradients:
    networks = conditions.model.level(features.bands, level, features.near_length, features.length)
    gradients = LevelGradients(features)
    for front in range(features.fronts):
        for odd in (False, True):
            seen = features.gather(front, odd, conditions.step_feature, level_feature(level))
            values, valid = np.zeros(seen.shape[:2], np.float32), np.zeros(seen.shape[:2], bool)
            for index, band in enumerate(features.bands):
                if 0 <= front - WAVEFRONT_LAG * index < planes[band].shape[0]:
                    here = planes[band][front - WAVEFRONT_LAG * index, (1 if odd else 0) :: 2]
                    values[index, : len(here)], valid[index, : len(here)] = here / 2, True
            if valid.any():
                back = np.zeros(seen.shape, np.float32)
                for where, network in networks.parts(odd):
                    back[where] = _vjp(network, seen[where], values[where], valid[where])
                gradients.add(front, odd, back)
    return gradients


def _vjp(network: Network, x: np.ndarray, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The vector-Jacobian product of stacked networks with the gradient of their bits by their outputs.

    Args:
        x: features (bands, n, features).
        values: in steps (bands, n).
        valid: which of them are coefficients.

    Returns:
        Gradients of the bits by the features, of their shape.
    """
    first = (np.matmul(x, network.w1) + network.b1[:, None]) * np.float32(2.0 ** -HIDDEN_SHIFTS[0])
    second = np.matmul(first.clip(0, HIDDEN_MAX), network.w2) + network.b2[:, None]
    second *= np.float32(2.0 ** -HIDDEN_SHIFTS[1])
    out = np.matmul(second.clip(0, HIDDEN_MAX), network.w3) + network.b3[:, None]
    means = (out[..., 1] + np.matmul(x, network.skip[..., None])[..., 0]) / OUTPUT_UNIT
    by_scale, by_mean = bit_gradients(values, (out[..., 0] / OUTPUT_UNIT).clip(*SCALE_RANGE), means)
    by_scale, by_mean = (np.where(valid, gradient, 0) / np.float32(OUTPUT_UNIT) for gradient in (by_scale, by_mean))
    back = by_scale[..., None] * network.w3[:, None, :, 0] + by_mean[..., None] * network.w3[:, None, :, 1]
    back = np.matmul(back * _open(second), network.w2.transpose(0, 2, 1)) / 2 ** HIDDEN_SHIFTS[1]
    back = np.matmul(back * _open(first), network.w1.transpose(0, 2, 1)) / 2 ** HIDDEN_SHIFTS[0]
    result: np.ndarray = back + by_mean[..., None] * network.skip[:, None]
    return result


def _open(hidden: np.ndarray) -> np.ndarray:
    return (hidden > 0) & (hidden < HIDDEN_MAX)


def bit_gradients(values: np.ndarray, scales: np.ndarray, means: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Gradients of the bits of values under Laplacians, by log2 of the scale and by the mean.

    A value q has the mass of [q - 1/2, q + 1/2]. All arrays have one shape; values, scales and means are in steps.
    """
    rate = np.exp2(-scales)
    distance = np.abs(values - means)
    side = np.sign(values - means)
    outside = rate * (1 / np.expm1(rate.clip(1e-4, 60)) - (distance - 0.5))
    inner = np.minimum(distance, 0.5)
    far, near = np.exp(-(0.5 + inner) * rate), np.exp(-(0.5 - inner) * rate)
    mass = np.maximum(1 - 0.5 * (far + near), 1e-6)
    inside = rate * 0.5 * ((0.5 + inner) * far + (0.5 - inner) * near) / mass
    by_scale = np.where(distance >= 0.5, outside, inside)
    by_mean = np.where(distance >= 0.5, -rate, 0.5 * rate * (far - near) / mass) * side / np.log(2.0)
    return by_scale, by_mean
