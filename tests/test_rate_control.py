"""Rate control on made-up fields, whose sizes and PSNRs are functions of the step index."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import Dict, List, Optional

import numpy as np
import pytest

from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.fields.hooks import Hooks, Progress
from nifcodec.fields.job import CodedField, EncodeJob, Goal
from nifcodec.fields.rate_control import IndexRange, coarsest_above, estimated_tries, meet, step_tries
from nifcodec.picture.signal import Signal

STEPS = IndexRange(0, 768, start=300, per_octave=80)
FRAME = 40  # bytes of a file beside its payload


@dataclass(frozen=True)
class Made:
    """A candidate of so many bytes."""

    size: int

    def coded(self) -> CodedField:
        return CodedField(1, b"", bytes(self.size), 0)

    def scalars(self) -> Dict[str, float]:
        return {"psnr": 0.0, "bits_per_pixel": 0.0}


def job(target: Optional[int] = None, psnr: Optional[float] = None, seen: Optional[List[Progress]] = None) -> EncodeJob:
    """Files of `FRAME` bytes and a payload, whose PSNR rises by 4.5 dB with each doubling of the payload."""
    config = EncodeConfig(target_size=target, psnr=psnr)
    pack, measure = lambda coded: bytes(FRAME) + coded.payload, lambda data: 4.5 * log2(len(data) - FRAME + 1)
    goal = Goal.of(config, 100, pack, measure)
    hooks = Hooks(None if seen is None else seen.append)
    return EncodeJob(Signal(np.zeros((10, 10, 1), np.uint8), 8), goal, config, hooks)


def smooth(index: int, factor: float = 1.0) -> Made:
    return Made(round(100_000 * 2.0 ** (-index / 90) / factor**0.2))


def leaping(index: int, factor: float = 1.0) -> Made:
    """Between the steps 199 and 200, the size falls to a third; a costlier bit lowers it little by little."""
    return Made(round((30_000 if index < 200 else 10_000) / factor**1.5))


@pytest.mark.parametrize("target", [400, 1000, 25_000, 90_000])
def test_a_size_is_met_from_below(target: int) -> None:
    seen: List[Progress] = []
    task = job(target, seen=seen)
    found, miss = meet(task, STEPS, step_tries(task.goal, STEPS), smooth, reported=True)
    assert 0.985 * target <= found.size + FRAME <= target
    assert not miss.wrong and miss.size == found.size + FRAME
    assert [update.step for update in seen] == list(range(1, len(seen) + 1)) and len(seen) < 12
    assert seen[-1].step == seen[-1].steps


def test_a_psnr_is_met_from_above() -> None:
    task = job(psnr=50.0)
    found, _ = meet(task, STEPS, step_tries(task.goal, STEPS), smooth, reported=False)
    assert 50.0 <= task.goal.measure(task.goal.pack(found.coded())) < 50.1


def test_a_leap_between_two_steps_is_bridged_by_what_a_bit_costs() -> None:
    task = job(20_000)
    found, _ = meet(task, STEPS, step_tries(task.goal, STEPS), leaping, reported=False)
    assert 0.985 * 20_000 <= found.size + FRAME <= 20_000


def test_a_size_below_the_coarsest_step_is_refused() -> None:
    task = job(300)
    with pytest.raises(ConfigError, match="smallest file found takes 10040"):
        meet(task, STEPS, step_tries(task.goal, STEPS), lambda index, factor: Made(10_000), reported=False)


@pytest.mark.parametrize("error", [0.7, 1.0, 1.3])
def test_estimates_are_corrected_by_few_whole_files(error: float) -> None:
    task, whole = job(5000), set()  # type: ignore[var-annotated]

    def encode(index: int, factor: float) -> Made:
        whole.add(index)
        return smooth(index)

    tries = estimated_tries(task.goal, STEPS, lambda index: log2((error * smooth(index).size + FRAME) / 5000))
    found, _ = meet(task, STEPS, tries, encode, reported=False)
    assert 0.985 * 5000 <= found.size + FRAME <= 5000
    assert len(whole) <= 3


@pytest.mark.parametrize("boundary", [-4, -3, 0, 7, 11, 12])
def test_bisection_ends_between_two_steps(boundary: int) -> None:
    """From none of the steps being above the goal to all of them."""
    assert coarsest_above(lambda index: index <= boundary, IndexRange(-3, 12)) == boundary
