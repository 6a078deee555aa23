"""Trains a pyramid's prior over folders of pictures: weights and first latents for several prices of a bit.

    python -m nifcodec.fields.pyramid.training.prior FOLDER... -o FILE [--work DIR] [--seed N] [--rounds N]

A round trains a mosaic of crops of the pictures, from the weights so far, and moves these to where it led. In the first
round of a price, latents begin with zeros, later with what the rounds before say of first latents (`first_latents`).
Every K-th picture of a folder, in sorted order, is held out: on a mosaic of these the loss of a short training is told
after each round. Finished rounds stay in the work folder: the same command goes on where it was stopped. Beside FILE, a
card of the same name in JSON says what the prior was made from, and the curve.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from nifcodec.errors import ConfigError, MissingDependencyError
from nifcodec.fields.hooks import Progress
from nifcodec.fields.progress_line import ProgressLine
from nifcodec.fields.pyramid.first_latents import Sums
from nifcodec.fields.pyramid.fit import State, Training
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.priors import Prior
from nifcodec.fields.pyramid.priors.prior_file import COLOURS, UNIT_BITS, Start, pack
from nifcodec.fields.pyramid.schedule import Phase, Price, cold_phases, phases
from nifcodec.fields.pyramid.step import Pyramid
from nifcodec.fields.training_run import base_names, command, last_held_out, load_arrays, save_arrays, write_with_card
from nifcodec.files import check_output
from nifcodec.native import library
from nifcodec.native.pyramid import NativePyramid
from nifcodec.picture.metrics import estimated_psnr
from nifcodec.picture.read import read_image
from nifcodec.threads import at_most

PRICES = (1.6e-2, 4e-3, 1e-3, 2.5e-4, 6e-5, 1.5e-5)
COLD_STEPS, WARM_STEPS, HELD_OUT_STEPS = 800, 150, 150
SIDE, DOWN, ACROSS = 128, 4, 6  # of a crop in pixels, and crops of a mosaic
MOVE = 0.5  # share of the way that weights follow a round (Nichol et al. 2018, "Reptile")
FORGOTTEN = 0.8  # what the sums of earlier rounds count after each
COMMAND = "python -m nifcodec.fields.pyramid.training.prior"
ENDINGS = (".png", ".jpg", ".jpeg")


class Run:
    """One training run: its pictures, its options and its work folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        loaded = library.load()
        if loaded is None:
            raise MissingDependencyError("a prior is trained by the native library: install nifcodec with a compiler")
        self._native, self.options = NativePyramid(loaded), options
        self.training, self.held_out = last_held_out(options.folders, options.holdout, ENDINGS)
        self._work = options.work or os.path.splitext(options.output)[0] + "-work"
        os.makedirs(self._work, exist_ok=True)

    def run(self) -> Dict[str, Any]:
        """Trains what is not trained yet, writes the prior and its card; returns the card."""
        starts, curves = [], {}
        for number in range(len(PRICES)):
            start, curve = self._start(number)
            starts.append(start)
            curves[f"{PRICES[number]:g}"] = curve
        data = pack(starts)
        card = {
            "folders": base_names(self.options.folders),
            "pictures": {"training": len(self.training), "held out": len(self.held_out)},
            "command": f"{COMMAND} --seed {self.options.seed} --rounds {self.options.rounds}",
            f"1000 J of the held-out mosaic after {HELD_OUT_STEPS} steps, round by round": curves,
        }
        return write_with_card(self.options.output, data, card)

    def _start(self, number: int) -> "tuple[Start, List[float]]":
        """The start of a price after all rounds, and its curve."""
        price, named = PRICES[number], layout(COLOURS)
        weights, sums, curve = named.initial(self.options.seed).astype(np.float64), Sums(), []
        for round_ in range(self.options.rounds):
            path = os.path.join(self._work, f"{self.options.seed}-{number}-{round_}.npz")
            if os.path.exists(path):
                kept = load_arrays(path)
                weights, curve = kept["weights"], kept["curve"].tolist()
                sums = Sums.of(kept["products"], kept["projections"])
                continue
            picture = mosaic(self.training, self.options.seed + 7919 * number + round_)
            first = None if round_ == 0 else Prior(b"", [self._rounded(price, weights, sums)]).latents(0, picture)
            plan = cold_phases(COLD_STEPS, price) if first is None else _free(phases(WARM_STEPS))
            state = self._trained(picture, weights, first, plan, price, f"price {price:g}, round {round_ + 1}")
            weights = state.weights + (0.0 if round_ == 0 else 1 - MOVE) * (weights - state.weights)
            sums.add(picture, state.latents, FORGOTTEN)
            curve.append(self._held_out_loss(price, self._rounded(price, weights, sums)))
            products, projections = sums.arrays()
            save_arrays(path, weights=weights, curve=curve, products=products, projections=projections)
        return self._rounded(price, weights, sums), [round(loss, 4) for loss in curve]

    def _rounded(self, price: float, weights: np.ndarray, sums: Sums) -> Start:
        return Start(price, np.rint(weights * 2.0**UNIT_BITS).astype(np.int32), sums.maps())

    def _held_out_loss(self, price: float, start: Start) -> float:
        """1000 J of a mosaic of held-out pictures after a short training."""
        picture, prior = mosaic(self.held_out, self.options.seed, DOWN // 2, ACROSS // 2), Prior(b"", [start])
        weights, first = prior.weights(0, layout(COLOURS)), prior.latents(0, picture)
        state = self._trained(picture, weights, first, phases(HELD_OUT_STEPS), price, "held out")
        return 1000 * state.loss.at(price)

    def _trained(
        self,
        picture: np.ndarray,
        weights: np.ndarray,
        first: Optional[Sequence[np.ndarray]],
        plan: Sequence[Phase],
        price: float,
        stage: str,
    ) -> State:
        pyramid, line, began = Pyramid(self._native, picture), ProgressLine(stage), time.monotonic()
        if first is not None:
            pyramid.set_latents(first)
        training = Training(pyramid, plan, weights, Price(price), self.options.seed)

        def tell(loss: Any, evaluated: bool) -> None:
            if evaluated:
                seconds = time.monotonic() - began
                psnr, bpp = estimated_psnr(loss.error), loss.bits / loss.pixels
                line(Progress(stage, training.done, training.steps, seconds, psnr, bpp))

        training.run(tell, lambda: False)
        return training.best


def _free(plan: Sequence[Phase]) -> List[Phase]:
    """The same without what bits do to weights: nothing pays for them here."""
    return [replace(phase, pull=0.0, rounded_from=math.inf) for phase in plan]


def mosaic(paths: Sequence[str], seed: int, down: int = DOWN, across: int = ACROSS) -> np.ndarray:
    """Crops of pictures side by side, float32 (H, W, 3) of 0..1. Half of those of large pictures are halved before."""
    random, rows = np.random.RandomState(seed), []
    for _ in range(down):
        row: List[np.ndarray] = []
        while len(row) < across:
            pixels = read_image(paths[random.randint(len(paths))]).pixels[..., :3]
            if min(pixels.shape[:2]) >= 4 * SIDE and random.randint(2):
                height, width = (side // 2 * 2 for side in pixels.shape[:2])
                halves = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2, -1)
                pixels = np.rint(halves.mean(axis=(1, 3))).astype(np.uint8)
            if min(pixels.shape[:2]) < SIDE or pixels.shape[2] != COLOURS or pixels.dtype != np.uint8:
                continue
            top, left = (random.randint(side - SIDE + 1) for side in pixels.shape[:2])
            crop = pixels[top : top + SIDE, left : left + SIDE]
            row.append(crop[:, ::-1] if random.randint(2) else crop)
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows).astype(np.float32) / 255


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Train a pyramid's prior.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="folders of photographs of 8 bits, PNG or JPEG")
    parser.add_argument(
        "-o", dest="output", required=True, metavar="FILE", help="the prior, .nifprior; its card is beside it"
    )
    parser.add_argument("--work", metavar="DIR", help="finished rounds (default: FILE-work)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="of each price (default: %(default)s)")
    parser.add_argument(
        "--holdout", type=int, default=25, metavar="K", help="hold out every K-th picture of a folder (25)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="(default: one for each core)")
    return parser


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command: prints the card on standard output; the exit code."""
    options = _parser().parse_args(arguments)

    def run() -> Dict[str, Any]:
        if options.seed < 0 or options.rounds < 1 or options.holdout < 2:
            raise ConfigError("--seed must not be negative, --rounds at least 1, --holdout at least 2")
        check_output(options.output, force=True)
        with at_most(options.threads):
            return Run(options).run()

    return command(run)


if __name__ == "__main__":
    sys.exit(main())
