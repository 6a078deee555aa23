"""How a batch is split over replicas and memory, and that neither splitting nor float16 changes what is learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cluster_worker
import numpy as np
import pytest
from conftest import SAMPLES

pytest.importorskip("tensorflow")

from nifcodec.cli.main import main
from nifcodec.errors import ConfigError
from nifcodec.fields.families import configure
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.training.fit import fit
from nifcodec.fields.mlp.training.memory import split, step_bytes
from nifcodec.fields.mlp.training.networks import Arithmetic
from nifcodec.training.devices.ipu import MEMORY

LARGE = MlpDescription("siren", 3, 256, 6, "none", omega=30.0)
SMALL = MlpDescription("siren", 3, 8, 2, "none", omega=30.0)
FLOAT, HALF = Arithmetic(), Arithmetic(half=True)


def test_a_batch_that_fits_is_left_whole() -> None:
    whole = split(LARGE, 4096, 1, 1, FLOAT, MEMORY)
    assert (whole.batch, whole.parts, whole.samples) == (4096, 1, 4096)
    assert whole.describe("ipu", MEMORY) == f"ipu, 4096 samples a step, about {whole.bytes / 1e6:.0f} MB of 450 MB"


def test_a_batch_that_does_not_fit_is_split_until_it_does() -> None:
    pixels = 768 * 512
    whole = step_bytes(LARGE, pixels, pixels, FLOAT)
    assert whole > 4 * MEMORY
    plan = split(LARGE, pixels, 1, 1, FLOAT, MEMORY)
    assert plan.batch == pixels and plan.parts * plan.samples == pixels
    assert plan.bytes <= MEMORY < step_bytes(LARGE, pixels, 2 * plan.samples, FLOAT)
    assert f"{plan.parts} micro-batches of {plan.samples}" in plan.describe("ipu", MEMORY)
    assert split(LARGE, pixels, 1, 1, HALF, MEMORY).parts < plan.parts
    assert split(LARGE, pixels, 4, 1, FLOAT, MEMORY).parts < plan.parts


def test_the_estimate_counts_what_a_step_stores() -> None:
    """By hand, for 2 -> 8 -> 8 -> 3: 123 parameters, six vectors; the inputs and outputs of three layers."""
    assert SMALL.parameter_count() == 24 + 72 + 27
    values = 2 + (2 + 8) + (8 + 8) + (8 + 3) + 9
    assert step_bytes(SMALL, 64, 32, FLOAT) == 123 * 24 + 3 * 64 * 20 + int(1.5 * 32 * values * 4)
    assert step_bytes(SMALL, 64, 32, HALF) == 123 * 26 + 3 * 64 * 20 + int(1.5 * 32 * values * 2)


def test_what_cannot_be_split_is_refused() -> None:
    assert split(SMALL, 1003, 4, 2, FLOAT, None).batch == 1000
    with pytest.raises(ConfigError, match="do not split"):
        split(SMALL, 7, 4, 2, FLOAT, None)
    with pytest.raises(ConfigError, match="lower --width"):
        split(LARGE, 1, 1, 1, FLOAT, 1_000_000)


def trained(**options: Any) -> "tuple[np.ndarray, float]":
    image = cluster_worker.PICTURE.astype(np.float32) / 255
    result = fit(image, SMALL, configure(field="siren", steps=150, batch_size=256, **options))
    return np.concatenate([tensor.ravel() for tensor in result.float_tensors]), result.psnr_float


def test_accumulation_and_float16_learn_the_same() -> None:
    whole, psnr = trained(device="cpu")
    parts, _ = trained(gradient_accumulation=4)
    np.testing.assert_allclose(parts, whole, atol=1e-3)
    assert psnr > 12
    assert trained(precision="float16", half_sine=True)[1] > psnr - 0.5
    assert trained(half_sine=True)[1] > psnr - 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 5, "half_sine": True}, "auto has no batch_size or half_sine"),
        ({"field": "fourier", "half_sine": True}, "half_sine"),
        ({"field": "siren", "executable_cache": "x"}, "--device ipu"),
        ({"field": "siren", "device": "ipu", "partials": "half"}, "partials"),
        ({"field": "siren", "device": "tpu"}, "device"),
        ({"field": "siren", "replicas": 0}, "replicas"),
    ],
)
def test_options_that_do_not_go_together(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(**options)


def test_the_command_line_says_where_it_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, options = str(SAMPLES / "odd.png"), ["--field", "siren", "--steps", "4", "--gradient-accumulation", "2"]
    assert main(["encode", picture, "-o", str(tmp_path / "a.nif"), *options, "-v"]) == 0
    assert "  trained on " in capsys.readouterr().err
    kept = ["--checkpoint", str(tmp_path / "a.h5")]
    assert main(["encode", picture, "-o", str(tmp_path / "b.nif"), *options, *kept, "--json", "--quiet"]) == 0
    assert "2 micro-batches of" in json.loads(capsys.readouterr().out)["device"]
    assert main(["encode", picture, "-o", str(tmp_path / "c.nif"), *options, *kept]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["encode", picture, "-o", str(tmp_path / "c.nif"), *options, *kept, "--resume", "--quiet"]) == 0
    files = [(tmp_path / f"{name}.nif").read_bytes() for name in "abc"]
    assert files[0] == files[1] == files[2]
    assert main(["encode", picture, picture, "--out-dir", str(tmp_path), *options, *kept]) == 2
