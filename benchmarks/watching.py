"""What the evaluation beside training costs: steps a second of an encode with and without --tensorboard, by turns.

The clock says whether training is held up; the training process's own processor time, what handing over costs.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from benchmarks import machine, rd
from benchmarks.rows import counted
from nifcodec import encoder
from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.fields.families import configure

STAGES = {"wavelet": "train", "siren": "fit", "fourier": "fit"}  # that is measured, and counts steps from its start
STEPS = {"wavelet": 4, "siren": 600, "fourier": 600}


@dataclass(frozen=True)
class Speed:
    """Of one encode: steps a second of the clock and of the training's processor time; evaluations, the file's too."""

    clock: float
    processor: float
    evaluations: int
    data: bytes


def compare(
    pixels: np.ndarray, config: EncodeConfig, turns: int, every: Optional[int] = None
) -> "Dict[bool, List[Speed]]":
    """Encodes by turns, without (False) and with (True) an evaluation every so many steps."""
    speeds: "Dict[bool, List[Speed]]" = {False: [], True: []}
    for turn in range(2 * turns):
        # Which of the two goes first changes: a machine's other work comes and goes.
        watched = turn % 4 in (1, 2)
        with tempfile.TemporaryDirectory() as folder:
            here = replace(config, tensorboard=folder, eval_every=every) if watched else config
            speeds[watched].append(_speed(pixels, here))
    return speeds


def _speed(pixels: np.ndarray, config: EncodeConfig) -> Speed:
    stamps: List[Tuple[float, float, int]] = []

    def note(progress: Any) -> None:
        if progress.stage == STAGES[config.field]:
            stamps.append((time.perf_counter(), time.process_time(), progress.step))

    data = encoder.encode(pixels, config, note)
    if len(stamps) < 2:
        raise ConfigError("training is over before its speed can be told: give more --steps")
    clock, processor, steps = (last - first for first, last in zip(stamps[0], stamps[-1]))
    evaluations = 0 if config.tensorboard is None else _evaluations(config.tensorboard)
    return Speed(steps / clock, steps / processor, evaluations, data)


def _evaluations(folder: str) -> int:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(folder, size_guidance={"scalars": 0})
    log.Reload()
    return sum(len(log.Scalars(tag)) for tag in log.Tags()["scalars"] if tag.endswith("/psnr_rgb"))


def markdown(speeds: "Dict[str, Dict[bool, List[Speed]]]") -> str:
    """A row a field: the fastest of the turns, since other work on a machine only ever slows one down."""
    lines = [
        "| field | steps/s without | with | with / without | by processor time | evaluations an encode | same bytes |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for field, pair in speeds.items():
        clock = [max(speed.clock for speed in pair[watched]) for watched in (False, True)]
        processor = [max(speed.processor for speed in pair[watched]) for watched in (False, True)]
        evaluations = float(np.median([speed.evaluations for speed in pair[True]]))
        same = len({speed.data for side in pair.values() for speed in side}) == 1
        lines.append(
            f"| `{field}` | {clock[0]:.3g} | {clock[1]:.3g} | {clock[1] / clock[0]:.3f} | "
            f"{processor[1] / processor[0]:.3f} | {evaluations:.0f} | {'yes' if same else 'NO'} |"
        )
    return "\n".join(lines)


def run(picture: Path, fields: Sequence[str], steps: Optional[int], turns: int, every: Optional[int]) -> str:
    """The table of a picture, under a line that says what was measured where.

    Args:
        steps: of training, rounds of `wavelet`; None means STEPS.
        every: steps between two evaluations; None means as many as the evaluator can make.

    Raises:
        ConfigError: an encode has too few steps to be timed.
    """
    read = rd.read_picture(picture)
    speeds = {
        field: compare(read.pixels, configure(field=field, steps=steps or STEPS[field]), turns, every)
        for field in fields
    }
    height, width = read.pixels.shape[:2]
    where = f"{counted(machine.cores(), 'core')}, {machine.processor()}"
    return f"{read.name}, {width}x{height}, {where}, fastest of {counted(turns, 'turn')}\n\n{markdown(speeds)}"
