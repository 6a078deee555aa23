"""What a gradient through the restoration filter takes of a device's memory, and how a picture is cut so that it fits.

The filter sees neighbours, so that its tiles are rectangles. The picture itself never has to fit: it stays on the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Tuple

from nifcodec.errors import DeviceError
from nifcodec.fields.wavelet.restoration import BLOCK_CHANNELS, RestorationFilter
from nifcodec.training.memory import TRANSIENT, use_of


@dataclass(frozen=True)
class Cutting:
    """A picture as tiles for the restoration filter.

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
        return text + use_of(self.bytes, memory)


def tile_bytes(restoration: RestorationFilter, tile: Tuple[int, int]) -> int:
    """Estimated bytes of a gradient through the filter, mixed to one correction, at a tile of (rows, columns)."""
    blocks = 1
    for side in tile:
        blocks *= side // 2 + restoration.reach
    # Of each layer its input and the value before its ReLU; what is fed and what comes back.
    widths = [kernel.shape[2] for kernel in restoration.kernels] + [BLOCK_CHANNELS]
    values = sum(widths[:-1]) + sum(widths[1:]) + 5 * BLOCK_CHANNELS
    weights = sum(kernel[..., : widths[i + 1]].size for i, kernel in enumerate(restoration.kernels))
    return int(4 * (weights + TRANSIENT * blocks * values))


def cut(restoration: RestorationFilter, sides: Tuple[int, int], replicas: int, memory: Optional[int]) -> Cutting:
    """A picture of (rows, columns), cut across its longer side until its tiles fit and each replica has one.

    No tile gets smaller than the filter's reach on both sides of it: then some replicas are left without one.

    Args:
        memory: bytes of a replica, None for no limit.

    Raises:
        DeviceError: not even the smallest tile fits.
    """
    limit = math.inf if memory is None else memory
    pieces = [1, 1]
    least = 2 * restoration.reach
    while True:
        height, width = (2 * -(-side // (2 * count)) for side, count in zip(sides, pieces))
        count = -(-sides[0] // height) * -(-sides[1] // width)
        needed = tile_bytes(restoration, (height, width))
        if needed <= limit and (count >= replicas or max(height, width) <= least):
            return Cutting((height, width), count, replicas, needed)
        if max(height, width) <= least:
            raise DeviceError(
                f"a tile of {width}x{height} pixels takes {needed / 1e6:.1f} MB, and the device has {limit / 1e6:.1f}"
            )
        pieces[0 if height >= width else 1] += 1
