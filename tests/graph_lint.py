"""What would keep a traced graph from an IPU: types, shapes and operations, in every function that it calls."""

from __future__ import annotations

from typing import Iterator, List, Set

import tensorflow as tf
from tensorflow.python.framework import kernels

TYPES = (tf.int32, tf.float32, tf.float16, tf.bool, tf.resource)
# Not in Graphcore's compiler, or of a shape or a state that it does not know; by the start of their names.
DENIED = (
    "FFT", "IFFT", "RFFT", "IRFFT", "Complex", "Real", "Imag", "Conj", "Angle", "Where", "Unique", "DynamicPartition",
    "BooleanMask", "Print", "StringFormat", "PyFunc", "EagerPyFunc", "WriteSummary", "ScalarSummary", "StatefulUniform",
    "StatefulStandardNormal", "Rng", "Stateless", "RandomUniform", "RandomStandardNormal", "TruncatedNormal",
    "ResizeBicubic", "ResizeArea", "ScaleAndTranslate", "NonMaxSuppression", "MaxPoolGradGrad", "MaxPool3DGradGrad",
    "Cumsum", "Cumprod", "TopK", "Gather", "Scatter", "TensorScatter", "IteratorGetNext",
)  # fmt: skip
CONTROL = ("StatelessWhile", "StatelessIf", "StatelessCase", "StatelessCondContext")
# Of the graph itself, not of its computation.
PLUMBING = ("Placeholder", "NoOp", "StatefulPartitionedCall", "PartitionedCall")


def defects(function: "tf.types.experimental.ConcreteFunction") -> List[str]:
    """One sentence a defect; none where the graph may be compiled."""
    # XLA's kernels are registered when something is first compiled.
    tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1))
    return sorted(set(_defects(function.graph, function.name, set())))


def _defects(graph: tf.Graph, where: str, seen: Set[str]) -> Iterator[str]:
    for operation in graph.get_operations():
        kind = operation.type
        if kind.startswith(DENIED) and not kind.startswith(CONTROL):
            yield f"{where}: {kind} ({operation.name}) is not for an IPU"
        if kind not in PLUMBING and not _compiles(kind):
            yield f"{where}: {kind} ({operation.name}) has no kernel that XLA compiles"
        for tensor in operation.outputs:
            if tensor.dtype.base_dtype not in TYPES:
                yield f"{where}: {tensor.name} is {tensor.dtype.name}"
            if tensor.dtype != tf.resource and not tensor.shape.is_fully_defined():
                yield f"{where}: {tensor.name} has the shape {tensor.shape}"
        for attribute in operation.node_def.attr.values():
            for name in [attribute.func.name, *(function.name for function in attribute.list.func)]:
                if name and name not in seen:
                    seen.add(name)
                    yield from _defects(_body(graph, name), name, seen)


def _compiles(kind: str) -> bool:
    return any(kernel.device_type == "XLA_CPU_JIT" for kernel in kernels.get_registered_kernels_for_op(kind).kernel)


def _body(graph: tf.Graph, name: str) -> tf.Graph:
    """The graph of a function by its name, with its shapes."""
    from tensorflow.python.framework import function_def_to_graph

    definition = next(function for function in graph.as_graph_def().library.function if function.signature.name == name)
    return function_def_to_graph.function_def_to_graph(definition)
