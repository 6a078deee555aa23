"""What would keep a traced graph from an IPU: types, shapes and operations, in every function that it calls."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Set

import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph, kernels

TYPES = (tf.int32, tf.float32, tf.float16, tf.bool, tf.resource)
# Not in Graphcore's compiler, or of a shape or a state that it does not know; by the start of their names.
DENIED = (
    "FFT", "IFFT", "RFFT", "IRFFT", "Complex", "Imag", "Conj", "Angle", "Where", "Unique", "DynamicPartition",
    "BooleanMask", "Print", "StringFormat", "PyFunc", "EagerPyFunc", "WriteSummary", "ScalarSummary", "StatefulUniform",
    "StatefulStandardNormal", "Rng", "Stateless", "RandomUniform", "RandomStandardNormal", "TruncatedNormal",
    "ResizeBicubic", "ResizeArea", "ScaleAndTranslate", "NonMaxSuppression", "MaxPoolGradGrad", "MaxPool3DGradGrad",
    "Cumsum", "Cumprod", "TopK", "Gather", "Scatter", "TensorScatter", "IteratorGetNext",
)  # fmt: skip
CONTROL = ("StatelessWhile", "StatelessIf", "StatelessCase", "StatelessCondContext")
# Of static shapes a constant, of which the compiler leaves nothing.
FOLDED = ("BroadcastGradientArgs",)
# Of the graph itself, not of its computation.
PLUMBING = ("Placeholder", "NoOp", "StatefulPartitionedCall", "PartitionedCall")


def defects(function: "tf.types.experimental.ConcreteFunction") -> List[str]:
    """One sentence a defect; none where the graph may be compiled."""
    # XLA's kernels are registered when something is first compiled.
    tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1))
    library = {body.signature.name: body for body in function.graph.as_graph_def().library.function}
    return sorted(set(_defects(function.graph, "the step", library, set())))


def _defects(graph: tf.Graph, where: str, library: Dict[str, Any], seen: Set[str]) -> Iterator[str]:
    for operation in graph.get_operations():
        kind = operation.type
        if kind.startswith(DENIED) and not kind.startswith(CONTROL):
            yield f"{where}: {kind} ({operation.name}) is not for an IPU"
        if kind not in PLUMBING and not _compiles(kind):
            yield f"{where}: {kind} ({operation.name}) has no kernel that XLA compiles"
        for tensor in operation.outputs:
            if tensor.dtype.base_dtype not in TYPES:
                yield f"{where}: {tensor.name} is {tensor.dtype.name}"
            static = tensor.dtype == tf.resource or tensor.shape.is_fully_defined()
            if not static and kind not in FOLDED and (kind != "Placeholder" or tensor.consumers()):
                yield f"{where}: {tensor.name} has the shape {tensor.shape}"
        for attribute in operation.node_def.attr.values():
            for name in [attribute.func.name, *(function.name for function in attribute.list.func)]:
                if name and name not in seen:
                    seen.add(name)
                    # An If hands on all inputs but its condition.
                    inputs = operation.inputs[len(operation.inputs) - len(library[name].signature.input_arg) :]
                    shapes = [tensor.shape for tensor in inputs]
                    body = function_def_to_graph.function_def_to_graph(library[name], shapes)
                    yield from _defects(body, name, library, seen)


def _compiles(kind: str) -> bool:
    return any(kernel.device_type == "XLA_CPU_JIT" for kernel in kernels.get_registered_kernels_for_op(kind).kernel)
