"""What a training step of a coordinate network takes of a device's memory, and how a batch is split so that it fits.

A coordinate network knows no neighbours, so that its tile of the picture is a micro-batch: any samples of it. The
picture itself never has to fit: it stays on the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional

from nifcodec.errors import ConfigError
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.training.networks import Arithmetic
from nifcodec.training.memory import TRANSIENT, use_of

# Parameters, two moments, the gradient and its sum over micro-batches, and one more while they are updated: float32.
VECTORS = 6
FED_BATCHES = 3  # on the device at a time: the one in use and those that were fetched ahead


@dataclass(frozen=True)
class Split:
    """A batch as it is computed.

    Attributes:
        batch: samples a step; replicas x parts x samples.
        replicas: copies of the network.
        parts: micro-batches that each takes one after another.
        bytes: estimated use of a replica's memory.
    """

    batch: int
    replicas: int
    parts: int
    bytes: int

    @property
    def samples(self) -> int:
        """Of a micro-batch."""
        return self.batch // (self.replicas * self.parts)

    def describe(self, label: str, memory: Optional[int]) -> str:
        """One line for people."""
        text = f"{label}, {self.batch} samples a step"
        if self.replicas > 1:
            text += f", {self.replicas} replicas"
        if self.parts > 1:
            text += f", {self.parts} micro-batches of {self.samples}"
        return text + use_of(self.bytes, memory)


def step_bytes(spec: MlpDescription, batch: int, samples: int, arithmetic: Arithmetic) -> int:
    """Estimated bytes on a replica that is fed `batch` samples a step and computes `samples` at a time."""
    width = 2 if arithmetic.half else 4
    parameters = spec.parameter_count() * (4 * VECTORS + (width if arithmetic.half else 0))
    fed = FED_BATCHES * batch * 4 * (2 + spec.channels)
    # Of each layer its input, joined with the encoding where it is, and the value before its nonlinearity.
    values = spec.inputs + sum(layer.inputs + layer.units for layer in spec.plan()) + 3 * spec.channels
    return int(parameters + fed + TRANSIENT * samples * values * width)


def split(
    spec: MlpDescription, wanted: int, replicas: int, parts: int, arithmetic: Arithmetic, memory: Optional[int]
) -> Split:
    """A batch of about `wanted` samples in at least `parts` micro-batches a replica, small enough for its memory.

    Args:
        memory: bytes of a replica, None for no limit.

    Raises:
        ConfigError: a batch that does not split so far, or a network that leaves no memory for a single sample.
    """
    limit = math.inf if memory is None else memory
    pieces = replicas * parts
    if wanted < pieces:
        raise ConfigError(f"{wanted} samples a step do not split into {replicas} replicas x {parts} micro-batches")
    batch = wanted - wanted % pieces
    share = batch // replicas
    for count in range(parts, share + 1):
        if share % count == 0:
            needed = step_bytes(spec, share, share // count, arithmetic)
            if needed <= limit:
                return Split(batch, replicas, count, needed)
    raise ConfigError(
        f"a network of {spec.parameter_count()} parameters at {batch} samples a step takes {needed / 1e6:.0f} MB, and "
        f"the device has {limit / 1e6:.0f}: lower --width or --batch-size"
    )
