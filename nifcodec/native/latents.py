"""A pyramid's latents <-> a stream, natively: arrays in, arrays out.

Streams of several grids go on from grid to grid. What comes from a file is checked before it is counted in memory; the
native code checks sizes and weights again.
"""

from __future__ import annotations

import ctypes
from ctypes import Structure, byref, c_char_p, c_int32, c_uint64, c_void_p
from typing import Optional, Sequence, Tuple

import numpy as np

from nifcodec.errors import MalformedError
from nifcodec.native.bands import LARGE_COEFFICIENT, OK, _address, aligned, check

NEIGHBOURS, FEATURES, PITCH = 14, 6, 8  # as in latents.h
SYMBOLS = 33
LIMIT = 1 << 18

Matrix = Tuple[np.ndarray, np.ndarray]  # weights (outputs, inputs) and biases
Network = Tuple[Sequence[Matrix], np.ndarray]  # layers and linear branch


class _Decoder(Structure):
    _fields_ = [(name, c_uint64) for name in ("offset", "width", "window", "next")]


class _Encoder(Structure):
    _fields_ = [(name, c_uint64) for name in ("low", "width", "bytes")]


class _Grid(Structure):
    _fields_ = [("values", c_void_p), ("level", c_int32), ("rows", c_int32), ("columns", c_int32)]


class NativeLatents:
    """The entropy networks of all groups of grids and their tables, ready for the native code.

    Args:
        loaded: as `library.load` gives it.
        networks: of each group the first, the second and the last layer, as integers of any type, and the linear
            branch, (2, inputs).
        neighbours: (2, NEIGHBOURS), rows down and columns right.
        tables: frequencies of all tables, (969, 33).

    Raises:
        ValueError: the native code has no such network, or one of its sums could reach 2^31.
    """

    def __init__(
        self,
        loaded: ctypes.CDLL,
        networks: Sequence[Network],
        neighbours: np.ndarray,
        tables: np.ndarray,
    ) -> None:
        self._networks = [_packed(layers, linear, neighbours) for layers, linear in networks]
        cumulative = np.zeros((len(tables), SYMBOLS + 1), np.uint32)
        cumulative[:, 1:] = np.cumsum(tables, axis=1)
        middle = SYMBOLS // 2
        self._cumulative = cumulative
        self._likely = np.stack([cumulative[:, middle], tables[:, middle].astype(np.uint32)], axis=1).copy()
        self._library = loaded
        for name in ("latents_memory", "latents_capacity", "latents_finish", "latent_features_memory"):
            getattr(loaded, f"nifcodec_{name}").restype = c_uint64
        if any(loaded.nifcodec_latent_network_check(_address(network)) != OK for network in self._networks):
            raise ValueError("the native code cannot hold this network")

    def features(self, weights: Matrix, grids: Sequence[Tuple[int, np.ndarray]]) -> np.ndarray:
        """Features of the latents of a grid, int16 (rows, columns, PITCH) at half its size.

        Args:
            weights: (FEATURES, grids) and biases, in units of 2^-11.
            grids: of each coarser grid how often its size is halved from that of the features, and its values, which
                are at most LIMIT in magnitude; one that is not halved is among them.
        """
        kept = [np.ascontiguousarray(values, np.int32) for _, values in grids]
        given = (_Grid * len(grids))()
        for index, ((level, _), values) in enumerate(zip(grids, kept)):
            given[index] = _Grid(values.ctypes.data, level, *values.shape)
        rows, columns = next(values.shape for (level, _), values in zip(grids, kept) if level == 0)
        matrix, bias = (_integers(array) for array in weights)
        features = np.empty((rows, columns, PITCH), np.int16)
        memory = aligned(self._library.nifcodec_latent_features_memory(c_int32(columns)))
        error = self._library.nifcodec_latent_features(
            given,
            c_int32(len(grids)),
            c_int32(1 + max(level for level, _ in grids)),
            c_int32(rows),
            c_int32(columns),
            _address(matrix),
            _address(bias),
            _address(features),
            _address(memory),
        )
        _check(error, 0)
        return features

    def decoder(self, data: bytes) -> "LatentDecoder":
        """At the beginning of a stream."""
        return LatentDecoder(self, data)

    def encoder(self, count: int) -> "LatentEncoder":
        """Of a stream of so many latents."""
        return LatentEncoder(self, count)

    def memory(self, height: int, width: int) -> np.ndarray:
        """What the coding of a grid works in."""
        return aligned(self._library.nifcodec_latents_memory(c_int32(height), c_int32(width)))


class LatentDecoder:
    """Reads grids, one after the other."""

    def __init__(self, native: NativeLatents, data: bytes) -> None:
        self._native, self._data, self._state = native, data, _Decoder()
        native._library.nifcodec_latents_decoder(byref(self._state), c_char_p(data), c_uint64(len(data)))

    def get(self, height: int, width: int, group: int, features: Optional[np.ndarray]) -> np.ndarray:
        """The next grid, int32 (height, width). Raises TruncatedError, MalformedError.

        Args:
            group: of the grid, whose network it is coded under.
            features: as `NativeLatents.features` gives them; None where all are zero.
        """
        native, memory = self._native, self._native.memory(height, width)
        values = np.empty((height, width), np.int32)
        error = native._library.nifcodec_decode_latents(
            _address(native._networks[group]),
            _address(native._cumulative),
            _address(native._likely),
            byref(self._state),
            c_char_p(self._data),
            c_uint64(len(self._data)),
            c_int32(height),
            c_int32(width),
            _features(features, height, width),
            _address(values),
            _address(memory),
            c_uint64(memory.size),
        )
        _check(error, len(self._data))
        return values

    def state(self) -> Tuple[int, int, int, int]:
        """The range coder's offset, width, window and bytes read."""
        state = self._state
        return int(state.offset), int(state.width), int(state.window), int(state.next)


class LatentEncoder:
    """Appends grids, one after the other."""

    def __init__(self, native: NativeLatents, count: int) -> None:
        self._native, self._state = native, _Encoder()
        self._stream = np.empty(native._library.nifcodec_latents_capacity(c_uint64(count)), np.uint8)
        native._library.nifcodec_latents_encoder(byref(self._state))

    def put(self, values: np.ndarray, group: int, features: Optional[np.ndarray]) -> None:
        """The next grid, integers (height, width) of at most LIMIT; the rest as `LatentDecoder.get` takes it."""
        native, (height, width) = self._native, values.shape
        memory, given = native.memory(height, width), np.ascontiguousarray(values, np.int32)
        error = native._library.nifcodec_encode_latents(
            _address(native._networks[group]),
            _address(native._cumulative),
            byref(self._state),
            _address(self._stream),
            c_uint64(self._stream.size),
            c_int32(height),
            c_int32(width),
            _features(features, height, width),
            _address(given),
            _address(memory),
            c_uint64(memory.size),
        )
        _check(error, 0)

    def needed(self) -> int:
        """Bytes from the beginning of the stream that a decoder has read after the grids so far, at most."""
        return int(self._state.bytes) + 8

    def finish(self) -> bytes:
        """The stream. Nothing can be appended afterwards."""
        size = self._native._library.nifcodec_latents_finish(byref(self._state), _address(self._stream))
        return self._stream[:size].tobytes()


def _packed(layers: Sequence[Matrix], linear: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """A network as latents.h has it. Raises ValueError."""
    units = NEIGHBOURS + FEATURES
    shapes = [array.shape for layer in layers for array in layer]
    expected = [(units, units), (units,), (units, units), (units,), (2, units), (2,)]
    if shapes != expected or linear.shape != (2, units) or neighbours.shape != (2, NEIGHBOURS):
        raise ValueError(f"the native code has no network of the shapes {shapes}")
    arrays = [*(array for layer in layers for array in layer), linear, neighbours]
    return np.concatenate([_integers(array).ravel() for array in arrays])


def _integers(array: np.ndarray) -> np.ndarray:
    found = np.asarray(array, np.float64)
    if not (np.abs(found) < 1 << 31).all():
        raise ValueError("the native code cannot hold this network")
    return np.ascontiguousarray(found, np.int32)


def _features(features: Optional[np.ndarray], height: int, width: int) -> c_void_p:
    if features is None:
        return c_void_p(None)
    if features.shape != (-(-height // 2), -(-width // 2), PITCH) or features.dtype != np.int16:
        raise ValueError(f"features of the shape {features.shape} are not those of {height} x {width} latents")
    return _address(features)


def _check(error: int, stream_bytes: int) -> None:
    if error == LARGE_COEFFICIENT:
        raise MalformedError("latent", f"is above {LIMIT}")
    check(error, stream_bytes)
