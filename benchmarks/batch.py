"""Throughput of `nifcodec batch` by the number of its workers, each with one thread."""

from __future__ import annotations

import calendar
import tempfile
import time
from pathlib import Path
from typing import List, Sequence

import numpy as np
from PIL import Image

from benchmarks import machine
from benchmarks.large import measure
from benchmarks.report import table
from benchmarks.rows import counted
from nifcodec.batch import manifest
from nifcodec.batch.tasks import DONE, Row
from nifcodec.errors import ConfigError, NifError

FEWEST = 2  # pictures of a worker, between whose ends the rate is measured


def run(pictures: Sequence[np.ndarray], workers: Sequence[int], copies: int, effort: int) -> str:
    """The table, a row for each number of workers, with a line that says what was measured where.

    Args:
        pictures: (H, W, 3), uint8.
        copies: of each that are encoded.

    Raises ConfigError for too few pictures, NifError where one fails.
    """
    count = copies * len(pictures)
    if count < FEWEST * max(workers):
        raise ConfigError(f"{max(workers)} workers need {FEWEST * max(workers)} pictures at least: give more --copies")
    lines: List[List[str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for copy in range(copies):
            for index, picture in enumerate(pictures):
                Image.fromarray(picture).save(folder / "in" / f"{copy:04}-{index:04}.png", compress_level=1)
        pixels = copies * sum(picture.shape[0] * picture.shape[1] for picture in pictures)
        for number in workers:
            lines.append(_line(folder, number, count, pixels, effort))
    heads = ["workers", "pictures/s", "of each worker", "megapixels/s", "whole command, s", "processor, s"]
    about = f"{counted(count, 'picture')} of {pixels / count / 1e6:.2f} megapixels at `-e {effort}`"
    where = f"{counted(machine.cores(), 'core')}, {machine.processor()}"
    return f"{about}; {where}\n\n{table(heads, lines)}\n"


def _line(folder: Path, workers: int, count: int, pixels: int, effort: int) -> List[str]:
    rows = folder / f"{workers}.jsonl"
    given = ["batch", str(folder / "in"), "--out", str(folder / f"out{workers}"), "--manifest", str(rows), "--quiet"]
    run = measure("batch", [*given, "-e", str(effort), "--workers", str(workers), "--threads", "1"])
    done = [row for row in manifest.load(str(rows)).rows() if row.status == DONE]
    if len(done) < count:
        raise NifError(f"{count - len(done)} of {count} pictures failed")
    rate = rate_of(done)
    each, megapixels = rate / workers, rate * pixels / count / 1e6
    return [str(workers), *(f"{value:.2f}" for value in (rate, each, megapixels, run.seconds, run.processor))]


def rate_of(rows: Sequence[Row]) -> float:
    """Pictures a second from the end of the first to the end of the last: workers take a while to start."""
    ends = sorted(_seconds(row.ended) for row in rows)
    return (len(ends) - 1) / max(ends[-1] - ends[0], 1e-3)


def _seconds(stamp: str) -> float:
    whole, fraction = stamp.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction)
