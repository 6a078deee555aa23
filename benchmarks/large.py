"""Large pictures: seconds and memory of `nifcodec` as a process, and the error at the borders of tiles."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Mapping, Sequence, Tuple

import numpy as np
from PIL import Image

from benchmarks import machine
from benchmarks.report import table
from benchmarks.rows import counted
from nifcodec.errors import ConfigError, NifError
from nifcodec.fields.lattice_options import LARGEST_WHOLE
from nifcodec.fields.wavelet.options import WaveletOptions

NOISE = 1.0  # of the copies, in 8-bit steps, so that no two are the same
ASPECT = 10 / 7
CROP, SMALL = 512, 1 / 32
NEAR, BESIDE = 4, 16  # pixels from a border: at it, and where the picture is much like there
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


# A process counts the memory of the one that started it as its own, so this small one stands between. It prints the
# processor seconds and the memory of what it ran.
STARTER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(code)
"""


def measure(name: str, arguments: Sequence[str], environment: "Mapping[str, str] | None" = None) -> Run:
    """Runs `nifcodec` with these arguments. Raises NifError where it fails."""
    command = [sys.executable, "-c", STARTER, sys.executable, "-m", "nifcodec", *arguments]
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=environment)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise NifError(f"nifcodec {' '.join(arguments)} failed with exit code {done.returncode}")
    processor, memory = (float(value) for value in done.stdout.split())
    return Run(name, seconds, processor, memory / (1e6 if sys.platform == "darwin" else 1e3))


def errors(original: np.ndarray, decoded: np.ndarray, side: int) -> Tuple[float, float, float]:
    """Mean squared errors in squared 8-bit steps: all over, near the borders of tiles, and beside that.

    Near is within NEAR pixels, beside from there to BESIDE, where a picture is much the same.
    """
    distances = [_distances(length, side) for length in original.shape[:2]]
    sums, counts = np.zeros(3), np.zeros(3)
    for top in range(0, original.shape[0], BAND):
        part = np.s_[top : top + BAND]
        squares = (original[part].astype(np.float32) - decoded[part]) ** 2
        distance = np.minimum(distances[0][part][:, None], distances[1][None])
        for kind, (least, most) in enumerate(((0, side), (0, NEAR), (NEAR, BESIDE))):
            where = (distance >= least) & (distance < most)
            sums[kind] += squares[where].sum(dtype=np.float64)
            counts[kind] += 3 * np.count_nonzero(where)
    overall, near, beside = (sums / np.maximum(counts, 1)).tolist()
    return overall, near, beside


def _distances(length: int, side: int) -> np.ndarray:
    """Of rows or columns to the nearest border between two tiles, 0 at both of its sides."""
    places = np.arange(length)[:, None]
    borders = np.arange(side, length, side)
    return np.where(places < borders, borders - 1 - places, places - borders).min(axis=1, initial=side - 1)


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
            overall, near, beside = errors(original, np.asarray(decoded), 1 << WaveletOptions().tile_exponent)
    rows = [[r.name, f"{r.seconds:.1f}", f"{r.processor:.1f}", f"{r.megabytes:.0f}"] for r in runs]
    where = f"{counted(machine.cores(), 'core')}, {machine.processor()}"
    psnr = 10 * np.log10(255**2 / overall)
    seam = f"within {NEAR} pixels of a tile's border {near:.2f}, from there to {BESIDE} pixels {beside:.2f}"
    return (
        f"{width}x{height} pixels, {size} bytes, {8 * size / (width * height):.3f} bpp, {psnr:.2f} dB; {where}\n\n"
        + table(["", "seconds", "processor seconds", "largest memory, MB"], rows)
        + f"\n\nMean squared error {seam}."
    )
