"""Speed: seconds of an encode and of a decode in NumPy, natively, and of AVIF, on one thread and on all cores.

Every measurement is a process of its own, which says what it took; of several turns, the fastest counts, since other
work on a machine only ever slows one down.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, features

from benchmarks import machine
from benchmarks.large import measure
from benchmarks.report import table
from benchmarks.rows import counted
from nifcodec.errors import MissingDependencyError, NifError

BACK_ENDS = ("numpy", "native", "avif")
SWITCH = {"numpy": "0", "native": "1"}  # of NIFCODEC_NATIVE
AVIF_SPEED = 6
AVIF_QUALITIES = 100
TURNS, LARGE = 3, 1 << 21  # a picture of more pixels is measured once

Cell = Tuple[str, int]  # back end and threads


@dataclass(frozen=True)
class Task:
    """One measurement, as a worker process is told it.

    Attributes:
        work: "encode" or "decode".
        source: a picture, or a coded file.
        target: where an encode writes.
        threads: at most.
        setting: quality.
        effort: of nifcodec.
        turns: of which the fastest counts.
    """

    back_end: str
    work: str
    source: str
    target: str = ""
    threads: int = 1
    setting: float = 0.0
    effort: int = 1
    turns: int = 1


def run(picture: np.ndarray, name: str, quality: float, efforts: Sequence[int], back_ends: Sequence[str]) -> str:
    """The table of one picture (H, W, 3), uint8, with a line that says what was measured where.

    AVIF is coded at the greatest quality whose file is no larger than nifcodec's at the first effort.

    Raises MissingDependencyError where Pillow has no AVIF or nifcodec no native library, NifError where a worker fails.
    """
    if "native" in back_ends:
        machine.check_native()
    if "avif" in back_ends and not features.check("avif"):
        raise MissingDependencyError("this Pillow has no AVIF: update it, or leave avif out of --back-ends")
    height, width = picture.shape[:2]
    turns = TURNS if height * width <= LARGE else 1
    threads = sorted({1, machine.cores()})
    cells = [(back_end, count) for back_end in back_ends for count in threads]
    with tempfile.TemporaryDirectory() as folder:
        source, coded, avif = (str(Path(folder, name)) for name in ("picture.ppm", "picture.nif", "picture.avif"))
        Image.fromarray(picture).save(source)
        ours = next(back_end for back_end in back_ends if back_end != "avif")
        seconds(Task(ours, "encode", source, coded, threads[-1], quality, efforts[0]))
        size = os.path.getsize(coded)
        avif_quality = _avif_quality(picture, size) if "avif" in back_ends else 0
        if "avif" in back_ends:
            Path(avif).write_bytes(_avif(picture, avif_quality, threads[-1]))

        def encode(cell: Cell, effort: int) -> Optional[Task]:
            if cell[0] != "avif":
                return Task(cell[0], "encode", source, "", cell[1], quality, effort, turns)
            # AVIF has no such efforts: it is measured once.
            return (
                Task("avif", "encode", source, "", cell[1], avif_quality, turns=turns) if effort == efforts[0] else None
            )

        def decode(cell: Cell) -> Task:
            return Task(cell[0], "decode", avif if cell[0] == "avif" else coded, threads=cell[1], turns=turns)

        rows = [_row(f"encode, `-e {effort}`", [encode(cell, effort) for cell in cells]) for effort in efforts]
        rows.append(_row("decode", [decode(cell) for cell in cells]))
        process = [_process(cell, coded, str(Path(folder, "out.ppm")), turns) for cell in cells]
    rows.append(["`nifcodec decode`, process", *(f"{found[0]:.2f}" if found else "" for found in process)])
    rows.append(["its largest memory, MB", *(f"{found[1]:.0f}" if found else "" for found in process)])
    heads = [f"{back_end}, {counted(count, 'thread')}" for back_end, count in cells]
    about = f"{name}, {width}x{height} pixels, {size} bytes, {8 * size / (width * height):.3f} bpp"
    beside = f"; AVIF at speed {AVIF_SPEED}, quality {avif_quality}" if "avif" in back_ends else ""
    where = f"{counted(machine.cores(), 'core')}, {machine.processor()}"
    return f"{about}{beside}; {where}. Seconds:\n\n{table(['', *heads], rows)}\n"


def _row(name: str, tasks: "Sequence[Optional[Task]]") -> List[str]:
    """The seconds of each task; nothing where there is none."""
    return [name, *("" if task is None else f"{seconds(task):.2f}" for task in tasks)]


def _process(cell: Cell, coded: str, target: str, turns: int) -> Optional[Tuple[float, float]]:
    """Seconds and megabytes of the command line; None of AVIF, which has none here."""
    if cell[0] == "avif":
        return None
    arguments = ["decode", coded, "-o", target, "-f", "--quiet", "--threads", str(cell[1])]
    runs = [measure("decode", arguments, _environment(cell[0], cell[1])) for _ in range(turns)]
    return min(run.seconds for run in runs), min(run.megabytes for run in runs)


def seconds(task: Task) -> float:
    """Runs a task in a process of its own. Raises NifError where it fails."""
    command = [sys.executable, "-m", "benchmarks.speed", json.dumps(vars(task))]
    done = subprocess.run(
        command, env=_environment(task.back_end, task.threads), stdout=subprocess.PIPE, check=False, text=True
    )
    if done.returncode:
        raise NifError(f"{task.work} by {task.back_end} failed with exit code {done.returncode}")
    return float(done.stdout)


def _environment(back_end: str, threads: int) -> Dict[str, str]:
    libraries = dict.fromkeys(machine.THREAD_VARIABLES, str(threads))
    return {**os.environ, **libraries, "NIFCODEC_NATIVE": SWITCH.get(back_end, "")}


def _work(task: Task) -> Callable[[], Any]:
    """What is measured, ready to be called: everything that happens once in a process has happened."""
    if task.back_end == "avif":
        if task.work == "encode":
            picture = np.asarray(Image.open(task.source))
            return lambda: _avif(picture, int(task.setting), task.threads)
        data = Path(task.source).read_bytes()
        return lambda: _avif_pixels(data, task.threads)
    import nifcodec

    small = nifcodec.encode(np.zeros((8, 8, 3), np.uint8), nifcodec.EncodeConfig(effort=1))
    nifcodec.decode(small)
    if task.work == "decode":
        data = Path(task.source).read_bytes()
        return lambda: nifcodec.decode(data, threads=task.threads)
    picture = np.asarray(Image.open(task.source))
    config = nifcodec.EncodeConfig(quality=task.setting, effort=task.effort, threads=task.threads)

    def encode() -> None:
        data = nifcodec.encode(picture, config)
        if task.target:
            Path(task.target).write_bytes(data)

    return encode


def _avif(picture: np.ndarray, quality: int, threads: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(
        buffer, "AVIF", quality=quality, speed=AVIF_SPEED, subsampling="4:4:4", max_threads=threads
    )
    return buffer.getvalue()


def _avif_pixels(data: bytes, threads: int) -> np.ndarray:
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = threads
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _avif_quality(picture: np.ndarray, size: int) -> int:
    """The greatest quality whose file has at most `size` bytes, or 0."""
    low, high = 0, AVIF_QUALITIES
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(_avif(picture, middle, machine.cores())) <= size
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _worker(text: str) -> None:
    task = Task(**json.loads(text))
    work = _work(task)
    took = []
    for _ in range(task.turns):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    print(min(took))


if __name__ == "__main__":
    _worker(sys.argv[1])
