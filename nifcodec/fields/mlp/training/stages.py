"""The two stages of a training on one device, with what is told of them and what is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Callable, Optional, Tuple

import tensorflow as tf

from nifcodec.fields.checkpoint import Checkpoint
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.mlp.training.objectives import Stage
from nifcodec.training.adam import Samples
from nifcodec.training.devices.base import Device, Work
from nifcodec.training.loop import Loop, Reached, Snapshot, record_of, snapshot_of


@dataclass(frozen=True)
class Stages:
    """What both stages share.

    Attributes:
        device: where they run.
        draw: number of a step -> the batch of all replicas.
        chunk: steps of a compiled call.
        parts: micro-batches that a replica takes a step.
        scaled: the loss is computed in float16.
        seed: of a device that rounds at random.
        steps: of both stages.
        pixels: of the picture.
        hooks: called between two chunks; `watch` in the chief process only.
        checkpoint: where the stages are kept, and gone on from.
        training: name of the training in the checkpoint.
    """

    device: Device
    draw: Callable[[tf.Tensor], Samples]
    chunk: int
    parts: int
    scaled: bool
    seed: int
    steps: int
    pixels: int
    hooks: Hooks
    checkpoint: Optional[Checkpoint]
    training: str
    began: float = field(default_factory=time.monotonic)

    def stopped(self) -> bool:
        """Whether any process that takes part was interrupted."""
        return self.device.agree(float(self.hooks.interrupted())) > 0.0

    def run(self, stage: Stage, start: tf.Tensor, offset: int, steps: int, rate: float) -> Tuple[tf.Tensor, int]:
        """Train from `start`: the best parameters, and the steps done of `steps`; `offset` of all went before.

        Args:
            rate: learning rate at the top of the schedule.
        """
        name = f"{self.training}/{stage.name}"

        def report(reached: Reached) -> None:
            step, scalars = offset + reached.done, reached.scalars(self.pixels)
            self.hooks.report(stage.name, step, self.steps, self.began, scalars)
            if self.hooks.watch is not None and self.device.chief:
                self.hooks.watch(step, scalars, lambda: stage.network(reached.parameters))

        def save(snapshot: Snapshot) -> None:
            if self.checkpoint is not None and self.device.chief:
                self.checkpoint.save(name, record_of(snapshot))

        chunk = min(self.chunk, steps)
        loop = Loop(
            device=self.device,
            work=Work(stage.loss, self.draw, steps, chunk, self.parts, self.scaled, self.seed),
            evaluate=stage.score,
            report=report,
            stops=self.stopped,
            save=save,
        )
        if self.checkpoint is None:
            return loop.run(start, rate)
        kept = self.checkpoint.load(name)
        result = loop.run(start, rate, None if kept is None else snapshot_of(kept))
        self.checkpoint.flush()
        return result
