"""Progress on standard error: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from nifcodec.fields.hooks import Progress
from nifcodec.files import say

LOG_SECONDS = 5.0
BAR_SECONDS = 0.1
BAR_WIDTH = 24


class ProgressLine:
    """A progress callback on standard error: a bar that redraws on a terminal, a line every few seconds in a log."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self.shown = time.monotonic()
        self.drawn = 0

    def __call__(self, progress: Any) -> None:
        now = time.monotonic()
        if now - self.shown < (BAR_SECONDS if self.terminal else LOG_SECONDS):
            return
        self.shown = now
        text = f"{self.label}: {self.describe(progress)}"
        if self.terminal:
            say("\r" + text.ljust(self.drawn))
            self.drawn = len(text)
        else:
            say(text + "\n")

    def describe(self, progress: Any) -> str:
        """What the line says."""
        return describe(progress, bar=self.terminal)

    def clear(self) -> None:
        """Wipes the bar, so that the next line starts clean."""
        if self.drawn:
            say("\r" + " " * self.drawn + "\r")
            self.drawn = 0


def describe(progress: Progress, bar: bool) -> str:
    """One line: stage, step, time left, PSNR, estimated bits per pixel."""
    part = progress.step / progress.steps if progress.steps else 0.0
    words = [progress.stage]
    if bar:
        filled = int(part * BAR_WIDTH)
        words.append("[" + "#" * filled + "." * (BAR_WIDTH - filled) + "]")
    words.append(f"{progress.step}/{progress.steps}")
    if part > 0:
        words.append(f"{clock(progress.seconds * (1 - part) / part)} left")
    if math.isfinite(progress.psnr):
        words.append(f"{progress.psnr:.2f} dB")
    if math.isfinite(progress.bpp):
        words.append(f"{progress.bpp:.3f} bpp")
    return "  ".join(words)


def clock(seconds: float) -> str:
    """m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
