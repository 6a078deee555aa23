"""Latents to begin a training with: a linear map of the picture's means around each, fitted to trained ones."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np

from nifcodec.fields.pyramid.grids import LEVELS, all_grids
from nifcodec.picture.colour import halve

# Means of the grid's own level around a latent, and of the level above it.
NEAR, FAR = 2, 1
FEATURES = 3 * ((2 * NEAR + 1) ** 2 + (2 * FAR + 1) ** 2) + 1
RIDGE = 1e-6  # of the mean of squares
GREY = 0.5
BLOCK = 1 << 16  # latents whose features are made at once


def map_sizes() -> List[int]:
    """How many numbers the map of each grid has."""
    return [FEATURES] * len(all_grids())


class Sums:
    """What a map is fitted to, picture by picture."""

    def __init__(self) -> None:
        self._products = [np.zeros((FEATURES, FEATURES)) for _ in all_grids()]
        self._projections = [np.zeros(FEATURES) for _ in all_grids()]

    @staticmethod
    def of(products: np.ndarray, projections: np.ndarray) -> "Sums":
        """The inverse of `arrays`."""
        sums = Sums()
        sums._products, sums._projections = list(products), list(projections)
        return sums

    def arrays(self) -> Tuple[np.ndarray, np.ndarray]:
        """All that it has taken in."""
        return np.stack(self._products), np.stack(self._projections)

    def add(self, picture: np.ndarray, latents: Sequence[np.ndarray], decay: float = 1.0) -> None:
        """Takes in a picture, float32 (H, W, 1..4) of 0..1, and its trained latents.

        Args:
            decay: what earlier ones count from now on.
        """
        levels = means(picture)
        for number, (grid, values) in enumerate(zip(all_grids(), latents)):
            features = _features(levels, grid.level, 0, len(values))
            self._products[number] = decay * self._products[number] + features.T @ features / len(features)
            projection = features.T @ values.ravel().astype(np.float64) / len(features)
            self._projections[number] = decay * self._projections[number] + projection

    def maps(self) -> List[np.ndarray]:
        """Ridge regressions, float32 (FEATURES,) for each grid."""
        return [
            np.linalg.solve(
                products + RIDGE * np.trace(products) / FEATURES * np.eye(FEATURES) + RIDGE * np.eye(FEATURES), wanted
            ).astype(np.float32)
            for products, wanted in zip(self._products, self._projections)
        ]


def predict(picture: np.ndarray, maps: Sequence[np.ndarray]) -> List[np.ndarray]:
    """First latents of a picture, float32 (H, W, 1..4) of 0..1: float32, of all grids, finest first."""
    levels, found = means(picture), []
    for grid, weights in zip(all_grids(), maps):
        height, width = grid.size(*picture.shape[:2])
        rows = max(1, BLOCK // width)
        parts = [
            _features(levels, grid.level, top, min(top + rows, height)) @ weights for top in range(0, height, rows)
        ]
        found.append(np.concatenate(parts).reshape(height, width))
    return found


def means(picture: np.ndarray) -> List[np.ndarray]:
    """The picture's colours, halved 0 to LEVELS times, less a middle grey; float32. Grey is three equal colours."""
    colours = picture[..., :3] if picture.shape[2] > 2 else np.repeat(picture[..., :1], 3, axis=2)
    levels = [colours.astype(np.float32) - np.float32(GREY)]
    for _ in range(LEVELS):
        levels.append(halve(levels[-1]).astype(np.float32))
    return levels


def _features(levels: Sequence[np.ndarray], level: int, top: int, bottom: int) -> np.ndarray:
    """Of rows of latents, float32 (latents, FEATURES)."""
    width, first = levels[level].shape[1], top % 2
    near = [part[top:bottom] for part in around(levels[level], NEAR)]
    coarse = slice(top // 2, (bottom + 1) // 2)
    far = [
        part[coarse].repeat(2, axis=0).repeat(2, axis=1)[first : first + bottom - top, :width]
        for part in around(levels[level + 1], FAR)
    ]
    ones = np.ones((bottom - top, width, 1), np.float32)
    return np.concatenate([*near, *far, ones], axis=2).reshape(-1, FEATURES)


def around(plane: np.ndarray, reach: int) -> List[np.ndarray]:
    """The plane, shifted by up to `reach` samples each way; borders are repeated."""
    height, width = plane.shape[:2]
    padded = np.pad(plane, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    side = range(2 * reach + 1)
    return [padded[y : y + height, x : x + width] for y in side for x in side]
