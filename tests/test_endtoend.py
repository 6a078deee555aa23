"""Picture to file to picture, with real training: small pictures, small networks, few steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from conftest import SAMPLES

import nifcodec
from nifcodec import encoder
from nifcodec.errors import ConfigError, ImageError, InterruptedEncodeError
from nifcodec.fields.families import configure
from nifcodec.fields.mlp.encode import quality_bpp
from nifcodec.picture import metrics
from nifcodec.picture.image import Image
from nifcodec.picture.read import read_image

QUICK = {"field": "fourier", "steps": 60, "batch_size": 512}


def smooth(height: int, width: int, channels: int) -> np.ndarray:
    """A picture that a small network learns in a few steps; alpha, the last of 2 or 4, between 128 and 255."""
    v, u = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    planes = [0.5 + 0.4 * np.sin(3 * u + phase) * np.cos(2 * v - phase) for phase in range(channels)]
    pixels = np.rint(255 * np.stack(planes, axis=-1)).astype(np.uint8)
    if channels in (2, 4):
        pixels[..., -1] = 128 + pixels[..., -1] // 2
    return pixels


@pytest.mark.parametrize("field", ["fourier", "siren"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_kind_of_picture_is_learned(field: str, channels: int) -> None:
    pixels = smooth(29, 37, channels)
    own = {"dimension": 2} if field == "fourier" else {}
    config = configure(field=field, width=16, layers=2, steps=300, batch_size=512, **own)
    data = nifcodec.encode(pixels, config)
    decoded = nifcodec.decode(data)
    assert decoded.shape == pixels.shape
    assert metrics.psnr(pixels, decoded) > 25
    assert nifcodec.inspect(data).field == field


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 2)])
def test_smallest_pictures(size: "tuple[int, int]") -> None:
    pixels = smooth(*size, 3)
    data = nifcodec.encode(pixels, configure(**QUICK))  # type: ignore[arg-type]
    assert nifcodec.decode(data).shape == pixels.shape
    assert nifcodec.decode(data, size=(9, 9)).shape == (9, 9, 3)


@pytest.mark.parametrize("options", [{"encoding": "gaussian", "features": 8}, {"encoding": "none"}, {"dimension": 3}])
def test_settings_reach_the_file(options: Dict[str, Any]) -> None:
    data = nifcodec.encode(smooth(16, 16, 1), configure(width=8, layers=3, **options, **QUICK))  # type: ignore[arg-type]
    settings = nifcodec.inspect(data).settings
    assert settings["width"] == 8
    assert settings["layers"] == 3
    assert all(settings[name] == value for name, value in options.items())


def test_a_seed_makes_two_files_equal() -> None:
    pixels = smooth(20, 20, 3)
    first, second, other = (
        nifcodec.encode(pixels, configure(width=8, seed=seed, **QUICK))  # type: ignore[arg-type]
        for seed in (3, 3, 4)
    )
    assert first == second
    assert first != other


@pytest.mark.parametrize("target", [{"bpp": 3.0}, {"target_size": 2000}])
def test_size_is_met_from_below(target: Dict[str, Any]) -> None:
    pixels = read_image(SAMPLES / "odd.png").pixels[:40, :60]
    data = nifcodec.encode(pixels, configure(**target, **QUICK))  # type: ignore[arg-type]
    asked = target.get("target_size", 3.0 * 40 * 60 / 8)
    assert 0.96 * asked <= len(data) <= asked


def test_psnr_is_met_from_above_with_the_coarsest_steps() -> None:
    pixels = smooth(40, 40, 3)
    config = configure(field="siren", psnr=33, steps=300, batch_size=512)
    decoded = nifcodec.decode(nifcodec.encode(pixels, config))
    assert 33 <= metrics.psnr(pixels, decoded) < 34


def test_a_missed_target_is_said() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    with pytest.warns(UserWarning, match="dB were asked for"):
        nifcodec.encode(pixels, configure(psnr=60, width=4, layers=1, **QUICK))  # type: ignore[arg-type]


def test_a_target_below_the_metadata_is_refused() -> None:
    image = Image(smooth(8, 8, 3), exif=np.random.default_rng(0).bytes(3000))
    with pytest.raises(ConfigError, match="--strip"):
        nifcodec.encode(image, configure(target_size=1500, **QUICK))  # type: ignore[arg-type]


@pytest.mark.parametrize("field", [{"effort": 1}, QUICK])
@pytest.mark.parametrize("target", [{"target_size": 34}, {"bpp": 0.48}])
def test_a_size_that_no_file_has_is_refused(field: Dict[str, Any], target: Dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"34 bytes are asked .* smallest file found takes \d+: ask for more"):
        nifcodec.encode(smooth(24, 24, 3), configure(**target, **field))


def test_an_interrupt_gives_a_file_even_where_it_misses_its_size() -> None:
    with pytest.warns(UserWarning, match="34 bytes were asked for"):
        nifcodec.encode(smooth(24, 24, 3), configure(target_size=34, effort=1), interrupt=lambda: True)


def test_quality_orders_sizes() -> None:
    pixels = smooth(48, 48, 3)
    small, large = (
        nifcodec.encode(pixels, configure(quality=quality, dimension=2, **QUICK))  # type: ignore[arg-type]
        for quality in (50.0, 90.0)
    )
    assert 2 * len(small) < len(large)
    assert quality_bpp(0) < quality_bpp(50) < quality_bpp(100)


def test_the_report_is_of_the_bytes() -> None:
    pixels = smooth(21, 17, 4)
    encoded = encoder.encode_image(Image(pixels), configure(width=8, **QUICK))  # type: ignore[arg-type]
    report, decoded = encoded.report, nifcodec.decode(encoded.data)
    assert report.bytes == len(encoded.data) == sum(report.parts.values())
    assert report.bpp == 8 * report.bytes / (21 * 17)
    assert report.psnr_rgb == metrics.psnr(pixels, decoded)
    assert report.ms_ssim == metrics.ms_ssim(pixels, decoded)
    assert (report.width, report.height, report.steps, report.field) == (17, 21, 60, "fourier")


def test_metadata_goes_through() -> None:
    image = Image(smooth(8, 8, 3), icc=b"\0" * 200, exif=b"Exif\0\0II", xmp=b"<x/>")
    config = configure(width=4, **QUICK)  # type: ignore[arg-type]
    from nifcodec.decoder import decode_image

    kept = decode_image(nifcodec.encode(image, config))
    assert (kept.icc, kept.exif, kept.xmp) == (image.icc, image.exif, image.xmp)


def test_progress_counts_up_and_interrupt_finishes_early() -> None:
    seen: List[Any] = []
    config = configure(field="fourier", width=64, layers=4, steps=4000, batch_size=1024)
    encoded = encoder.encode_image(Image(smooth(64, 64, 3)), config, seen.append, lambda: len(seen) >= 1)
    assert 0 < encoded.report.steps < 4000
    assert nifcodec.decode(encoded.data).shape == (64, 64, 3)
    assert seen[0].step > 0
    assert seen[0].steps == 4000


def test_an_interrupt_before_the_first_step_writes_nothing() -> None:
    with pytest.raises(InterruptedEncodeError):
        nifcodec.encode(smooth(8, 8, 3), configure(**QUICK), interrupt=lambda: True)  # type: ignore[arg-type]


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((3, 4, 4, 4), np.uint8)])
def test_arrays_that_are_no_picture(array: np.ndarray) -> None:
    with pytest.raises(ImageError):
        nifcodec.encode(array)


def test_without_tensorflow_encode_says_what_to_install_and_decode_works(tmp_path: Path) -> None:
    from conftest import nif_bytes

    (tmp_path / "field.nif").write_bytes(nif_bytes(9, 7))
    program = "import sys; sys.modules['tensorflow'] = None; from nifcodec.cli.main import main; sys.exit(main())"

    def run(*argv: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, check=False)

    assert run("encode", str(SAMPLES / "odd.png"), "-o", str(tmp_path / "closed.nif")).returncode == 0
    assert run("decode", str(tmp_path / "closed.nif")).returncode == 0
    encoded = run("encode", str(SAMPLES / "odd.png"), "-o", str(tmp_path / "odd.nif"), "--field", "fourier")
    assert encoded.returncode == 1
    assert encoded.stderr.count("\n") == 1
    assert "pip install" in encoded.stderr
    assert run("decode", str(tmp_path / "field.nif")).returncode == 0
    assert run("verify", str(tmp_path / "field.nif")).returncode == 0
    assert read_image(tmp_path / "field.png").width == 9
