"""Renders the drawn sample pictures into this folder: `python sample_images/render.py`.

Shapes are sampled 4x4 a pixel and averaged, so that edges are smooth; nothing is random.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Tuple

import numpy as np
from PIL import Image

SUBSAMPLES = 4
Mask = np.ndarray  # bool (rows, columns)


def supersampled(width: int, height: int, paint: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """paint(x, y), positions in pixels -> (rows, columns, channels) in 0..1; uint8 (height, width, channels) of it."""
    n = SUBSAMPLES
    x = (np.arange(width * n) + 0.5) / n
    y = (np.arange(height * n) + 0.5) / n
    fine = paint(*np.meshgrid(x, y))
    mean = fine.reshape(height, n, width, n, fine.shape[-1]).mean(axis=(1, 3))
    return np.floor(mean * 255 + 0.5).clip(0, 255).astype(np.uint8)


def disc(x: np.ndarray, y: np.ndarray, centre: Tuple[float, float], radius: float) -> Mask:
    return np.hypot(x - centre[0], y - centre[1]) <= radius


def stroke(x: np.ndarray, y: np.ndarray, start: Tuple[float, float], end: Tuple[float, float], width: float) -> Mask:
    """A line with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - start[0] - along * dx, y - start[1] - along * dy) <= width / 2


def drawing() -> np.ndarray:
    """A house on a hill: flat colours, dark outlines, thin lines. 320x240 RGB."""

    def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        picture = np.empty((*x.shape, 3))
        picture[:] = (0.98, 0.95, 0.87)
        sun = (252.0, 52.0)
        for angle in np.arange(16) * np.pi / 8:
            ray = [(sun[0] + r * np.cos(angle), sun[1] + r * np.sin(angle)) for r in (32.0, 44.0)]
            picture[stroke(x, y, ray[0], ray[1], 2.5)] = (0.93, 0.55, 0.15)
        picture[disc(x, y, sun, 26)] = (0.2, 0.17, 0.2)
        picture[disc(x, y, sun, 23)] = (0.98, 0.75, 0.22)
        hill = 178 + 16 * np.sin(x / 42)
        picture[y > hill - 3] = (0.2, 0.17, 0.2)
        picture[y > hill] = (0.36, 0.6, 0.33)
        for column in range(8, 320, 12):
            root = 178 + 16 * np.sin(column / 42)
            picture[stroke(x, y, (column, root + 14), (column + 4, root + 3), 1.2)] = (0.2, 0.42, 0.22)
        wall = (np.abs(x - 110) < 48) & (y > 110) & (y < 184)
        picture[(np.abs(x - 110) < 51) & (y > 107) & (y < 187)] = (0.2, 0.17, 0.2)
        picture[wall] = (0.9, 0.85, 0.76)
        for row in range(118, 184, 8):
            picture[wall & (np.abs(y - row) < 0.5)] = (0.74, 0.67, 0.58)
        roof = (y > 62) & (y < 112) & (np.abs(x - 110) < (y - 62) * 1.3)
        picture[(y > 57) & (y < 115) & (np.abs(x - 110) < (y - 57) * 1.3)] = (0.2, 0.17, 0.2)
        picture[roof] = (0.75, 0.27, 0.22)
        picture[(np.abs(x - 110) < 11) & (y > 142) & (y < 184)] = (0.33, 0.25, 0.42)
        picture[disc(x, y, (116, 164), 2)] = (0.98, 0.75, 0.22)
        for centre in (82, 138):
            picture[(np.abs(x - centre) < 9) & (np.abs(y - 134) < 9)] = (0.2, 0.17, 0.2)
            pane = (np.abs(np.abs(x - centre) - 3.75) < 3) & (np.abs(np.abs(y - 134) - 3.75) < 3)
            picture[pane] = (0.6, 0.8, 0.9)
        return picture

    return supersampled(320, 240, paint)


def gradient() -> np.ndarray:
    """Slow ramps of hue and lightness, where steps of the quantizer would show as bands. 256x160 RGB."""

    def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = x / 256, y / 160
        phases = (0.0, 1 / 3, 2 / 3)
        hue = np.stack([0.5 + 0.5 * np.cos(2 * np.pi * (0.7 * u + phase)) for phase in phases], axis=-1)
        return hue * (0.35 + 0.55 * (1 - v))[..., np.newaxis] + 0.1 * v[..., np.newaxis]

    return supersampled(256, 160, paint)


def alpha() -> np.ndarray:
    """A ring with a soft shadow on nothing. 192x192 RGBA."""

    def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        distance = np.hypot(x - 92, y - 92)
        shadow = 0.55 * np.exp(-((np.abs(np.hypot(x - 102, y - 104) - 56) / 16) ** 2))
        ring = np.abs(distance - 56) < 18
        angle = np.arctan2(y - 92, x - 92)
        body = np.stack([0.55 + 0.4 * np.cos(angle + shift) for shift in (0.0, 2.1, 4.2)], axis=-1)
        coverage = np.where(ring, 1.0, shadow)[..., np.newaxis]
        return np.concatenate([np.where(ring[..., np.newaxis], body, 0.08), coverage], axis=-1)

    picture = supersampled(192, 192, paint)
    picture[picture[..., 3] == 0, :3] = 0
    return picture


def odd() -> np.ndarray:
    """A zone plate whose fringes stay well below the Nyquist frequency, at a size that nothing divides. 101x67 grey."""

    def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        squared = (x - 50.5) ** 2 + (y - 33.5) ** 2
        return (0.5 + 0.45 * np.cos(squared / 75))[..., np.newaxis]

    return supersampled(101, 67, paint)


def main() -> None:
    folder = Path(__file__).resolve().parent
    for name, picture in (("drawing", drawing()), ("gradient", gradient()), ("alpha", alpha()), ("odd", odd())):
        Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(
            folder / f"{name}.png", optimize=True
        )


if __name__ == "__main__":
    main()
