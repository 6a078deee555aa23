"""What a coefficient does to the contexts of others: gradients of their bits, back through the context networks.

The encoder's choice between two integers looks at their own bits, and, with this, at those of the coefficients whose
networks see them. It is a linear estimate around the integers of an earlier attempt, in floating point: a file does
not depend on how it was found.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.context_model import HIDDEN_MAX, Network
from nifcodec.fields.wavelet.coding.neighbours import WAVEFRONT_LAG, LevelFeatures, LevelGradients
from nifcodec.fields.wavelet.coding.wavefront import Conditions, level_feature
from nifcodec.fields.wavelet.lattice import Lattice, Planes, Subband

# Of each level and band, (2, rows, columns): bits per unit of the signed companded value, and of its magnitude.
RateGradient = List[Dict[Subband, np.ndarray]]

OUTPUT_UNIT = 32768  # of the networks' outputs: log2 scale and mean in steps
SCALE_RANGE = (-6.0, 9.75)


def rate_gradient(
    lattice: Lattice, conditions: Conditions, low: np.ndarray, coarser: Sequence[Planes], levels: Sequence[Planes]
) -> RateGradient:
    """Gradients at given integers; what they do through the low-pass planes is left out.

    Args:
        low: the coarsest low-pass plane, int64 (colours, rows, columns) in 1/UNIT steps.
        coarser: integers of up to two levels beyond the coarsest, as `wavefront_scan` takes them.
        levels: integers of each level in half steps, finest first.
    """
    found: RateGradient = [
        {band: np.zeros((2, *lattice.shape(level, band)), np.float32) for band in lattice.bands}
        for level in range(lattice.levels)
    ]
    known: List[Planes] = [*levels, *coarser, {}, {}]
    plane = low
    for level in range(lattice.levels - 1, -1, -1):
        bands = [band for band in lattice.bands if levels[level][band].any()]
        if bands:
            where = {colour: plane[i] for i, colour in enumerate(lattice.plane_ids)}
            features = LevelFeatures(lattice.sizes[level + 1], bands, where, known[level + 1], known[level + 2])
            features.set_all(levels[level])
            gradients = _level(features, conditions, lattice.first + level, levels[level])
            for index, band in enumerate(bands):
                found[level][band] += gradients.own(index, lattice.shape(level, band))
                if level + 1 < lattice.levels:
                    found[level + 1][band] += gradients.parent(index, lattice.shape(level + 1, band))
                if level + 2 < lattice.levels:
                    found[level + 2][band] += gradients.grandparent(index, lattice.shape(level + 2, band))
        if level:
            plane = lattice.rebuild(plane, levels[level], level)
    return found


def _level(features: LevelFeatures, conditions: Conditions, level: int, planes: Planes) -> LevelGradients:
    networks = conditions.model.level(features.bands, level, features.near_length, features.length)
    gradients = LevelGradients(features)
    for row in range(features.rows):
        for odd in (False, True):
            seen = features.gather(row, odd, conditions.step_feature, level_feature(level))
            values, valid = np.zeros(seen.shape[:2], np.float32), np.zeros(seen.shape[:2], bool)
            for index, band in enumerate(features.bands):
                if 0 <= row - WAVEFRONT_LAG * index < planes[band].shape[0]:
                    here = planes[band][row - WAVEFRONT_LAG * index, (1 if odd else 0) :: 2]
                    values[index, : len(here)], valid[index, : len(here)] = here / 2, True
            if valid.any():
                back = np.zeros(seen.shape, np.float32)
                for where, network in networks.parts(odd):
                    back[where] = _through(network, seen[where], values[where], valid[where])
                gradients.add(row, odd, back)
    return gradients


def _through(network: Network, x: np.ndarray, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Gradients of the bits of values (bands, n) in steps, by features x (bands, n, features) of stacked networks."""
    first = (np.matmul(x, network.w1) + network.b1[:, None]) * np.float32(2.0**-6)
    second = np.matmul(first.clip(0, HIDDEN_MAX), network.w2) + network.b2[:, None]
    second *= np.float32(2.0**-8)
    out = np.matmul(second.clip(0, HIDDEN_MAX), network.w3) + network.b3[:, None]
    means = (out[..., 1] + np.matmul(x, network.skip[..., None])[..., 0]) / OUTPUT_UNIT
    by_scale, by_mean = bit_gradients(values, (out[..., 0] / OUTPUT_UNIT).clip(*SCALE_RANGE), means)
    by_scale, by_mean = (np.where(valid, gradient, 0) / np.float32(OUTPUT_UNIT) for gradient in (by_scale, by_mean))
    back = by_scale[..., None] * network.w3[:, None, :, 0] + by_mean[..., None] * network.w3[:, None, :, 1]
    back = np.matmul(back * _open(second), network.w2.transpose(0, 2, 1)) / 2**8
    back = np.matmul(back * _open(first), network.w1.transpose(0, 2, 1)) / 2**6
    result: np.ndarray = back + by_mean[..., None] * network.skip[:, None]
    return result


def _open(hidden: np.ndarray) -> np.ndarray:
    return (hidden > 0) & (hidden < HIDDEN_MAX)


def bit_gradients(values: np.ndarray, scales: np.ndarray, means: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Of the bits of values in steps under Laplacians, by log2 of the scale and by the mean, all arrays of one shape.

    The mass of a value q is that of [q - 1/2, q + 1/2].
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
