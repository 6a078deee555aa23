"""Measures against closed forms and against values of tf.image (TensorFlow 2.21), computed once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nifcodec.errors import ImageError
from nifcodec.picture import colour, metrics
from nifcodec.picture.read import read_image

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


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        # brucelindbloom.com, CIE colour calculator, sRGB under D65; the greys by hand.
        ((255, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 255, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 255), (32.2970, 79.1875, -107.8602)),
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((119, 119, 119), (50.0344, 0.0, 0.0)),
        ((5, 5, 5), (1.3708, 0.0, 0.0)),  # where both curves are straight: 903.3 x 5 / 255 / 12.92
        ((0, 0, 0), (0.0, 0.0, 0.0)),
    ],
)
def test_lab_has_the_published_values(rgb: "tuple[int, ...]", expected: "tuple[float, ...]") -> None:
    assert colour.lab(np.array([rgb]))[0] == pytest.approx(expected, abs=2e-3)


def test_lab_is_that_of_scikit_image() -> None:
    convert = pytest.importorskip("skimage.color").rgb2lab
    rgb = np.random.default_rng(5).uniform(0, 255, (40, 50, 3))
    # Its matrix has six digits.
    assert np.abs(colour.lab(rgb) - convert(rgb / 255)).max() < 0.01


def test_psnr_of_lab() -> None:
    first = np.random.default_rng(6).integers(20, 230, (9, 8, 3), dtype=np.uint8)
    second = first + np.arange(72, dtype=np.uint8).reshape(9, 8, 1) % 5
    difference = colour.lab(first) - colour.lab(second)
    expected = [
        10 * math.log10(peak**2 / np.mean(part**2))
        for peak, part in ((100, difference[..., 0]), (255, difference[..., 1:]))
    ]
    assert metrics.psnr_lab(first, second) == pytest.approx(expected)
    # Sixteen bits of the same colours.
    assert metrics.psnr_lab(first.astype(np.uint16) * 257, second) == pytest.approx(expected)
    # A grey has no chroma to lose.
    lightness, chroma = metrics.psnr_lab(first[..., :1], second[..., :1])
    assert math.isfinite(lightness)
    assert chroma == math.inf
