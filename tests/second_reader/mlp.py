"""Families 1 and 2: fourier and siren (FORMAT.md, the section of that name)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Callable, List, Tuple

import numpy as np

from .container import Header
from .conventions import Bytes, require
from .entropy import read_tensors

Encode = Callable[[float, float], List[float]]
"""From u and v to the encoded position."""


def read_network(header: Header, payload: bytes) -> Tuple[List[np.ndarray], np.ndarray]:
    """The step indices and then each tensor; the field's numbers (rows, columns, channels) at the pixel centres."""
    family, description = header.family, header.description
    units, layers = description.number(2), description.number(1)
    colour, encoding = divmod(description.number(1), 16)
    require(1 <= units <= 2048 and 1 <= layers <= 32, "size of the network")
    require(colour == 0 or (colour <= 2 and header.channels >= 3), "colour")
    require(encoding <= 2 and (family == 1 or encoding == 2), "encoding")
    omega = positive(description.number(2)) if family == 2 else 0.0
    encode, length = read_encoding(encoding, description)
    require(not description.rest(), "bytes after the description")

    joined = layers // 2 if family == 1 and layers > 1 else None
    shapes: List[Tuple[int, ...]] = []
    has_bias = []
    inputs = length
    for layer in range(layers + 1):
        outputs = units if layer < layers else header.channels
        if joined is not None and layer == joined - 1 and 2 * (units - length) >= units:
            outputs = units - length
        if layer == joined:
            inputs += length
        has_bias.append(family == 2 or layer >= layers - 1)
        shapes.append((inputs, outputs))
        if has_bias[-1]:
            shapes.append((outputs,))
        inputs = outputs
    require(sum(int(np.prod(shape)) for shape in shapes) <= 2**24, "too many weights")

    indices, *integers = read_tensors(payload, [(len(shapes),), *shapes])
    steps = np.cumsum(indices)
    require(all(0 <= index <= 255 for index in steps), "weight step index")
    weights = [values * np.float64(np.float32(2 ** (-index / 8))) for index, values in zip(steps, integers)]
    weights = [values.astype(np.float32).astype(np.float64) for values in weights]

    def colours(u: float, v: float) -> np.ndarray:
        position = np.array(encode(u, v))
        x, remaining = position, list(weights)
        for layer in range(layers + 1):
            if layer == joined:
                x = np.concatenate([x, position])
            x = x @ remaining.pop(0)
            if has_bias[layer]:
                x = x + remaining.pop(0)
            if layer < layers:
                x = np.sin(omega * x) if family == 2 else np.maximum(x, 0)
        return to_rgb(colour, x)

    rows, columns = range(header.height), range(header.width)
    field = [[colours((i + 0.5) / header.width, (j + 0.5) / header.height) for i in columns] for j in rows]
    return [steps, *integers], np.array(field)


def read_encoding(encoding: int, description: Bytes) -> Tuple[Encode, int]:
    """The encoding of a position, and the length of what it gives."""
    if encoding == 0:
        dimension, sigma = description.number(1), positive(description.number(2))
        require(1 <= dimension <= 32, "dimension")
        require(Fraction(sigma) ** (dimension - 1) <= 2**20, "powers are too large")
        return powers(dimension, sigma), 4 * dimension
    if encoding == 1:
        frequencies = description.number(2)
        spread, seed = positive(description.number(2)), description.number(4)
        require(1 <= frequencies <= 1024, "number of frequencies")
        return gaussian(frequencies, spread, seed), 2 * frequencies
    return centred, 2


def positive(number: int) -> float:
    require(number >= 1, "sigma, spread and omega are at least 1/256")
    return number / 256


def centred(u: float, v: float) -> List[float]:
    return [2 * u - 1, 2 * v - 1]


def powers(dimension: int, sigma: float) -> Encode:
    def encode(u: float, v: float) -> List[float]:
        angles = [sigma**i * x for x in centred(u, v) for i in range(dimension)]
        return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]

    return encode


def gaussian(frequencies: int, spread: float, seed: int) -> Encode:
    def output(n: int) -> int:
        z = (seed + (n + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    def normal(j: int) -> float:
        words = [output(3 * j + i) >> 16 * word & 0xFFFF for i in range(3) for word in range(4)]
        return (sum(words) - 393210) / 65536

    pairs = [[2 * math.pi * spread * normal(2 * k + axis) for axis in range(2)] for k in range(frequencies)]

    def encode(u: float, v: float) -> List[float]:
        angles = [a * u + b * v for a, b in pairs]
        return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]

    return encode


def to_rgb(colour: int, outputs: np.ndarray) -> np.ndarray:
    if colour == 0:
        return outputs
    x, y, z = outputs[:3]
    if colour == 1:
        rgb = [x + y - z, x + z, x - y - z]
    else:
        green = x - 0.114 / 0.587 * y / 0.492 - 0.299 / 0.587 * z / 0.877
        rgb = [x + z / 0.877, green, x + y / 0.492]
    return np.array([*rgb, *outputs[3:]])
