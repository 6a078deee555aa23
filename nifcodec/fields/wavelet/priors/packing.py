"""A prior's networks <-> the few arrays of its file (FORMAT.md, "Priors").

Integers of the context networks lie in one line, low and high bytes apart, which deflates to a quarter less than an
array for each; the restoration filter's kernels are bytes with a step for each output.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np

from nifcodec.fields.wavelet.coding.context_model import GROUPS, Key, Network
from nifcodec.fields.wavelet.coding.neighbours import CONSTANTS, near_neighbours, static_used
from nifcodec.fields.wavelet.lattice import Subband
from nifcodec.fields.wavelet.restoration import RestorationFilter

Arrays = Dict[str, np.ndarray]

KEYS: List[Key] = [(c, o, g, p) for c in range(3) for o in range(3) for g in range(GROUPS) for p in range(2)]
KERNEL_MAX = 127


def signed_inputs(key: Key) -> int:
    """How many of a network's inputs are signed values; as many magnitudes and the constants follow."""
    band = Subband(key[0], key[1])
    return len(near_neighbours(band, bool(key[3]))) + len(static_used(band))


def pack_context(networks: Mapping[Key, Mapping[str, np.ndarray]]) -> Arrays:
    """Integer arrays w1, b1, w2, b2, w3, b3, skip of each network -> arrays of the file."""
    weights = [networks[key][name].ravel() for key in KEYS for name in ("w1", "w2", "w3", "skip")]
    biases = [networks[key][name].ravel() for key in KEYS for name in ("b1", "b2", "b3")]
    line = np.concatenate(weights).astype(np.int16)
    hidden = [networks[(colour, 0, 0, 0)]["w2"].shape for colour in range(3)]
    return {
        "context.hidden": np.array(hidden, np.uint8),
        "context.low": (line & 255).astype(np.uint8),
        "context.high": (line >> 8).astype(np.int8),
        "context.biases": np.concatenate(biases).astype(np.int32),
    }


def unpack_context(arrays: Mapping[str, np.ndarray]) -> Dict[Key, Network]:
    """The inverse, as float32 arrays of integers."""
    line = arrays["context.high"].astype(np.int16) * 256 + arrays["context.low"]
    biases = arrays["context.biases"]
    networks: Dict[Key, Network] = {}
    for key in KEYS:
        signed = signed_inputs(key)
        first, second = (int(width) for width in arrays["context.hidden"][key[0]])
        parts: Dict[str, np.ndarray] = {}
        for name, shape in (
            ("w1", (2 * signed + CONSTANTS, first)),
            ("w2", (first, second)),
            ("w3", (second, 2)),
            ("skip", (signed,)),
        ):
            size = int(np.prod(shape))
            parts[name], line = line[:size].reshape(shape).astype(np.float32), line[size:]
        for name, size in (("b1", first), ("b2", second), ("b3", 2)):
            parts[name], biases = biases[:size].astype(np.float32), biases[size:]
        networks[key] = Network(**parts)
    return networks


def pack_restoration(parts: "Tuple[Sequence[np.ndarray], Sequence[np.ndarray], Sequence[np.ndarray]]") -> Arrays:
    """Kernels, biases and conditioning of the restoration filter -> arrays of the file; kernels are rounded."""
    kernels, biases, conditioning = parts
    arrays: Arrays = {}
    for i, (kernel, bias) in enumerate(zip(kernels, biases)):
        steps = np.maximum(np.abs(kernel).max(axis=(0, 1, 2)), 1e-12).astype(np.float32) / np.float32(KERNEL_MAX)
        arrays[f"synthesis.w{i}"] = np.rint(kernel / steps).astype(np.int8)
        arrays[f"synthesis.s{i}"] = steps
        arrays[f"synthesis.b{i}"] = bias.astype(np.float32)
    for i, added in enumerate(conditioning):
        arrays[f"synthesis.f{i}"] = added.astype(np.float32)
    return arrays


def unpack_restoration(arrays: Mapping[str, np.ndarray]) -> RestorationFilter:
    """The restoration filter of a file."""
    layers = range(sum(name.startswith("synthesis.w") for name in arrays))
    return RestorationFilter(
        [arrays[f"synthesis.w{i}"].astype(np.float32) * arrays[f"synthesis.s{i}"] for i in layers],
        [arrays[f"synthesis.b{i}"] for i in layers],
        [arrays[f"synthesis.f{i}"] for i in layers[:-1]],
    )
