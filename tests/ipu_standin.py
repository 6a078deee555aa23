"""A stand-in for `tensorflow.python.ipu`, with the signatures and the strictness of Graphcore's SDK 3.4.

It runs what the package would compile, on the CPU of any TensorFlow. It knows one replica a device: what several
would compute is tested with TensorFlow's own strategies. Written from the public sources of the SDK's TensorFlow, not
from a run.
"""

from __future__ import annotations

import contextlib
import enum
import importlib
import sys
import types
from typing import Any, Callable, Dict, Iterator, List, Optional

import tensorflow as tf

FEED_TYPES = (tf.int32, tf.float32, tf.float16, tf.bool, tf.int8, tf.uint8)


class StochasticRoundingBehaviour(enum.Enum):
    OFF = 0
    ON = 1
    REPLICA_IDENTICAL_ONLY = 2


class DeviceConnectionType(enum.Enum):
    ALWAYS = 0
    ON_DEMAND = 1
    PRE_COMPILE = 2
    NEVER = 3


class SchedulingAlgorithm(enum.Enum):
    CHOOSE_BEST = 0


class Category:
    """A group of options: only those that exist, only values of exactly their type."""

    def __init__(self, **options: Any) -> None:
        object.__setattr__(self, "_options", options)

    def __getattr__(self, name: str) -> Any:
        options = object.__getattribute__(self, "_options")
        if name not in options:
            raise ValueError(f"'{name}' is not a valid attribute of this config.")
        return options[name]

    def __setattr__(self, name: str, value: Any) -> None:
        default = getattr(self, name)
        if isinstance(default, Category):
            raise Exception(f"{name} is a category and cannot be assigned")
        allowed = (int, list, tuple) if name in ("auto_select_ipus", "select_ipus") else (type(default),)
        if type(value) not in allowed:
            raise TypeError(f"{name} takes {allowed}, not {type(value)}")
        self._options[name] = value


class IPUConfig(Category):
    def __init__(self) -> None:
        super().__init__(
            auto_select_ipus=(),
            select_ipus=(),
            allow_recompute=False,
            compilation_poplar_options={},
            gcl_poplar_options={},
            matmuls=Category(poplar_options={}, clear_pass_type=False),
            convolutions=Category(poplar_options={}),
            slices=Category(poplar_options={}),
            floating_point_behaviour=Category(
                esr=StochasticRoundingBehaviour.OFF, inv=False, div0=False, oflo=False, nanoo=False, set_all=False
            ),
            device_connection=Category(type=DeviceConnectionType.ALWAYS, version="", enable_remote_buffers=False),
            scheduling=Category(algorithm=SchedulingAlgorithm.CHOOSE_BEST),
            optimizations=Category(math=Category(fast=False), combine_matmuls=False, enable_gather_simplifier=True),
            io_tiles=Category(num_io_tiles=0, place_ops_on_io_tiles=False, available_memory_proportion=0.9),
        )

    def configure_ipu_system(self, device: str = "cpu") -> None:
        configure_ipu_system(self, device)


class Machine:
    """What the stand-in's module-level functions work on: the IPUs that are there, and what was asked of them."""

    def __init__(self, ipus: int) -> None:
        self.ipus = ipus
        self.configured: Optional[IPUConfig] = None
        self.seeds: List[int] = []
        self.strategies = 0
        self.compiled: List[Any] = []  # the tf.functions that were run
        self.runs = 0


MACHINE = Machine(0)


def _devices(config: IPUConfig) -> List[int]:
    """IPUs of each device."""
    chosen = config.auto_select_ipus
    return [chosen] if isinstance(chosen, int) else list(chosen)


def configure_ipu_system(config: IPUConfig, device: str = "cpu", reset_configuration: bool = True) -> None:
    if config.auto_select_ipus and config.select_ipus:
        raise Exception("auto_select_ipus and select_ipus exclude each other")
    connection = config.device_connection
    if connection.type in (DeviceConnectionType.PRE_COMPILE, DeviceConnectionType.NEVER) and not connection.version:
        raise ValueError("a version is required without a device")
    for category in (config.matmuls, config.convolutions, config.slices):
        if not all(type(value) is str for value in category.poplar_options.values()):
            raise TypeError("option values are strings")
    if not all(type(value) is str for value in config.compilation_poplar_options.values()):
        raise TypeError("option values are strings")
    if connection.type == DeviceConnectionType.ALWAYS and sum(_devices(config)) > MACHINE.ipus:
        raise tf.errors.InternalError(None, None, "Could not find an available device")
    MACHINE.configured = config


def get_ipu_config(session: Any = None) -> List[IPUConfig]:
    if MACHINE.configured is None:
        raise RuntimeError("No IPU devices configured.")
    return [MACHINE.configured]


def reset_ipu_configuration() -> None:
    MACHINE.configured = None


def reset_ipu_seed(
    seed: int, device: str = "/device:IPU:0", cpu_device: str = "cpu", experimental_identical_replicas: bool = False
) -> None:
    get_ipu_config()
    MACHINE.seeds.append(seed)


def get_num_of_ipus_in_device(ipu_device: str, device: str = "cpu") -> int:
    return _devices(get_ipu_config()[0])[int(ipu_device.rsplit(":", 1)[1])]


def running_on_ipu_model() -> bool:
    return False


class IPUStrategyV1:
    num_replicas_in_sync = 1

    def __init__(
        self,
        ipu_device: str = "/device:IPU:0",
        cpu_device: str = "/device:CPU:0",
        enable_dataset_iterators: bool = True,
        enable_keras_extensions: bool = True,
    ) -> None:
        get_num_of_ipus_in_device(ipu_device)
        MACHINE.strategies += 1
        self._strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
        self._plain: Dict[Any, Any] = {}

    def scope(self) -> Any:
        return self._strategy.scope()

    def run(self, fn: Any, args: Any = (), kwargs: Any = None, options: Any = None) -> Any:
        if not hasattr(fn, "get_concrete_function"):
            raise ValueError("IPUStrategy.run does not support eager execution of a plain function")
        for value in tf.nest.flatten((args, kwargs or {})):
            if tf.is_tensor(value) and value.dtype == tf.float64:
                raise TypeError(f"Unsupported data type for input: {value.dtype.name}")
        if fn not in MACHINE.compiled:
            MACHINE.compiled.append(fn)
            # An infeed does not compile for a CPU.
            self._plain[fn] = tf.function(fn.python_function, autograph=False)
        MACHINE.runs += 1
        result = self._strategy.run(self._plain[fn], args=args, kwargs=kwargs)
        for value in tf.nest.flatten(result):
            if tf.is_tensor(value) and value.dtype == tf.float64:
                raise TypeError(f"Unsupported data type for output: {value.dtype.name}")
        return result


class IPUInfeedQueue:
    def __init__(
        self,
        dataset: tf.data.Dataset,
        device_ordinal: Optional[int] = None,
        prefetch_depth: Optional[int] = None,
        optimise_latency: bool = False,
        **kwargs: Any,
    ) -> None:
        self._structure = tf.data.experimental.get_structure(dataset)
        for spec in tf.nest.flatten(self._structure):
            if spec.dtype not in FEED_TYPES:
                raise TypeError(f"feeds cannot hold {spec.dtype.name}")
            if not spec.shape.is_fully_defined():
                raise ValueError(f"the shape {spec.shape} of a feed is not fully defined: use drop_remainder=True")
        self._dataset, self._iterator = dataset, None

    @property
    def initializer(self) -> None:
        self._iterator = iter(self._dataset)

    @property
    def deleter(self) -> None:
        self._iterator = None

    @property
    def number_of_tuple_elements(self) -> int:
        return len(tf.nest.flatten(self._structure))

    def take(self) -> List[tf.Tensor]:
        """The next element (of the stand-in only)."""
        if self._iterator is None:
            raise RuntimeError("the queue was not initialized before it was run")
        return tf.nest.flatten(self._iterator.get_next())


def repeat(
    n: int,
    body: Callable[..., Any],
    inputs: Any = None,
    infeed_queue: Optional[IPUInfeedQueue] = None,
    use_while_v1: bool = True,
) -> Any:
    if type(n) is not int:
        raise TypeError("the number of repetitions is a Python int, so that the trip count is constant")
    first = [tf.convert_to_tensor(value) for value in inputs]

    def step(index: tf.Tensor, *carried: tf.Tensor) -> Any:
        elements = [] if infeed_queue is None else infeed_queue.take()
        result = tf.nest.flatten(body(*carried, *elements))
        if [(r.dtype, r.shape) for r in result] != [(f.dtype, f.shape) for f in first]:
            raise ValueError("the body must return what it was given, less the elements of the feed")
        return (index + 1, *result)

    return list(tf.while_loop(lambda index, *_: index < n, step, (tf.constant(0), *first))[1:])


MODULES = {
    "config": (
        IPUConfig,
        StochasticRoundingBehaviour,
        DeviceConnectionType,
        SchedulingAlgorithm,
        configure_ipu_system,
        get_ipu_config,
        reset_ipu_configuration,
    ),
    "utils": (reset_ipu_seed, get_num_of_ipus_in_device, running_on_ipu_model),
    "ipu_strategy": (IPUStrategyV1,),
    "ipu_infeed_queue": (IPUInfeedQueue,),
    "loops": (repeat,),
}


@contextlib.contextmanager
def installed(ipus: int) -> Iterator[Machine]:
    """`from tensorflow.python import ipu` gives the stand-in, on a machine with so many IPUs, while this is open."""
    global MACHINE  # noqa: PLW0603  the real package keeps this in its C++ runtime
    MACHINE = Machine(ipus)
    package = types.ModuleType("tensorflow.python.ipu")
    for name, members in MODULES.items():
        module = types.ModuleType(f"tensorflow.python.ipu.{name}")
        for member in members:
            setattr(module, member.__name__, member)
        setattr(package, name, module)
    package.ipu_strategy.IPUStrategy = IPUStrategyV1
    parent = importlib.import_module("tensorflow.python")
    sys.modules["tensorflow.python.ipu"] = package
    parent.ipu = package
    try:
        yield MACHINE
    finally:
        del sys.modules["tensorflow.python.ipu"], parent.ipu
