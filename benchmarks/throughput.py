"""Training speed beside the original example's pipeline, or of replicas: `python -m benchmarks.throughput [PICTURE]`.

The original (Graphcore's neural image fields example) draws a fixed set of samples, encodes their positions in a Python
loop, and trains a Keras model on it with `fit`. Here positions are drawn and encoded inside the compiled step. Both
train the same network: 4 layers of 256, ten powers of two, batches of 1024.

Two measurements, each of both: samples a second once everything is compiled, in one process by turns; and seconds from
the start of a process to a million trained samples. Processor time stands beside the clock: on a machine that is busy
with other work it is the fairer of the two.

`--replicas 1 2 4` instead measures samples a second of ours with so many replicas at the same batch, by turns, each in
a process of its own, since a process divides its CPU into logical devices once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from benchmarks.original import Settings, fit_network, keras_network, random_samples
from nifcodec.picture.read import read_image

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "sample_images" / "coffee.png"
SETTINGS = Settings(layers=4, batch=1024, colour="ycocg")
NETWORK = replace(SETTINGS.network, colour="ycocg")
BATCH = SETTINGS.batch
SAMPLES = 1_000_000
RATE_STEPS, RATE_CHUNKS, TURNS = 50, 4, 3

Stamp = Tuple[float, float]  # seconds of the clock and of the processor


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, default=PHOTOGRAPH)
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow (default: %(default)s)")
    parser.add_argument("--only", choices=sorted(PIPELINES), help="run one pipeline to its million samples, and exit")
    parser.add_argument("--replicas", type=int, nargs="+", metavar="N", help="compare these instead of the pipelines")
    parser.add_argument("--rate-of", type=int, metavar="N", help="print the rates of N replicas alone, and exit")
    options = parser.parse_args(arguments)
    os.environ.update(TF_NUM_INTRAOP_THREADS=str(options.threads), TF_NUM_INTEROP_THREADS="1")
    if options.only:
        PIPELINES[options.only](options.picture)
        return 0
    if options.rate_of:
        train = partial(_train_ours, replicas=options.rate_of)
        print(*_rates({"ours": (train, _picture(options.picture))}, turns=1)["ours"])
        return 0
    print(f"{options.picture.name}, {NETWORK.parameter_count()} parameters, batch {BATCH}, {options.threads} thread(s)")
    if options.replicas:
        _compare_replicas(options)
        return 0
    seconds = {name: _time_process(name, options) for name in ("original", "ours")}
    for name, (clock, processor) in seconds.items():
        print(f"{name:9} start to {SAMPLES} samples: {clock:6.1f} s, processor {processor:6.1f} s")
    shares = [ours / original for ours, original in zip(seconds["ours"], seconds["original"])]
    print(f"ours / original: {shares[0]:.2f} of the clock, {shares[1]:.2f} of the processor")
    picture = _picture(options.picture)
    samples = _original_samples(picture, RATE_STEPS * BATCH)
    rates = _rates({"original": (_train_original, samples), "ours": (_train_ours, picture)}, TURNS)
    for name, (clock, processor) in rates.items():
        print(f"{name:9} {clock:8.0f} samples/s, {processor:8.0f} samples a second of processor time")
    ratios = [ours / original for ours, original in zip(rates["ours"], rates["original"])]
    print(f"ours / original: {ratios[0]:.2f} by the clock, {ratios[1]:.2f} by the processor")
    return 0


def _picture(path: Path) -> np.ndarray:
    return np.asarray(read_image(path).pixels[..., :3], dtype=np.float32) / np.float32(255)


def _time_process(name: str, options: argparse.Namespace) -> Stamp:
    command = [sys.executable, "-m", "benchmarks.throughput", str(options.picture), "--only", name]
    before, began = os.times(), time.perf_counter()
    subprocess.run([*command, "--threads", str(options.threads)], check=True)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, processor


def _stamp() -> Stamp:
    return time.perf_counter(), time.process_time()


def _compare_replicas(options: argparse.Namespace) -> None:
    """Prints the medians over the turns, and each count's share of the first one's."""
    found: "Dict[int, List[List[float]]]" = {count: [] for count in options.replicas}
    for _ in range(TURNS):
        for count in options.replicas:
            command = [sys.executable, "-m", "benchmarks.throughput", str(options.picture), "--rate-of", str(count)]
            command += ["--threads", str(options.threads)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[count].append([float(word) for word in done.stdout.split()])
    first = np.median(found[options.replicas[0]], axis=0)
    for count, rates in found.items():
        clock, processor = np.median(rates, axis=0)
        print(
            f"{count} replicas {clock:8.0f} samples/s ({clock / first[0]:.2f}), "
            f"{processor:8.0f} a second of processor time ({processor / first[1]:.2f})"
        )


def _rates(trainings: "Dict[str, Tuple[Callable[..., None], Any]]", turns: int) -> "Dict[str, Stamp]":
    """Samples a second of clock and of processor, the median of all chunks but the first of each turn."""
    stamps: "Dict[str, List[np.ndarray]]" = {name: [] for name in trainings}
    for _ in range(turns):
        for name, (train, data) in trainings.items():
            taken: List[Stamp] = []
            train(data, RATE_STEPS, RATE_CHUNKS, lambda: taken.append(_stamp()))  # noqa: B023
            stamps[name].append(np.diff(np.asarray(taken), axis=0))
    chunk = RATE_STEPS * BATCH
    medians = {name: np.median(np.concatenate(parts), axis=0) for name, parts in stamps.items()}
    return {name: (chunk / median[0], chunk / median[1]) for name, median in medians.items()}


def _train_ours(
    picture: np.ndarray, steps: int, chunks: int, after_chunk: Callable[[], None], replicas: int = 1
) -> None:
    """Train for `chunks` calls of `steps` steps, as `training.fit.fit` does before it quantizes."""
    import tensorflow as tf

    from nifcodec.fields.mlp.training import networks
    from nifcodec.fields.mlp.training.samples import Sampler
    from nifcodec.training.devices.base import Placement, Work
    from nifcodec.training.devices.open import open_device
    from nifcodec.training.loop import Loop

    layout = networks.Layout(NETWORK)

    def objective(flat: tf.Tensor, coords: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.square(networks.forward(NETWORK, layout.split(flat), coords) - colours))

    loop = Loop(
        device=open_device(Placement(replicas=replicas)),
        work=Work(objective, Sampler(picture, BATCH, "random", 0).draw, steps * chunks, steps),
        evaluate=lambda flat: (float(flat[0]), 0.0, 0.0),
        report=lambda reached: after_chunk(),
        stops=lambda: False,
    )
    start = layout.join(networks.initial_tensors(NETWORK, 0, picture.mean(axis=(0, 1))))
    loop.run(start, SETTINGS.learning_rate)


def _train_original(
    samples: Tuple[np.ndarray, np.ndarray], steps: int, chunks: int, after_chunk: Callable[[], None]
) -> None:
    fit_network(keras_network(SETTINGS), SETTINGS, samples, steps, chunks, after_chunk)


def _original_samples(picture: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Encoded positions and colours of random samples, encoded one by one as the original does."""
    coords, values = random_samples(picture, count, 0)
    frequencies = SETTINGS.sigma ** np.arange(float(SETTINGS.dimension))
    encoded = np.empty((count, 4 * SETTINGS.dimension), dtype=np.float32)
    half = 2 * SETTINGS.dimension
    for index, (along_u, along_v) in enumerate(2 * (coords - 1.0)):
        angles = np.concatenate([frequencies * along_u, frequencies * along_v])
        encoded[index][:half] = np.sin(angles)
        encoded[index][half:] = np.cos(angles)
    # The original always makes a picture of its samples, to look at.
    debug = np.zeros_like(picture)
    height, width = picture.shape[:2]
    for value, (row, column) in zip(values, np.rint(coords * [height - 1, width - 1]).astype(np.int32)):
        debug[row][column] = value
    return encoded, values


def _run_ours(path: Path) -> None:
    _train_ours(_picture(path), SAMPLES // BATCH, 1, lambda: None)


def _run_original(path: Path) -> None:
    _train_original(_original_samples(_picture(path), SAMPLES), SAMPLES // BATCH, 1, lambda: None)


PIPELINES = {"ours": _run_ours, "original": _run_original}

if __name__ == "__main__":
    sys.exit(main())
