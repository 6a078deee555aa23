"""What a training step takes of a device's memory: what all families share."""

from __future__ import annotations

from typing import Optional

# Of the stored activations: gradients of two neighbouring layers, and what products need for themselves meanwhile.
TRANSIENT = 1.5


def use_of(needed: int, memory: Optional[int]) -> str:
    """Words for an estimated use of a device's memory, both in bytes."""
    text = f", about {needed / 1e6:.0f} MB"
    return text if memory is None else f"{text} of {memory / 1e6:.0f} MB"
