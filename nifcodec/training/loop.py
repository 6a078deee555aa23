"""The training loop around the compiled steps: the best state kept, restarts where training diverges, snapshots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.errors import ConfigError, TrainingError
from nifcodec.picture.metrics import estimated_psnr
from nifcodec.training.adam import State, fresh_state
from nifcodec.training.adam import learning_rate as schedule
from nifcodec.training.devices.base import Device, Work

COLLAPSE = 3.0  # times the best score: sines can fall off a cliff without ever reaching NaN
MAX_RESTARTS = 4


# A snapshot in a checkpoint: arrays, and numbers beside them.
STATE = ("parameters", "first", "second", "scaling")
COUNTS = ("done", "fresh", "restarts")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """Where a run stands between two chunks: all that the rest of it depends on.

    Attributes:
        state: what the steps change.
        best, best_score: the best parameters so far and their score.
        done: steps done; `fresh` of them since the moments were zero, after `restarts` restarts.
    """

    state: State
    best: tf.Tensor
    best_score: float
    done: int = 0
    fresh: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Reached:
    """What a run has come to after a chunk of steps.

    Attributes:
        done: steps done.
        parameters: flat, as the last step left them.
        loss: of the last step's batch, before it.
        error: mean squared error.
        bits: of the weights.
        rate: learning rate of the last step.
    """

    done: int
    parameters: tf.Tensor
    loss: float
    error: float
    bits: float
    rate: float

    def scalars(self, pixels: int) -> Dict[str, float]:
        """What is shown of it, by name, for a picture of so many pixels."""
        return {
            "loss": self.loss,
            "distortion": self.error,
            "rate": self.bits,
            "learning_rate": self.rate,
            "psnr": estimated_psnr(self.error),
            "bits_per_pixel": self.bits / pixels,
        }


class Loop:
    """Many training steps on one objective: a cosine schedule, the best state kept.

    Args:
        device: where the steps run.
        work: what they do.
        evaluate: flat parameters -> (score to minimise, mean squared error, bits), Python floats.
        report: called after each chunk that training goes on from.
        stops: polled before each chunk; True, in all processes that train together, ends the run.
        save: called after each chunk with a snapshot.
    """

    def __init__(
        self,
        *,
        device: Device,
        work: Work,
        evaluate: Callable[[tf.Tensor], Tuple[float, float, float]],
        report: Callable[[Reached], None],
        stops: Callable[[], bool],
        save: Callable[[Snapshot], None] = lambda snapshot: None,
    ) -> None:
        self._device, self._work = device, work
        self._evaluate, self._report, self._stops, self._save = evaluate, report, stops, save

    def run(self, start: tf.Tensor, learning_rate: float, snapshot: Optional[Snapshot] = None) -> Tuple[tf.Tensor, int]:
        """Train from `start`, or go on from a snapshot, until done or interrupted: the best parameters, the steps done.

        Where the loss is no number, or the score is far above the best, training restarts from the best state at half
        the rate.

        Raises:
            ConfigError: the processes that train together do not go on from the same step.
            TrainingError: the loss is still no number after MAX_RESTARTS restarts.
        """
        if snapshot is None:
            snapshot = Snapshot(fresh_state(start), start, self._score(start)[0])
        if self._device.agree(float(snapshot.done)) != snapshot.done:
            raise ConfigError(
                "the processes of this training read different checkpoints: give all of them the same file"
            )
        steps = self._work.steps
        if snapshot.done >= steps:
            return snapshot.best, snapshot.done
        advance = self._device.compile(self._work, snapshot.state, snapshot.done)
        while snapshot.done < steps and not self._stops():
            count = min(self._work.chunk, steps - snapshot.done)
            peak = learning_rate * 0.5**snapshot.restarts
            snapshot = self._after(snapshot, *advance(snapshot, peak, count), count, peak)
            self._save(snapshot)
        return snapshot.best, snapshot.done

    def _after(self, before: Snapshot, state: State, loss: float, count: int, peak: float) -> Snapshot:
        """The snapshot that follows `before` when `count` steps led to `state`."""
        done, fresh, restarts = before.done + count, before.fresh + count, before.restarts
        score, error, bits = self._score(state[0])
        finite = math.isfinite(loss) and math.isfinite(score)
        if not finite and restarts == MAX_RESTARTS:
            raise TrainingError("training keeps diverging: try a lower learning rate or another seed")
        if not finite or (score > COLLAPSE * before.best_score and restarts < MAX_RESTARTS):
            return Snapshot(fresh_state(before.best), before.best, before.best_score, done, 0, restarts + 1)
        last = tf.constant(peak), tf.constant(done - 1), tf.constant(fresh - 1.0)
        self._report(Reached(done, state[0], loss, error, bits, float(schedule(*last, self._work.steps))))
        if score < before.best_score:
            return Snapshot(state, state[0], score, done, fresh, restarts)
        return Snapshot(state, before.best, before.best_score, done, fresh, restarts)

    def _score(self, flat: tf.Tensor) -> Tuple[float, float, float]:
        """What decides is the same in every process, where there are several."""
        score, error, bits = self._evaluate(flat)
        return self._device.agree(score), error, bits


def record_of(snapshot: Snapshot) -> Record:
    """A snapshot as a record."""
    arrays = {part: np.asarray(value) for part, value in zip(STATE, snapshot.state)}
    counts = {count: getattr(snapshot, count) for count in COUNTS}
    return {**arrays, "best": np.asarray(snapshot.best), "best_score": snapshot.best_score, **counts}


def snapshot_of(record: Record) -> Snapshot:
    """The inverse of `record_of`."""
    return Snapshot(
        tuple(tf.constant(record[part]) for part in STATE),
        tf.constant(record["best"]),
        float(record["best_score"]),
        *(int(record[count]) for count in COUNTS),
    )
