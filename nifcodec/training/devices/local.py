"""The plain device: this process's own CPU or GPU."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, ContextManager, Iterable, Iterator, Optional, Tuple

import tensorflow as tf

from nifcodec.training.adam import State, learning_rate, train_step
from nifcodec.training.devices.base import (
    HOST,
    Advance,
    Arrays,
    Held,
    OverTiles,
    Position,
    TileFunction,
    Work,
    micro_batches,
)


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
                yield self._call(compiled, (*tile, *shared))

        return run

    def hold(self, state: Arrays) -> Held:
        return Held(state, self._placed, functools.partial(tf.function, autograph=False), self._call)

    def _call(self, compiled: Any, arrays: Arrays) -> Arrays:
        with self._placed():
            results = compiled(*map(tf.constant, arrays))
        return tuple(result.numpy() for result in results)

    def _placed(self) -> ContextManager[None]:
        return contextlib.nullcontext() if self._place is None else tf.device(self._place)


def gpu_memory() -> Optional[int]:
    """Bytes that TensorFlow may use of the smallest GPU, None where it has none."""
    from tensorflow.python.client import device_lib

    limits = [int(device.memory_limit) for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return min(limits, default=None)
