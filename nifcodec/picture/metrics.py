"""What a compressed picture is measured by: MSE, PSNR of RGB, luma and Lab, MS-SSIM, bits per pixel.

A float picture is measured by log and PU21-PSNR.

A picture with alpha is compared composited over black and over white, the mean of both: errors under transparency do
not count, and no error can hide in the background.
"""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from nifcodec.errors import ImageError
from nifcodec.picture import colour, transfer
from nifcodec.threads import in_threads

# Wang, Simoncelli and Bovik 2003, section 3.2: exponents of the five scales, fine to coarse.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, WINDOW_SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Pictures are measured in blocks, so that memory stays bounded; a multiple of 2^4, for the halvings of MS-SSIM.
BLOCK = 1024
STRIP = 16  # rows of windows of a whole block; more where it is narrow
ROUNDING = 1e-20  # squared chroma of a grey, in float64

# Mantiuk and Azimi 2021, "PU21: A novel perceptually uniform encoding for adapting existing quality metrics for HDR",
# the variant banding_glare: parameters, range in cd/m2, and the peak that its authors' PSNR takes.
PU21 = (0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627, 0.09150303166, 0.9099517204, 596.3148142)
PU21_RANGE, PU21_PEAK = (0.005, 10000.0), 256.0


def measure(original: np.ndarray, decoded: np.ndarray) -> Dict[str, Optional[float]]:
    """What is reported of a decoded picture: psnr_rgb and ms_ssim, or psnr_log and psnr_pu21 of a float one."""
    if original.dtype.kind == "f":
        log, pu21 = psnr_log(original, decoded), psnr_pu21(original, decoded)
        return {"psnr_rgb": None, "ms_ssim": None, "psnr_log": log, "psnr_pu21": pu21}
    similarity = ms_ssim(original, decoded)
    return {"psnr_rgb": psnr(original, decoded), "ms_ssim": similarity, "psnr_log": None, "psnr_pu21": None}


def fidelity(original: np.ndarray, decoded: np.ndarray) -> float:
    """The PSNR that an encoder can aim at: `psnr`, or `psnr_log` of a float picture."""
    return psnr_log(original, decoded) if original.dtype.kind == "f" else psnr(original, decoded)


def bits_per_pixel(file_bytes: int, width: int, height: int) -> float:
    """8 x bytes of the whole file / pixels."""
    return 8.0 * file_bytes / (width * height)


def mse(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared error over the three RGB channels of two integer pictures (H, W, C), in squared 8-bit steps."""
    return _mean_square(first, second, lambda rgb: rgb)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """RGB PSNR in dB of two integer pictures, peak white; infinite for equal pictures."""
    return psnr_of_mse(mse(first, second))


def psnr_luma(first: np.ndarray, second: np.ndarray) -> float:
    """PSNR in dB of BT.601 luma, peak 255."""
    return psnr_of_mse(_mean_square(first, second, colour.luma))


def psnr_lab(first: np.ndarray, second: np.ndarray) -> Tuple[float, float]:
    """PSNR in dB of L*, and of a* and b* together, of two integer pictures, whose samples are taken to be sRGB.

    Of two greys, the second is infinite. The peaks are 100 for L* and 255 for a* and b*: full scale of their encoding
    in 8 bits (ICC.1:2010, section 6.3.4.2).
    """
    lightness = _mean_square(first, second, lambda rgb: colour.lab(rgb)[..., 0])
    chroma = _mean_square(first, second, lambda rgb: colour.lab(rgb)[..., 1:])
    return psnr_of_mse(2.55**2 * lightness), psnr_of_mse(chroma if chroma > ROUNDING else 0.0)


def psnr_of_mse(error: float) -> float:
    """10 log10(255^2 / error)."""
    return math.inf if error == 0 else 10.0 * math.log10(255.0**2 / error)


def estimated_psnr(error: float) -> float:
    """PSNR in dB of a mean squared error on values of 0..1, at most 120: for what training shows of itself."""
    return -10.0 * math.log10(max(error, 1e-12))


def psnr_log(original: np.ndarray, decoded: np.ndarray) -> float:
    """RGB PSNR in dB of two float pictures on log values, peak 1; infinite for equal pictures.

    The log values are those of the log transfer that fits the original, 0 to 1 over its range, whatever transfer the
    file has: files of all transfers compare.
    """
    curve = transfer.choose("log", original[..., : colour.colour_count(original)])
    return psnr_of_mse(255.0**2 * _mean_square(original, decoded, lambda rgb: curve.scaled(rgb / 255), "f"))


def psnr_pu21(original: np.ndarray, decoded: np.ndarray) -> float:
    """RGB PSNR in dB of two float pictures on PU21 values, as its authors take it; infinite for equal pictures.

    1.0 is a luminance of `transfer.WHITE_LUMINANCE`; what PU21 does not cover is clipped, as on a display.
    """
    error = _mean_square(original, decoded, lambda rgb: _pu21(rgb / 255), "f")
    return psnr_of_mse((255.0 / PU21_PEAK) ** 2 * error)


def _pu21(light: np.ndarray) -> np.ndarray:
    """Linear light, 1.0 white -> perceptually uniform values, 0 to 595."""
    p = PU21
    power = np.clip(light * transfer.WHITE_LUMINANCE, *PU21_RANGE) ** p[3]
    return np.asarray(p[6] * (((p[0] + p[1] * power) / (1 + p[2] * power)) ** p[4] - p[5]))


def ms_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Multi-scale structural similarity (Wang et al. 2003) of two integer pictures, mean over R, G and B; 1 is equal.

    The five scales need a shorter side of 176 pixels; below that, as many as fit, their exponents scaled to sum to 1.
    A side under 11 pixels shortens the window.
    """
    return float(np.mean([_ms_ssim(first, second, grey) for grey in _backgrounds(first, second)]))


def _mean_square(
    first: np.ndarray, second: np.ndarray, seen: Callable[[np.ndarray], np.ndarray], kind: str = "u"
) -> float:
    """Mean squared difference of what `seen` makes of the float64 RGB, 255 white, of two pictures.

    kind: of their samples, "u" unsigned integers or "f" floats.
    """
    total, count = 0.0, 0
    for grey in _backgrounds(first, second, kind):
        for where in _blocks(first.shape):
            squares = (seen(colour.over(first[where], grey)) - seen(colour.over(second[where], grey))) ** 2
            total, count = total + float(squares.sum()), count + squares.size
    return total / count


def _backgrounds(first: np.ndarray, second: np.ndarray, kind: str = "u") -> List[float]:
    """What two pictures are compared over: black, and white too where either has alpha."""
    if first.dtype.kind != second.dtype.kind:
        words = ["linear light" if pixels.dtype.kind == "f" else f"{pixels.dtype}" for pixels in (first, second)]
        raise ImageError(
            f"a picture of {words[0]} cannot be compared with one of {words[1]}: take the original that was encoded"
        )
    for pixels in (first, second):
        if pixels.dtype.kind != kind or pixels.ndim != 3:
            wanted = "float" if kind == "f" else "integer"
            raise ImageError(
                f"{wanted} pictures of (height, width, channels) are needed, not {pixels.dtype} of {pixels.shape}"
            )
    if first.shape[:2] != second.shape[:2]:
        sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (first, second)]
        raise ImageError(f"pictures of {sizes[0]} and {sizes[1]} pixels cannot be compared")
    return [0.0, 255.0] if colour.has_alpha(first) or colour.has_alpha(second) else [0.0]


def _blocks(shape: Tuple[int, ...], beyond: int = 0) -> List[Tuple[slice, slice]]:
    """A picture (H, W, C) in blocks of BLOCK pixels a side and `beyond` more to the right and below."""
    return [
        np.s_[top : top + BLOCK + beyond, left : left + BLOCK + beyond]
        for top in range(0, shape[0], BLOCK)
        for left in range(0, shape[1], BLOCK)
    ]


def _ms_ssim(first: np.ndarray, second: np.ndarray, grey: float) -> float:
    """The exponents apply to each channel's means, as in tf.image.ssim_multiscale."""
    sides = first.shape[:2]
    scales = 1
    while scales < len(SCALE_WEIGHTS) and min(sides) >> scales >= WINDOW:
        scales += 1
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])

    def similarities(where: Tuple[slice, slice]) -> Tuple[np.ndarray, np.ndarray]:
        """Of a block: the sums over each scale and channel, and how many windows each scale has."""
        sums, counts = np.zeros((scales, 3)), np.zeros(scales)
        a, b = colour.over(first[where], grey), colour.over(second[where], grey)
        for scale in range(scales):
            # A window belongs to the block in which it begins.
            own = np.s_[: (BLOCK >> scale) + WINDOW - 1, : (BLOCK >> scale) + WINDOW - 1]
            if all(here >= min(WINDOW, -(-side >> scale)) for here, side in zip(a.shape, sides)):
                sums[scale], counts[scale] = _ssim(a[own], b[own], scale == scales - 1)
            a, b = colour.halve(a), colour.halve(b)
        return sums, counts

    found = list(in_threads(similarities, _blocks(first.shape, (WINDOW - 1) << (scales - 1))))
    sums, counts = (np.sum(parts, axis=0) for parts in zip(*found))
    means = np.maximum(sums / counts[:, None], 0.0)
    return float(np.mean(np.prod(means ** weights[:, None], axis=0)))


def _ssim(a: np.ndarray, b: np.ndarray, coarsest: bool) -> Tuple[np.ndarray, int]:
    """The sums over the windows of (H, W, 3) for each channel, and how many windows there are."""
    total, windows = np.zeros(3), 0
    rows = len(a) - min(WINDOW, len(a) - (len(a) + 1) % 2) + 1
    # In strips that stay in a core's cache.
    high = max(STRIP, STRIP * BLOCK // a.shape[1])
    for top in range(0, rows, high):
        strip = slice(top, len(a) - rows + min(top + high, rows))
        luminance, contrast = _ssim_terms(a[strip], b[strip])
        similarity = luminance * contrast if coarsest else contrast
        total += similarity.sum(axis=(0, 1))
        windows += similarity.shape[0] * similarity.shape[1]
    return total, windows


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
        kept, middle = length - size + 1, size // 2
        shifted = [planes[k : k + kept] if axis == 0 else planes[:, k : k + kept] for k in range(size)]
        planes = taps[middle] * shifted[middle]
        for tap, before, after in zip(taps[:middle], shifted, reversed(shifted)):
            planes += tap * (before + after)
    return planes
