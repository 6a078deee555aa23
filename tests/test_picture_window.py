"""Pixel centres, windows and sizes: no shift between a picture and its renders at any size."""

from __future__ import annotations

import numpy as np
import pytest

from nifcodec.errors import ConfigError, LimitError
from nifcodec.fields.family import Samples
from nifcodec.fields.rendering import render
from nifcodec.picture.window import MAX_SUBSAMPLES, choose_window


def perfect_field(pixels: np.ndarray) -> Samples:
    """Gives the picture's value wherever it is asked, pixels being squares: the field that training aims at."""
    height, width = pixels.shape[:2]

    def sample(us: np.ndarray, vs: np.ndarray) -> np.ndarray:
        columns = np.clip((us * width).astype(int), 0, width - 1)
        rows = np.clip((vs * height).astype(int), 0, height - 1)
        return (pixels[np.ix_(rows, columns)] / 255.0).astype(np.float32)

    return sample


def ramp(us: np.ndarray, vs: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(us, vs), axis=-1).astype(np.float32)


def disc(us: np.ndarray, vs: np.ndarray) -> np.ndarray:
    """A soft centred disc."""
    u, v = np.meshgrid(us, vs)
    distance = np.hypot(u - 0.5, v - 0.5)
    return (1 / (1 + np.exp((distance - 0.3) * 20)))[..., np.newaxis].astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (13, 5), (100, 131)])
def test_a_perfect_field_gives_back_the_picture(size: "tuple[int, int]") -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    window = choose_window((size[1], size[0]))
    assert np.array_equal(render(perfect_field(pixels), window, 3), pixels)


def test_pixel_centres_are_halves() -> None:
    window = choose_window((4, 3))
    assert window.us().tolist() == [0.125, 0.375, 0.625, 0.875]
    assert window.vs().tolist() == [0.5 / 3, 1.5 / 3, 2.5 / 3]


def test_a_crop_takes_the_same_samples_as_the_whole() -> None:
    whole = choose_window((37, 11))
    part = choose_window((37, 11), crop=(5, 2, 20, 7))
    assert np.array_equal(part.us(), whole.us()[5:25])
    assert np.array_equal(part.vs(), whole.vs()[2:9])


@pytest.mark.parametrize("field", [ramp, disc])
def test_twice_the_size_averaged_is_the_native_render(field: Samples) -> None:
    channels = field(np.zeros(1), np.zeros(1)).shape[2]
    source = (40, 30)
    native = render(field, choose_window(source), channels).astype(float)
    double = render(field, choose_window(source, scale=2), channels).astype(float)
    means = double.reshape(30, 2, 40, 2, channels).mean(axis=(1, 3))
    difference = means - native
    assert np.abs(difference).max() < 1.5
    # A shift by a quarter of an output pixel would show as a difference of the two halves' means.
    for halves in (np.split(difference, 2, axis=1), np.split(difference, 2, axis=0)):
        assert abs(halves[0].mean() - halves[1].mean()) < 0.1
    assert abs(difference.mean()) < 0.1


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.77, 1, 1.5, 2, 3])
def test_centre_of_gravity_of_a_disc_stays(scale: float) -> None:
    pixels = render(disc, choose_window((60, 40), scale=scale), 1)[..., 0].astype(float)
    rows, columns = np.indices(pixels.shape)
    assert (pixels * (columns + 0.5)).sum() / pixels.sum() / pixels.shape[1] == pytest.approx(0.5, abs=1e-3)
    assert (pixels * (rows + 0.5)).sum() / pixels.sum() / pixels.shape[0] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("scale", [0.25, 0.5, 0.77])
def test_reductions_of_a_ramp_have_no_shift(scale: float) -> None:
    window = choose_window((64, 48), scale=scale)
    exact = render(ramp, choose_window((window.columns, window.rows)), 2).astype(float)
    assert np.abs(render(ramp, window, 2) - exact).max() <= 1


def test_a_reduction_does_not_alias() -> None:
    stripes = np.zeros((32, 32, 1), np.uint8)
    stripes[:, ::2] = 254
    assert (render(perfect_field(stripes), choose_window((32, 32), scale=0.5), 1) == 127).all()


def test_bands_meet_without_a_seam() -> None:
    window = choose_window((50, 40), scale=0.7)
    assert np.array_equal(render(disc, window, 1, band_samples=50), render(disc, window, 1))


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ((100, 60), {}, (100, 60)),
        ((50, 3), {"scale": 0.29}, (15, 1)),  # 14.5, a half in decimal, below it in binary
        ((5, 5), {"scale": 0.1}, (1, 1)),
        ((5, 3), {"scale": 2.5}, (13, 8)),
        ((1, 1), {"scale": 0.001}, (1, 1)),
        ((100, 60), {"size": (50, 0)}, (50, 30)),
        ((100, 60), {"size": (0, 7)}, (12, 7)),
        ((100, 60), {"size": (3, 200)}, (3, 200)),
        ((100, 60), {"crop": (10, 20, 30, 40)}, (30, 40)),
        ((100, 60), {"crop": (10, 20, 30, 40), "scale": 0.5}, (15, 20)),
        ((100, 60), {"crop": (10, 20, 30, 40), "size": (0, 8)}, (6, 8)),
    ],
)
def test_output_sizes(source: "tuple[int, int]", options: "dict[str, object]", expected: "tuple[int, int]") -> None:
    window = choose_window(source, **options)  # type: ignore[arg-type]
    assert (window.columns, window.rows) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0},
        {"scale": -1},
        {"scale": float("nan")},
        {"scale": float("inf")},
        {"size": (0, 0)},
        {"size": (-1, 5)},
        {"scale": 1, "size": (2, 2)},
        {"crop": (0, 0, 11, 1)},
        {"crop": (-1, 0, 2, 2)},
        {"crop": (0, 0, 0, 5)},
        {"crop": (10, 0, 1, 1)},
    ],
)
def test_options_that_do_not_fit(options: "dict[str, object]") -> None:
    with pytest.raises(ConfigError):
        choose_window((10, 10), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"scale": 1e30}, {"size": (20000, 20000)}, {"max_pixels": 99}])
def test_output_above_the_limit(options: "dict[str, object]") -> None:
    with pytest.raises(LimitError, match="max-pixels"):
        choose_window((10, 10), **options)  # type: ignore[arg-type]


def test_a_thumbnail_of_a_huge_picture_is_bounded_work() -> None:
    assert choose_window((100000, 50000), size=(1, 1)).subsamples() == (MAX_SUBSAMPLES, MAX_SUBSAMPLES)
