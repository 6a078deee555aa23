"""Trains a prior: the context networks, their frequency tables and the restoration filter, over folders of pictures.

    python -m nifcodec.fields.wavelet.training.prior FOLDER... -o FILE [--work DIR] [--seed N] [--steps N]
        [--holdout K...]

Every K-th picture of a folder, in sorted order, is held out and only validates. Finished stages and networks stay in
the work folder: the same command goes on where it was stopped. Beside FILE, a card of the same name in JSON says what
the prior was made from and how good it is. Arrays of FILE: FORMAT.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from math import nan
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.errors import ConfigError, TrainingError
from nifcodec.fields.hooks import Progress
from nifcodec.fields.progress_line import ProgressLine
from nifcodec.fields.training_run import base_names, command, load_arrays, open_work, save_arrays, write_with_card
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.context_model import Key
from nifcodec.fields.wavelet.coding.neighbours import CONSTANTS
from nifcodec.fields.wavelet.priors.prior_file import ARRAYS, PriorFile, QuantizedFilter
from nifcodec.fields.wavelet.training import prior_integers, prior_networks, prior_samples
from nifcodec.files import check_output, say, write_bytes

DEFAULT_STEPS = 10_000  # of a luma network; a chroma network takes half of them
COMMAND = "python -m nifcodec.fields.wavelet.training.prior"


def _name(key: Key) -> str:
    return "c{}o{}g{}p{}".format(*key)


class Run:
    """One training run: its pictures, its options and its work folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        every = options.holdout or [25]
        if len(every) == 1:
            every = every * len(options.folders)
        if len(every) != len(options.folders) or min(every) < 2:
            raise ConfigError("--holdout takes one number of at least 2, or one for each folder")
        self.options, self.holdout = options, every
        self.training, self.held_out = prior_samples.split(options.folders, every, options.limit)
        self.earlier = None if options.quantizer == "none" else priors.named(options.quantizer)
        self.start = priors.named(options.start) if options.start else None
        self.line = ProgressLine("prior")
        self.work = options.work or os.path.splitext(options.output)[0] + "-work"
        settings = {
            "seed": options.seed,
            "steps": options.steps,
            "quantizer": self.earlier.hash.hex() if self.earlier else "none",
            "start": self.start.hash.hex() if self.start else "none",
        }
        open_work(self.work, settings, self.training, self.held_out)

    def path(self, name: str) -> str:
        return os.path.join(self.work, name)

    def reporter(self, stage: str) -> Callable[[int, int], None]:
        """What takes steps done, and all of them."""
        began = time.monotonic()
        return lambda done, steps: self.line(Progress(stage, done, steps, time.monotonic() - began, nan, nan))

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        self.line.clear()
        say(f"{text}\n")

    def samples(self) -> Tuple[List[Key], float]:
        """Visits the pictures, once; the keys of the networks and the seconds it took."""
        done = self.path("samples.json")
        if not os.path.exists(done):
            start, keys = time.monotonic(), []
            for part, paths in (("held", self.held_out), ("train", self.training)):
                report = self.reporter(f"pictures, {part}")
                samples, patches = prior_samples.gather(paths, self.options.seed, self.earlier, report)
                keys = sorted(samples)
                for key in keys:
                    found = samples.pop(key)
                    features, values, kinds = (np.concatenate([part[i] for part in found]) for i in range(3))
                    save_arrays(self.path(f"{part}-{_name(key)}.npz"), features=features, values=values, kinds=kinds)
                order = np.random.default_rng([self.options.seed, 2]).permutation(len(patches.features))
                arrays = {name: np.stack(parts)[order] for name, parts in vars(patches).items()}
                save_arrays(self.path(f"{part}-patches.npz"), **arrays)
            state = {"keys": keys, "seconds": time.monotonic() - start}
            write_bytes(done, json.dumps(state).encode())
        with open(done, encoding="utf-8") as stored:
            state = json.load(stored)
        return [(int(c), int(o), int(g), int(p)) for c, o, g, p in state["keys"]], float(state["seconds"])

    def network(self, key: Key, seed: int) -> Dict[str, np.ndarray]:
        """Integers of a context network, `counts` of its samples, `bits` held out (float, samples) and `seconds`."""
        path = self.path(f"network-{_name(key)}.npz")
        if os.path.exists(path):
            return load_arrays(path)
        start = time.monotonic()
        data = load_arrays(self.path(f"train-{_name(key)}.npz"))
        features, values, kinds = data["features"], data["values"], data["kinds"]
        signed = (features.shape[1] - CONSTANTS) // 2
        hidden, steps = prior_networks.LUMA_HIDDEN, self.options.steps
        if key[0]:
            hidden, steps = prior_networks.CHROMA_HIDDEN, max(1, steps // 2)
        start_from = None
        if self.start is not None:
            first = self.start.context.networks[key]
            network = {name: getattr(first, name).astype(np.int32) for name in ARRAYS}
            start_from = weights = prior_integers.to_floats(network)
        if steps:
            weights = prior_networks.train_context(features, values, signed, hidden, steps, seed, start_from)
            if not all(np.isfinite(array).all() for array in weights):
                raise TrainingError(f"the training of network {_name(key)} diverged: try another --seed")
            network = prior_integers.to_integers(weights)
        counts = prior_integers.count(network, features, values, kinds)
        held = self.path(f"held-{_name(key)}.npz")
        validation = (0.0, 0.0)
        if os.path.exists(held):
            data = load_arrays(held)
            mean = prior_networks.context_bits(weights, data["features"], data["values"])
            validation = (mean, float(len(data["values"])))
        self.say(f"{_name(key)}: {validation[0]:.4f} bits a coefficient, held out, {time.monotonic() - start:.0f} s")
        tf.keras.backend.clear_session()
        save_arrays(
            path, counts=counts, bits=np.array(validation), seconds=np.array(time.monotonic() - start), **network
        )
        return load_arrays(path)

    def restoration(self) -> Dict[str, np.ndarray]:
        """Arrays of the restoration filter, `gain` (held-out decibels) and `seconds`."""
        path = self.path("restoration.npz")
        if os.path.exists(path):
            return load_arrays(path)
        start, seed = time.monotonic(), self.options.seed
        if self.start is not None:
            save_arrays(path, gain=np.array(np.nan), seconds=np.array(0.0), **self.start.file.restoration.arrays())
            return load_arrays(path)
        patches = [load_arrays(self.path(f"{part}-patches.npz")) for part in ("train", "held")]
        train, held = ((p["rebuilt"], p["originals"], p["features"].astype(np.float32)) for p in patches)
        steps = max(1, self.options.steps * 4 // 5)
        report = self.reporter("restoration filter")
        trained = prior_networks.train_filter(*train, steps, seed, report)
        quantized = QuantizedFilter.of(*trained)
        stored = quantized.filter()
        gain = prior_networks.filter_gain(stored.kernels, stored.biases, stored.conditioning, *held)
        self.say(f"restoration filter: {gain:.3f} dB, held out")
        save_arrays(path, gain=np.array(gain), seconds=np.array(time.monotonic() - start), **quantized.arrays())
        return load_arrays(path)

    def group_bits(self, networks: Dict[Key, Dict[str, np.ndarray]], tables: np.ndarray) -> Dict[str, Dict[str, float]]:
        """Held-out bits of a coefficient by plane and level group: float likelihood, and as a file codes it."""
        sums: Dict[str, np.ndarray] = {}
        for key, network in networks.items():
            path = self.path(f"held-{_name(key)}.npz")
            if not os.path.exists(path):
                continue
            data, (mean, number) = load_arrays(path), network["bits"]
            weights = {name: network[name] for name in ARRAYS}
            coded = prior_integers.coded_bits(weights, tables, data["features"], data["values"], data["kinds"])
            name = f"colour {key[0]}, level group {key[2]}"
            sums[name] = sums.get(name, np.zeros(3)) + np.array([mean * number, coded * number, number])
        return {
            name: {"float": round(a / n, 4), "integer": round(b / n, 4), "coefficients": int(n)}
            for name, (a, b, n) in sums.items()
        }

    def command(self) -> str:
        options = self.options
        folders = " ".join(base_names(options.folders))
        text = f"{COMMAND} {folders} -o {os.path.basename(options.output)} --seed {options.seed}"
        text += f" --start {options.start}" if options.start else ""
        text += f" --quantizer {options.quantizer} --steps {options.steps} --holdout {' '.join(map(str, self.holdout))}"
        return text + (f" --limit {options.limit}" if options.limit else "")

    def _kept(self) -> Optional[str]:
        return f"that of {self.start.hash.hex()}" if self.start is not None else None

    def run(self) -> Dict[str, Any]:
        """Trains what is not trained yet, writes the prior and its card; returns the card."""
        keys, seconds = self.samples()
        networks = {key: self.network(key, self.options.seed + index) for index, key in enumerate(keys)}
        restoration = self.restoration()
        counts = np.sum([network["counts"] for network in networks.values()], axis=0)
        tables = prior_integers.frequency_tables(counts)
        data = PriorFile(networks, tables, QuantizedFilter.of_arrays(restoration)).pack()
        stages = [seconds, float(restoration["seconds"])] + [float(network["seconds"]) for network in networks.values()]
        card = {
            "folders": base_names(self.options.folders),
            "pictures": {"training": len(self.training), "held out": len(self.held_out)},
            "command": self.command(),
            "quantizer": self.earlier.hash.hex() if self.earlier else "none",
            "seconds": round(sum(stages)),
            "held-out bits a coefficient": self.group_bits(networks, tables),
            "restoration filter": self._kept() or {"gain in dB": round(float(restoration["gain"]), 3)},
            "versions": {"numpy": np.__version__, "tensorflow": tf.__version__},
        }
        return write_with_card(self.options.output, data, card)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Train a prior.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="folders of photographs, at least 96x96 pixels")
    parser.add_argument(
        "-o", dest="output", required=True, metavar="FILE", help="the prior, .nifprior; its card is beside it"
    )
    parser.add_argument(
        "--work", metavar="DIR", help="finished stages, about 6 GB for 500 pictures (default: FILE-work)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    parser.add_argument(
        "--steps", type=int, default=DEFAULT_STEPS, metavar="N", help="of a network (default: %(default)s)"
    )
    parser.add_argument(
        "--holdout", type=int, nargs="+", metavar="K", help="hold out every K-th picture of a folder (25)"
    )
    parser.add_argument(
        "--quantizer",
        default=priors.DEFAULT,
        choices=[*priors.names(), "none"],
        help="the shipped prior under which pictures are quantized for the samples; none: dead zones (%(default)s)",
    )
    parser.add_argument(
        "--start",
        choices=priors.names(),
        help="go on from a shipped prior's context networks, keep its restoration filter; --steps 0: only count tables",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures of a folder")
    return parser


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command: prints the card on standard output; the exit code."""
    options = _parser().parse_args(arguments)

    def run() -> Dict[str, Any]:
        if options.seed < 0 or options.steps < (0 if options.start else 1):
            raise ConfigError("--seed must not be negative, --steps at least 1, or 0 with --start")
        check_output(options.output, force=True)
        return Run(options).run()

    return command(run)


if __name__ == "__main__":
    sys.exit(main())
