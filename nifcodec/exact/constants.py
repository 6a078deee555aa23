"""Channels that have one value everywhere: they stand in the header, and the field has the others (FORMAT.md, "H")."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from nifcodec.errors import MalformedError, TruncatedError
from nifcodec.picture.colour import white
from nifcodec.picture.image import SAMPLES

CODES = {8: "<B", 16: "<H", 32: "<f"}
LARGEST = 1 + 4 * 4  # bytes


@dataclass(frozen=True)
class Constants:
    """The value of each channel that has one alone; None of the others. Empty where there is no such channel."""

    values: Tuple[Optional[float], ...] = ()

    @staticmethod
    def of(pixels: np.ndarray) -> "Constants":
        """Those of finite pixels (H, W, C). Negative zeros count as zeros."""
        low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
        values = tuple(float(least) if least == most else None for least, most in zip(low, high))
        return Constants(values if any(value is not None for value in values) else ())

    def __bool__(self) -> bool:
        return bool(self.values)

    def field_channels(self, channels: int) -> List[int]:
        """Which of a picture's channels the field has: all but constant ones.

        Where only one of three colours is constant the field has it too: two colours are no picture.
        """
        if not self:
            return list(range(channels))
        alpha = [channels - 1] if channels in (2, 4) else []
        colours = [channel for channel in range(channels) if channel not in alpha]
        varying = [channel for channel in colours if self.values[channel] is None]
        kept = colours if len(varying) == 2 else varying
        return [*kept, *(channel for channel in alpha if self.values[channel] is None)]

    def without(self, pixels: np.ndarray) -> np.ndarray:
        """The channels (H, W, C) that the field has."""
        return np.ascontiguousarray(pixels[..., self.field_channels(pixels.shape[2])])

    def put_back(self, pixels: np.ndarray, channels: int) -> np.ndarray:
        """The picture of so many channels, from those of the field."""
        if not self:
            return pixels
        whole = np.empty((*pixels.shape[:2], channels), pixels.dtype)
        whole[..., self.field_channels(channels)] = pixels
        for channel, value in enumerate(self.values):
            if value is not None:
                whole[..., channel] = value
        return whole

    def is_opaque(self, channels: int, depth: int) -> bool:
        """Whether alpha is full everywhere."""
        return bool(self) and channels in (2, 4) and self.values[-1] == white(SAMPLES[depth])

    def pack(self, depth: int) -> bytes:
        """u8 flags, and the values that are not full, in the type of the samples, little-endian."""
        full = white(SAMPLES[depth])
        flags, stored = 0, b""
        for channel, value in enumerate(self.values):
            if value is not None:
                flags |= (0x11 if value == full else 0x01) << channel
                stored += b"" if value == full else struct.pack(CODES[depth], value if depth == 32 else int(value))
        return bytes([flags]) + stored


NONE = Constants()


def unpack(data: bytes, channels: int, depth: int) -> Tuple[Constants, int]:
    """Reads constants at the beginning of `data`; how many bytes they take.

    Raises MalformedError, and TruncatedError where the data end before.
    """
    if not data:
        raise TruncatedError("constants")
    flags, place, full = data[0], 1, white(SAMPLES[depth])
    if not flags & 15 or flags >> 4 & ~flags or (flags & 15) >> channels:
        raise MalformedError("constants", f"have the flags {flags:#04x} in a picture of {channels} channels")
    values: List[Optional[float]] = []
    for channel in range(channels):
        if not flags >> channel & 1:
            values.append(None)
        elif flags >> channel & 16:
            values.append(full)
        else:
            size = struct.calcsize(CODES[depth])
            if len(data) < place + size:
                raise TruncatedError("constants")
            value = float(struct.unpack_from(CODES[depth], data, place)[0])
            if not math.isfinite(value):
                raise MalformedError("constants", f"have the value {value}")
            values.append(value)
            place += size
    return Constants(tuple(values)), place
