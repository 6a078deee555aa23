"""How smooth and flat areas come back, with fine rendering and without: `python -m benchmarks.flat`.

Two drawings and a photograph, at `-e 1`: slopes of colour, a flat light beside a texture and three lamps, and
sample_images/coffee.png, also with a flat patch in it. The two files of a picture differ in the flag alone (FORMAT.md,
"Rendering"), and in the weights of the restoration filter, which are fitted to either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Tuple
from unittest import mock

import numpy as np
from PIL import Image

import nifcodec
from nifcodec.fields.families import configure
from nifcodec.fields.wavelet import picture_encoder
from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.picture import metrics

COFFEE = Path(__file__).resolve().parents[1] / "sample_images" / "coffee.png"
QUALITIES = (0, 5, 10, 60)
FLAT = np.s_[10:200, 20:170]  # of `light`
PATCH, INSIDE = np.s_[60:140, 380:500], np.s_[68:132, 388:492]  # of the photograph
PATCH_COLOUR = (181, 142, 97)


def slopes() -> np.ndarray:
    """Smooth colours, uint8 (256, 384, 3)."""
    v, u = np.mgrid[0:256, 0:384] / 256
    colours = np.stack([0.3 + 0.4 * u * v, 0.5 + 0.2 * np.sin(2 * u + v), 0.7 - 0.3 * v], axis=-1)
    return np.rint(255 * colours.clip(0, 1)).astype(np.uint8)


def light() -> np.ndarray:
    """Linear light, float32 (256, 384, 3): flat on the left, a texture and lamps on the right, a dark bar."""
    random = np.random.default_rng(0)
    values = np.full((256, 384, 3), 0.18) * (1, 0.9, 0.8)
    values[:, 200:] *= np.exp(random.normal(0, 0.4, (256, 184, 1)))
    for top, left in ((34, 244), (114, 294), (194, 344)):
        values[top : top + 12, left : left + 12] = 400
    values[220:240, 20:60] = 0.002
    return values.astype(np.float32)


def both(pixels: np.ndarray, quality: float) -> Tuple[int, np.ndarray, np.ndarray]:
    """Bytes of the files, and what they decode to: with the flag and without."""

    def without(*fields: Any, **named: Any) -> WaveletDescription:
        return WaveletDescription(*fields, **{**named, "fine": False})

    config = configure(effort=1, quality=quality)
    fine = nifcodec.encode(pixels, config)
    with mock.patch.object(picture_encoder, "WaveletDescription", without):
        coarse = nifcodec.encode(pixels, config)
    assert len(fine) == len(coarse)
    return len(fine), nifcodec.decode(fine), nifcodec.decode(coarse)


def main() -> None:
    """Prints a table of Markdown."""
    print("| picture | quality | bytes | measure | coarse | fine |\n|---|---:|---:|---|---:|---:|")
    for name, pixels in (("slopes", slopes()), ("coffee.png", np.asarray(Image.open(COFFEE).convert("RGB")))):
        for quality in QUALITIES:
            size, fine, coarse = both(pixels, quality)
            before, after = (metrics.psnr(pixels, decoded) for decoded in (coarse, fine))
            print(f"| {name} | {quality} | {size} | PSNR, dB | {before:.2f} | {after:.2f} |")
    patched = np.array(Image.open(COFFEE).convert("RGB"))
    patched[PATCH] = PATCH_COLOUR
    for quality in QUALITIES:
        size, fine, coarse = both(patched, quality)
        errors = [np.abs(decoded[INSIDE].astype(int) - PATCH_COLOUR).mean() for decoded in (coarse, fine)]
        print(f"| flat patch | {quality} | {size} | mean error, levels | {errors[0]:.2f} | {errors[1]:.2f} |")
    pixels = light()
    for quality in QUALITIES:
        size, fine, coarse = both(pixels, quality)
        errors = [100 * np.sqrt(np.mean((decoded[FLAT] / pixels[FLAT] - 1) ** 2)) for decoded in (coarse, fine)]
        print(f"| flat light | {quality} | {size} | rms error, % | {errors[0]:.2f} | {errors[1]:.2f} |")


if __name__ == "__main__":
    main()
