"""Trains the detail network of the lattice fields over folders of pictures.

    python -m nifcodec.fields.detail_training.network FOLDER... -o FILE [--work DIR] [--seed N] [--steps N]
        [--holdout K]

Every K-th picture of a folder, in sorted order, is held out and only validates. Samples and the state of the training
stay in the work folder: the same command goes on where it was stopped. Beside FILE, a card of the same name in JSON
says what the network was made from, and its curve. The file: FORMAT.md, "Detail network".
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from math import nan
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.errors import ConfigError
from nifcodec.fields.detail.contract import position
from nifcodec.fields.detail.detail_file import ENDING, DetailFile
from nifcodec.fields.detail_training import networks, samples
from nifcodec.fields.hooks import Progress
from nifcodec.fields.progress_line import ProgressLine
from nifcodec.fields.training_run import (
    base_names,
    command,
    last_held_out,
    load_arrays,
    open_work,
    save_arrays,
    write_with_card,
)
from nifcodec.files import check_output
from nifcodec.picture.write import FORMATS
from nifcodec.threads import at_most

DEFAULT_STEPS = 30_000
COMMAND = "python -m nifcodec.fields.detail_training.network"
PART = 256  # visits whose patches are one file of the work folder
UNIT = 1 << 14  # decoded samples are kept as int16 in 1/UNIT
EVERY = 1000  # steps after which the state is kept and the curve gets a point
GREY, NEGATIVE = 0.1, 0.1  # share of the batches that see grey, and negatives


class Run:
    """One training run: its pictures, its options and its work folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.training, self.held_out = last_held_out(options.folders, options.holdout, FORMATS)
        self.line = ProgressLine("detail")
        self.work = options.work or os.path.splitext(options.output)[0] + "-work"
        settings = {"seed": options.seed, "steps": options.steps}
        open_work(self.work, settings, self.training, self.held_out)

    def run(self) -> Dict[str, Any]:
        """Trains what is not trained yet, writes the network and its card; returns the card."""
        training, curve = self._train()
        data = DetailFile.of(training.weights()).pack()
        stored = DetailFile.unpack(data).weights
        card = {
            "folders": base_names(self.options.folders),
            "pictures": {"training": len(self.training), "held out": len(self.held_out)},
            "command": f"{COMMAND} --seed {self.options.seed} --steps {self.options.steps}",
            "held out, dB over the Lanczos kernel by quality": self._gains(stored),
            f"loss every {EVERY} steps": [round(loss, 4) for loss in curve],
            "versions": {"numpy": np.__version__, "tensorflow": tf.__version__},
        }
        return write_with_card(self.options.output, data, card)

    def _train(self) -> Tuple[networks.Training, List[float]]:
        """The training after all steps, and its curve: means of the loss."""
        decoded, originals, positions = self._patches()
        path, began, first = self._path("state.npz"), time.monotonic(), 0
        state = load_arrays(path) if os.path.exists(path) else None
        curve = [] if state is None else state["curve"].tolist()
        training = networks.Training(self.options.seed, self.options.steps, state)
        first, losses = training.done, []
        while training.done < self.options.steps:
            random = np.random.default_rng((self.options.seed, training.done))
            chosen = random.integers(0, len(positions), networks.BATCH)
            batch = [decoded[chosen].astype(np.float32) / UNIT, originals[chosen].astype(np.float32) / 255]
            if random.random() < GREY:
                batch = [np.repeat(part.mean(axis=-1, keepdims=True), 3, axis=-1) for part in batch]
            if random.random() < NEGATIVE:
                batch = [1 - part for part in batch]
            losses.append(training.step(batch[0], batch[1], positions[chosen]))
            if training.done % EVERY == 0 or training.done == self.options.steps:
                curve.append(float(np.mean(losses)))
                losses = []
                save_arrays(path, curve=np.array(curve), **training.state())
            seconds = (time.monotonic() - began) * training.done / (training.done - first)
            self.line(Progress("train", training.done, self.options.steps, seconds, nan, nan))
        return training, curve

    def _patches(self) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All patches: int16 (N, PATCH, PATCH, 3) decoded, uint8 (N, 2 PATCH, 2 PATCH, 3), positions (N,)."""
        visits, began, parts = samples.visits(self.training, self.options.seed), time.monotonic(), []
        for start in range(0, len(visits), PART):
            path = self._path(f"samples-{start // PART:04}.npz")
            if not os.path.exists(path):
                pairs = [pair for visit in visits[start : start + PART] for pair in samples.patches(*visit)]
                decoded = np.rint(np.stack([pair.decoded for pair in pairs]) * UNIT)
                save_arrays(
                    path,
                    decoded=np.clip(decoded, -(1 << 15), (1 << 15) - 1).astype(np.int16),
                    originals=np.stack([pair.original for pair in pairs]),
                    positions=np.array([position(pair.log_step) for pair in pairs], np.float32),
                )
            parts.append(load_arrays(path))
            done = min(start + PART, len(visits))
            self.line(Progress("samples", done, len(visits), time.monotonic() - began, nan, nan))
        decoded, originals, positions = (
            np.concatenate([part[name] for part in parts]) for name in ("decoded", "originals", "positions")
        )
        return decoded, originals, positions

    def _gains(self, weights: networks.Arrays) -> Dict[str, float]:
        """dB over the kernel of the pictures held out, by quality."""
        sums: Dict[str, List[float]] = {f"{quality:g}": [] for quality in samples.QUALITIES}
        for path in self.held_out:
            pairs = list(samples.held_out(path))
            each = len(pairs) // len(samples.QUALITIES)
            found = networks.gains(weights, [(pair.decoded, pair.original, position(pair.log_step)) for pair in pairs])
            for number, (gain, _) in enumerate(found):
                sums[f"{samples.QUALITIES[number // each]:g}"].append(gain)
        return {quality: round(float(np.mean(gains)), 3) for quality, gains in sums.items()}

    def _path(self, name: str) -> str:
        return os.path.join(self.work, name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Train a detail network.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="folders of photographs, at least 110x110 pixels")
    parser.add_argument(
        "-o", dest="output", required=True, metavar="FILE", help=f"the network, {ENDING}; its card is beside it"
    )
    parser.add_argument("--work", metavar="DIR", help="samples and state, about 2 GB (default: FILE-work)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--holdout", type=int, default=25, metavar="K", help="hold out every K-th picture of a folder (25)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="(default: one for each core)")
    return parser


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command: prints the card on standard output; the exit code."""
    options = _parser().parse_args(arguments)

    def run() -> Dict[str, Any]:
        if options.seed < 0 or options.steps < 1 or options.holdout < 2:
            raise ConfigError("--seed must not be negative, --steps at least 1, --holdout at least 2")
        check_output(options.output, force=True)
        if options.threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        with at_most(options.threads):
            return Run(options).run()

    return command(run)


if __name__ == "__main__":
    sys.exit(main())
