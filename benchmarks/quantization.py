"""What quantizing and coding the weights costs and saves: `python -m benchmarks.quantization [PICTURE]`.

Trains each of the MLP fields once, and compares the file with the same weights before rounding, as float16 and by PSNR.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

import numpy as np

from nifcodec import container, decoder
from nifcodec.config import EncodeConfig
from nifcodec.container import NifFile
from nifcodec.entropy.tensors import encode_tensors
from nifcodec.fields import rendering
from nifcodec.fields.families import configure
from nifcodec.fields.mlp import render
from nifcodec.fields.mlp.description import FAMILY_IDS, pack
from nifcodec.fields.mlp.sizing import design
from nifcodec.picture import metrics
from nifcodec.picture.read import read_image

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "sample_images" / "coffee.png"
HEADINGS = ("field", "weights", "float16 bytes", "file bytes", "share", "bpp", "float dB", "file dB", "loss dB")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, default=PHOTOGRAPH)
    parser.add_argument("--fields", default="fourier,siren", help="separated by commas (default: %(default)s)")
    parser.add_argument("--bpp", type=float, default=0.5, help="that the network is sized for (default: %(default)s)")
    parser.add_argument("-e", "--effort", type=int, default=5, choices=range(1, 10))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    pixels = read_image(options.picture).pixels
    print(f"{options.picture.name}, {pixels.shape[1]}x{pixels.shape[0]}, effort {options.effort}, seed {options.seed}")
    print("  ".join(f"{heading:>13}" for heading in HEADINGS))
    for field in options.fields.split(","):
        config = configure(field=field, effort=options.effort, seed=options.seed)
        print("  ".join(f"{cell:>13}" for cell in _measure(pixels, config, options.bpp)), flush=True)
    return 0


def _measure(pixels: np.ndarray, config: EncodeConfig, bpp: float) -> "tuple[str, ...]":
    from nifcodec.fields.mlp.training.fit import fit

    height, width, channels = pixels.shape
    spec = design(config.field, channels, (height, width), bpp * height * width)
    result = fit(pixels.astype(np.float32) / np.float32(255), spec, config)
    payload = encode_tensors(result.quantized.to_payload())
    data = container.pack(NifFile(width, height, channels, 8, FAMILY_IDS[config.field], pack(spec), payload))
    centres = render.pixel_centres(width), render.pixel_centres(height)
    unrounded = rendering.to_integers(render.render(spec, result.float_tensors, *centres))
    before, after = metrics.psnr(pixels, unrounded), metrics.psnr(pixels, decoder.decode(data))
    half = 2 * spec.parameter_count()
    return (
        config.field,
        str(spec.parameter_count()),
        str(half),
        str(len(data)),
        f"{100 * len(data) / half:.1f} %",
        f"{metrics.bits_per_pixel(len(data), width, height):.3f}",
        f"{before:.2f}",
        f"{after:.2f}",
        f"{before - after:.2f}",
    )


if __name__ == "__main__":
    sys.exit(main())
