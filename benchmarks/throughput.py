"""Training speed against the pipeline of the original example: `python -m benchmarks.throughput [PICTURE]`.

The original (Graphcore's neural image fields example) draws a fixed set of samples, encodes their positions in a Python
loop, and trains a Keras model on it with `fit`. Here positions are drawn and encoded inside the compiled step. Both
train the same network: 4 layers of 256, ten powers of two, batches of 1024.

Two measurements, each of both: samples a second once everything is compiled, in one process by turns; and seconds from
the start of a process to a million trained samples. Processor time stands beside the clock: on a machine that is busy
with other work it is the fairer of the two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

import nifcodec.training  # noqa: F401  sets the log level of TensorFlow, before it is imported
from nifcodec.fields.spec import MlpSpec
from nifcodec.image import read_image

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "sample_images" / "coffee.png"
NETWORK = MlpSpec("fourier", 3, 256, 4, "powers", dimension=10, sigma=2.0, colour="ycocg")
BATCH = 1024
LEARNING_RATE = 1e-3
SAMPLES = 1_000_000
RATE_STEPS, RATE_CHUNKS, TURNS = 50, 4, 3

Stamp = Tuple[float, float]  # seconds of the clock and of the processor


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, default=PHOTOGRAPH)
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow (default: %(default)s)")
    parser.add_argument("--only", choices=sorted(PIPELINES), help="run one pipeline to its million samples, and exit")
    options = parser.parse_args(arguments)
    os.environ.update(TF_NUM_INTRAOP_THREADS=str(options.threads), TF_NUM_INTEROP_THREADS="1")
    if options.only:
        PIPELINES[options.only](options.picture)
        return 0
    print(f"{options.picture.name}, {NETWORK.parameter_count()} parameters, batch {BATCH}, {options.threads} thread(s)")
    seconds = {name: _time_process(name, options) for name in ("original", "ours")}
    for name, (clock, processor) in seconds.items():
        print(f"{name:9} start to {SAMPLES} samples: {clock:6.1f} s, processor {processor:6.1f} s")
    shares = [ours / original for ours, original in zip(seconds["ours"], seconds["original"])]
    print(f"ours / original: {shares[0]:.2f} of the clock, {shares[1]:.2f} of the processor")
    rates = _rates(_picture(options.picture))
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


def _rates(picture: np.ndarray) -> "dict[str, Stamp]":
    """Samples a second of clock and of processor, the median of all chunks but the first of each turn."""
    stamps: "dict[str, List[np.ndarray]]" = {"original": [], "ours": []}
    samples = _original_samples(picture, RATE_STEPS * BATCH)
    for _ in range(TURNS):
        for name, train in (("original", _train_original), ("ours", _train_ours)):
            taken: List[Stamp] = []
            train(samples if name == "original" else picture, RATE_STEPS, RATE_CHUNKS, lambda: taken.append(_stamp()))  # noqa: B023
            stamps[name].append(np.diff(np.asarray(taken), axis=0))
    chunk = RATE_STEPS * BATCH
    medians = {name: np.median(np.concatenate(parts), axis=0) for name, parts in stamps.items()}
    return {name: (chunk / median[0], chunk / median[1]) for name, median in medians.items()}


def _train_ours(picture: np.ndarray, steps: int, chunks: int, after_chunk: Callable[[], None]) -> None:
    """Train for `chunks` calls of `steps` steps, as `training.fit.fit` does before it quantizes."""
    import tensorflow as tf

    from nifcodec.training import networks
    from nifcodec.training.devices import Local, Work
    from nifcodec.training.loop import Loop
    from nifcodec.training.samples import Sampler

    layout = networks.Layout(NETWORK)

    def objective(flat: tf.Tensor, coords: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.square(networks.forward(NETWORK, layout.split(flat), coords) - colours))

    loop = Loop(
        device=Local(),
        work=Work(objective, Sampler(picture, BATCH, "random", 0).draw, steps * chunks, steps),
        evaluate=lambda flat: (float(flat[0]), 0.0, 0.0),
        report=lambda reached: after_chunk(),
        stops=lambda: False,
    )
    start = layout.join(networks.initial_tensors(NETWORK, 0, picture.mean(axis=(0, 1))))
    loop.run(start, LEARNING_RATE)


def _train_original(
    samples: Tuple[np.ndarray, np.ndarray], steps: int, chunks: int, after_chunk: Callable[[], None]
) -> None:
    """Keras `fit` on encoded samples: one epoch a chunk, a compiled call an epoch, Huber's loss, Adam."""
    import tensorflow as tf

    class AfterEpoch(tf.keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            after_chunk()

    model = _keras_network(tf)
    model.compile(
        optimizer=tf.keras.optimizers.Adam(LEARNING_RATE),
        loss=tf.keras.losses.Huber(delta=0.001),
        steps_per_execution=steps,
    )
    data = tf.data.Dataset.from_tensor_slices(samples).batch(BATCH, drop_remainder=True).cache().repeat()
    model.fit(data, steps_per_epoch=steps, epochs=chunks, verbose=0, shuffle=False, callbacks=[AfterEpoch()])


def _keras_network(tf: Any) -> Any:
    layers = tf.keras.layers
    encoded = tf.keras.Input((NETWORK.inputs,))
    hidden = encoded
    for layer in NETWORK.plan():
        if layer.joins_encoding:
            hidden = layers.Concatenate()([hidden, encoded])
        hidden = layers.Dense(layer.units, activation="relu" if layer.hidden else None, use_bias=layer.bias)(hidden)
    return tf.keras.Model(encoded, layers.Dense(3, use_bias=False, trainable=False)(hidden))


def _original_samples(picture: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Encoded positions and colours of random samples, encoded one by one as the original does."""
    generator = np.random.RandomState(0)
    coords = generator.uniform(size=(count, 2)).astype(np.float32)
    height, width = picture.shape[:2]
    rows, columns = coords[:, 0] * np.float32(height - 1), coords[:, 1] * np.float32(width - 1)
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None], (columns - left)[:, None]
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    upper = picture[top, left] * (1 - right) + picture[top, beside] * right
    lower = picture[below, left] * (1 - right) + picture[below, beside] * right
    frequencies = NETWORK.sigma ** np.arange(float(NETWORK.dimension))
    encoded = np.empty((count, NETWORK.inputs), dtype=np.float32)
    half = NETWORK.inputs // 2
    for index, (along_u, along_v) in enumerate(2 * (coords - 1.0)):
        angles = np.concatenate([frequencies * along_u, frequencies * along_v])
        encoded[index][:half] = np.sin(angles)
        encoded[index][half:] = np.cos(angles)
    values = (upper * (1 - down) + lower * down).astype(np.float32)
    # The original always makes a picture of its samples, to look at.
    debug = np.zeros_like(picture)
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
