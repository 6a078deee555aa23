"""How a file names its detail network: bytes behind the description, which older readers pass over."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Optional

HASH_BYTES = 4
FORM = struct.Struct(f"<{HASH_BYTES}sb")
EIGHTHS = 8  # units of the step's logarithm in an octave


@dataclass(frozen=True)
class DetailReference:
    """What a file says of the picture between its pixels.

    Attributes:
        network: first bytes of the hash of the detail network.
        step_eighths: 8 log2 of the quantization step on colours of 0..1, rounded.
    """

    network: bytes
    step_eighths: int

    @staticmethod
    def of(network: bytes, step: float) -> "DetailReference":
        """That of a step on colours of 0..1."""
        return DetailReference(network, min(max(round(EIGHTHS * math.log2(step)), -128), 127))

    @property
    def log_step(self) -> float:
        """log2 of the quantization step."""
        return self.step_eighths / EIGHTHS

    def pack(self) -> bytes:
        """Its bytes: the network (4), i8 step_eighths."""
        return FORM.pack(self.network, self.step_eighths)


def unpack_reference(data: bytes) -> Optional[DetailReference]:
    """What the bytes behind a description say; None of fewer than they are. More are for later versions."""
    return DetailReference(*FORM.unpack_from(data)) if len(data) >= FORM.size else None
