"""How far a batch is: counted, and shown as one line."""

from __future__ import annotations

import time
from typing import Any, Dict, Optional

from nifcodec.batch.tasks import DONE, SKIPPED, Row
from nifcodec.fields.progress_line import BAR_WIDTH, ProgressLine, clock

UNITS = ("B", "kB", "MB", "GB", "TB")


class Tally:
    """Counts what has got its row.

    Attributes:
        total: inputs.
        done, skipped, failed: of them.
        failed_before: in an earlier run, and not tried again.
        missed: of the done and the skipped, files that miss the size or the PSNR that was asked for.
        source_bytes, coded_bytes: of the done.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = self.skipped = self.failed = self.failed_before = self.missed = 0
        self.source_bytes = self.coded_bytes = 0
        self._began = time.monotonic()

    def add(self, row: Row) -> None:
        """Counts a row."""
        self.missed += row.missed and row.error is None
        if row.status == DONE:
            self.done += 1
            self.source_bytes += row.size or 0
            self.coded_bytes += row.bytes or 0
        elif row.status == SKIPPED and row.error is None:
            self.skipped += 1
        elif row.status == SKIPPED:
            self.failed_before += 1
        else:
            self.failed += 1

    @property
    def settled(self) -> int:
        """Inputs that have got their rows."""
        return self.done + self.skipped + self.failed + self.failed_before

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    @property
    def seconds_left(self) -> Optional[float]:
        """At the rate of what was worked on so far; None while nothing was."""
        worked = self.done + self.failed
        return None if worked == 0 else self.seconds / worked * (self.total - self.settled)


class BatchLine(ProgressLine):
    """A line for a `Tally`: pictures, bytes, rate, time left."""

    def describe(self, progress: Any) -> str:
        tally: Tally = progress
        words = []
        if self.terminal:
            filled = BAR_WIDTH * tally.settled // max(1, tally.total)
            words.append("[" + "#" * filled + "." * (BAR_WIDTH - filled) + "]")
        words.append(f"{tally.settled}/{tally.total}")
        if tally.failed:
            words.append(f"{tally.failed} failed")
        if tally.done:
            words.append(traffic(tally))
        left = tally.seconds_left
        if left is not None:
            words.append(f"{(tally.done + tally.failed) / max(tally.seconds, 1e-9):.3g} pictures/s")
            words.append(f"{clock(left)} left")
        return "  ".join(words)


def summary(tally: Tally) -> str:
    """The last line: what became of all inputs."""
    named: Dict[str, int] = {
        "done": tally.done,
        "there already": tally.skipped,
        "failed": tally.failed,
        "failed before (--retry-failed tries them again)": tally.failed_before,
        "not begun": tally.total - tally.settled,
    }
    counted = [f"{count} {name}" for name, count in named.items() if count or name == "done"]
    size = f"; {traffic(tally)}" if tally.done else ""
    missed = f"; target missed by {tally.missed}" if tally.missed else ""
    return f"{', '.join(counted)} in {clock(tally.seconds)}{size}{missed}"


def traffic(tally: Tally) -> str:
    """Bytes that came in and went out."""
    return f"{readable(tally.source_bytes)} -> {readable(tally.coded_bytes)}"


def readable(size: float) -> str:
    """A number of bytes, to three digits."""
    power = 0
    while size >= 999.5 and power < len(UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.3g} {UNITS[power]}"
