"""The biorthogonal 9/7 wavelet as lifting steps: float forward, exact integer inverse.

The filters are those of Cohen, Daubechies and Feauveau (1992), factored into lifting steps by Daubechies and Sweldens
(1998, section 7.7), scaled to be close to orthonormal (the low-pass has a gain of sqrt(2) at zero frequency). Borders
are extended symmetrically about the first and the last sample. A signal of n samples has ceil(n/2) low-pass and
floor(n/2) high-pass samples; a signal of one sample is its own low-pass, times sqrt(2).

The encoder analyses in floating point, since nothing but the quantized result matters. The decoder synthesises in
integers, since its low-pass planes feed the context model, which must see the same numbers on every machine.
"""

from __future__ import annotations

from typing import Callable, List, Tuple

import numpy as np

PRECISION = 14  # fractional bits of the integer constants
LIFTING = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
SCALE = 1.149604398860241
_LIFTING_FIXED = tuple(round(value * (1 << PRECISION)) for value in LIFTING)
_SCALE_LOW_FIXED = round((1 << PRECISION) / SCALE)
_SCALE_HIGH_FIXED = round((1 << PRECISION) * SCALE)
_SQRT_HALF_FIXED = round((1 << PRECISION) * 0.5**0.5)
_HALF = 1 << (PRECISION - 1)

REACH = 2  # low-pass and high-pass samples on both sides on which a synthesised sample depends

Bands = Tuple[np.ndarray, np.ndarray, np.ndarray]
Analysis = Callable[[np.ndarray], Tuple[np.ndarray, Bands]]  # `analyse_plane`, or it natively
Synthesis = Callable[[np.ndarray, Bands], np.ndarray]  # `synthesise_plane`, or it natively


def _sums_at_odd(even: np.ndarray, count: int) -> np.ndarray:
    """even[i] + even[i + 1] for each odd sample i, the last one mirrored where the signal's length is even."""
    total = even[..., :count].copy()
    inner = min(count, even.shape[-1] - 1)
    total[..., :inner] += even[..., 1 : inner + 1]
    total[..., inner:] += even[..., inner:count]
    return total


def _sums_at_even(odd: np.ndarray, count: int) -> np.ndarray:
    """odd[i - 1] + odd[i] for each even sample i, mirrored at both ends."""
    size = odd.shape[-1]
    total = np.empty((*odd.shape[:-1], count), odd.dtype)
    total[..., :size] = odd
    total[..., size:] = odd[..., size - 1 :]
    total[..., 1 : size + 1] += odd[..., : count - 1]
    total[..., 0] += odd[..., 0]
    return total


def analyse(signal: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Split the last axis: (..., n) float64 -> low (..., ceil(n/2)), high (..., floor(n/2))."""
    low, high = signal[..., 0::2].copy(), signal[..., 1::2].copy()
    if signal.shape[-1] == 1:
        return low * 2**0.5, high
    high += LIFTING[0] * _sums_at_odd(low, high.shape[-1])
    low += LIFTING[1] * _sums_at_even(high, low.shape[-1])
    high += LIFTING[2] * _sums_at_odd(low, high.shape[-1])
    low += LIFTING[3] * _sums_at_even(high, low.shape[-1])
    return low * SCALE, high / SCALE


def _scaled(values: np.ndarray, factor: int) -> np.ndarray:
    return (values * factor + _HALF) >> PRECISION


def synthesise(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The inverse of `analyse` on int64 arrays, exact on every machine: each product is rounded half up."""
    if high.shape[-1] == 0:
        return _scaled(low, _SQRT_HALF_FIXED)
    even, odd = _scaled(low, _SCALE_LOW_FIXED), _scaled(high, _SCALE_HIGH_FIXED)
    even -= _scaled(_sums_at_even(odd, even.shape[-1]), _LIFTING_FIXED[3])
    odd -= _scaled(_sums_at_odd(even, odd.shape[-1]), _LIFTING_FIXED[2])
    even -= _scaled(_sums_at_even(odd, even.shape[-1]), _LIFTING_FIXED[1])
    odd -= _scaled(_sums_at_odd(even, odd.shape[-1]), _LIFTING_FIXED[0])
    signal = np.empty((*even.shape[:-1], even.shape[-1] + odd.shape[-1]), even.dtype)
    signal[..., 0::2], signal[..., 1::2] = even, odd
    return signal


def _transposed(plane: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.swapaxes(plane, -1, -2))


def analyse_plane(plane: np.ndarray) -> Tuple[np.ndarray, Bands]:
    """One level in two dimensions: (..., H, W) float64 -> low-pass plane and its (HL, LH, HH) details.

    HL is high-pass along the rows (vertical edges), LH along the columns, HH along both.
    """
    low, high = analyse(plane)
    low_low, low_high = analyse(_transposed(low))
    high_low, high_high = analyse(_transposed(high))
    return _transposed(low_low), (_transposed(high_low), _transposed(low_high), _transposed(high_high))


def synthesise_plane(low: np.ndarray, bands: Bands) -> np.ndarray:
    """The inverse of `analyse_plane` on int64 arrays."""
    horizontal, vertical, diagonal = bands
    left = synthesise(_transposed(low), _transposed(vertical))
    right = synthesise(_transposed(horizontal), _transposed(diagonal))
    return synthesise(_transposed(left), _transposed(right))


def analyse_levels(
    plane: np.ndarray, levels: int, analysis: Analysis = analyse_plane
) -> Tuple[np.ndarray, List[Bands]]:
    """(..., H, W) float64 -> the coarsest low-pass plane and the details of each level, finest first."""
    details: List[Bands] = []
    for _ in range(levels):
        plane, bands = analysis(plane)
        details.append(bands)
    return plane, details


def span_below(span: Tuple[int, int], size: int) -> Tuple[int, int]:
    """The low-pass samples, and with them details, of which samples `span` (from, to) of a line of `size` are made.

    What `synthesise` makes of this part alone is right within `span`; it begins at twice the first sample.
    """
    return max(span[0] // 2 - REACH, 0), min((span[1] + 1) // 2 + REACH, (size + 1) // 2)
