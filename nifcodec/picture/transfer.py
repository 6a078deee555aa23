"""Linear light <-> the 0 to 1 that a field codes: linear, logarithmic and PQ curves (FORMAT.md, "Transfer").

A transfer is an odd curve, so that negative values survive, and the range of the picture, which the codes 0 and 1
stand for. The codes of a picture therefore never leave 0 to 1, and nothing decoded lies outside of the picture's range.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from nifcodec.errors import MalformedError

KINDS = ("linear", "log", "pq")
BYTES = 13
# Luminance of the value 1.0 in cd/m2 where it is display white: ITU-R BT.2408.
WHITE_LUMINANCE = 203.0

# SMPTE ST 2084.
PQ_PEAK = 10000.0
M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
PQ_BLACK = C1**M2

# The logarithm goes down to what only one colour in a hundred falls below, and at least twelve stops below the peak;
# it is nearly linear further down, so that no codes are spent on the noise of the blacks.
DARK_PERCENTILE, DARK_STOPS = 1.0, 12
LARGEST_SCALE = 2.0**127


@dataclass(frozen=True)
class Transfer:
    """A curve and the range that it covers.

    Attributes:
        kind: one of `KINDS`.
        low, high: the least and the largest value of the picture, in linear light; the codes 0 and 1.
        scale: what values are multiplied by before the curve: for "log" the inverse of the offset, for "pq" the
            luminance of the value 1.0 in cd/m2, for "linear" 1.
    """

    kind: str
    low: float
    high: float
    scale: float = 1.0

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Linear light -> codes, float64; 0 to 1 for what lies between `low` and `high`, and beyond it for the rest."""
        low, high = (float(self._curve(np.float64(end))) for end in (self.low, self.high))
        return np.asarray((self._curve(values.astype(np.float64)) - low) / ((high - low) or 1.0))

    def to_codes(self, values: np.ndarray) -> np.ndarray:
        """Linear light -> codes, float32, 0 to 1."""
        return np.clip(self.scaled(values), 0.0, 1.0).astype(np.float32)

    def to_values(self, codes: np.ndarray) -> np.ndarray:
        """Codes, clipped to 0 to 1 -> linear light, float32, `low` to `high`."""
        low, high = (float(self._curve(np.float64(end))) for end in (self.low, self.high))
        values = self._inverse(low + np.clip(codes.astype(np.float64), 0.0, 1.0) * (high - low))
        return np.clip(values, self.low, self.high).astype(np.float32)

    def pack(self) -> bytes:
        """u8 kind, binary32 low, high and scale, little-endian."""
        return struct.pack("<Bfff", KINDS.index(self.kind), self.low, self.high, self.scale)

    def _curve(self, values: np.ndarray) -> np.ndarray:
        if self.kind == "linear":
            return values
        light = np.abs(values) * self.scale
        if self.kind == "log":
            return np.asarray(np.sign(values) * np.log1p(light))
        power = (light / PQ_PEAK) ** M1
        return np.asarray(np.sign(values) * (((C1 + C2 * power) / (1 + C3 * power)) ** M2 - PQ_BLACK))

    def _inverse(self, curved: np.ndarray) -> np.ndarray:
        if self.kind == "linear":
            return curved
        if self.kind == "log":
            return np.asarray(np.sign(curved) * np.expm1(np.abs(curved)) / self.scale)
        root = (np.abs(curved) + PQ_BLACK) ** (1 / M2)
        light = PQ_PEAK * (np.maximum(root - C1, 0.0) / (C2 - C3 * root)) ** (1 / M1)
        return np.asarray(np.sign(curved) * light / self.scale)


def choose(kind: str, colours: np.ndarray) -> Transfer:
    """The transfer of a kind for a picture.

    Args:
        kind: one of `KINDS`, or "auto", which is "log".
        colours: finite float32 (..., colours), linear light, without alpha.
    """
    low, high = float(colours.min()), float(colours.max())
    peak = max(abs(low), abs(high))
    if kind == "linear":
        return Transfer(kind, low, high)
    if kind == "pq":
        brightest = np.float32(WHITE_LUMINANCE if peak * WHITE_LUMINANCE <= PQ_PEAK else PQ_PEAK / peak)
        fits = float(brightest) * peak <= PQ_PEAK
        return Transfer(kind, low, high, float(brightest if fits else np.nextafter(brightest, np.float32(0))))
    magnitudes = np.abs(colours[colours != 0])
    if not magnitudes.size:
        return Transfer("log", low, high)
    offset = min(float(np.percentile(magnitudes, DARK_PERCENTILE)), peak / 2**DARK_STOPS)
    return Transfer("log", low, high, float(np.float32(1 / max(offset, 1 / LARGEST_SCALE))))


def unpack(data: bytes) -> Transfer:
    """Reads a transfer. Raises MalformedError for what is no curve over a range."""
    kind, low, high, scale = struct.unpack("<Bfff", data)
    if kind >= len(KINDS):
        raise MalformedError("transfer", f"is of the kind {kind}, which is not defined")
    if not all(map(math.isfinite, (low, high, scale))) or low > high or scale <= 0:
        raise MalformedError("transfer", f"covers {low} to {high} at the scale {scale}")
    if KINDS[kind] == "pq" and max(abs(low), abs(high)) * scale > PQ_PEAK:
        raise MalformedError("transfer", f"goes beyond {PQ_PEAK:.0f} cd/m2")
    return Transfer(KINDS[kind], low, high, scale)
