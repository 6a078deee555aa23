"""The latent pyramid on one picture: `python -m benchmarks.pyramid PICTURE --steps 500`.

Shows the loss as it is trained, then the bytes of its latents and of its weights, which are decoded again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Optional, Sequence

import numpy as np

from benchmarks import rd
from benchmarks.report import table
from nifcodec.errors import MissingDependencyError
from nifcodec.fields.pyramid import bitstream, fit
from nifcodec.fields.pyramid.grids import all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.step import Loss, Pyramid
from nifcodec.fields.pyramid.weights import quantize_weights, unpack_weights
from nifcodec.native import library
from nifcodec.native.pyramid import NativePyramid
from nifcodec.picture.metrics import estimated_psnr
from nifcodec.threads import at_most


def run(name: str, pixels: np.ndarray, price: float, steps: int, seed: int) -> str:
    """The table of one picture (H, W, 3), uint8.

    Args:
        price: lambda, of a bit a pixel in units of the mean squared error on 0..1.

    Raises MissingDependencyError where there is no native library.
    """
    loaded = library.load()
    if loaded is None:
        raise MissingDependencyError(
            "a pyramid is trained by the native library alone: install nifcodec with a compiler"
        )
    began = time.perf_counter()
    pyramid = Pyramid(NativePyramid(loaded), pixels.astype(np.float32) / 255)

    def tell(done: int, loss: Loss) -> None:
        cells = (
            f"{1000 * loss.at(price):.4f}",
            f"{loss.bits / loss.pixels:.4f} bpp",
            f"{estimated_psnr(loss.error):.3f} dB",
        )
        print(f"step {done:5d}  J without weights", *cells, f"{time.perf_counter() - began:.0f} s", flush=True)

    state = fit.fit(pyramid, price, fit.phases(steps, price), seed, tell)
    curvature = fit.curvature(pyramid, state.weights, price)
    quantized = quantize_weights(
        pyramid.layout,
        state.weights,
        curvature,
        lambda tried: pyramid.pixels * pyramid.evaluate(tried).at(price),
        price,
    )
    weights = quantized.pack()
    read = unpack_weights(weights, pyramid.layout).weights()
    loss = pyramid.evaluate(read)
    network = IntegerNetwork.of(pyramid.layout, read)
    latents = {grid: np.rint(each.s.inner[0]).astype(np.int32) for grid, each in zip(all_grids(), pyramid.grids)}
    stream = bitstream.encode_part(network, latents, {}).data
    trained = time.perf_counter() - began
    shapes = {grid: grid.size(*pixels.shape[:2]) for grid in all_grids()}
    found = bitstream.decode_part(network, stream, shapes, {})
    assert all((found[grid] == values).all() for grid, values in latents.items())
    rate = 8 * (len(stream) + len(weights)) / pyramid.pixels
    cells = [
        *(name, f"{price:g}", f"{steps}", f"{len(stream)}", f"{len(weights)}", f"{rate:.4f}"),
        *(f"{estimated_psnr(loss.error):.2f}", f"{1000 * (loss.error + price * rate):.4f}", f"{trained:.0f}"),
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
        with at_most(options.threads):
            print(run(picture.name, pixels, options.price, options.steps, options.seed))


if __name__ == "__main__":
    main()
