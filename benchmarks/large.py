"""Large pictures: seconds and memory of `nifcodec` as a process, and the error at the borders of tiles."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np
from PIL import Image

from benchmarks import machine
from benchmarks.report import table
from benchmarks.rows import counted
from nifcodec.coding.tiles import LARGEST_WHOLE
from nifcodec.errors import ConfigError, NifError
from nifcodec.wavelet_encoder import TILE_EXPONENT

NOISE = 1.0  # of the copies, in 8-bit steps, so that no two are the same
ASPECT = 10 / 7
CROP, SMALL = 512, 1 / 32
NEAR = 4  # pixels from a border that count as at it
BAND = 2048  # rows that are compared at once


@dataclass(frozen=True)
class Run:
    """What one process took: seconds of the clock, of the processor, and its largest resident memory in megabytes."""

    name: str
    seconds: float
    processor: float
    megabytes: float


def make_picture(sources: Sequence[np.ndarray], megapixels: float, seed: int) -> np.ndarray:
    """Copies of pictures (H, W, 3) side by side, every other one mirrored, with noise, uint8."""
    height = round((megapixels * 1e6 / ASPECT) ** 0.5)
    width = round(height * ASPECT)
    rng = np.random.default_rng(seed)
    result = np.empty((height, width, 3), np.uint8)
    top, copies = 0, 0
    while top < height:
        left = 0
        tallest = min(source.shape[0] for source in sources)
        while left < width:
            source = sources[copies % len(sources)][:tallest]
            tile = source[:: -1 if copies % 3 else 1, :: -1 if copies % 2 else 1]
            target = result[top : top + tallest, left : left + source.shape[1]]
            part = tile[: target.shape[0], : target.shape[1]]
            target[...] = np.clip(np.rint(part + rng.normal(0, NOISE, part.shape)), 0, 255)
            left, copies = left + source.shape[1], copies + 1
        top += tallest
    return result


def measure(name: str, arguments: Sequence[str]) -> Run:
    """Runs `nifcodec` with these arguments.

    Raises NifError where it fails, ConfigError where the system cannot tell its memory.
    """
    if not hasattr(os, "wait4"):
        raise ConfigError("the memory of a process is measured by wait4, which this system does not have")
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "nifcodec", *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    if process.returncode:
        raise NifError(f"nifcodec {' '.join(arguments)} failed with exit code {process.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    seconds = time.perf_counter() - began
    return Run(name, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def errors(original: np.ndarray, decoded: np.ndarray, side: int) -> Tuple[float, float]:
    """Mean squared error within NEAR pixels of the borders of tiles, and elsewhere, in squared 8-bit steps."""
    rows, columns = (_near(length, side) for length in original.shape[:2])
    sums, counts = np.zeros(2), np.zeros(2)
    for top in range(0, original.shape[0], BAND):
        part = np.s_[top : top + BAND]
        squares = (original[part].astype(np.float32) - decoded[part]).astype(np.float32) ** 2
        at_border = rows[part][:, None] | columns[None]
        for kind, where in enumerate((at_border, ~at_border)):
            sums[kind] += squares[where].sum(dtype=np.float64)
            counts[kind] += 3 * np.count_nonzero(where)
    border, elsewhere = sums / np.maximum(counts, 1)
    return float(border), float(elsewhere)


def _near(length: int, side: int) -> np.ndarray:
    """Which of so many rows or columns lie at a border between two tiles."""
    places = np.arange(length)
    nearest = np.clip(np.rint(places / side), 1, max((length - 1) // side, 1)) * side
    return (nearest < length) & (places >= nearest - NEAR) & (places < nearest + NEAR)


def run(sources: Sequence[np.ndarray], megapixels: float, quality: float, effort: int, seed: int) -> str:
    """The table of an encode and of four decodes, with a line that says what was measured where."""
    original = make_picture(sources, megapixels, seed)
    height, width = original.shape[:2]
    if height * width < LARGEST_WHOLE:
        raise ConfigError(f"a picture of {height * width} pixels has no tiles: give more --megapixels")
    with tempfile.TemporaryDirectory() as folder:
        source, coded, target = (str(Path(folder) / name) for name in ("large.ppm", "large.nif", "out.ppm"))
        Image.fromarray(original).save(source)
        cap = ["--max-pixels", str(height * width)]
        window = f"{(width - CROP) // 2},{(height - CROP) // 2},{CROP},{CROP}"
        options = ["-q", str(quality), "-e", str(effort), "--seed", str(seed)]
        runs: List[Run] = [measure(f"encode -e {effort}", ["encode", source, "-o", coded, *options])]
        size = os.path.getsize(coded)
        for name, extra in (
            (f"decode a crop of {CROP}x{CROP}", ["--crop", window]),
            (f"decode at 1/{round(1 / SMALL)}", ["--scale", str(SMALL)]),
            ("decode", []),
        ):
            runs.append(measure(name, ["decode", coded, "-o", target, "-f", *extra, *cap]))
        with Image.open(target) as decoded:
            border, elsewhere = errors(original, np.asarray(decoded), 1 << TILE_EXPONENT)
    rows = [[r.name, f"{r.seconds:.1f}", f"{r.processor:.1f}", f"{r.megabytes:.0f}"] for r in runs]
    where = f"{counted(machine.cores(), 'core')}, {machine.processor()}"
    psnr = 10 * np.log10(255**2 / elsewhere)
    return (
        f"{width}x{height} pixels, {size} bytes, {8 * size / (width * height):.3f} bpp, {psnr:.2f} dB; {where}\n\n"
        + table(["", "seconds", "processor seconds", "largest memory, MB"], rows)
        + f"\n\nMean squared error within {NEAR} pixels of a tile's border {border:.2f}, elsewhere {elsewhere:.2f}."
    )
