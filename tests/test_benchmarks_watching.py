"""The benchmark of the evaluation beside training: one small encode of each kind, and its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tensorboard")

from benchmarks.__main__ import main
from benchmarks.watching import Speed, compare, markdown
from nifcodec.errors import ConfigError
from nifcodec.fields.families import configure


def test_the_table_has_the_fastest_and_compares_the_files() -> None:
    without = [Speed(10.0, 8.0, 0, b"a"), Speed(20.0, 5.0, 0, b"a"), Speed(15.0, 7.0, 0, b"a")]
    watched = [Speed(18.0, 5.0, 4, b"a"), Speed(0.0, 6.0, 1, b"a"), Speed(12.0, 3.0, 9, b"a")]
    row = markdown({"siren": {False: without, True: watched}}).splitlines()[-1]
    assert row == "| `siren` | 20 | 18 | 0.900 | 0.750 | 4 | yes |"
    watched[1] = Speed(0.0, 3.0, 1, b"b")
    assert markdown({"siren": {False: without, True: watched}}).endswith("| NO |")


def test_the_watching_command(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watching", str(picture), "--fields", "wavelet", "--steps", "1", "--turns", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("waves, 64x48, ")
    assert lines[-1].startswith("| `wavelet` | ")
    assert lines[-1].endswith("| yes |")


def test_an_encode_without_training_has_no_speed() -> None:
    with pytest.raises(ConfigError, match="more --steps"):
        compare(np.zeros((8, 8, 3), np.uint8), configure(effort=1), 1)
