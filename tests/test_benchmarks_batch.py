"""The benchmark of batches."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import batch
from nifcodec.batch.tasks import DONE, Row
from nifcodec.errors import ConfigError


def test_a_rate_is_that_between_the_ends():
    ends = ["2026-11-30T23:59:59.500Z", "2026-12-01T00:00:00.500Z", "2026-12-01T00:00:03.500Z"]
    rows = [Row(name, "o", DONE, "1", 1, {}, "1", "h", ended=name) for name in reversed(ends)]
    assert batch.rate_of(rows) == pytest.approx(0.5)


def test_the_table():
    pictures = [np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8) for seed in range(2)]
    text = batch.run(pictures, [1, 2], copies=2, effort=1)
    assert text.startswith("4 pictures of 0.00 megapixels at `-e 1`; ")
    assert [line.split("|")[1].strip() for line in text.splitlines()[4:]] == ["1", "2"]
    with pytest.raises(ConfigError, match="--copies"):
        batch.run(pictures, [1, 9], copies=2, effort=1)
