"""Bjontegaard delta rate with piecewise cubic Hermite interpolation (PCHIP).

Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, with the monotone interpolant
of Fritsch and Butland, "A method for constructing local monotone piecewise cubic interpolants", 1984.
"""

from __future__ import annotations

import math
from typing import Tuple

import numpy as np


def bd_rate(anchor_bpp: np.ndarray, anchor_quality: np.ndarray, bpp: np.ndarray, quality: np.ndarray) -> float:
    """Mean difference in rate at equal quality over the qualities that both curves reach, in percent.

    Negative: fewer bits than the anchor. NaN where a curve has less than two useful points or the two do not overlap.

    Args:
        anchor_bpp, bpp: bits per pixel, > 0, one a point, in any order.
        anchor_quality, quality: dB (PSNR, or MS-SSIM in dB); points that are not finite are left out.
    """
    anchor, test = front(anchor_bpp, anchor_quality), front(bpp, quality)
    low, high = overlap(anchor[1], test[1])
    if not low < high:
        return math.nan
    means = [_mean(q, np.log(rate), low, high) for rate, q in (anchor, test)]
    return 100 * math.expm1(means[1] - means[0])


def overlap(anchor_quality: np.ndarray, quality: np.ndarray) -> Tuple[float, float]:
    """The qualities (low, high) that both reach; (NaN, NaN) where there are none or one has less than two points."""
    if len(anchor_quality) < 2 or len(quality) < 2:
        return math.nan, math.nan
    low = max(float(np.min(anchor_quality)), float(np.min(quality)))
    high = min(float(np.max(anchor_quality)), float(np.max(quality)))
    return (low, high) if low < high else (math.nan, math.nan)


def front(bpp: np.ndarray, quality: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The points that no other point beats in both rate and quality, ascending: what a function of quality needs."""
    keep = []
    best = -math.inf
    for rate, value in sorted(zip(map(float, bpp), map(float, quality)), key=lambda point: (point[0], -point[1])):
        if math.isfinite(rate) and math.isfinite(value) and value > best:
            keep.append((rate, value))
            best = value
    rates, values = np.array(keep).reshape(-1, 2).T
    return rates, values


def interpolate(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The PCHIP interpolant through (x, y) at points within [x[0], x[-1]]; x ascending, at least two points."""
    piece = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = at - x[piece]
    constant, first, second, third = (terms[piece] for terms in _coefficients(x, y))
    return np.asarray(constant + t * (first + t * (second + t * third)))


def _mean(x: np.ndarray, y: np.ndarray, low: float, high: float) -> float:
    """Mean over [low, high] of the PCHIP interpolant through (x, y); x ascending, at least two points."""
    a = np.clip(low, x[:-1], x[1:]) - x[:-1]
    b = np.clip(high, x[:-1], x[1:]) - x[:-1]
    area = sum(float(np.sum(c * (b ** (i + 1) - a ** (i + 1)))) / (i + 1) for i, c in enumerate(_coefficients(x, y)))
    return area / (high - low)


def _coefficients(x: np.ndarray, y: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the cubic of every piece, by rising power of the distance from the piece's left end."""
    h = np.diff(x)
    slopes = np.diff(y) / h
    d = _derivatives(h, slopes)
    return y[:-1], d[:-1], (3 * slopes - 2 * d[:-1] - d[1:]) / h, (d[:-1] + d[1:] - 2 * slopes) / h**2


def _derivatives(h: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """At the points: weighted harmonic means inside, three-point formulas that keep the shape at the ends."""
    if len(h) == 1:
        return np.array([slopes[0], slopes[0]])
    before, after = slopes[:-1], slopes[1:]
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    monotone = before * after > 0
    inside = np.zeros(len(before))
    inside[monotone] = ((w1 + w2)[monotone]) / (w1[monotone] / before[monotone] + w2[monotone] / after[monotone])
    first, last = _end(h[0], h[1], slopes[0], slopes[1]), _end(h[-1], h[-2], slopes[-1], slopes[-2])
    return np.concatenate([[first], inside, [last]])


def _end(h0: float, h1: float, s0: float, s1: float) -> float:
    d = ((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1)
    if d * s0 <= 0:
        return 0.0
    return 3 * s0 if s0 * s1 <= 0 and abs(d) > 3 * abs(s0) else d
