"""Colour on the picture's side: what the measures compare. A field's own colour matrices are in its family's folder."""

from __future__ import annotations

from typing import Any

import numpy as np

# ITU-R BT.601, full range, as JPEG uses it.
LUMA = np.array([0.299, 0.587, 0.114])
# Luminance of linear light in the primaries of Rec. 709.
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# IEC 61966-2-1: linear sRGB -> CIE XYZ, from the primaries of Rec. 709 and the white D65, in which Y is 1. The rows sum
# to that white, so that a grey has no chroma.
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
D65 = SRGB_TO_XYZ.sum(axis=1)
# Reinhard et al. 2002, equation 2: what the mean of the logarithms is shown as.
MIDDLE_GREY = 0.18


def white(dtype: "np.dtype[Any]") -> float:
    """The sample of white, and of full opacity: 255, 65535, or 1.0 for floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def has_alpha(pixels: np.ndarray) -> bool:
    """True for grey+alpha and RGBA. pixels: (H, W, C)."""
    return pixels.shape[-1] in (2, 4)


def colour_count(pixels: np.ndarray) -> int:
    """Channels without alpha. pixels: (H, W, C)."""
    return pixels.shape[-1] - has_alpha(pixels)


def is_opaque(pixels: np.ndarray) -> bool:
    """True where there is no alpha, or it is full everywhere. pixels: (H, W, C)."""
    return not has_alpha(pixels) or bool((pixels[..., -1] == white(pixels.dtype)).all())


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 1..4) -> (H, W, 3) of the same type: grey is repeated, alpha left out."""
    colours = pixels[..., : colour_count(pixels)]
    return np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else colours


def luma(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3), 0..255 -> float64 (H, W), 0..255, not rounded."""
    return np.asarray(rgb.astype(np.float64) @ LUMA)


def lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (..., 3), 0..255 -> CIE L*a*b* under D65, float64: L* 0..100, a* and b* about -108..98.

    The samples are linearised as in IEC 61966-2-1; L*a*b* is that of CIE 15:2004, section 8.2.1.
    """
    relative = linear(np.asarray(rgb, np.float64) / 255.0) @ SRGB_TO_XYZ.T / D65
    delta = 6.0 / 29.0
    f = np.where(relative > delta**3, np.cbrt(relative), relative / (3.0 * delta**2) + 4.0 / 29.0)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def linear(encoded: np.ndarray) -> np.ndarray:
    """sRGB samples, 0 to 1 -> linear light (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, (np.maximum(encoded + 0.055, 0.0) / 1.055) ** 2.4)


def over(pixels: np.ndarray, background: float) -> np.ndarray:
    """Composites a picture over a flat background (0..255): float64 (H, W, 3), where 255 is white.

    Alpha is straight, and premultiplied in floats.
    """
    rgb = to_rgb(pixels).astype(np.float64) * (255.0 / white(pixels.dtype))
    if not has_alpha(pixels):
        return rgb
    alpha = pixels[..., -1:].astype(np.float64) / white(pixels.dtype)
    visible = rgb if pixels.dtype.kind == "f" else rgb * alpha
    return np.asarray(visible + background * (1.0 - alpha))


def fill_transparent(pixels: np.ndarray) -> np.ndarray:
    """Replaces the colours that nobody sees (alpha 0) by a smooth continuation of the visible ones.

    A field would otherwise spend its capacity on whatever the drawing program left there. Levels of a 2x2 mean pyramid,
    weighted by alpha, are filled from coarse to fine (pull-push, Gortler et al. 1996). pixels: integers (H, W, 2 or 4);
    others come back as they are: in floats, alpha is premultiplied, and light without alpha is seen.
    """
    if not has_alpha(pixels) or pixels.dtype.kind == "f" or pixels[..., -1].all():
        return pixels
    weight = pixels[..., -1:].astype(np.float64) / white(pixels.dtype)
    filled = _pull_push(pixels[..., :-1].astype(np.float64) * weight, weight)
    result = pixels.copy()
    hidden = pixels[..., -1] == 0
    result[hidden, :-1] = np.floor(filled[hidden] + 0.5).clip(0, white(pixels.dtype)).astype(pixels.dtype)
    return result


def straight(pixels: np.ndarray) -> np.ndarray:
    """Premultiplied integers (H, W, 2 or 4) -> straight alpha; colours under none stay as they are."""
    alpha = pixels[..., -1:] / white(pixels.dtype)
    colours = np.floor(pixels[..., :-1] / np.where(alpha > 0, alpha, 1.0) + 0.5).clip(0, white(pixels.dtype))
    return np.concatenate([colours.astype(pixels.dtype), pixels[..., -1:]], axis=2)


def premultiplied(pixels: np.ndarray) -> np.ndarray:
    """Straight float32 (H, W, 2 or 4) -> premultiplied."""
    return np.concatenate([pixels[..., :-1] * pixels[..., -1:], pixels[..., -1:]], axis=2)


def to_eight_bits(pixels: np.ndarray) -> np.ndarray:
    """uint16 -> uint8, rounded."""
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def tone_map(pixels: np.ndarray) -> np.ndarray:
    """Linear light float32 (H, W, C) -> uint8 sRGB to be looked at: the global operator of Reinhard et al. 2002.

    Equations 1, 2 and 4; the smallest luminance that becomes white is the picture's largest. Alpha becomes straight.
    Light under no alpha, as of a flame, adds to what is behind it. No straight alpha does that: it gets as much alpha
    as its brightest colour, which over black is the same.
    """
    colours = np.maximum(pixels[..., : colour_count(pixels)].astype(np.float64), 0.0)
    light = np.maximum(to_rgb(pixels).astype(np.float64), 0.0) @ LUMINANCE
    peak = float(light.max())
    if peak > 0:
        key = float(np.exp(np.log(light + 1e-6 * peak).mean()))
        shown = MIDDLE_GREY / key * light
        mapped = shown * (1 + shown / (MIDDLE_GREY / key * peak) ** 2) / (1 + shown)
        colours *= (mapped / np.where(light > 0, light, 1.0))[..., np.newaxis]
    alpha = pixels[..., colours.shape[2] :].astype(np.float64)
    if has_alpha(pixels):
        alpha = np.where(alpha > 0, alpha, np.minimum(colours.max(axis=2, keepdims=True), 1.0))
        colours /= np.where(alpha > 0, alpha, 1.0)
    colours = np.minimum(colours, 1.0)
    encoded = np.where(colours <= 0.0031308, 12.92 * colours, 1.055 * colours ** (1 / 2.4) - 0.055)
    samples = np.concatenate([encoded, alpha], axis=2)
    return np.floor(255.0 * samples + 0.5).astype(np.uint8)


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
