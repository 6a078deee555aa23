"""The benchmark of pictures above their native size: its table and its strip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image

from benchmarks import enlarge
from benchmarks.__main__ import main
from benchmarks.rd import Picture
from nifcodec.errors import ConfigError

PHOTO = np.asarray(Image.open(SAMPLES / "chelsea.png").convert("RGB"))[40:281, 60:301]


def test_every_way_gives_the_size_of_the_original() -> None:
    for scale, sides in ((2.0, (240, 240)), (1.5, (240, 240)), (4.0, (240, 240))):
        original, versions = enlarge.enlarged(PHOTO, enlarge.Setting(scale, 85.0, "bicubic"))
        assert original.shape == (*sides, 3)
        assert {name: found.shape for name, found in versions.items()} == dict.fromkeys(
            [enlarge.NETWORK, enlarge.KERNEL, *enlarge.RESAMPLINGS], original.shape
        )
        assert (versions[enlarge.NETWORK] != versions[enlarge.KERNEL]).any()
    with pytest.raises(ConfigError, match="241x1 pixels are too few for scale 2"):
        enlarge.enlarged(PHOTO[:1], enlarge.Setting(2.0, 85.0, "area"))


def test_a_picture_that_is_too_small_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarge, "_measured", None)
    pictures = [Picture("photo", PHOTO), Picture("tiny", PHOTO[:3])]
    with pytest.raises(ConfigError, match="tiny: 241x3 pixels are too few for scale 4: leave it out of --scales"):
        enlarge.run(pictures, [2.0, 4.0], [60.0], ["area"])


def test_the_table_has_a_line_for_each_scale_and_quality(capsys: pytest.CaptureFixture[str]) -> None:
    text = enlarge.run([Picture("chelsea", PHOTO)], [2.0], [60.0, 90.0], ["area"])
    lines = text.splitlines()
    assert len(lines) == 4 and "network over kernel" in lines[0]
    gains = [float(line.split("|")[-2].split()[0]) for line in lines[2:]]
    assert gains[1] > gains[0] > 0
    assert capsys.readouterr().out


def test_a_strip_shows_three_versions_of_each_part(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    target = tmp_path / "strip.png"
    arguments = ["enlarge", f"{tmp_path / 'a.png'}@10,20", "screenshot", "--qualities", "85", "--strip", str(target)]
    assert main(arguments) == 0
    sheet = np.asarray(Image.open(target))
    step = enlarge.SIDE + enlarge.GAP
    assert sheet.shape == (2 * step - enlarge.GAP + 16, 3 * step - enlarge.GAP, 3)
    shown = PHOTO[20 : 20 + enlarge.SIDE, 10 : 10 + enlarge.SIDE]
    np.testing.assert_array_equal(sheet[16 : 16 + enlarge.SIDE, : enlarge.SIDE], shown)
    assert main(["enlarge", f"{tmp_path / 'a.png'}@here", "--strip", str(target)]) == 2
