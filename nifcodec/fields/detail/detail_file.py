"""A detail network <-> its file: a plain binary (FORMAT.md, "Detail network")."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Dict, List, Mapping, Tuple

import numpy as np

from nifcodec.errors import MalformedError, UnsupportedVersionError
from nifcodec.fields.detail.contract import CHANNELS, CONDITIONS, LAYERS

MAGIC = b"NIFDETAL"
VERSION = 1
HEAD = struct.Struct("<8sBB")
ENDING = ".nifdetail"
UNIT = 1 << 12  # weights are int16 in 1/UNIT


@dataclass(frozen=True)
class DetailFile:
    """Weights of a network: of each layer, kernel (3, 3, in, out), bias (out,), gain and shift (CONDITIONS, out)."""

    weights: Mapping[str, np.ndarray]

    @staticmethod
    def of(weights: Mapping[str, np.ndarray]) -> "DetailFile":
        """Weights rounded to those that a file holds, float32. The first layer sees no constant, exactly."""
        limit = (1 << 15) - 1
        rounded = {name: np.clip(np.rint(weights[name] * UNIT), -limit, limit) for name, _ in arrays()}
        first = rounded["kernel0"]
        first[1, 1] -= first.sum(axis=(0, 1))
        return DetailFile({name: (array / UNIT).astype(np.float32) for name, array in rounded.items()})

    def pack(self) -> bytes:
        """The file."""
        parts = [HEAD.pack(MAGIC, VERSION, LAYERS), bytes(CHANNELS)]
        parts += [np.rint(self.weights[name] * UNIT).astype("<i2").tobytes() for name, _ in arrays()]
        return b"".join(parts)

    @staticmethod
    def unpack(data: bytes) -> "DetailFile":
        """The inverse of `pack`.

        Raises:
            MalformedError: it is no such file.
            UnsupportedVersionError: it is one of another version.
        """
        if len(data) < HEAD.size or data[: len(MAGIC)] != MAGIC:
            raise MalformedError("detail network", "is none")
        _, version, layers = HEAD.unpack_from(data)
        if version != VERSION:
            raise UnsupportedVersionError(f"the detail network has version {version}, which this version does not know")
        start, shapes = HEAD.size + len(CHANNELS), arrays()
        size = start + 2 * sum(int(np.prod(shape)) for _, shape in shapes)
        if layers != LAYERS or data[HEAD.size : start] != bytes(CHANNELS) or len(data) != size:
            raise MalformedError("detail network", f"has {len(data)} bytes, which do not fit its numbers")
        weights: Dict[str, np.ndarray] = {}
        for name, shape in shapes:
            count = int(np.prod(shape))
            values = np.frombuffer(data, "<i2", count, start).reshape(shape)
            weights[name] = values.astype(np.float32) / np.float32(UNIT)
            start += 2 * count
        return DetailFile(weights)


def arrays() -> List[Tuple[str, Tuple[int, ...]]]:
    """Names and shapes of a file's arrays, in their order."""
    found: List[Tuple[str, Tuple[int, ...]]] = []
    for layer, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:])):
        found.append((f"kernel{layer}", (3, 3, inputs, outputs)))
        found.append((f"bias{layer}", (outputs,)))
        found += [(f"{kind}{layer}", (CONDITIONS, outputs)) for kind in ("gain", "shift")]
    return found
