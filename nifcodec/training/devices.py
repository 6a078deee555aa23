"""Where the steps of a training run: one small interface, and the plain device behind it.

A device takes a state from the host, does some steps, and hands the new state back; everything between two such calls
is the host's. Samples stay on the host and are fed, so that a picture may be larger than a device's memory.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from itertools import islice
from typing import Callable, ContextManager, Iterable, Iterator, List, Optional, Protocol, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.config import EncodeConfig
from nifcodec.errors import DeviceError
from nifcodec.training.step import Objective, Samples, State, learning_rate, train_step

HOST = "/CPU:0"
NO_GPU = "TensorFlow finds no GPU on this machine: use --device cpu, or install a TensorFlow with its CUDA libraries"


class Position(Protocol):
    """The part of a snapshot that a device reads."""

    state: State
    done: int
    fresh: int


# (snapshot, learning rate at the top of the schedule, steps) -> the state after them, and the last loss.
Advance = Callable[[Position, float, int], Tuple[State, float]]

Arrays = Tuple[np.ndarray, ...]
# A function of a tile's tensors and of those that all tiles share, all float32 and each of one shape -> tensors.
TileFunction = Callable[..., Tuple[tf.Tensor, ...]]
# (arrays of each tile, arrays that they share) -> what the function gives of each, in their order.
OverTiles = Callable[[Iterable[Arrays], Arrays], Iterator[Arrays]]


@dataclass(frozen=True)
class Work:
    """What is to be compiled.

    Attributes:
        objective: (flat parameters, coords, colours) -> scalar loss, a mean over samples.
        draw: number of a step, scalar int32 -> samples (n, ...), the batch of all replicas; runs on the host.
        steps: of the schedule.
        chunk: steps of a call.
        parts: micro-batches that a replica takes a step; with the replicas a divisor of the batch.
        scaled: the objective computes in float16, so that its loss is scaled.
        seed: of a device that rounds at random.
    """

    objective: Objective
    draw: Callable[[tf.Tensor], Samples]
    steps: int
    chunk: int
    parts: int = 1
    scaled: bool = False
    seed: int = 0


def in_groups(tiles: Iterable[Arrays], size: int) -> Iterator[List[Arrays]]:
    """So many tiles at a time, one a replica; fewer in the last group."""
    left = iter(tiles)
    return iter(lambda: list(islice(left, size)), [])


class Device(Protocol):
    """One or several processors that train as one.

    Attributes:
        label: for people.
        replicas: copies of the network that share a batch.
        memory: bytes that a replica may use, None where nothing is known.
        chief: whether this process, of several that train together, is the one that writes checkpoints.
    """

    label: str
    replicas: int
    memory: Optional[int]
    chief: bool

    def compile(self, work: Work, state: State, done: int) -> Advance:
        """A function that does some of the work, from step `done` on, on states like `state`."""

    def over_tiles(self, function: TileFunction) -> OverTiles:
        """A pure function to be computed on tiles of a picture, each on one of the replicas; the host has the rest."""

    def agree(self, value: float) -> float:
        """The mean of a number over the processes that train together; the number itself where there is one."""


def micro_batches(samples: Samples, *shape: int) -> Samples:
    """Samples (n, ...) as (*shape, n / product, ...)."""
    coords, colours = samples
    size = coords.shape[0]
    for count in shape:
        size //= count
    return tuple(tf.reshape(part, [*shape, size, part.shape[1]]) for part in (coords, colours))


class Local:
    """This process's own CPU or GPU; where TensorFlow prefers, without a `place`."""

    replicas = 1
    chief = True

    def __init__(self, place: Optional[str] = None, label: str = "cpu", memory: Optional[int] = None) -> None:
        self._place, self.label, self.memory = place, label, memory

    def agree(self, value: float) -> float:
        return value

    def compile(self, work: Work, state: State, done: int) -> Advance:
        # Measured on one core: XLA (jit_compile=True) is slower than TensorFlow's own kernels at these products.
        @tf.function(autograph=False)
        def chunk(state: State, counters: tf.Tensor, peak: tf.Tensor, count: int) -> Tuple[State, tf.Tensor]:
            def body(offset: tf.Tensor, state: State, _: tf.Tensor) -> Tuple[tf.Tensor, State, tf.Tensor]:
                step, fresh = counters[0] + offset, tf.cast(counters[1] + offset, tf.float32)
                with tf.device(HOST):
                    samples = micro_batches(work.draw(step), work.parts)
                rate = learning_rate(peak, step, fresh, work.steps)
                state, loss = train_step(work.objective, state, fresh, samples, rate, scaled=work.scaled)
                return offset + 1, state, loss

            first = (tf.constant(0), state, tf.constant(0.0))
            return tf.while_loop(lambda offset, *_: offset < count, body, first, maximum_iterations=count)[1:]

        def advance(position: Position, peak: float, count: int) -> Tuple[State, float]:
            with self._placed():
                counters = tf.constant((position.done, position.fresh))
                state, loss = chunk(position.state, counters, tf.constant(peak), count)
            return state, float(loss)

        return advance

    def over_tiles(self, function: TileFunction) -> OverTiles:
        compiled = tf.function(function, autograph=False)

        def run(tiles: Iterable[Arrays], shared: Arrays) -> Iterator[Arrays]:
            for tile in tiles:
                with self._placed():
                    results = compiled(*map(tf.constant, (*tile, *shared)))
                yield tuple(result.numpy() for result in results)

        return run

    def _placed(self) -> ContextManager[None]:
        return contextlib.nullcontext() if self._place is None else tf.device(self._place)


def open_device(config: EncodeConfig) -> Device:
    """The device that a configuration asks for.

    Raises:
        ConfigError: replicas that the device cannot have.
        DeviceError: it is not there.
        MissingDependencyError: it needs another TensorFlow.
    """
    if config.device == "ipu":
        from nifcodec.training.ipu import open_ipu

        return open_ipu(config)
    gpus = tf.config.list_physical_devices("GPU")
    if config.device == "gpu" and not gpus:
        raise DeviceError(NO_GPU)
    kind = "gpu" if gpus and config.device != "cpu" else "cpu"
    # Of the wavelet field each process trains the whole picture: nothing is to be exchanged.
    if "TF_CONFIG" in os.environ and config.field != "wavelet":
        from nifcodec.training.replicas import open_cluster

        cluster = open_cluster(kind, config.replicas)
        if cluster is not None:
            return cluster
    if config.replicas is not None and config.replicas > 1:
        from nifcodec.training.replicas import open_replicas

        return open_replicas(kind, config.replicas)
    place = None if config.device == "auto" else f"/{kind.upper()}:0"
    return Local(place, kind, gpu_memory() if kind == "gpu" else None)


def gpu_memory() -> Optional[int]:
    """Bytes that TensorFlow may use of the smallest GPU, None where it has none."""
    from tensorflow.python.client import device_lib

    limits = [int(device.memory_limit) for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return min(limits, default=None)
