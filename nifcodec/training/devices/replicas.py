"""Several devices that train as one, through TensorFlow's own strategies: GPUs, processors of a CPU, several hosts.

Every replica holds the network, takes its share of each batch, and updates its own copy with the mean gradient, which
the strategy's all-reduce hands to all. The copies stay equal because equal numbers go through equal operations.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import re
import socket
from multiprocessing.pool import ThreadPool
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import tensorflow as tf

from nifcodec.errors import ConfigError, DeviceError, WorkerLostError
from nifcodec.training.adam import Samples, State, learning_rate, train_step
from nifcodec.training.devices.base import (
    HOST,
    ONE_REPLICA,
    Advance,
    Arrays,
    Held,
    OverTiles,
    Position,
    TileFunction,
    Work,
    in_groups,
    micro_batches,
    replica_mean,
)
from nifcodec.training.devices.local import gpu_memory

PROBE_SECONDS = 3.0  # to wait for a host that may be switched off
ENDING_SECONDS = 5.0  # to wait for a thread, which may itself wait for another process


class Replicas:
    """The replicas of a strategy.

    Args:
        strategy: MirroredStrategy or MultiWorkerMirroredStrategy.
        label, memory: as of `Device`.
    """

    def __init__(self, strategy: tf.distribute.Strategy, label: str, memory: Optional[int] = None) -> None:
        self._strategy, self.label, self.memory = strategy, label, memory
        self.replicas = int(strategy.num_replicas_in_sync)
        self._workers, self._task = _cluster()
        self.chief = self._task == 0
        atexit.register(_end_threads, strategy)

    def compile(self, work: Work, state: State, done: int) -> Advance:
        strategy = self._strategy
        # A strategy forgets them where a last batch might be smaller.
        shapes = [spec.shape for spec in self._shares(work, done, 0, 1).element_spec]
        with self._guard():
            feed = iter(strategy.distribute_datasets_from_function(functools.partial(self._feed, work, done)))
            with strategy.scope():
                # Each replica assigns to its own copy; reading from outside takes the first.
                variables = [
                    tf.Variable(
                        part,
                        trainable=False,
                        synchronization=tf.VariableSynchronization.ON_READ,
                        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                    )
                    for part in (*state, 0.0)
                ]

        def replica(samples: Samples, step: tf.Tensor, fresh: tf.Tensor, peak: tf.Tensor) -> None:
            rate = learning_rate(peak, step, fresh, work.steps)
            samples = tuple(tf.reshape(part, shape) for part, shape in zip(samples, shapes))
            state = tuple(variable.read_value() for variable in variables[:-1])
            state, loss = train_step(
                work.objective, state, fresh, samples, rate, average=replica_mean, scaled=work.scaled
            )
            for variable, value in zip(variables, (*state, loss)):
                variable.assign(value)

        @tf.function(autograph=False)
        def chunk(feed: Any, counters: tf.Tensor, peak: tf.Tensor, count: int) -> None:
            def body(offset: tf.Tensor) -> Tuple[tf.Tensor]:
                fresh = tf.cast(counters[1] + offset, tf.float32)
                strategy.run(replica, args=(next(feed), counters[0] + offset, fresh, peak))
                return (offset + 1,)

            tf.while_loop(lambda offset: offset < count, body, (tf.constant(0),))

        def advance(position: Position, peak: float, count: int) -> Tuple[State, float]:
            with self._guard():
                for variable, value in zip(variables, position.state):
                    variable.assign(value)
                chunk(feed, tf.constant((position.done, position.fresh)), tf.constant(peak), count)
                values = [tf.identity(variable.read_value()) for variable in variables]
                return tuple(values[:-1]), float(values[-1])

        return advance

    def over_tiles(self, function: TileFunction) -> OverTiles:
        strategy = self._strategy

        @tf.function(autograph=False)
        def each(tensors: Tuple[Any, ...]) -> Tuple[Any, ...]:
            return strategy.run(function, args=tensors)

        def run(tiles: Iterable[Arrays], shared: Arrays) -> Iterator[Arrays]:
            for group in in_groups(tiles, self.replicas):
                # Replicas beyond the last tile repeat it.
                def fed(context: Any) -> Tuple[tf.Tensor, ...]:
                    number = min(context.replica_id_in_sync_group, len(group) - 1)  # noqa: B023
                    return tuple(map(tf.constant, (*group[number], *shared)))  # noqa: B023

                results = each(strategy.experimental_distribute_values_from_function(fed))
                local = [strategy.experimental_local_results(result) for result in results]
                yield from (tuple(part.numpy() for part in parts) for parts in list(zip(*local))[: len(group)])

        return run

    def hold(self, state: Arrays) -> Held:
        raise ConfigError(ONE_REPLICA)

    def agree(self, value: float) -> float:
        if len(self._workers) == 1:
            return value
        with self._guard():
            return float(self._mean(tf.constant(value, tf.float64)))

    @functools.cached_property
    def _mean(self) -> Callable[[tf.Tensor], tf.Tensor]:
        strategy = self._strategy

        @tf.function(autograph=False)
        def mean(value: tf.Tensor) -> tf.Tensor:
            return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(lambda: value), axis=None)

        return mean

    def _feed(self, work: Work, done: int, context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = self.replicas // context.num_input_pipelines
        return self._shares(work, done, local * context.input_pipeline_id, local)

    def _shares(self, work: Work, done: int, first: int, count: int) -> tf.data.Dataset:
        """The samples of `count` replicas in turn, from number `first` on: (micro-batches, samples, ...) an element."""

        def shares(step: tf.Tensor) -> Samples:
            samples = micro_batches(work.draw(tf.cast(step, tf.int32)), self.replicas, work.parts)
            return tuple(part[first : first + count] for part in samples)

        with tf.device(HOST):
            return tf.data.Dataset.range(done, tf.int32.max).map(shares).unbatch().prefetch(2 * count)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Turns TensorFlow's errors about another process into one that names it."""
        try:
            yield
        except (tf.errors.OpError, RuntimeError) as error:
            if len(self._workers) == 1:
                raise
            raise WorkerLostError(self._lost(str(error))) from error

    def _lost(self, message: str) -> str:
        named = {int(task) for task in re.findall(r"/task:(\d+)", message)} - {self._task}
        silent = [
            task for task in range(len(self._workers)) if task != self._task and not _answers(self._workers[task])
        ]
        lost = [task for task in silent if task in named] or silent or sorted(named)
        if not lost:
            reason = message.strip().splitlines()[0] if message.strip() else "no reason given"
            return f"the training over {len(self._workers)} processes failed: {reason}"
        names = " and ".join(f"worker {task} ({self._workers[task]})" for task in lost if task < len(self._workers))
        return f"{names} is gone: start all workers again, with --checkpoint and --resume to go on from the checkpoint"


@functools.lru_cache(maxsize=None)
def open_replicas(kind: str, count: int) -> Replicas:
    """`count` replicas on GPUs, or on the CPU as so many logical devices.

    Raises:
        DeviceError: there are fewer GPUs, or TensorFlow was already at work on an undivided CPU.
    """
    if kind == "gpu":
        gpus = tf.config.list_physical_devices("GPU")
        if len(gpus) < count:
            raise DeviceError(f"{count} replicas are asked for, and TensorFlow finds {len(gpus)} GPUs")
        names = [f"/GPU:{index}" for index in range(count)]
        return Replicas(tf.distribute.MirroredStrategy(names), "gpu", gpu_memory())
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or ()) < count:
        try:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
        except RuntimeError:
            raise DeviceError(
                "the CPU can be divided only before TensorFlow has done anything: ask for the largest --replicas first"
            ) from None
    names = [f"/CPU:{index}" for index in range(count)]
    # One after another on the first: TensorFlow's collectives on a CPU forbid groups of two sizes in a process.
    reduction = tf.distribute.ReductionToOneDevice()
    return Replicas(tf.distribute.MirroredStrategy(names, cross_device_ops=reduction), "cpu")


def open_cluster(kind: str, replicas: Optional[int]) -> Optional[Replicas]:
    """The cluster that TF_CONFIG describes, of which this process is one worker; None where it is of one process.

    Raises:
        ConfigError: TF_CONFIG cannot be read, or the cluster has another number of replicas than asked for.
        DeviceError: TensorFlow cannot join it.
    """
    workers, _ = _cluster()
    if len(workers) == 1:
        return None
    cluster = _join(kind)
    if replicas is not None and replicas != cluster.replicas:
        raise ConfigError(f"{replicas} replicas are asked for, and the cluster of TF_CONFIG has {cluster.replicas}")
    return cluster


@functools.lru_cache(maxsize=None)
def _join(kind: str) -> Replicas:
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise DeviceError(f"cannot join the cluster of TF_CONFIG: {error}") from error
    return Replicas(strategy, f"{kind} of {len(_cluster()[0])} processes", gpu_memory() if kind == "gpu" else None)


def _end_threads(strategy: tf.distribute.Strategy) -> None:
    """Waits for the threads in which TensorFlow 2.6 reduces over processes.

    The interpreter does not: one that still lets go of its graphs while the interpreter ends would abort the process.
    """
    for part in vars(strategy.extended).values():
        pool = getattr(part, "_pool", None)
        if isinstance(pool, ThreadPool):
            pool.close()
            for thread in list(getattr(pool, "_pool", ())):
                thread.join(ENDING_SECONDS)


def _cluster() -> Tuple[List[str], int]:
    """Addresses of all processes and this one's place, chief first. Raises ConfigError."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return [""], 0
    try:
        config: Dict[str, Any] = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs, workers = list(cluster.get("chief", [])), list(cluster.get("worker", []))
        index = int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)
        if task["type"] not in ("chief", "worker") or not index < len(chiefs + workers):
            raise ValueError("its task is not one of its workers")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"TF_CONFIG does not describe a cluster of workers: {error!r}") from None
    return chiefs + workers, index


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS):
            return True
    except (OSError, ValueError):
        return False
