"""The phases of a pyramid's training."""

from __future__ import annotations

import pytest

from nifcodec.fields.pyramid.schedule import Phase, correction, hardest, phases


def test_long_trainings_end_harder_and_so_do_their_corrections() -> None:
    def last(phase: Phase) -> float:
        quantizer = phase.quantizer(phase.steps, 0)
        assert quantizer is not None
        return quantizer.temperature

    ends = [hardest(steps) for steps in (0, 1, 2000, 4000, 16000)]
    assert ends[0] == ends[1] == ends[2] == pytest.approx(2 * ends[-1]) and ends[2] > ends[3] > ends[4]
    for steps in (0, 100, 16000):
        phase = correction(steps)
        assert phase.steps == max(40, steps // 10) and last(phase) == pytest.approx(hardest(steps))
    assert last(phases(16000)[0]) == pytest.approx(hardest(16000))
