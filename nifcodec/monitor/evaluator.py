"""The process that `watcher` feeds: it renders fields, measures them, and writes TensorBoard's log.

It renders as the decoder does, with NumPy, and loads no TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import sys
import threading
from typing import Any, Dict, Mapping

import numpy as np

from nifcodec import decoder
from nifcodec.fields.rendering import render
from nifcodec.monitor.event_log import EventLog
from nifcodec.monitor.watcher import Moment, Seen, Setup
from nifcodec.picture import metrics
from nifcodec.picture.window import choose_window

LOWEST_PRIORITY = 19


def main() -> None:
    """Evaluates what comes on standard input and answers on standard output, until None comes or the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whatever a library prints
    with contextlib.suppress(AttributeError, OSError):  # which not every system has
        os.nice(LOWEST_PRIORITY)
    messages: "queue.Queue[Any]" = queue.Queue()
    threading.Thread(target=_read, args=(messages,), daemon=True).start()

    def answer(text: "str | None") -> None:
        pickle.dump(text, answers)
        answers.flush()

    try:
        evaluation = Evaluation(messages.get())
        answer(None)
        for message in iter(messages.get, None):
            evaluation.see(message)
            answer(None)
        evaluation.close()
        answer(None)
    except Exception as error:  # a process's last resort: the other one has to hear of it
        answer(f"{type(error).__name__}: {error}")


def _read(messages: "queue.Queue[Any]") -> None:
    """The thread that reads ahead: the end of the input is the end of the process, whatever it is doing."""
    message: Any = ...
    while message is not None:
        try:
            message = pickle.load(sys.stdin.buffer)
        except Exception:  # of an input that was cut off, any
            os._exit(1)
        messages.put(message)


class Evaluation:
    """The log of one picture's training.

    Tags: "training/..." what training says of itself; "evaluation/..." of the whole picture as its field renders it;
    "file/..." of the file that is the result.
    """

    def __init__(self, setup: Setup) -> None:
        self._original, self._depth, self._transfer = setup.original, setup.depth, setup.transfer
        self._exact = setup.exact
        self._log = EventLog(setup.folder)
        self._original_shown = False

    def see(self, seen: Seen) -> None:
        """Writes down what is new."""
        for moment, values in seen.scalars:
            self._scalars("training", moment, values)
        if seen.field is not None:
            self._evaluate("evaluation", *seen.field)
        if seen.file is not None:
            moment, data = seen.file
            height, width = self._original.shape[:2]
            self._scalars("file", moment, {"bits_per_pixel": metrics.bits_per_pixel(len(data), width, height)})
            self._evaluate("file", moment, data)

    def close(self) -> None:
        """Closes the log."""
        self._log.close()

    def _evaluate(self, group: str, moment: Moment, field: Any) -> None:
        pixels = self._pixels(field)
        self._scalars(group, moment, measures(self._original, pixels))
        if not self._original_shown:
            self._log.picture(moment.step, moment.time, "original", self._original)
            self._original_shown = True
        self._log.picture(moment.step, moment.time, f"{group}/reconstruction", pixels)

    def _pixels(self, field: Any) -> np.ndarray:
        height, width, channels = self._original.shape
        if isinstance(field, bytes):
            return decoder.decode(field, max_pixels=height * width)
        window = choose_window((width, height), None, None, None, height * width)
        own = len(self._exact.constants.field_channels(channels))
        return self._exact.put_back(render(field, window, own, 0, self._depth, self._transfer), channels, window)

    def _scalars(self, group: str, moment: Moment, values: Mapping[str, float]) -> None:
        self._log.scalars(moment.step, moment.time, {f"{group}/{name}": value for name, value in values.items()})


def measures(original: np.ndarray, decoded: np.ndarray) -> Dict[str, float]:
    """PSNR in dB of RGB, and of L and AB on CIE Lab; of a float picture, on log values and on those of PU21."""
    if original.dtype.kind == "f":
        return {"psnr_log": metrics.psnr_log(original, decoded), "psnr_pu21": metrics.psnr_pu21(original, decoded)}
    lightness, chroma = metrics.psnr_lab(original, decoded)
    return {"psnr_rgb": metrics.psnr(original, decoded), "psnr_l": lightness, "psnr_ab": chroma}
