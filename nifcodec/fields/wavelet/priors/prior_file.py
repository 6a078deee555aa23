"""A prior <-> its file: a plain binary, one for each content (FORMAT.md, "Prior").

The file holds the integers of the context networks, their frequency tables, and the restoration filter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from nifcodec.entropy.range_coder import TOTAL
from nifcodec.errors import MalformedError, UnsupportedVersionError
from nifcodec.fields.wavelet.coding.binarization import LARGEST, TABLES
from nifcodec.fields.wavelet.coding.context_model import GROUPS, Key, Network
from nifcodec.fields.wavelet.coding.neighbours import CONSTANTS, near_neighbours, static_used
from nifcodec.fields.wavelet.lattice import Subband
from nifcodec.fields.wavelet.restoration import BLOCK_CHANNELS, RestorationFilter

MAGIC = b"NIFPRIOR"
VERSION = 1
# Transform: CDF 9/7; neighbourhood: that of `neighbours`; states of dependent quantization; groups of levels.
PROFILE = (1, 1, 8, GROUPS)
HEAD = struct.Struct("<8sB4B6B3B")

KEYS: List[Key] = [(c, o, g, p) for c in range(3) for o in range(3) for g in range(GROUPS) for p in range(2)]
WEIGHTS, BIASES = np.dtype("<i2"), np.dtype("<i4")
# Arrays of a context network, in the file's order.
ARRAYS: Mapping[str, Any] = {
    "w1": WEIGHTS,
    "b1": BIASES,
    "w2": WEIGHTS,
    "b2": BIASES,
    "w3": WEIGHTS,
    "b3": BIASES,
    "skip": WEIGHTS,
}
SYMBOLS = 2 * LARGEST + 1
KERNEL_MAX = 127

_FILTER_ARRAYS = ("kernels", "steps", "biases", "conditioning")

Integers = Mapping[str, np.ndarray]  # w1, b1, w2, b2, w3, b3 and skip of a context network


def signed_inputs(key: Key) -> int:
    """How many of a network's inputs are signed values; as many magnitudes and the constants follow."""
    band = Subband(key[0], key[1])
    return len(near_neighbours(band, bool(key[3]))) + len(static_used(band))


@dataclass(frozen=True)
class QuantizedFilter:
    """The restoration filter as it is stored, layer by layer.

    Attributes:
        kernels: int8 (3, 3, in, out).
        steps: float32 (out,), what the integers of each output are multiplied by.
        biases: float32 (out,).
        conditioning: float32 (2, out) of all layers but the last.
    """

    kernels: Sequence[np.ndarray]
    steps: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    conditioning: Sequence[np.ndarray]

    @staticmethod
    def of(
        kernels: Sequence[np.ndarray], biases: Sequence[np.ndarray], conditioning: Sequence[np.ndarray]
    ) -> "QuantizedFilter":
        """A trained filter, its kernels rounded."""
        steps = [
            np.maximum(np.abs(kernel).max(axis=(0, 1, 2)), 1e-12).astype(np.float32) / np.float32(KERNEL_MAX)
            for kernel in kernels
        ]
        rounded = [np.rint(kernel / step).astype(np.int8) for kernel, step in zip(kernels, steps)]
        return QuantizedFilter(
            rounded, steps, [b.astype(np.float32) for b in biases], [c.astype(np.float32) for c in conditioning]
        )

    def arrays(self) -> Dict[str, np.ndarray]:
        """All arrays by name, for a work folder."""
        return {f"{name} {i}": array for name in _FILTER_ARRAYS for i, array in enumerate(getattr(self, name))}

    @staticmethod
    def of_arrays(arrays: Mapping[str, np.ndarray]) -> "QuantizedFilter":
        """The inverse of `arrays`; other names are passed over."""
        layers = sum(name.startswith("kernels ") for name in arrays)
        found = ([arrays[f"{name} {i}"] for i in range(layers) if f"{name} {i}" in arrays] for name in _FILTER_ARRAYS)
        return QuantizedFilter(*found)

    def filter(self) -> RestorationFilter:
        """The filter as it is used."""
        kernels = [kernel.astype(np.float32) * step for kernel, step in zip(self.kernels, self.steps)]
        return RestorationFilter(kernels, self.biases, self.conditioning)


@dataclass(frozen=True)
class PriorFile:
    """What the file of a prior holds.

    Attributes:
        networks: integers of each context network.
        tables: frequencies (832, 33).
        restoration: the restoration filter.
    """

    networks: Mapping[Key, Integers]
    tables: np.ndarray
    restoration: QuantizedFilter

    def pack(self) -> bytes:
        """The bytes of the file."""
        hidden = [size for plane in range(3) for size in self.networks[(plane, 0, 0, 0)]["w2"].shape]
        layers = len(self.restoration.kernels)
        corrections = self.restoration.kernels[-1].shape[3] // BLOCK_CHANNELS
        sizes = corrections, layers, self.restoration.kernels[0].shape[3]
        parts = [HEAD.pack(MAGIC, VERSION, *PROFILE, *hidden, *sizes)]
        for key in KEYS:
            for name, kind in ARRAYS.items():
                parts.append(np.asarray(self.networks[key][name]).astype(kind).tobytes())
        parts.append(self.tables.astype("<u4").tobytes())
        for i in range(layers):
            parts.append(self.restoration.kernels[i].astype(np.int8).tobytes())
            floats = [self.restoration.steps[i], self.restoration.biases[i], *self.restoration.conditioning[i : i + 1]]
            parts += [values.astype("<f4").tobytes() for values in floats]
        return b"".join(parts)

    def context_networks(self) -> Dict[Key, Network]:
        """The networks as they are evaluated: float32 arrays of integers."""
        return {
            key: Network(**{name: values.astype(np.float32) for name, values in integers.items()})
            for key, integers in self.networks.items()
        }


def unpack(data: bytes) -> PriorFile:
    """Reads the file of a prior, and checks what it promises.

    Raises:
        UnsupportedVersionError: another version or profile.
        MalformedError: no file of a prior, or one that breaks a promise.
    """
    if len(data) < HEAD.size or not data.startswith(MAGIC):
        raise MalformedError("prior", "does not begin like one")
    _, version, *numbers = HEAD.unpack_from(data)
    profile, hidden, (corrections, layers, channels) = numbers[:4], numbers[4:10], numbers[10:]
    if version != VERSION or tuple(profile) != PROFILE:
        raise UnsupportedVersionError(
            f"the prior has version {version} and profile {profile}, which this nifcodec does not know: update it"
        )
    if 0 in numbers:
        raise MalformedError("prior", "has a size of 0")
    reader = _Reader(data, HEAD.size)
    networks = {key: _read_network(reader, key, hidden[2 * key[0]], hidden[2 * key[0] + 1]) for key in KEYS}
    tables = reader.take("<u4", (TABLES, SYMBOLS)).astype(np.int64)
    widths = [BLOCK_CHANNELS, *[channels] * (layers - 1), BLOCK_CHANNELS * corrections]
    restoration = _read_filter(reader, widths)
    reader.finish()
    file = PriorFile(networks, tables, restoration)
    _check(file)
    return file


def _read_network(reader: "_Reader", key: Key, first: int, second: int) -> Dict[str, np.ndarray]:
    signed = signed_inputs(key)
    shapes: Dict[str, Tuple[int, ...]] = {
        "w1": (2 * signed + CONSTANTS, first),
        "b1": (first,),
        "w2": (first, second),
        "b2": (second,),
        "w3": (second, 2),
        "b3": (2,),
        "skip": (signed,),
    }
    return {name: reader.take(kind, shapes[name]) for name, kind in ARRAYS.items()}


def _read_filter(reader: "_Reader", widths: Sequence[int]) -> QuantizedFilter:
    kernels: List[np.ndarray] = []
    steps: List[np.ndarray] = []
    biases: List[np.ndarray] = []
    conditioning: List[np.ndarray] = []
    for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        kernels.append(reader.take("i1", (3, 3, inputs, outputs)))
        steps.append(reader.take("<f4", (outputs,)))
        biases.append(reader.take("<f4", (outputs,)))
        if layer < len(widths) - 2:
            conditioning.append(reader.take("<f4", (2, outputs)))
    return QuantizedFilter(kernels, steps, biases, conditioning)


def _check(file: PriorFile) -> None:
    if int(file.tables.min()) < 1 or bool((file.tables.sum(axis=1) != TOTAL).any()):
        raise MalformedError("prior", f"has a table whose frequencies are not all 1 or more, or do not sum to {TOTAL}")
    if not all(network.is_exact() for network in file.context_networks().values()):
        raise MalformedError("prior", "has a network whose sums may reach 2^23")
    floats = (*file.restoration.steps, *file.restoration.biases, *file.restoration.conditioning)
    if not all(bool(np.isfinite(values).all()) for values in floats):
        raise MalformedError("prior", "has a number that is not finite")


class _Reader:
    """The arrays of a file, one after another. Raises MalformedError where the file ends too early or too late."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data, self._offset = data, offset

    def take(self, kind: Any, shape: Tuple[int, ...]) -> np.ndarray:
        count = int(np.prod(shape))
        end = self._offset + count * np.dtype(kind).itemsize
        if end > len(self._data):
            raise MalformedError("prior", f"ends after {len(self._data)} bytes")
        values = np.frombuffer(self._data, kind, count, self._offset).reshape(shape)
        self._offset = end
        return values.astype(np.dtype(kind).newbyteorder("="))

    def finish(self) -> None:
        if self._offset != len(self._data):
            raise MalformedError("prior", f"has {len(self._data) - self._offset} bytes behind its end")
