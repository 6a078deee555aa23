"""Progress of a sweep on stderr: one line a measurement, and what a long encode is doing meanwhile."""

from __future__ import annotations

import math
import sys
import time
from typing import Any, Optional, TextIO

from benchmarks.rows import Row, counted

SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Counts measurements. A running encode rewrites one line of a terminal; in a log it adds one every half minute."""

    def __init__(self, total: int, kept: int, stream: "TextIO | None" = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._total, self._done = total, 0
        self._started = self._last = time.monotonic()
        self._label = ""
        if kept:
            self._line(f"{counted(kept, 'measurement')} kept from the run before, {total} to do")

    def start(self, codec: str, setting: str, image: str) -> None:
        self._label = f"[{self._done + 1}/{self._total}] {codec} {setting} {image}"
        if self._terminal:
            self._stream.write(f"\r\033[K{self._label}")
            self._stream.flush()

    def encoding(self, update: Any) -> None:
        """The callback of `nifcodec.encode`: shows stage, step, PSNR and estimated bits per pixel."""
        now = time.monotonic()
        if now - self._last < (0.2 if self._terminal else SECONDS_BETWEEN_LINES):
            return
        self._last = now
        parts = [f"{self._label}  {update.stage} {update.step}/{update.steps}"]
        parts += [f"{update.psnr:.2f} dB"] if _known(update.psnr) else []
        parts += [f"{update.bpp:.3f} bpp"] if _known(update.bpp) else []
        text = "  ".join(parts)
        self._stream.write(f"\r\033[K{text}" if self._terminal else f"{text}\n")
        self._stream.flush()

    def finish(self, row: Row) -> None:
        self._done += 1
        elapsed = time.monotonic() - self._started
        left = _clock(elapsed / self._done * (self._total - self._done))
        self._line(
            f"{self._label}  {row.bpp:.3f} bpp  {row.psnr_rgb:.2f} dB  "
            f"encoded in {row.enc_s:.2f} s, decoded in {row.dec_s:.3f} s  about {left} left"
        )

    def fail(self, error: Exception) -> None:
        self._done += 1
        self._line(f"{self._label}  failed: {error}")

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        self._stream.write(f"\r\033[K{text}\n" if self._terminal else f"{text}\n")
        self._stream.flush()


def _known(value: Optional[float]) -> bool:
    return value is not None and not math.isnan(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
