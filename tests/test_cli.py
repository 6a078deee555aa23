"""The command line: usage, `info`, `verify`, streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PIXELS, nif_bytes, rows

import nifcodec
from nifcodec import errors
from nifcodec.cli.main import main
from nifcodec.cli.values import whole
from nifcodec.picture.image import from_array
from nifcodec.picture.read import read_image
from nifcodec.picture.write import write_image


def usage_error(*argv: str) -> bool:
    with pytest.raises(SystemExit) as left:
        main(argv)
    return left.value.code == 2


CODES = {
    "NifError": 1,
    "ImageError": 1,
    "MissingDependencyError": 1,
    "OutputError": 1,
    "TimeLimitError": 1,
    "TrainingError": 1,
    "ConfigError": 2,
    "DeviceError": 1,
    "WorkerLostError": 1,
    "ChecksumError": 3,
    "CorruptFileError": 3,
    "LimitError": 3,
    "MalformedError": 3,
    "NotANifError": 3,
    "TruncatedError": 3,
    "UnknownPriorError": 3,
    "UnsupportedVersionError": 3,
    "OutputExistsError": 4,
    "TargetMissedError": 5,
    "InterruptedEncodeError": 130,
}


def test_every_error_has_a_code_that_the_documentation_lists() -> None:
    found = {name: kind.exit_code for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert found == CODES
    page = (Path(__file__).resolve().parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
    table = page.split("| exit code | meaning |")[1].split("\n\n")[0]
    listed = [int(line.split("|")[1]) for line in table.splitlines()[2:]]
    assert listed == sorted({0, *CODES.values()})


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("encode",),
        ("encode", "a.png", "-q", "50", "--bpp", "1"),
        ("encode", "a.png", "--psnr", "x"),
        ("encode", "a.png", "--field", "jpeg"),
        ("encode", "a.png", "-o", "x", "--out-dir", "y"),
        ("decode", "a.nif", "--scale", "2", "--size", "3x3"),
        ("decode", "a.nif", "--fit", "3x3", "--size", "3x3"),
        ("decode", "a.nif", "--size", "3"),
        ("decode", "a.nif", "--crop", "1,2,3"),
        ("decode", "a.nif", "-q", "101"),
        ("decode", "a.nif", "-q", "abc"),
        ("decode", "a.nif", "--max-pixels", "2q"),
        ("encode", "a.png", "--nonsense"),
        ("batch", "a.png", "--nonsense"),
        ("encode", "a.png", "--target-size", "infk"),
        ("encode", "a.png", "-e", "1.5"),
        ("decode", "a.nif", "--background", "white", "--opaque"),
        ("nonsense",),
    ],
)
def test_usage(argv: "tuple[str, ...]", capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_error(*argv)
    message, hint = capsys.readouterr().err.splitlines()
    program = "nifcodec" if argv[:1] in ((), ("nonsense",)) else f"nifcodec {argv[0]}"
    assert message.startswith(f"{program}: error: ")
    assert "invalid _" not in message
    assert hint == f"usage: {program} --help lists what can be given"


def test_a_value_outside_of_its_range_has_the_same_hint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "-q", "101"]) == 2
    message, hint = capsys.readouterr().err.splitlines()
    assert "quality is 101.0, outside of 0 to 100" in message
    assert hint == "usage: nifcodec encode --help lists what can be given"


@pytest.mark.parametrize(
    ("text", "number"), [("215", 215), ("0.2k", 200), ("1.5M", 1_500_000), ("4.7g", 4_700_000_000), ("1T", 10**12)]
)
def test_whole_numbers_may_be_short(text: str, number: int) -> None:
    assert whole(text) == number


def test_limits_and_targets_may_be_short(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "a.png", "--max-pixels", "0.2k"]) == 1
    assert "the limit is 200 together" in capsys.readouterr().err
    assert main(["encode", "a.png", "-e", "1", "--target-size", "0.4k"]) == 0
    assert 200 < Path("a.nif").stat().st_size <= 400
    assert main(["decode", "field.nif", "--max-pixels", "0.2k"]) == 3


@pytest.mark.parametrize(
    "argv",
    [
        ("encode", "a.png", "-q", "101"),
        ("encode", "a.png", "--bpp", "0"),
        ("encode", "a.png", "--target-size", "0"),
        ("encode", "a.png", "-e", "10"),
        ("encode", "a.png", "--seed", "-1"),
        ("decode", "field.nif", "--scale", "0"),
        ("decode", "field.nif", "--scale", "nan"),
        ("decode", "field.nif", "--crop", "0,0,19,2"),
        ("decode", "field.nif", "--size", "0x0"),
        ("decode", "field.nif", "--fit", "9x0"),
        ("decode", "-", "-"),
        ("decode", "-", "--out-dir", "x"),
    ],
)
def test_values_outside_of_their_range(folder: Path, argv: "tuple[str, ...]") -> None:
    assert main(argv) == 2
    assert sorted(os.listdir(folder)) == ["a.png", "field.nif"] or argv[-1] == "x"


def test_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("grey.nif").write_bytes(nif_bytes(7, 5, channels=1, family="siren"))
    assert main(["info", "field.nif", "grey.nif", "--json"]) == 0
    first, second = rows(capsys.readouterr().out)
    assert (first["field"], second["field"]) == ("fourier", "siren")
    assert (second["width"], second["height"], second["channels"]) == (7, 5, 1)
    assert first["bytes"] == Path("field.nif").stat().st_size == sum(first["parts"].values())
    assert first["bpp"] == 8 * first["bytes"] / (18 * 12)
    assert first["macs_per_pixel"] > 0
    assert main(["info", "field.nif"]) == 0
    assert "multiply-adds a pixel" in capsys.readouterr().out


def test_verify_measures_against_the_original(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "field.nif", "-o", "same.png", "--quiet"]) == 0
    assert main(["verify", "field.nif", "--against", "same.png", "--json"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert row["psnr_rgb"] is None
    assert row["identical"] is True
    assert row["ms_ssim"] == pytest.approx(1)
    assert main(["verify", "field.nif", "--against", "a.png", "--json"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert row["identical"] is False
    assert 3 < row["psnr_rgb"] < 20
    assert all(3 < row[name] < 20 for name in ("psnr_luma", "psnr_l", "psnr_ab"))
    assert set(row["parts"]) == {"header", "weights", "metadata"}
    assert main(["verify", "field.nif", "--against", "a.png"]) == 0
    assert f"AB PSNR {row['psnr_ab']:.2f} dB" in capsys.readouterr().out
    assert main(["verify", "field.nif"]) == 0
    assert "intact" in capsys.readouterr().out


def test_verify_against_another_size(folder: Path) -> None:
    write_image(from_array(PIXELS[:5]), "small.png")
    assert main(["verify", "field.nif", "--against", "small.png"]) == 1


def test_verify_against_another_kind_of_samples(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("OpenEXR")
    write_image(from_array(PIXELS.astype(np.float32)), "light.exr")
    assert main(["verify", "field.nif", "--against", "light.exr"]) == 1
    assert "a picture of linear light cannot be compared with one of uint8" in capsys.readouterr().err


def test_streams(folder: Path) -> None:
    """A pipe: decode from standard input to standard output."""
    run = [sys.executable, "-m", "nifcodec"]
    data = Path("field.nif").read_bytes()
    here = {**os.environ, "PYTHONPATH": str(Path(nifcodec.__file__).parents[1])}
    result = subprocess.run([*run, "decode", "-"], input=data, stdout=subprocess.PIPE, check=True, env=here)
    assert np.array_equal(read_image(result.stdout).pixels, nifcodec.decode(data))
    info = subprocess.run([*run, "info", "-", "--json"], input=data, stdout=subprocess.PIPE, check=True, env=here)
    assert json.loads(info.stdout)["width"] == 18
