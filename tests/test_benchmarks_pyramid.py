"""The benchmark of the latent pyramid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING
from PIL import Image

from benchmarks import pyramid


@pytest.mark.skipif(not LIBRARIES, reason=MISSING)
def test_the_pyramid_is_trained_and_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, columns = np.mgrid[:40, :56]
    Image.fromarray(np.stack([4 * rows, 3 * columns, rows + columns], -1).astype(np.uint8)).save(tmp_path / "a.png")
    pyramid.main([str(tmp_path / "a.png"), "--steps", "60", "--crop", "4,2,48,32"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("step ")
    row = next(line for line in said if line.startswith("| a "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    header = float(cells[5]) * 48 * 32 / 8 - int(cells[3]) - int(cells[4])
    assert 30 < header < 60
