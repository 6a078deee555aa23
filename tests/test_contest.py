"""The field `auto`: which pictures a pyramid is tried on, and what is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Tuple

import numpy as np
import pytest
from conftest import replace_encoders
from make_golden import scene
from native_variants import LIBRARIES, MISSING

import nifcodec
from nifcodec import encoder
from nifcodec.config import EncodeConfig
from nifcodec.errors import TrainingError
from nifcodec.fields import contest, families
from nifcodec.fields.families import configure
from nifcodec.fields.job import CodedField
from nifcodec.fields.lattice_options import LARGEST_WHOLE
from nifcodec.native import library
from nifcodec.picture.signal import Signal

needs_library = pytest.mark.skipif(not LIBRARIES, reason=MISSING)


def drawing(height: int = 48, width: int = 64) -> np.ndarray:
    """Lines of the same small shapes on white, (H, W, 3) uint8."""
    picture = np.full((height, width, 3), 255, np.uint8)
    for top in range(4, height - 8, 12):
        for left in range(4, width - 8, 8):
            picture[top : top + 7, left] = picture[top + 3, left : left + 5] = (20, 30, 60)
    return picture


def noise(height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def asked(picture: np.ndarray, **settings: Any) -> str:
    """The field that `auto` comes to for a picture, before anything is tried."""
    return contest.settled(configure(**settings), Signal(picture, 8)).field


@pytest.mark.parametrize(
    ("picture", "drawn"),
    [
        (drawing(), True),
        (drawing().transpose(1, 0, 2), True),
        (np.repeat(noise(80, 1), 9, axis=1), True),  # lines of a pixel
        (noise(), False),
        (scene(64, 48, 3, 8).pixels, False),
        (np.zeros((1, 1, 3), np.uint8), False),
        (np.zeros((1, 9, 1), np.uint8), True),
    ],
)
def test_drawings_are_told_by_equal_neighbours(picture: np.ndarray, drawn: bool) -> None:
    assert contest.is_drawn(Signal(picture, 8)) is drawn


@needs_library
def test_pyramids_are_tried_on_drawings_from_effort_3_and_on_photographs_from_6() -> None:
    assert [asked(drawing(), effort=effort) for effort in (1, 2, 3, 5, 9)] == ["wavelet"] * 2 + ["auto"] * 3
    assert [asked(noise(), effort=effort) for effort in (3, 5, 6, 9)] == ["wavelet"] * 2 + ["auto"] * 2
    large = np.broadcast_to(np.zeros(1, np.uint8), (2, LARGEST_WHOLE // 2 + 1, 1))
    assert asked(large, effort=5) == asked(large, effort=9) == "wavelet"
    # Rounds of the one are no steps of the other.
    assert asked(drawing(), effort=5, steps=9) == "wavelet"
    assert asked(drawing(), effort=5, field="pyramid") == "pyramid"


def test_without_the_library_low_efforts_stay_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "load", lambda: None)
    assert asked(drawing(), effort=5) == "wavelet"
    assert asked(drawing(), effort=6) == "auto"


@needs_library
def test_the_better_field_is_in_the_file() -> None:
    files = {
        field: encoder.encode_image(encoder.from_array(drawing()), configure(field=field, effort=3, quality=50))
        for field in ("auto", "wavelet", "pyramid")
    }
    same = [field for field in ("wavelet", "pyramid") if files[field].data == files["auto"].data]
    assert same == [files["auto"].report.field]
    assert nifcodec.encode(noise(8, 8), configure(effort=5)) == nifcodec.encode(noise(8, 8), configure(field="wavelet"))


@needs_library
def test_large_drawings_get_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that fails leaves the other."""
    seen: List[Tuple[str, int]] = []
    by_wavelet = families.named("wavelet").encode

    def encode(signal: Signal, goal: Any, config: EncodeConfig, hooks: Any) -> CodedField:
        seen.append((config.field, config.effort))
        if config.field == "pyramid":
            raise TrainingError("it diverged")
        return by_wavelet(signal, goal, replace(config, effort=1), hooks)

    replace_encoders(monkeypatch, encode)
    for side, effort in ((16, 5), (1024, 4), (1448, 3)):
        seen.clear()
        flat = np.zeros((side, side, 1), np.uint8)
        flat[:4, :4] = 255
        with pytest.warns(UserWarning, match="it diverged; the field is wavelet"):
            nifcodec.encode(flat, configure(effort=5))
        assert seen == [("wavelet", 5), ("pyramid", effort)]
