"""Time and gain of each effort: seconds of `nifcodec encode` as a process, and the cost J at the best quality tried."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence

import numpy as np
from PIL import Image

from benchmarks.codecs import NifCodec
from benchmarks.kodak import Cost
from benchmarks.report import number, table
from nifcodec.errors import NifError
from nifcodec.fields.families import configure

# Near the least J of the three usual lambdas: J is flat there, and an effort of 9 is not tried often.
QUALITIES = ("33", "47", "56")


@dataclass
class NifProcess(NifCodec):
    """The default field by `nifcodec encode`, so that the seconds contain the start of Python and of TensorFlow."""

    def warm_up(self) -> None:
        """Nothing: every process starts anew."""

    def encode(self, pixels: np.ndarray, setting: str, progress: Optional[Callable[[Any], None]] = None) -> bytes:
        config = self.config
        options = ["-q", setting, "-e", str(config.effort), "--seed", str(config.seed), "--quiet"]
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "picture.ppm", Path(folder) / "picture.nif"
            Image.fromarray(pixels).save(source)
            command = [sys.executable, "-m", "nifcodec", "encode", str(source), "-o", str(target), *options]
            done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
            if done.returncode:
                raise NifError(f"{self.name} failed: {done.stderr.decode(errors='replace').strip()}")
            return target.read_bytes()


def codecs(efforts: Sequence[int], qualities: Sequence[str], seed: int) -> List[NifProcess]:
    """One a distinct effort. Raises ConfigError for an effort or a quality outside of its range."""
    return [
        NifProcess(f"`-e {effort}`", tuple(qualities), configure(effort=effort, seed=seed))
        for effort in dict.fromkeys(efforts)
    ]


def markdown(costs: Sequence[Cost], multipliers: Sequence[float]) -> str:
    """The table: median seconds and mean J, and in brackets how far J is from that of the first effort, in percent."""
    lines = []
    for item in costs:
        cells = [f"{value:.3f}" for value in item.costs]
        if item is not costs[0]:
            changes = (100 * (value / first - 1) for value, first in zip(item.costs, costs[0].costs))
            cells = [f"{cell} ({change:+.2f} %)" for cell, change in zip(cells, changes)]
        lines.append([item.codec, number(item.enc_s, ".1f"), *cells])
    return table(["effort", "seconds", *(f"J, lambda {value:g}" for value in multipliers)], lines)
