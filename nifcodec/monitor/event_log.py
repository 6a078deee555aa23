"""TensorBoard's log: scalars and pictures in an event file, by the package `tensorboard`, without TensorFlow."""

from __future__ import annotations

import io
import math
import os
import socket
import time
from typing import Mapping

import numpy as np
from PIL import Image as PillowImage
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from nifcodec.picture.colour import to_eight_bits, tone_map

VERSION = "brain.Event:2"  # what the first record of an event file says
SHOWN_PIXELS = 2**20  # larger pictures are halved: a log holds one for each evaluation


class EventLog:
    """One event file, a new one in its folder. Every call reaches the disk. Raises OSError.

    Args:
        folder: of the run; it exists.
    """

    def __init__(self, folder: str) -> None:
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}"
        # The writer closes it.
        self._records = RecordWriter(open(os.path.join(folder, name), "wb"))  # noqa: SIM115
        self._write(Event(wall_time=now, file_version=VERSION))

    def scalars(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Finite numbers by tag, at a step and a time.time(); TensorBoard has no place for others."""
        kept = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items() if math.isfinite(value)]
        self._write(Event(wall_time=seconds, step=step, summary=Summary(value=kept)))

    def picture(self, step: int, seconds: float, tag: str, pixels: np.ndarray) -> None:
        """A picture (H, W, C) of integers or of linear light, which is tone-mapped."""
        height, width = pixels.shape[:2]
        shown = Summary.Image(height=height, width=width, colorspace=pixels.shape[2], encoded_image_string=_png(pixels))
        self._write(Event(wall_time=seconds, step=step, summary=Summary(value=[Summary.Value(tag=tag, image=shown)])))

    def close(self) -> None:
        """Closes the file."""
        self._records.close()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()


def _png(pixels: np.ndarray) -> bytes:
    """8-bit PNG, halved as often as SHOWN_PIXELS needs."""
    if pixels.dtype.kind == "f":
        pixels = tone_map(pixels)
    elif pixels.dtype == np.uint16:
        pixels = to_eight_bits(pixels)
    picture = PillowImage.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    while picture.width * picture.height > SHOWN_PIXELS:
        picture = picture.reduce(2)
    output = io.BytesIO()
    picture.save(output, "PNG")
    return output.getvalue()
