"""Fine rendering: what is seen is synthesised with more bits than what contexts see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from make_golden import scene
from test_wavelet_exactness import golden

import nifcodec
from nifcodec import container
from nifcodec.fields.families import configure
from nifcodec.fields.wavelet.description import unpack_description
from nifcodec.picture import metrics


def slopes(height: int, width: int) -> np.ndarray:
    """Smooth colours, uint8 (H, W, 3)."""
    v, u = np.mgrid[0:height, 0:width] / 256
    colours = np.stack([0.3 + 0.4 * u * v, 0.5 + 0.2 * np.sin(2 * u + v), 0.7 - 0.3 * v], axis=-1)
    return np.rint(255 * colours.clip(0, 1)).astype(np.uint8)


def coarsely(data: bytes) -> bytes:
    """The file without its flag."""
    file = container.unpack(data)
    spec = unpack_description(file.description)
    assert spec.fine
    return container.pack(replace(file, description=replace(spec, fine=False).pack()))


def waffle(pixels: np.ndarray, original: np.ndarray) -> float:
    """Root mean square of what alternates from pixel to pixel beyond the original, averaged over 16 x 16 pixels."""
    error = pixels.astype(float) - original
    high, wide = (side // 16 * 16 for side in error.shape[:2])
    signs = np.where(np.indices((high, wide)) % 2, -1, 1)
    patterns = [signs[0], signs[1], signs[0] * signs[1]]
    error = error[:high, :wide]
    found = [
        (error * pattern[..., None]).reshape(high // 16, 16, wide // 16, 16, -1).mean((1, 3)) for pattern in patterns
    ]
    return float(np.sqrt(np.mean(np.square(found))))


@pytest.mark.parametrize("options", [{}, {"largest_whole": 0, "tile_exponent": 7}], ids=["whole", "tiles"])
def test_smooth_areas_have_no_waffle_at_low_qualities(options: "dict[str, int]") -> None:
    original = slopes(192, 320)
    data = nifcodec.encode(original, configure(effort=1, quality=3, **options))
    fine, coarse = nifcodec.decode(data), nifcodec.decode(coarsely(data))
    assert waffle(fine, original) < 0.6 * waffle(coarse, original)
    assert metrics.psnr(original, fine) > metrics.psnr(original, coarse) + 1.5


def test_a_size_is_met_with_what_is_shown() -> None:
    """What training and searches measure is what a decoder shows."""
    original = scene(160, 120, 3, 8).pixels
    data = nifcodec.encode(original, configure(effort=2, psnr=30))
    assert 30 <= metrics.psnr(original, nifcodec.decode(data)) < 31.5


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", ["fine", "fine-tiles"])
@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_a_reduced_picture_differs_by_rounding_alone(name: str, scale: float) -> None:
    fine, coarse = (nifcodec.decode(data, scale=scale).astype(int) for data in (golden(name), coarsely(golden(name))))
    assert np.abs(fine - coarse).mean() < 8


@pytest.mark.usefixtures("backend")
def test_a_crop_is_a_part_of_the_whole() -> None:
    whole = nifcodec.decode(golden("fine-tiles")).astype(int)
    part = nifcodec.decode(golden("fine-tiles"), crop=(117, 1, 17, 4))
    assert np.abs(part - whole[1:5, 117:134]).max() <= 1
