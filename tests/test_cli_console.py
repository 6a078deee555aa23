"""What is seen of a training, and how Ctrl-C reaches it."""

from __future__ import annotations

import io
import math
import os
import signal
from typing import List

import numpy as np
import pytest

from nifcodec import encoder
from nifcodec.cli.console import Interrupt
from nifcodec.fields.families import configure
from nifcodec.fields.hooks import Progress
from nifcodec.fields.progress_line import ProgressLine, clock, describe
from nifcodec.picture.image import from_array


def test_a_second_press_raises_and_the_handler_goes() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt(quiet=True) as interrupt:
        assert not interrupt()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.set_wakeup_fd(-1) == -1


class Step:
    stage, step, steps, seconds, psnr, bpp, after = "training", 250, 1000, 30.0, 31.416, math.nan, 0.0


def test_progress_in_a_log_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    output, now = io.StringIO(), [100.0]
    monkeypatch.setattr("sys.stderr", output)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    line = ProgressLine("a.png")
    for _ in range(60):
        now[0] += 0.25
        line(Step)
    line.clear()
    assert output.getvalue().splitlines() == ["a.png: training  250/1000  1:30 left  31.42 dB"] * 3


def test_progress_on_a_terminal_redraws_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    output, now = io.StringIO(), [100.0]
    output.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", output)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    line = ProgressLine("a.png")
    for _ in range(3):
        now[0] += 0.2
        line(Step)
    line.clear()
    text = output.getvalue()
    assert "\n" not in text
    assert text.count("[######..................]") == 3
    assert text.endswith(" \r")


def test_clock_and_estimates() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 3600)] == ["0:00", "1:00", "59:59", "1:00:00"]

    class Rated(Step):
        bpp = 0.4567

    assert describe(Rated, bar=False).endswith("0.457 bpp")


def test_the_time_left_is_that_of_all_work_or_said_to_be_the_stages() -> None:
    def left(after: float) -> str:
        return describe(Progress("tiles", 3, 4, 30.0, math.nan, math.nan, after), bar=False)

    assert left(25.0).endswith("0:35 left")
    assert left(math.nan).endswith("0:10 left of this stage")


def test_measuring_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    told: List[Progress] = []
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    encoded = encoder.encode_image(from_array(pixels), configure(effort=2), told.append)
    assert [(one.stage, one.step) for one in told][-2:] == [("measure", 0), ("measure", 1)]
    assert all(math.isfinite(one.after) for one in told)
    assert encoded.report.seconds >= told[-1].seconds
    told.clear()
    encoder.encode_image(from_array(pixels), configure(effort=1, target_size=900), told.append, measure=False)
    assert {one.stage for one in told} == {"search"}
    assert all(math.isnan(one.after) for one in told)
