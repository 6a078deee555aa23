"""The original example as a benchmark: what each defect changes, its measures by hand, the table and its parts."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import comparison, original, throughput
from benchmarks.__main__ import main
from benchmarks.comparison import Part, Task
from benchmarks.original import NO_DEFECTS, Defects, Field, Settings
from benchmarks.rd import Picture
from nifcodec.picture import metrics

TINY = Settings(layers=2, width=16, dimension=2, batch=32, train_samples=512)


def picture(height: int = 24, width: int = 20) -> np.ndarray:
    """Smooth, of other values in each channel, and brightest at 200."""
    v, u = np.mgrid[0:height, 0:width]
    red, green, blue = 10 * u, 3 * v + 4 * u, 200 - 8 * v
    pixels = np.stack([red, green, blue], axis=2)
    return np.asarray(200 * pixels / pixels.max()).round().astype(np.uint8)


def trained(settings: Settings = TINY, samples: int = 4096, seed: int = 0) -> Field:
    return Field(picture(), settings, samples, seed, lambda share: None)


@pytest.fixture(scope="module")
def field() -> Field:
    return trained()


def test_the_network_is_that_of_the_original() -> None:
    settings = Settings()
    shapes = [tuple(array.shape) for array in original.keras_network(settings).get_weights()]
    assert shapes == [
        (40, 256), (256, 256), (256, 216), (256, 256), (256, 256), (256, 256), (256,), (256, 3), (3,),
    ]  # fmt: skip
    assert sum(math.prod(shape) for shape in shapes) == 328_707 == settings.network.parameter_count()


def test_positions_are_encoded_as_in_the_original() -> None:
    encoded = original.encode_positions(replace(TINY, sigma=3.0), np.array([[0.25, 0.5]], np.float32))
    angles = [-1.5, -4.5, -1.0, -3.0]
    np.testing.assert_allclose(encoded[0], [*np.sin(angles), *np.cos(angles)], rtol=1e-6)


def test_samples_lie_between_the_first_and_the_last_pixel() -> None:
    rows = np.arange(24.0)[:, None, None] * np.ones((24, 20, 1))
    coords, values = original.random_samples(rows, 1000, 0)
    np.testing.assert_allclose(values[:, 0], 23 * coords[:, 0], atol=1e-4)


def test_the_same_seed_gives_the_same_field(field: Field) -> None:
    np.testing.assert_array_equal(trained().render(True), field.render(True))
    assert not np.array_equal(trained(seed=1).render(True), field.render(True))


def test_training_learns_the_picture_and_counts_its_samples(field: Field) -> None:
    before = trained(samples=40)
    assert (before.samples, field.samples, trained(samples=37 * 32).samples) == (32, 4096, 37 * 32)
    errors = [np.abs(each.render(False) - picture()).mean() for each in (before, field)]
    assert errors[1] < 0.5 * errors[0]


def test_every_sample_of_the_fixed_set_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the last compiled call sees anything but zeros: the calls go through the set, not each from its start.
    samples = np.zeros((320, 8), np.float32), np.zeros((320, 3), np.float32)
    samples[0][-32:], samples[1][-32:] = 1.0, 1.0
    losses = []
    model = original.keras_network(TINY)
    bias = model.layers[-1]
    original.fit_network(model, TINY, samples, 1, 10, lambda: losses.append(bias.get_weights()[1].copy()))
    assert not np.any(losses[8])
    assert np.all(losses[9] > 0)


def test_the_grid_is_where_pixels_are_rendered() -> None:
    assert [axis[-1] for axis in original.pixel_positions((4, 5), mismatched=True)] == [0.75, 0.8]
    assert [axis[-1] for axis in original.pixel_positions((4, 5), mismatched=False)] == [1.0, 1.0]
    assert [list(axis) for axis in original.pixel_positions((1, 1), mismatched=False)] == [[0.0], [0.0]]


def test_the_grid_shifts_what_a_perfect_field_shows() -> None:
    ramp = np.repeat(np.arange(0, 240, 10, dtype=np.uint8)[:, None, None], 3, axis=2) * np.ones((1, 8, 1), np.uint8)
    shifted = original.perfect_render(ramp, mismatched=True)
    # Row r shows r (H - 1) / H: up to a pixel off, half a pixel on average, in steps of 10.
    np.testing.assert_allclose(ramp - shifted, 10 * np.arange(24)[:, None, None] / 24 * np.ones((1, 8, 3)), atol=1e-3)
    np.testing.assert_allclose(original.perfect_render(ramp, mismatched=False), ramp, atol=1e-3)


def test_the_order_of_colours_is_a_defect_of_the_measure() -> None:
    pixels = picture()
    right, _ = original.own_measures(pixels, pixels, NO_DEFECTS)
    wrong, _ = original.own_measures(pixels, pixels, Defects(grid=False, lab=False))
    assert right == math.inf
    error = np.mean((pixels[..., ::-1].astype(float) - pixels) ** 2)
    assert wrong == pytest.approx(10 * math.log10(200**2 / error))
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    assert original.own_measures(grey, grey, Defects(grid=False, lab=False))[0] == math.inf


def test_the_range_of_lab_changes_lightness_alone() -> None:
    pixels = picture()
    noisy = pixels + np.random.default_rng(0).normal(0, 8, pixels.shape)
    right = original.own_measures(pixels, noisy, NO_DEFECTS)
    wrong = original.own_measures(pixels, noisy, Defects(grid=False, order=False))
    assert right[0] == wrong[0]
    assert abs(right[1] - wrong[1]) > 0.1


def test_lightness_of_known_colours() -> None:
    colours = np.array([[0.0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    # CIE L* of sRGB: Lindbloom's values for D65.
    np.testing.assert_allclose(original.lightness(colours), [0, 100, 53.39, 53.24, 87.73, 32.30], atol=0.02)


def test_the_original_measure_is_that_of_unrounded_values() -> None:
    pixels = np.full((4, 4, 3), 200, np.uint8)
    rendered = np.full((4, 4, 3), 200.4)
    assert original.own_measures(pixels, rendered, NO_DEFECTS)[0] == pytest.approx(20 * math.log10(200 / 0.4))
    line = Task(Picture("a", pixels), TINY, 32, 1, 0).line("b", rendered)
    assert line.psnr_rgb == math.inf


def test_colour_matrices() -> None:
    luma, orange, green = 0.5, 0.2, 0.1
    true = np.array([luma, orange, green]) @ np.asarray(original.KERNELS["true-ycocg"])
    np.testing.assert_allclose(true, [luma - orange - green, luma + green, luma + orange - green])
    as_it_is = np.array([luma, orange, green]) @ np.asarray(original.KERNELS["ycocg"])
    np.testing.assert_allclose(as_it_is, [luma + orange + green, -luma - green, -luma + orange + green])
    for colour in ("ycocg", "true-ycocg"):
        layer = original.keras_network(replace(TINY, colour=colour)).layers[-1]
        np.testing.assert_array_equal(layer.get_weights()[0], original.KERNELS[colour])
        assert not layer.trainable_weights


def test_our_networks_are_of_the_same_size() -> None:
    task = Task(Picture("a", np.zeros((2048, 1533, 3), np.uint8)), Settings(), 1, 1, 0)
    assert comparison.fourier_spec(task).tensor_shapes() == Settings().network.tensor_shapes()
    siren = comparison.siren_spec(task)
    assert (siren.family, siren.width, siren.layers, siren.parameter_count()) == ("siren", 255, 6, 327_933)


def test_throughput_trains_the_same_network() -> None:
    shapes = [tuple(array.shape) for array in original.keras_network(throughput.SETTINGS).get_weights()]
    assert tuple(shapes[:-1]) == throughput.NETWORK.tensor_shapes()
    pixels = picture().astype(np.float32) / 255
    encoded, values = throughput._original_samples(pixels, 50)
    coords, expected = original.random_samples(pixels, 50, 0)
    np.testing.assert_allclose(encoded, original.encode_positions(throughput.SETTINGS, coords), atol=2e-4)
    np.testing.assert_array_equal(values, expected)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a small picture, and a small original."""
    monkeypatch.setattr(original, "Settings", lambda: TINY)
    path = tmp_path / "ramps.png"
    Image.fromarray(picture()).save(path)
    return path


def test_the_command_writes_a_table_and_goes_on(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["original", str(small), "--samples", "2000", "-e", "1", "--only", "all", "-o", str(out)]
    assert main(command) == 0
    first = capsys.readouterr().out
    lines = json.loads((out / "original.json").read_text())["lines"]
    by_name = {line["name"]: line for line in lines}
    with (out / "original.tsv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file, delimiter="\t")] == [line["name"] for line in lines]
    assert first == (out / "original.md").read_text()
    assert first.splitlines()[0] == "ramps"

    theirs = by_name["original, as it is"]
    assert theirs["bytes"] == 4 * theirs["parameters"] == 4 * TINY.network.parameter_count()
    assert theirs["bpp"] == pytest.approx(8 * theirs["bytes"] / (24 * 20))
    # The grid moves what is rendered; the other two move only what the original says of it.
    assert by_name["original, colour order put right"]["psnr_rgb"] == theirs["psnr_rgb"]
    assert by_name["original, Lab put right"]["own_rgb"] == theirs["own_rgb"]
    assert by_name["original, Lab put right"]["own_lightness"] != theirs["own_lightness"]
    assert by_name["original, grid put right"]["psnr_rgb"] == by_name["original, all put right"]["psnr_rgb"]
    assert by_name["original, grid put right"]["psnr_rgb"] != theirs["psnr_rgb"]
    assert by_name["original, all put right"]["own_rgb"] > theirs["own_rgb"]
    ours = [line for line in lines if line["name"] in ("`fourier`", "`siren`")]
    assert [line["batch"] for line in ours] == [32, 480, 480]
    assert [line["samples"] for line in ours] == [theirs["samples"], 1920, 1920]
    wavelets = [line for line in lines if line["name"].startswith("`wavelet`")]
    assert [line["bytes"] <= limit for line, limit in zip(wavelets, (ours[0]["bytes"], theirs["bytes"]))] == [True] * 2

    monkeypatch.setattr(comparison, "JOBS", dict.fromkeys(comparison.JOBS, _never))
    assert main([*command, "--only", "perfect,original"]) == 0
    assert capsys.readouterr().out.startswith("\n".join(first.splitlines()[:12]))  # the header and eight lines
    assert main(command) == 0
    assert capsys.readouterr().out == first
    with pytest.raises(AssertionError):
        main([*command, "--seed", "1"])


def _never(task: Task, report: Any, done: Any) -> Any:
    raise AssertionError("measured anew")


def test_a_line_is_measured_on_what_is_shown() -> None:
    pixels = picture()
    task = Task(Picture("a", pixels), TINY, 32, 1, 0)
    rendered = pixels + np.random.default_rng(0).normal(0, 30, pixels.shape)
    line = task.line("b", rendered, bytes=60)
    shown = np.floor(rendered.clip(0, 255) + 0.5).astype(np.uint8)
    assert line.psnr_rgb == pytest.approx(metrics.psnr(pixels, shown))
    assert (line.bpp, line.samples) == (1.0, 0)
    assert line.own_rgb < line.psnr_rgb


def test_the_markdown_of_a_line() -> None:
    line = comparison.Line("a", "b", 64, 32, 7, 28, 0.5, 12.345, 20.0, 23.456)
    bare = comparison.Line("a", "c", 0, 0, 0, 0, math.nan, 12.0, 20.0, 23.0)
    assert comparison.markdown([line, bare]).splitlines()[4:6] == [
        "| b | 64 | 32 | 7 | 28 | 0.500 | 12.35 | 20.00 | 23.46 |",
        "| c | - | - | - | - | - | 12.00 | 20.00 | 23.00 |",
    ]


def test_a_journal_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    line = comparison.Line("a", "b", 64, 32, 7, 28, 0.5, 12.0, 20.0, 23.0)
    path = tmp_path / comparison.JOURNAL
    comparison.append_journal(path, Part("one", "key", 1.5, [line]))
    with path.open("a") as file:
        file.write('{"job": "two", "key": "k')
    comparison.append_journal(path, Part("three", "key", 1.5, [line]))
    assert [part.job for part in comparison.read_journal(path)] == ["one", "three"]
    assert comparison.read_journal(path)[0].lines == [line]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "0"], "--samples is 0"),
        (["--only", "original,sirens"], "sirens is not among all, perfect"),
        (["--only", "wavelet-small"], "ask for fourier too"),
    ],
)
def test_options_that_cannot_be(
    options: "list[str]", message: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["original", str(small), "-o", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
