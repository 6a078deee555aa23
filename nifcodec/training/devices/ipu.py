"""Graphcore IPUs, through the TensorFlow 2.6 of the Poplar SDK. docs/ipu.md says what of this has been run, and where.

Of a coordinate network, one compiled program a stage of the training: the host fills an infeed queue, the device takes
a constant number of steps a call, and the state comes back to the host through variables. Of the wavelet field, one
program, called with each tile; an IPU is then a device of its own, with a thread of the host that calls it. Of the
pyramid, a program a step, whose variables hold the latents.
"""

from __future__ import annotations

import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence, Tuple

import tensorflow as tf

from nifcodec.errors import ConfigError, DeviceError, MissingDependencyError
from nifcodec.training.adam import Samples, State, learning_rate, train_step
from nifcodec.training.devices.base import (
    HOST,
    ONE_REPLICA,
    Advance,
    Arrays,
    Held,
    OverTiles,
    Placement,
    Position,
    TileFunction,
    Work,
    in_groups,
    micro_batches,
    replica_mean,
)

PLACE = "/device:IPU:{}"
# Of the 900 MB of a Mk2 or Bow IPU: the rest is for the program itself, for the exchange between its tiles, and for
# what a product needs for a moment. No run on hardware has confirmed this share.
MEMORY = int(0.5 * 900e6)
PARTIALS = {"float16": "half", "float32": "float"}


class Ipu:
    """Replicas on as many IPUs, already configured.

    Args:
        ipu: the package `tensorflow.python.ipu`.
        strategies: an IPUStrategy for all replicas, or, for tiles, one for each.
        memory: bytes that a replica may use.
    """

    label = "ipu"
    chief = True

    def __init__(self, ipu: Any, strategies: Sequence[Any], replicas: int, memory: Optional[int] = MEMORY) -> None:
        self._ipu, self._strategies, self.replicas, self.memory = ipu, strategies, replicas, memory
        self._strategy = strategies[0]

    def agree(self, value: float) -> float:
        return value

    def compile(self, work: Work, state: State, done: int) -> Advance:
        ipu = self._ipu
        ipu.utils.reset_ipu_seed(work.seed)
        with _named_errors(), self._strategy.scope():
            with tf.device(HOST):
                data = self._feed(work, done)
            queue = ipu.ipu_infeed_queue.IPUInfeedQueue(data)
            queue.initializer  # noqa: B018  starts it
            variables = [tf.Variable(part, trainable=False) for part in (*state, tf.constant(0.0))]

        # The number of steps is a constant of the program: a call that ends the schedule does all of them too, the
        # last at a learning rate of 0.
        @tf.function(jit_compile=True, autograph=False)
        def chunk(counters: tf.Tensor, peak: tf.Tensor) -> None:
            def body(offset: tf.Tensor, *carried: tf.Tensor) -> Tuple[tf.Tensor, ...]:
                flat, first, second, scaling, _, coords, colours = carried
                fresh = tf.cast(counters[1] + offset, tf.float32)
                rate = learning_rate(peak, counters[0] + offset, fresh, work.steps)
                average = replica_mean if self.replicas > 1 else None
                before = flat, first, second, scaling
                state, loss = train_step(
                    work.objective, before, fresh, (coords, colours), rate, average=average, scaled=work.scaled
                )
                return (offset + 1, *state, loss)

            start = [tf.constant(0), *(variable.read_value() for variable in variables)]
            result = ipu.loops.repeat(work.chunk, body, start, queue)
            for variable, value in zip(variables, result[1:]):
                variable.assign(value)

        def advance(position: Position, peak: float, count: int) -> Tuple[State, float]:
            with _named_errors():
                with self._strategy.scope():
                    for variable, value in zip(variables, position.state):
                        variable.assign(value)
                counters = tf.constant((position.done, position.fresh))
                self._strategy.run(chunk, args=(counters, tf.constant(peak)))
                # The host computes on its own copies.
                values = [variable.numpy() for variable in variables]
            with tf.device(HOST):
                return tuple(tf.constant(value) for value in values[:-1]), float(values[-1])

        return advance

    def over_tiles(self, function: TileFunction) -> OverTiles:
        def program(strategy: Any) -> Callable[[Arrays], Arrays]:
            compiled = tf.function(function, jit_compile=True, autograph=False)
            return lambda arrays: _run(strategy, compiled, arrays, "no tile was cut small enough for it")

        programs = [program(strategy) for strategy in self._strategies]

        def over(tiles: Iterable[Arrays], shared: Arrays) -> Iterator[Arrays]:
            with ThreadPoolExecutor(len(programs)) as threads:
                for group in in_groups(tiles, len(programs)):
                    calls = [threads.submit(run, (*tile, *shared)) for run, tile in zip(programs, group)]
                    yield from [call.result() for call in calls]

        return over

    def hold(self, state: Arrays) -> Held:
        if self.replicas > 1:
            raise ConfigError(ONE_REPLICA)
        advice = "the picture is too large for it"

        @contextlib.contextmanager
        def scope() -> Iterator[None]:
            with _named_errors(advice), self._strategy.scope():
                yield

        compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
        return Held(state, scope, compiled, lambda program, arrays: _run(self._strategy, program, arrays, advice))

    def _feed(self, work: Work, done: int) -> tf.data.Dataset:
        """One element a replica and step, the replicas in turn: (micro-batches, samples, ...)."""

        def shares(step: tf.Tensor) -> Samples:
            return micro_batches(work.draw(tf.cast(step, tf.int32)), self.replicas, work.parts)

        return tf.data.Dataset.range(done, tf.int32.max).map(shares).unbatch()


def open_ipu(placement: Placement, compile_for: Optional[str] = None, memory: Optional[int] = MEMORY) -> Ipu:
    """Configures and takes as many IPUs as replicas are asked for.

    Args:
        compile_for: "ipu1", "ipu2" or "ipu21": takes none, and only compiles for that chip.
        memory: bytes that a replica may use.

    Raises:
        MissingDependencyError: this TensorFlow is not Graphcore's.
        DeviceError: the IPUs are not there.
    """
    try:
        from tensorflow.python import ipu
    except ImportError:
        raise MissingDependencyError(
            "--device ipu needs the TensorFlow 2.6 of Graphcore's Poplar SDK, and this is TensorFlow "
            f"{tf.__version__}: docs/ipu.md says how to install it"
        ) from None
    replicas = 1 if placement.replicas is None else placement.replicas
    with _named_errors():
        configuration(ipu, placement, replicas, compile_for).configure_ipu_system()
        places = [PLACE.format(number) for number in range(replicas if placement.independent else 1)]
        strategies = [ipu.ipu_strategy.IPUStrategy(place) for place in places]
        found = sum(ipu.utils.get_num_of_ipus_in_device(place) for place in places)
    if found != replicas:
        raise DeviceError(f"{replicas} IPUs are asked for, and {found} are in the device: see gc-info -l")
    return Ipu(ipu, strategies, replicas, memory)


def configuration(ipu: Any, placement: Placement, replicas: int, compile_for: Optional[str] = None) -> Any:
    """The IPUConfig for an encode, not yet in effect."""
    half = placement.precision == "float16"
    rounding = half if placement.stochastic_rounding is None else placement.stochastic_rounding
    behaviour = ipu.config.StochasticRoundingBehaviour
    options = ipu.config.IPUConfig()
    # Independent replicas are devices of one IPU each.
    options.auto_select_ipus = [1] * replicas if placement.independent else replicas
    options.matmuls.poplar_options = {"partialsType": PARTIALS[placement.partials or placement.precision]}
    options.floating_point_behaviour.esr = behaviour.ON if rounding else behaviour.OFF
    # Else a float16 that overflows becomes the largest number, and the scale of the loss never falls.
    options.floating_point_behaviour.nanoo = half
    # What makes reset_ipu_seed reproducible.
    options.compilation_poplar_options = {"target.deterministicWorkers": "portable"}
    if compile_for is not None:
        options.device_connection.type = ipu.config.DeviceConnectionType.PRE_COMPILE
        options.device_connection.version = compile_for
    return options


def _run(strategy: Any, compiled: Any, arrays: Arrays, advice: str) -> Arrays:
    """Calls a program once. advice: where the memory is too small."""
    with _named_errors(advice):
        results = strategy.run(compiled, args=tuple(map(tf.constant, arrays)))
        return tuple(result.numpy() for result in results)


@contextlib.contextmanager
def _named_errors(advice: str = "raise --gradient-accumulation") -> Iterator[None]:
    """TensorFlow's errors as ours. Python's own, of wrong arguments, are defects of this module and pass."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise DeviceError(f"the IPU's memory is too small: {advice} ({error.message})") from error
    except tf.errors.OpError as error:
        raise DeviceError(f"the IPU cannot be used: {error.message}") from error
