"""What an encode calls while it works: progress, interrupt and watch."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional

# What training hands over to be watched: its step, scalars by name, and what makes the field of that step, where it can
# be shown: bytes of a `.nif`, or what a decoder renders, (us, vs) -> samples.
Watch = Callable[[int, Mapping[str, float], Optional[Callable[[], Any]]], None]


@dataclass(frozen=True)
class Progress:
    """How far an encode is: `step` of `steps` after `seconds`, with the PSNR and bits per pixel so far (estimates).

    Each stage counts its own steps. `steps` of a search is an estimate too; `psnr` and `bpp` are NaN while unknown.
    `after` is an estimate of the seconds that follow this stage; NaN where other stages follow, of unknown length.
    """

    stage: str
    step: int
    steps: int
    seconds: float
    psnr: float
    bpp: float
    after: float = math.nan


@dataclass(frozen=True)
class Hooks:
    """Callbacks of one encode.

    Attributes:
        progress: called now and then with a `Progress`.
        interrupt: polled now and then; True ends the training with the best state so far.
        watch: called with what training comes to, by families that show it.
        after: seconds of work that follow the field's last stage; NaN where it is not known which one is the last.
    """

    progress: Optional[Callable[[Progress], None]] = None
    interrupt: Optional[Callable[[], bool]] = None
    watch: Optional[Watch] = None
    after: float = math.nan

    def interrupted(self) -> bool:
        """Whether the user wants the encode to end with the best that there is."""
        return self.interrupt is not None and self.interrupt()

    def report(self, stage: str, step: int, steps: int, began: float, scalars: Mapping[str, float]) -> None:
        """Tells of a step.

        Args:
            began: time.monotonic() at the beginning of the stage.
            scalars: with "psnr" and "bits_per_pixel".
        """
        if self.progress is not None:
            seconds = time.monotonic() - began
            psnr, bpp = scalars["psnr"], scalars["bits_per_pixel"]
            self.progress(Progress(stage, step, steps, seconds, psnr, bpp, self.after))
