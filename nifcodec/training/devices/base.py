"""Where the steps of a training run: one small interface.

A device takes a state from the host, does some steps, and hands the new state back; everything between two such calls
is the host's. Samples stay on the host and are fed, so that a picture may be larger than a device's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, Callable, ContextManager, Iterable, Iterator, List, Optional, Protocol, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.training.adam import Objective, Samples, State

HOST = "/CPU:0"


class Position(Protocol):
    """The part of a snapshot that a device reads: its state, and its steps as `Snapshot` counts them."""

    @property
    def state(self) -> State: ...

    @property
    def done(self) -> int: ...

    @property
    def fresh(self) -> int: ...


# (snapshot, learning rate at the top of the schedule, steps) -> the state after them, and the last loss.
Advance = Callable[[Position, float, int], Tuple[State, float]]

Arrays = Tuple[np.ndarray, ...]
# A function of a tile's tensors and of those that all tiles share, all float32 and each of one shape -> tensors.
TileFunction = Callable[..., Tuple[tf.Tensor, ...]]
# (arrays of each tile, arrays that they share) -> what the function gives of each, in their order.
OverTiles = Callable[[Iterable[Arrays], Arrays], Iterator[Arrays]]
Tensors = Tuple[tf.Tensor, ...]
# A pure function of what a device holds and of tensors from the host -> what it holds then, and tensors for the host.
HeldFunction = Callable[..., Tuple[Tensors, Tensors]]

ONE_REPLICA = "what stays on a device between its steps is on one replica alone: leave --replicas out"


@dataclass(frozen=True)
class Placement:
    """Which device is asked for, and how it computes.

    Attributes:
        kind: "cpu", "gpu", "ipu", or "auto": a GPU where TensorFlow finds one, else the CPU.
        replicas: None means one, or what the cluster of TF_CONFIG has.
        independent: the replicas exchange nothing, since each has tiles of its own; no cluster is joined.
        precision: of products and activations, "float32" or "float16".
        stochastic_rounding: of float16 on an IPU; None means with float16.
        partials: of an IPU's products, "float32" or "float16"; None means `precision`.
    """

    kind: str = "auto"
    replicas: Optional[int] = None
    independent: bool = False
    precision: str = "float32"
    stochastic_rounding: Optional[bool] = None
    partials: Optional[str] = None


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


class Held:
    """Tensors that stay on a device between the calls of programs, which change them.

    Args:
        state: what they are at first.
        scope: where they are made and written.
        compiled: makes a program of a function that reads and assigns variables.
        call: gives arrays to such a program.
    """

    def __init__(
        self,
        state: Arrays,
        scope: Callable[[], ContextManager[None]],
        compiled: Callable[[Callable[..., Tensors]], Any],
        call: Callable[[Any, Arrays], Arrays],
    ) -> None:
        self._scope, self._compiled, self._call = scope, compiled, call
        with scope():
            self._variables = [tf.Variable(part, trainable=False) for part in state]

    def program(self, function: HeldFunction) -> Callable[..., Arrays]:
        """What takes a function's arrays, float32 and each of one shape, and returns its results."""

        def changing(*given: tf.Tensor) -> Tensors:
            before = tuple(variable.read_value() for variable in self._variables)
            after, results = function(before, *given)
            for variable, old, new in zip(self._variables, before, after):
                if new is not old:
                    variable.assign(new)
            return results

        compiled = self._compiled(changing)
        return lambda *arrays: self._call(compiled, arrays)

    def read(self, number: int) -> np.ndarray:
        """A copy of one of the tensors."""
        with self._scope():
            return np.array(self._variables[number].numpy())

    def write(self, number: int, value: np.ndarray) -> None:
        """Replaces one of the tensors by another of its shape."""
        with self._scope():
            self._variables[number].assign(value)


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

    def hold(self, state: Arrays) -> Held:
        """Takes float32 arrays for programs that change them. Raises ConfigError where there are several replicas."""

    def agree(self, value: float) -> float:
        """The mean of a number over the processes that train together; the number itself where there is one."""


def micro_batches(samples: Samples, *shape: int) -> Samples:
    """Samples (n, ...) as (*shape, n / product, ...)."""
    size = samples[0].shape[0]
    for count in shape:
        size //= count
    coords, colours = (tf.reshape(part, [*shape, size, part.shape[1]]) for part in samples)
    return coords, colours


def replica_mean(vector: tf.Tensor) -> tf.Tensor:
    """The mean over all replicas, inside a replica's function."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, vector)
