"""What a compressed picture is measured by: MSE, PSNR, MS-SSIM, bits per pixel.

A picture with alpha is compared composited over black and over white, the mean of both: errors under transparency do
not count, and no error can hide in the background.
"""

from __future__ import annotations

import math
from typing import Iterator, List, Tuple

import numpy as np

from nifcodec import colour
from nifcodec.errors import ImageError

# Wang, Simoncelli and Bovik 2003, section 3.2: exponents of the five scales, fine to coarse.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, WINDOW_SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Pictures are measured in blocks, so that memory stays bounded; a multiple of 2^4, for the halvings of MS-SSIM.
BLOCK = 1024


def bits_per_pixel(file_bytes: int, width: int, height: int) -> float:
    """8 x bytes of the whole file / pixels."""
    return 8.0 * file_bytes / (width * height)


def mse(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared error over the three RGB channels of two uint8 pictures (H, W, C), in squared 8-bit steps."""
    backgrounds = _backgrounds(first, second)
    total = 0.0
    for grey in backgrounds:
        for a, b in _blocks(first, second, grey, 0):
            total += float(((a - b) ** 2).sum())
    return total / (3 * first.shape[0] * first.shape[1] * len(backgrounds))


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """RGB PSNR in dB, peak 255; infinite for equal pictures."""
    return psnr_of_mse(mse(first, second))


def psnr_luma(first: np.ndarray, second: np.ndarray) -> float:
    """PSNR in dB of BT.601 luma, peak 255."""
    backgrounds = _backgrounds(first, second)
    total = 0.0
    for grey in backgrounds:
        for a, b in _blocks(first, second, grey, 0):
            total += float(((colour.luma(a) - colour.luma(b)) ** 2).sum())
    return psnr_of_mse(total / (first.shape[0] * first.shape[1] * len(backgrounds)))


def psnr_of_mse(error: float) -> float:
    """10 log10(255^2 / error)."""
    return math.inf if error == 0 else 10.0 * math.log10(255.0**2 / error)


def estimated_psnr(error: float) -> float:
    """PSNR in dB of a mean squared error on values of 0..1, at most 120: for what training shows of itself."""
    return -10.0 * math.log10(max(error, 1e-12))


def ms_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Multi-scale structural similarity (Wang et al. 2003) of two uint8 pictures, mean over R, G and B; 1 is equal.

    The five scales need a shorter side of 176 pixels; below that, as many as fit, their exponents scaled to sum to 1.
    A side under 11 pixels shortens the window.
    """
    return float(np.mean([_ms_ssim(first, second, grey) for grey in _backgrounds(first, second)]))


def _backgrounds(first: np.ndarray, second: np.ndarray) -> List[float]:
    """What two pictures are compared over: black, and white too where either has alpha."""
    for pixels in (first, second):
        if pixels.dtype != np.uint8 or pixels.ndim != 3:
            raise ImageError("measures need uint8 pictures of (height, width, channels)")
    if first.shape[:2] != second.shape[:2]:
        sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (first, second)]
        raise ImageError(f"pictures of {sizes[0]} and {sizes[1]} pixels cannot be compared")
    return [0.0, 255.0] if colour.has_alpha(first) or colour.has_alpha(second) else [0.0]


def _blocks(first: np.ndarray, second: np.ndarray, grey: float, beyond: int) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """The pictures in float64 RGB blocks of BLOCK pixels a side and `beyond` more to the right and below."""
    for top in range(0, first.shape[0], BLOCK):
        for left in range(0, first.shape[1], BLOCK):
            where = np.s_[top : top + BLOCK + beyond, left : left + BLOCK + beyond]
            yield colour.over(first[where], grey), colour.over(second[where], grey)


def _ms_ssim(first: np.ndarray, second: np.ndarray, grey: float) -> float:
    """The exponents apply to each channel's means, as in tf.image.ssim_multiscale."""
    sides = first.shape[:2]
    scales = 1
    while scales < len(SCALE_WEIGHTS) and min(sides) >> scales >= WINDOW:
        scales += 1
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    sums, counts = np.zeros((scales, 3)), np.zeros(scales)
    for pair in _blocks(first, second, grey, (WINDOW - 1) << (scales - 1)):
        a, b = pair
        for scale in range(scales):
            # A window belongs to the block in which it begins.
            own = np.s_[: (BLOCK >> scale) + WINDOW - 1, : (BLOCK >> scale) + WINDOW - 1]
            if all(here >= min(WINDOW, -(-side >> scale)) for here, side in zip(a.shape, sides)):
                luminance, contrast = _ssim_terms(a[own], b[own])
                similarity = luminance * contrast if scale == scales - 1 else contrast
                sums[scale] += similarity.sum(axis=(0, 1))
                counts[scale] += similarity.shape[0] * similarity.shape[1]
            a, b = colour.halve(a), colour.halve(b)
    means = np.maximum(sums / counts[:, None], 0.0)
    return float(np.mean(np.prod(means ** weights[:, None], axis=0)))


def _ssim_terms(a: np.ndarray, b: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The luminance and the contrast-structure map of Wang et al. 2004, equations 6 and 13."""
    mean_a, mean_b = _smooth(a), _smooth(b)
    variance_a, variance_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    contrast = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return luminance, contrast


def _smooth(planes: np.ndarray) -> np.ndarray:
    """Gaussian window over the rows and columns of (H, W, 3), only where it fits whole."""
    for axis in (0, 1):
        length = planes.shape[axis]
        size = min(WINDOW, length - (length + 1) % 2)
        taps = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * WINDOW_SIGMA**2))
        taps /= taps.sum()
        kept = length - size + 1
        shifted = [planes[k : k + kept] if axis == 0 else planes[:, k : k + kept] for k in range(size)]
        planes = sum((tap * view for tap, view in zip(taps, shifted)), np.zeros_like(shifted[0]))
    return planes
