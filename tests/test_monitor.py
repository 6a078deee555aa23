"""The evaluation beside training: what it logs, that it changes nothing and holds nothing up, and how it ends."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
from conftest import PIXELS, random_network
from PIL import Image as PillowImage

pytest.importorskip("tensorboard")

from nifcodec import decoder, encoder
from nifcodec.cli.main import main
from nifcodec.errors import ConfigError, OutputError
from nifcodec.fields import families
from nifcodec.fields.families import configure
from nifcodec.fields.mlp.render import Network
from nifcodec.monitor.evaluator import measures
from nifcodec.monitor.watcher import Watcher
from nifcodec.picture import metrics
from nifcodec.picture.image import Image, from_array

STORED = random_network(3)
NETWORK = Network(STORED.spec, STORED.dequantize())
IMAGE = from_array(PIXELS)
TRAINING = ["distortion", "loss", "psnr", "rate", "bits_per_pixel"]
MEASURES = ["psnr_rgb", "psnr_l", "psnr_ab"]
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


def read(folder: Path) -> Tuple[Dict[str, List[Tuple[int, float]]], Dict[str, List[Tuple[int, np.ndarray]]]]:
    """What TensorBoard finds in a run: scalars and pictures by tag, each as (step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    log.Reload()
    tags = log.Tags()
    scalars = {tag: [(event.step, event.value) for event in log.Scalars(tag)] for tag in tags["scalars"]}
    pictures = {
        tag: [
            (event.step, np.asarray(PillowImage.open(io.BytesIO(event.encoded_image_string))))
            for event in log.Images(tag)
        ]
        for tag in tags["images"]
    }
    return scalars, pictures


@pytest.mark.parametrize("field", ["wavelet", "siren", "fourier"])
def test_watching_changes_no_byte_and_shows_what_there_is(field: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    config = configure(steps=3, seed=1)
    if field != "wavelet":
        config = configure(field=field, steps=40, batch_size=64, width=8, layers=2, seed=1, report_every=10)
    plain = encoder.encode_image(IMAGE, config)
    watched = encoder.encode_image(IMAGE, replace(config, tensorboard=str(tmp_path / "log")))
    assert watched.data == plain.data
    scalars, pictures = read(tmp_path / "log")
    for name in TRAINING if field == "wavelet" else [*TRAINING, "learning_rate"]:
        steps = [step for step, _ in scalars[f"training/{name}"]]
        assert len(steps) >= 2
        assert steps == sorted(set(steps))
        assert steps[-1] == config.steps
    for group in ("evaluation", "file"):
        assert {tag for tag in scalars if tag.startswith(group)} >= {f"{group}/{name}" for name in MEASURES}
    # The last state of the training is always evaluated, and so is the file.
    assert scalars["evaluation/psnr_rgb"][-1][0] == config.steps
    estimate = scalars["training/psnr"][-1][1]
    assert scalars["evaluation/psnr_rgb"][-1][1] == pytest.approx(estimate, abs=0.2)
    assert scalars["file/psnr_rgb"] == [(config.steps, pytest.approx(plain.report.psnr_rgb))]
    assert scalars["file/bits_per_pixel"] == [(config.steps, pytest.approx(plain.report.bpp))]
    assert scalars["training/bits_per_pixel"][0][1] == pytest.approx(scalars["training/rate"][0][1] / (18 * 12))
    assert np.array_equal(pictures["original"][0][1], PIXELS)
    assert np.array_equal(pictures["file/reconstruction"][0][1], decoder.decode(plain.data))
    assert len(pictures["evaluation/reconstruction"]) == len(scalars["evaluation/psnr_rgb"])


def test_a_tiled_picture_shows_its_tiles_and_its_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (130, 300, 3), dtype=np.uint8)
    tiles = {"largest_whole": 0, "tile_exponent": 7}
    encoder.encode(pixels, configure(effort=1, quality=5, tensorboard=str(tmp_path), **tiles))
    scalars, pictures = read(tmp_path)
    assert [step for step, _ in scalars["training/psnr"]] == [1, 2, 3, 4, 5, 6]
    assert set(pictures) == {"original", "file/reconstruction"}


def test_float_pictures_are_measured_as_such(tmp_path: Path) -> None:
    light = np.random.default_rng(0).gamma(1.0, 2.0, (16, 20, 3)).astype(np.float32)
    encoded = encoder.encode_image(from_array(light), configure(effort=1, tensorboard=str(tmp_path)))
    scalars, pictures = read(tmp_path)
    assert scalars["file/psnr_log"][0][1] == pytest.approx(encoded.report.psnr_log)
    assert scalars["file/psnr_pu21"][0][1] == pytest.approx(encoded.report.psnr_pu21)
    assert pictures["file/reconstruction"][0][1].shape == (16, 20, 3)


def test_measures_are_those_of_the_decoded_picture() -> None:
    other = PIXELS ^ 3
    assert measures(PIXELS, other) == {
        "psnr_rgb": metrics.psnr(PIXELS, other),
        **dict(zip(("psnr_l", "psnr_ab"), metrics.psnr_lab(PIXELS, other))),
    }


@posix
def test_a_busy_evaluator_holds_nothing_up_and_sees_the_newest(tmp_path: Path) -> None:
    with Watcher(str(tmp_path), None, IMAGE, None) as watcher:
        os.kill(watcher._process.pid, signal.SIGINT)  # of a terminal's Ctrl-C; not for it
        os.kill(watcher._process.pid, signal.SIGSTOP)
        for step in range(2000):
            watcher(step, {"loss": 1.0 / (step + 1)}, lambda: NETWORK)
        os.kill(watcher._process.pid, signal.SIGCONT)
    scalars, pictures = read(tmp_path)
    assert [step for step, _ in scalars["training/loss"]] == list(range(2000))
    evaluated = [step for step, _ in pictures["evaluation/reconstruction"]]
    assert evaluated[-1] == 1999
    assert len(evaluated) < 10


@posix
def test_a_killed_evaluator_is_named_once_and_done_without(tmp_path: Path) -> None:
    with Watcher(str(tmp_path), None, IMAGE, None) as watcher:
        watcher(0, {"loss": 1.0}, lambda: NETWORK)
        os.kill(watcher._process.pid, signal.SIGKILL)
        watcher._thread.join()
        with pytest.warns(UserWarning, match=r"ended early \(killed by signal 9\): the encode goes on without it"):
            watcher(1, {"loss": 0.5}, lambda: pytest.fail("made for nobody"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            watcher(2, {"loss": 0.5}, None)
            watcher.finish(b"nothing")


@posix
def test_an_encode_outlives_its_evaluator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Doomed(Watcher):
        def finish(self, data: bytes) -> None:
            os.kill(self._process.pid, signal.SIGKILL)
            super().finish(data)

    config = configure(effort=1)
    plain = encoder.encode(IMAGE, config)
    monkeypatch.setattr(encoder, "Watcher", Doomed)
    with pytest.warns(UserWarning, match="killed by signal 9"):
        assert encoder.encode(IMAGE, replace(config, tensorboard=str(tmp_path))) == plain


def test_an_evaluator_that_fails_says_why(tmp_path: Path) -> None:
    watcher = Watcher(str(tmp_path / "log"), None, IMAGE, None)
    shutil.rmtree(tmp_path / "log")
    with pytest.warns(UserWarning, match=r"FileNotFoundError.*events\.out"), watcher:
        watcher.finish(b"")
    with pytest.warns(UserWarning, match="NotANifError"), Watcher(str(tmp_path), None, IMAGE, None) as watcher:
        watcher.finish(b"no such file")


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_evaluator_outlives_its_training(number: signal.Signals, tmp_path: Path) -> None:
    script = f"""
import time
import numpy as np
from nifcodec.picture.image import from_array
from nifcodec.monitor.watcher import Watcher
with Watcher({str(tmp_path)!r}, None, from_array(np.zeros((8, 8, 3), np.uint8)), None) as watcher:
    print(watcher._process.pid, flush=True)
    time.sleep(60)
"""
    training = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert training.stdout is not None
    evaluator = int(training.stdout.readline())
    if number == signal.SIGINT:
        os.killpg(training.pid, number)  # as a terminal does
    else:
        os.kill(training.pid, number)
    training.communicate()
    deadline = time.monotonic() + 30
    while running(evaluator) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not running(evaluator)


def running(pid: int) -> bool:
    """Whether a process is there, and more than an entry that nobody has asked for."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_steps_between_evaluations_and_trainings_that_begin_anew(tmp_path: Path) -> None:
    made: List[Any] = []
    with Watcher(str(tmp_path), 10, IMAGE, None) as watcher:
        for step in (4, 9, 13, 14, 30, 2, 12, 12):
            watcher(step, {"loss": 0.0}, lambda: made.append(step) or NETWORK)  # noqa: B023
    scalars, _ = read(tmp_path)
    assert [step for step, _ in scalars["training/loss"]] == [4, 9, 13, 14, 30, 32, 42, 54]
    assert made == [4, 14, 30, 12, 12]


def test_the_command_line_logs_a_run_an_encode(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("a.png", "b.png")
    assert main(["encode", "a.png", "b.png", "-e", "1", "--tensorboard", "logs", "--eval-every", "3"]) == 0
    runs = sorted(path.name for path in Path("logs").iterdir())
    assert [name[:2] for name in runs] == ["a-", "b-"]
    scalars, _ = read(Path("logs", runs[0]))
    assert "file/psnr_l" in scalars
    assert "warning" not in capsys.readouterr().err


def test_what_is_refused_before_any_work(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = replace(families.named("wavelet"), encode=lambda *given: pytest.fail("worked"))
    monkeypatch.setattr(families, "named", lambda name: idle)
    with pytest.raises(ConfigError, match="--tensorboard"):
        configure(eval_every=3)
    with pytest.raises(ConfigError, match="eval_every"):
        configure(eval_every=0, tensorboard="log")
    with pytest.raises(OutputError, match=r"a\.png"):
        encoder.encode(Image(PIXELS), configure(tensorboard="a.png/log"))
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["encode", "a.png", "--tensorboard", "log"]) == 1
    assert "pip install tensorboard" in capsys.readouterr().err
    assert not Path("log").exists()
