"""The training of a detail network: its TensorFlow twin, its samples, and a short run that is stopped and goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")

from conftest import SAMPLES

from nifcodec.errors import ConfigError
from nifcodec.fields.detail import networks as shipped
from nifcodec.fields.detail.contract import REACH, position
from nifcodec.fields.detail.detail_file import DetailFile
from nifcodec.fields.detail.network import DetailNetwork
from nifcodec.fields.detail_training import network, networks, samples
from nifcodec.fields.training_run import last_held_out
from nifcodec.picture.formats import FORMATS

PHOTO = np.asarray(Image.open(SAMPLES / "chelsea.png").convert("RGB"))


def test_the_twin_has_the_errors_of_the_picture_in_numpy() -> None:
    original = PHOTO[100:180, 100:196]
    decoded, log_step = samples.decode_half(original, samples.KERNELS[0], 85.0)
    assert decoded.shape == (40, 48, 3)
    file = shipped.named().file
    doubled = DetailNetwork(file, log_step).double(decoded)
    inside = original[2 * REACH : -2 * REACH, 2 * REACH : -2 * REACH] / 255.0
    expected = np.mean((doubled - inside) ** 2)
    batch = (decoded[None], original[None].astype(np.float32) / 255, np.array([position(log_step)], np.float32))
    mine, kernel, rest = (float(each[0]) for each in networks.errors(file.weights, *batch))
    # The twin's are errors of details and means, which are orthogonal, each a quarter of the four samples' sum.
    assert mine == pytest.approx(expected, rel=1e-3)
    assert rest < mine < kernel
    gain, most = networks.gains(file.weights, [(decoded, original, position(log_step))])[0]
    assert gain == pytest.approx(10 * np.log10(kernel / mine)) and most > gain


def test_visits_are_the_same_for_a_seed(folder_of_pictures: Path) -> None:
    paths = sorted(map(str, folder_of_pictures.glob("*.png")))
    visits = samples.visits(paths, 3)
    assert visits == samples.visits(paths, 3) != samples.visits(paths, 4)
    assert {path for path, _ in visits} == {*paths, ""}
    for path in (paths[0], ""):
        first, again = (list(samples.patches(path, 7)) for _ in range(2))
        assert len(first) == samples.PATCHES
        for one, other in zip(first, again):
            assert one.decoded.shape == (samples.PATCH, samples.PATCH, 3)
            assert one.original.shape == (2 * samples.PATCH, 2 * samples.PATCH, 3)
            np.testing.assert_array_equal(one.decoded, other.decoded)
            np.testing.assert_array_equal(one.original, other.original)


def test_decoded_patches_lie_on_their_originals(folder_of_pictures: Path) -> None:
    for pair in samples.patches(str(folder_of_pictures / "0.png"), 1):
        halves = pair.original.reshape(samples.PATCH, 2, samples.PATCH, 2, 3).mean(axis=(1, 3)) / 255
        assert np.abs(halves - pair.decoded).mean() < 0.05


@pytest.fixture(scope="module")
def folder_of_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(2):
        Image.fromarray(PHOTO[100 * number : 100 * number + 130, :160]).save(folder / f"{number}.png")
    return folder


def command(folder: Path, output: Path, work: Path, *more: str) -> List[str]:
    return [str(folder), "-o", str(output), "--work", str(work), "--steps", "3", "--holdout", "2", *more]


def test_a_stopped_run_goes_on_to_the_same_network(
    folder_of_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network, "EVERY", 1)
    whole, stopped = tmp_path / "whole.nifdetail", tmp_path / "stopped.nifdetail"
    assert network.main(command(folder_of_pictures, whole, tmp_path / "a")) == 0
    card = json.loads(whole.with_suffix(".json").read_text(encoding="utf-8"))
    assert card == json.loads(capsys.readouterr().out)
    assert card["pictures"] == {"training": 1, "held out": 1} and card["bytes"] == whole.stat().st_size
    assert len(card["loss every 1 steps"]) == 3
    assert set(card["held out, dB over the Lanczos kernel by quality"]) == {"40", "60", "85", "95"}

    step = networks.Training.step

    def interrupted(training: networks.Training, *batch: np.ndarray) -> float:
        if training.done == 2:
            raise KeyboardInterrupt
        return step(training, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(networks.Training, "step", interrupted)
        assert network.main(command(folder_of_pictures, stopped, tmp_path / "b")) == 130
    assert not stopped.exists()
    assert network.main(command(folder_of_pictures, stopped, tmp_path / "b")) == 0
    assert stopped.read_bytes() == whole.read_bytes()
    first = DetailFile.unpack(whole.read_bytes()).weights["kernel0"]
    assert not first.sum(axis=(0, 1)).any()
    # The work folder is of those options.
    assert network.main(command(folder_of_pictures, stopped, tmp_path / "b", "--seed", "1")) == 2
    assert "another --work" in capsys.readouterr().err


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kodak").mkdir()
    for folder, words in (("kodak", "must not train"), ("none", "is no folder"), (".", "too few pictures")):
        with pytest.raises(ConfigError, match=words):
            last_held_out([str(tmp_path / folder)], 2, FORMATS)
    assert network.main([str(tmp_path), "-o", str(tmp_path / "a.nifdetail"), "--steps", "0"]) == 2
