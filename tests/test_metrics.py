"""Measures against closed forms and against values of tf.image (TensorFlow 2.21), computed once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nifcodec import metrics
from nifcodec.errors import ImageError
from nifcodec.image import read_image

SAMPLES = Path(__file__).resolve().parents[1] / "sample_images"


def noisy(name: str, sigma: float) -> "tuple[np.ndarray, np.ndarray]":
    """A sample picture and the same with a fixed pattern added: integers only, the same everywhere."""
    pixels = read_image(SAMPLES / name).pixels
    rows, columns = np.indices(pixels.shape[:2])
    pattern = ((rows * 37 + columns * 101 + rows * columns) % 31 - 15)[..., np.newaxis] * sigma / 9
    return pixels, np.clip(np.rint(pixels + pattern), 0, 255).astype(np.uint8)


def test_psnr_of_a_constant_error() -> None:
    first = np.full((8, 9, 3), 100, np.uint8)
    assert metrics.mse(first, first + 3) == 9
    assert metrics.psnr(first, first + 3) == pytest.approx(10 * math.log10(255**2 / 9))
    assert metrics.psnr_luma(first, first + 3) == pytest.approx(10 * math.log10(255**2 / 9))
    assert metrics.psnr(first, first) == math.inf


def test_psnr_takes_the_mse_over_the_three_channels() -> None:
    first = np.zeros((4, 4, 3), np.uint8)
    second = first.copy()
    second[..., 1] = 6
    assert metrics.mse(first, second) == 12
    assert metrics.psnr_luma(first, second) == pytest.approx(10 * math.log10(255**2 / (0.587 * 6) ** 2))


def test_grey_is_compared_as_rgb() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    assert metrics.psnr(grey, grey + 2) == metrics.psnr(np.repeat(grey, 3, 2), np.repeat(grey + 2, 3, 2))


def test_errors_under_transparency_do_not_count_and_none_hides_in_the_background() -> None:
    first = np.zeros((4, 4, 4), np.uint8)
    second = first.copy()
    second[..., :3] = 90
    assert metrics.psnr(first, second) == math.inf
    second[..., 3] = 255
    second[..., :3] = 0
    assert metrics.mse(first, second) == pytest.approx(255**2 / 2)
    assert metrics.mse(first[..., :3], second) == pytest.approx(0)


@pytest.mark.parametrize(
    ("name", "sigma", "expected"),
    [
        ("coffee.png", 9, 0.951936),
        ("chelsea.png", 25, 0.824012),
        ("gradient.png", 4, 0.972639),  # 4 scales
        ("odd.png", 20, 0.989402),  # 3 scales, odd sizes
    ],
)
def test_ms_ssim_is_that_of_tensorflow(name: str, sigma: float, expected: float) -> None:
    assert metrics.ms_ssim(*noisy(name, sigma)) == pytest.approx(expected, abs=3e-5)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 1), (5, 8, 4), (11, 12, 3), (23, 400, 2)])
def test_ms_ssim_of_small_pictures(shape: "tuple[int, int, int]") -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert metrics.ms_ssim(pixels, pixels) == pytest.approx(1)
    assert 0 <= metrics.ms_ssim(pixels, 255 - pixels) < 0.9


def test_bits_per_pixel_counts_the_whole_file() -> None:
    assert metrics.bits_per_pixel(1000, 100, 50) == 1.6


def test_pictures_of_two_sizes_cannot_be_compared() -> None:
    with pytest.raises(ImageError, match="4x3 and 3x4"):
        metrics.psnr(np.zeros((3, 4, 3), np.uint8), np.zeros((4, 3, 3), np.uint8))
