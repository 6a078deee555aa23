"""The latent pyramid on one picture: `python -m benchmarks.pyramid PICTURE --steps 500`.

Shows the loss as it is trained, then the bytes of latents and weights in the file, and J of what it decodes to.
"""

from __future__ import annotations

import argparse
import time
from math import log2
from pathlib import Path
from typing import Optional, Sequence

import numpy as np

import nifcodec
from benchmarks import rd
from benchmarks.report import table
from nifcodec import container
from nifcodec.fields.hooks import Progress
from nifcodec.fields.parts import unpack_parts
from nifcodec.fields.rate_control import PRICE_AT_QUALITY_0, PRICE_FALL
from nifcodec.picture.metrics import psnr


def run(name: str, pixels: np.ndarray, price: float, steps: int, seed: int, threads: Optional[int]) -> str:
    """The table of one picture (H, W, 3), uint8.

    Args:
        price: lambda, of a bit a pixel in units of the mean squared error on 0..1.
    """
    began = time.perf_counter()

    def tell(progress: Progress) -> None:
        loss = 1000 * (10 ** (-progress.psnr / 10) + price * progress.bpp)
        cells = f"{loss:.4f}", f"{progress.bpp:.4f} bpp", f"{progress.psnr:.3f} dB", f"{progress.seconds:.0f} s"
        print(f"step {progress.step:5d}  J without weights", *cells, flush=True)

    quality = 100 * log2(PRICE_AT_QUALITY_0 / price) / PRICE_FALL
    config = nifcodec.EncodeConfig(field="pyramid", quality=quality, steps=steps, seed=seed, threads=threads)
    data = nifcodec.encode(pixels, config, tell)
    seconds = time.perf_counter() - began
    weights, *streams = unpack_parts(container.unpack(data).payload, 2)
    rate = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
    reached = psnr(pixels, nifcodec.decode(data))
    cells = [
        *(name, f"{price:g}", f"{steps}", f"{sum(map(len, streams))}", f"{len(weights)}", f"{rate:.4f}"),
        *(f"{reached:.2f}", f"{1000 * (10 ** (-reached / 10) + price * rate):.4f}", f"{seconds:.0f}"),
    ]
    heads = ["picture", "lambda", "steps", "latents, bytes", "weights, bytes", "bpp", "PSNR, dB", "J", "seconds"]
    return table(heads, [cells])


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pyramid", description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--steps", type=int, default=500, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--lambda", type=float, default=1e-3, metavar="L", dest="price", help="(default: %(default)s)")
    parser.add_argument("--crop", metavar="X,Y,W,H", help="a part of the picture")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="(default: one for each core)")
    options = parser.parse_args(arguments)
    for picture in rd.read_pictures(options.pictures):
        pixels = picture.pixels
        if options.crop:
            x, y, width, height = (int(part) for part in options.crop.split(","))
            pixels = pixels[y : y + height, x : x + width]
        print(run(picture.name, pixels, options.price, options.steps, options.seed, options.threads))


if __name__ == "__main__":
    main()
