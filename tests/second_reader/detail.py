"""What lies between the pixels of families 3 and 4 (FORMAT.md, "Above the native size")."""

from __future__ import annotations

import hashlib
import math
from typing import List, NamedTuple, Optional

import numpy as np

from .container import Header
from .conventions import Bytes, known, require
from .prior import FOLDER, Arrays

CHANNELS = (3, 24, 24, 24, 24, 24, 9)
TO_PLANES = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
SIGNS = {(0, 0): (-1, -1, 1), (0, 1): (-1, 1, -1), (1, 0): (1, -1, -1), (1, 1): (1, 1, 1)}
"""Of the details, by the row and the column of a sample in its block."""


class Layer(NamedTuple):
    kernel: np.ndarray
    """(3, 3, in, out)"""
    bias: np.ndarray
    gain: np.ndarray
    shift: np.ndarray
    """(2, out)"""


class Detail(NamedTuple):
    layers: List[Layer]
    eighths: int


def read_detail(header: Header) -> Optional[Detail]:
    """The network that a header names behind the fields of its description; None where none is named, or known."""
    fields = Bytes(header.description.data)
    fields.take(fields.varint())
    behind = fields.rest()
    if len(behind) < 5:
        return None
    for path in sorted(FOLDER.rglob("*.nifdetail")):
        data = path.read_bytes()
        if hashlib.sha256(data).digest()[:4] == behind[:4]:
            return Detail(read_network(data), int.from_bytes(behind[4:5], "little", signed=True))
    return None


def read_network(data: bytes) -> List[Layer]:
    file = Arrays(data)
    require(file.take(8) == b"NIFDETAL", "magic of the detail network")
    known(file.number(1) == 1, "detail network")
    require(file.number(1) == 6 and tuple(file.take(7)) == CHANNELS, "layers of the detail network")
    layers = []
    for inputs, outputs in zip(CHANNELS, CHANNELS[1:]):
        shapes = (3, 3, inputs, outputs), (outputs,), (2, outputs), (2, outputs)
        layers.append(Layer(*(file.integers("i2", *shape) / 4096 for shape in shapes)))
    require(not file.rest(), "bytes after the detail network")
    return layers


def double(field: np.ndarray, detail: Detail) -> np.ndarray:
    """A lattice (rows, columns, channels) -> the doubled one."""
    channels = field.shape[2]
    if channels in (2, 4):
        return np.concatenate([double(field[..., :-1], detail), double(field[..., -1:], detail)], axis=2)
    planes = field @ TO_PLANES.T if channels == 3 else np.concatenate([field * math.sqrt(3), 0 * field, 0 * field], 2)
    padded = np.pad(planes, ((6, 6), (6, 6), (0, 0)), mode="edge")
    details = network(padded, detail) + interpolant(padded)
    details = details @ TO_PLANES if channels == 3 else details[..., :1] / math.sqrt(3)
    doubled = np.empty((2 * field.shape[0], 2 * field.shape[1], channels))
    for (row, column), signs in SIGNS.items():
        doubled[row::2, column::2] = field + sum(sign * part for sign, part in zip(signs, np.moveaxis(details, 2, 0)))
    return doubled


def network(padded: np.ndarray, detail: Detail) -> np.ndarray:
    """(rows, columns, 3 details, 3 planes)"""
    t = (min(max(detail.eighths / 8, -7), -0.5) + 3.5) / 3
    values = 16 * padded
    for number, layer in enumerate(detail.layers):
        rows, columns = values.shape[0] - 2, values.shape[1] - 2
        total = np.zeros((rows, columns, layer.kernel.shape[3]))
        for v in range(3):
            for w in range(3):
                total += values[v : v + rows, w : w + columns] @ layer.kernel[v, w]
        values = total * (1 + layer.gain[0] * t + layer.gain[1] * t**2)
        values = values + layer.bias + layer.shift[0] * t + layer.shift[1] * t**2
        if number < 5:
            values = np.maximum(0, values)
    return values.reshape(*values.shape[:2], 3, 3) / 16


def interpolant(padded: np.ndarray) -> np.ndarray:
    """(rows, columns, 3 details, 3 planes)"""
    w = np.array([lanczos(k - 0.25) for k in range(-3, 4)])
    w = w / w.sum()
    low, high = (w + w[::-1]) / 2, (w - w[::-1]) / 2
    rows, columns = padded.shape[0] - 12, padded.shape[1] - 12
    found = np.zeros((rows, columns, 3, 3))
    for j in range(7):
        for k in range(7):
            there = padded[3 + j : 3 + j + rows, 3 + k : 3 + k + columns]
            for number, weight in enumerate((high[j] * low[k], low[j] * high[k], high[j] * high[k])):
                found[:, :, number] += weight * there
    return found


def lanczos(x: float) -> float:
    return float(np.sinc(x) * np.sinc(x / 3)) if abs(x) < 3 else 0.0
