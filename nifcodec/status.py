"""How far an encode is, as its callbacks are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` of a stage after `seconds`, with the PSNR and bits per pixel so far (estimates)."""

    stage: str
    step: int
    steps: int
    seconds: float
    psnr: float
    bpp: float
