"""What a training step takes of a device's memory, and how a batch is split, or a picture cut, so that it fits.

A coordinate network knows no neighbours, so that its tile of the picture is a micro-batch: any samples of it. The
wavelet field's synthesis network does: its tiles are rectangles. The picture itself never has to fit: it stays on the
host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from nifcodec.errors import ConfigError, DeviceError
from nifcodec.fields.spec import MlpSpec
from nifcodec.fields.synthesis import BLOCK_CHANNELS, SynthesisNetwork
from nifcodec.training.networks import Arithmetic

# Parameters, two moments, the gradient and its sum over micro-batches, and one more while they are updated: float32.
VECTORS = 6
FED_BATCHES = 3  # on the device at a time: the one in use and those that were fetched ahead
# Of the stored activations: gradients of two neighbouring layers, and what products need for themselves meanwhile.
TRANSIENT = 1.5


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
        return text + _use(self.bytes, memory)


def step_bytes(spec: MlpSpec, batch: int, samples: int, arithmetic: Arithmetic) -> int:
    """Estimated bytes on a replica that is fed `batch` samples a step and computes `samples` at a time."""
    width = 2 if arithmetic.half else 4
    parameters = spec.parameter_count() * (4 * VECTORS + (width if arithmetic.half else 0))
    fed = FED_BATCHES * batch * 4 * (2 + spec.channels)
    # Of each layer its input, joined with the encoding where it is, and the value before its nonlinearity.
    values = spec.inputs + sum(layer.inputs + layer.units for layer in spec.plan()) + 3 * spec.channels
    return int(parameters + fed + TRANSIENT * samples * values * width)


def split(
    spec: MlpSpec, wanted: int, replicas: int, parts: int, arithmetic: Arithmetic, memory: Optional[int]
) -> Split:
    """A batch of about `wanted` samples in at least `parts` micro-batches a replica, small enough for its memory.

    Args:
        memory: bytes of a replica, None for no limit.

    Raises:
        ConfigError: a batch that does not split so far, or a network that leaves no memory for a single sample.
    """
    pieces = replicas * parts
    if wanted < pieces:
        raise ConfigError(f"{wanted} samples a step do not split into {replicas} replicas x {parts} micro-batches")
    batch = wanted - wanted % pieces
    share = batch // replicas
    for count in range(parts, share + 1):
        if share % count == 0:
            needed = step_bytes(spec, share, share // count, arithmetic)
            if memory is None or needed <= memory:
                return Split(batch, replicas, count, needed)
    raise ConfigError(
        f"a network of {spec.parameter_count()} parameters at {batch} samples a step takes {needed / 1e6:.0f} MB, and "
        f"the device has {memory / 1e6:.0f}: lower --width or --batch-size"
    )


@dataclass(frozen=True)
class Cutting:
    """A picture as tiles for the synthesis network.

    Attributes:
        tile: rows and columns of each, even; the last ones may reach beyond the picture.
        count: of the tiles.
        replicas: that share them.
        bytes: estimated use of a replica's memory.
    """

    tile: Tuple[int, int]
    count: int
    replicas: int
    bytes: int

    def describe(self, label: str, memory: Optional[int]) -> str:
        """One line for people."""
        height, width = self.tile
        text = f"{label}, {self.count} tile{'s' * (self.count > 1)} of {width}x{height} pixels at most"
        if self.replicas > 1:
            text += f", {self.replicas} replicas"
        return text + _use(self.bytes, memory)


def tile_bytes(network: SynthesisNetwork, tile: Tuple[int, int]) -> int:
    """Estimated bytes of a gradient through the network, mixed to one correction, at a tile of (rows, columns)."""
    blocks = 1
    for side in tile:
        blocks *= side // 2 + network.reach
    # Of each layer its input and the value before its ReLU; what is fed and what comes back.
    widths = [kernel.shape[2] for kernel in network.kernels] + [BLOCK_CHANNELS]
    values = sum(widths[:-1]) + sum(widths[1:]) + 5 * BLOCK_CHANNELS
    weights = sum(kernel[..., : widths[i + 1]].size for i, kernel in enumerate(network.kernels))
    return int(4 * (weights + TRANSIENT * blocks * values))


def cut(network: SynthesisNetwork, sides: Tuple[int, int], replicas: int, memory: Optional[int]) -> Cutting:
    """A picture of (rows, columns), cut across its longer side until its tiles fit and each replica has one.

    No tile gets smaller than the network's reach on both sides of it: then some replicas are left without one.

    Args:
        memory: bytes of a replica, None for no limit.

    Raises:
        DeviceError: not even the smallest tile fits.
    """
    pieces = [1, 1]
    least = 2 * network.reach
    while True:
        height, width = (2 * -(-side // (2 * count)) for side, count in zip(sides, pieces))
        count = -(-sides[0] // height) * -(-sides[1] // width)
        needed = tile_bytes(network, (height, width))
        fits = memory is None or needed <= memory
        if fits and (count >= replicas or max(height, width) <= least):
            return Cutting((height, width), count, replicas, needed)
        if max(height, width) <= least:
            raise DeviceError(
                f"a tile of {width}x{height} pixels takes {needed / 1e6:.1f} MB, and the device has {memory / 1e6:.1f}"
            )
        pieces[0 if height >= width else 1] += 1


def _use(needed: int, memory: Optional[int]) -> str:
    text = f", about {needed / 1e6:.0f} MB"
    return text if memory is None else f"{text} of {memory / 1e6:.0f} MB"
