"""The codecs that are measured: names, settings, refusals, what they call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

import nifcodec
from benchmarks.__main__ import main
from benchmarks.codecs import NifCodec, parse_codecs
from nifcodec import EncodeConfig, SirenOptions
from nifcodec.errors import ConfigError, MissingDependencyError


def test_names_settings_and_options_of_codecs() -> None:
    jpeg, webp, siren = parse_codecs("jpeg:444@10/20.5, webp, nif:siren:e3:width=32:omega=20.0@bpp=0.1/2")
    assert (jpeg.name, jpeg.settings) == ("jpeg:444", ("10", "20.5"))
    assert len(webp.settings) == 8
    assert isinstance(siren, NifCodec)
    assert siren.config == EncodeConfig(field="siren", effort=3, options=SirenOptions(width=32, omega=20.0))
    assert siren.settings == ("bpp=0.1", "bpp=2")
    assert parse_codecs("none") == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("png", "png"),
        ("jpeg:411", "411"),
        ("jpeg@high", "high"),
        ("jpeg@psnr=30", "psnr"),
        ("jpeg,jpeg@5", "jpeg"),
        ("nif:cubes", "cubes"),
        ("nif:siren:best", "best"),
        ("nif:siren@effort=3", "effort"),
        ("nif:siren@200", "200"),
        ("nif:siren:width=many", "many"),
    ],
)
def test_what_cannot_be_measured_is_named(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_codecs(text)


def test_a_format_that_pillow_lacks_is_a_missing_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.codecs.features.check", lambda feature: False)
    with pytest.raises(MissingDependencyError, match="avif"):
        parse_codecs("avif")


def test_the_default_codecs_are_those_that_are_there(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.codecs.features.check", lambda feature: feature == "jpg")
    monkeypatch.setitem(vars(nifcodec), "encode", lambda *_, **__: b"file")
    monkeypatch.setitem(vars(nifcodec), "decode", lambda data: np.zeros((48, 64, 3), np.uint8))
    assert main(["cost", str(picture), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert [name in printed.out for name in ("nif:fourier", "nif:siren", "jpeg", "webp")] == [True, True, True, False]
    assert all(f"{name} left out" in printed.err for name in ("webp", "avif", "jpeg2000"))


def test_nif_codecs_use_the_public_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: List[Any] = []

    def encode(pixels: np.ndarray, config: Any, progress: Any = None) -> bytes:
        calls.append((pixels.shape, config))
        return b"file"

    monkeypatch.setitem(vars(nifcodec), "encode", encode)
    monkeypatch.setitem(vars(nifcodec), "decode", lambda data: data[::-1])
    (codec,) = parse_codecs("nif:fourier:e2@bpp=0.25", seed=7)
    codec.warm_up()
    assert codec.encode(np.zeros((4, 6, 3), np.uint8), codec.settings[0]) == b"file"
    assert codec.decode(b"file") == b"elif"
    assert calls[0][1].steps == 1
    shape, config = calls[1]
    assert shape == (4, 6, 3)
    assert (config.field, config.effort, config.bpp, config.quality, config.seed) == ("fourier", 2, 0.25, None, 7)
