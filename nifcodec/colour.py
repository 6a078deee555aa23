"""Colour on the picture's side: what the measures compare. A field's own colour matrices are in `fields`."""

from __future__ import annotations

import numpy as np

# ITU-R BT.601, full range, as JPEG uses it.
LUMA = np.array([0.299, 0.587, 0.114])


def has_alpha(pixels: np.ndarray) -> bool:
    """True for grey+alpha and RGBA. pixels: (H, W, C)."""
    return pixels.shape[2] in (2, 4)


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 1..4) -> (H, W, 3) of the same type: grey is repeated, alpha left out."""
    colours = pixels[..., : pixels.shape[2] - has_alpha(pixels)]
    return np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else colours


def luma(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3), 0..255 -> float64 (H, W), 0..255, not rounded."""
    return np.asarray(rgb.astype(np.float64) @ LUMA)


def over(pixels: np.ndarray, background: float) -> np.ndarray:
    """Composites an 8-bit picture over a flat background (0..255): float64 (H, W, 3), 0..255."""
    rgb = to_rgb(pixels).astype(np.float64)
    if not has_alpha(pixels):
        return rgb
    alpha = pixels[..., -1:].astype(np.float64) / 255.0
    return np.asarray(rgb * alpha + background * (1.0 - alpha))


def fill_transparent(pixels: np.ndarray) -> np.ndarray:
    """Replaces the colours that nobody sees (alpha 0) by a smooth continuation of the visible ones.

    A field would otherwise spend its capacity on whatever the drawing program left there. Levels of a 2x2 mean pyramid,
    weighted by alpha, are filled from coarse to fine (pull-push, Gortler et al. 1996). pixels: uint8 (H, W, 2 or 4);
    others come back as they are.
    """
    if not has_alpha(pixels) or pixels[..., -1].all() or not pixels[..., -1].any():
        return pixels
    weight = pixels[..., -1:].astype(np.float64) / 255.0
    filled = _pull_push(pixels[..., :-1].astype(np.float64) * weight, weight)
    result = pixels.copy()
    hidden = pixels[..., -1] == 0
    result[hidden, :-1] = np.floor(filled[hidden] + 0.5).clip(0, 255).astype(np.uint8)
    return result


def halve(array: np.ndarray) -> np.ndarray:
    """Means of 2x2 of (H, W, C), an odd last row or column repeated."""
    padded = np.pad(array, ((0, array.shape[0] % 2), (0, array.shape[1] % 2), (0, 0)), mode="edge")
    return np.asarray(padded[0::2, 0::2] + padded[1::2, 0::2] + padded[0::2, 1::2] + padded[1::2, 1::2]) / 4.0


def _pull_push(weighted: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """weighted: colour times weight (H, W, C); weight (H, W, 1), 0..1 -> colours (H, W, C) everywhere."""
    height, width = weight.shape[:2]
    colours = weighted / np.maximum(weight, 1e-12)
    if height == 1 and width == 1:
        return np.asarray(colours)
    halves = [halve(array) for array in (weighted, weight)]
    coarse = np.repeat(np.repeat(_pull_push(*halves), 2, axis=0), 2, axis=1)[:height, :width]
    return np.asarray(np.where(weight > 0, colours, coarse))
