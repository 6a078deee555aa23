"""The training of a pyramid's prior: seeded, resumable, and with a card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from native_variants import LIBRARIES, MISSING
from PIL import Image

pytest.importorskip("tensorflow")

from nifcodec.fields.pyramid.priors.prior_file import unpack
from nifcodec.fields.pyramid.training import prior

pytestmark = pytest.mark.skipif(not LIBRARIES, reason=MISSING)


@pytest.fixture()
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four small photographs, and a training of moments."""
    for name, value in {"PRICES": (4e-3, 2e-4), "COLD_STEPS": 20, "WARM_STEPS": 6, "HELD_OUT_STEPS": 6}.items():
        monkeypatch.setattr(prior, name, value)
    monkeypatch.setattr(prior, "SIDE", 32)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        waves = np.sin(np.mgrid[:40, :48].sum(axis=0)[..., None] / np.array([3.0, 5.0, 7.0]) + number)
        Image.fromarray(np.rint(127 + 100 * waves).astype(np.uint8)).save(pictures / f"{number}.png")
    return pictures


def test_a_prior_is_the_same_twice_and_goes_on_where_it_stopped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(name: str, *more: str) -> bytes:
        path = tmp_path / f"{name}.nifprior"
        arguments = [str(folder), "-o", str(path), "--rounds", "2", "--holdout", "4", "--threads", "1", *more]
        assert prior.main(arguments) == 0
        assert json.loads(capsys.readouterr().out) == json.loads(path.with_suffix(".json").read_text())
        return path.read_bytes()

    first = train("first")
    starts = unpack(first)
    assert [start.price for start in starts] == pytest.approx([4e-3, 2e-4])
    card = json.loads((tmp_path / "first.json").read_text())
    assert card["pictures"] == {"training": 3, "held out": 1}
    curve = next(value for name, value in card.items() if name.startswith("1000 J"))
    assert {price: len(losses) for price, losses in curve.items()} == {"0.004": 2, "0.0002": 2}
    # The last round of a price is lost: the same command makes it again.
    work = tmp_path / "first-work"
    (work / "0-1-1.npz").unlink()
    assert train("again", "--work", str(work)) == first
    # Nothing is left to train.
    monkeypatch.setattr(prior.Run, "_trained", None)
    assert train("third", "--work", str(work)) == first


def test_too_few_pictures_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prior.main([str(folder), "-o", str(tmp_path / "a.nifprior"), "--holdout", "9"]) == 2
    assert "too few pictures" in capsys.readouterr().err


def test_kodak_never_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kodak").mkdir()
    assert prior.main([str(tmp_path / "kodak"), "-o", str(tmp_path / "a.nifprior")]) == 2
    assert "must not train" in capsys.readouterr().err
    assert prior.main([str(tmp_path / "none"), "-o", str(tmp_path / "a.nifprior")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_a_mosaic_follows_its_seed(folder: Path) -> None:
    paths = sorted(map(str, folder.iterdir()))
    one, same, other = (prior.mosaic(paths, seed, 2, 3) for seed in (1, 1, 2))
    assert one.shape == (64, 96, 3) and one.dtype == np.float32 and 0 <= one.min() < one.max() <= 1
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
