"""From the samples of a field to pixels: window, averaging, and the integers or the light of a picture."""

from __future__ import annotations

from math import isqrt
from typing import Optional, Tuple

import numpy as np

from nifcodec.fields.family import Samples
from nifcodec.native.sampling import load_sampling
from nifcodec.picture.colour import colour_count
from nifcodec.picture.image import SAMPLES
from nifcodec.picture.transfer import Transfer
from nifcodec.picture.window import Window
from nifcodec.threads import in_threads, spread

BAND_SAMPLES = 2**18  # samples that a thread renders at a time: 4 MiB of float32 at four channels


def render(
    samples_of: Samples,
    window: Window,
    channels: int,
    reduction: int = 0,
    depth: int = 8,
    transfer: Optional[Transfer] = None,
    band_samples: int = BAND_SAMPLES,
) -> np.ndarray:
    """Samples a field over a window: (rows, columns, channels), uint8, uint16 or float32 as `depth` says.

    Where an output pixel covers more than one of the source, it is the mean of samples spread evenly over it, so that
    a reduction does not alias; of a float picture, the mean of its light. Memory beyond the result does not depend on
    the window. Threads render parts of it side by side.

    Args:
        samples_of: the field, which threads may ask at once.
        reduction: how often it is halved already.
        band_samples: samples rendered at a time.
    """
    across, down = window.subsamples(reduction)
    native = load_sampling()
    mean, integers = (block_means, to_integers) if native is None else (native.average, native.to_integers)
    us, vs = window.us(across), window.vs(down)
    pixels = np.empty((window.rows, window.columns, channels), dtype=SAMPLES[depth])
    # Nearly square, so that they touch few tiles of a field that has tiles.
    columns = min(window.columns, max(1, isqrt(band_samples // (across * down))))
    rows = max(1, band_samples // (columns * across * down))

    def render_part(corner: Tuple[int, int]) -> None:
        top, left = corner
        block = pixels[top : top + rows, left : left + columns]
        height, width = block.shape[:2]
        samples = samples_of(
            us[left * across : (left + width) * across],
            vs[top * down : (top + height) * down],
        )
        if transfer is not None:
            samples = to_light(samples, transfer)
        if across * down > 1:
            samples = mean(samples if transfer is not None else np.clip(samples, 0.0, 1.0), down, across)
        block[:] = samples if transfer is not None else integers(samples, depth)

    across_window = spread(range(0, window.columns, columns))
    corners = [(top, left) for top in range(0, window.rows, rows) for left in across_window]
    for _ in in_threads(render_part, corners):
        pass
    return pixels


def block_means(samples: np.ndarray, down: int, across: int) -> np.ndarray:
    """Means of blocks of samples: (rows * down, columns * across, C) -> (rows, columns, C)."""
    blocks = samples.reshape(len(samples) // down, down, -1, across, samples.shape[2])
    return np.asarray(blocks.mean(axis=(1, 3)))


def to_integers(values: np.ndarray, depth: int = 8) -> np.ndarray:
    """Picture values, 1.0 white -> uint8 or uint16, clipped, halves up."""
    return np.floor(np.clip(values, 0.0, 1.0) * (2.0**depth - 1) + 0.5).astype(SAMPLES[depth])


def to_light(values: np.ndarray, transfer: Transfer) -> np.ndarray:
    """What a field gives, (..., C) -> float32 linear light; alpha, the last of 2 or 4, has no curve and is clipped."""
    colours = colour_count(values)
    return np.concatenate([transfer.to_values(values[..., :colours]), np.clip(values[..., colours:], 0, 1)], axis=-1)
