"""The native library's C code on other machines and under sanitizers: the integers of NumPy, and no finding.

`native_fuzz.c` decodes parts of golden files, damaged ones and those of the fuzzing's corpus; of what decodes, it codes
integers again, searches around them and filters them. Each test says what it needs where that is not there.
"""

from __future__ import annotations

import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import numpy as np
import pytest
from native_variants import NUMPY, SOURCES
from native_vectors import LatentPart, Part, corpus_parts, fits, golden_parts, latent_parts, model_bytes, part_bytes

from nifcodec.errors import CorruptFileError, MalformedError, TruncatedError
from nifcodec.fields.pyramid.bitstream import encode_part
from nifcodec.fields.wavelet.coding import bitstream
from nifcodec.fields.wavelet.coding.bitstream import Setting
from nifcodec.fields.wavelet.coding.wavefront import Conditions

HERE = Path(__file__).parent
FLAGS = ["-std=gnu99", "-ffp-contract=off", "-DNIF_STANDALONE"]
SANITIZED = ["-g", "-O1", "-DNIF_NO_AVX2", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# Name: compiler and its flags, and what the program runs under.
MACHINES: Dict[str, Tuple[List[str], List[str]]] = {
    "here": (["cc", "-O2"], []),
    "sanitizers": (["clang", *SANITIZED], []),
    "arm64": (["aarch64-linux-gnu-gcc", "-O2", "-static"], ["qemu-aarch64"]),
    "big-endian": (["s390x-linux-gnu-gcc", "-O2", "-static"], ["qemu-s390x"]),
}
ERRORS = {MalformedError: ("1", "3"), TruncatedError: ("2",)}


def parts() -> Iterator[Tuple[Part, int]]:
    """Parts of files, and the level to end with."""
    random = np.random.default_rng(17)
    for part in filter(fits, golden_parts()):
        yield part, 0
        yield part, part.lattice.levels // 2
        damaged = bytearray(part.stream[: int(random.integers(0, len(part.stream) + 1))])
        if damaged:
            damaged[int(random.integers(0, len(damaged)))] ^= 1 << int(random.integers(0, 8))
        yield part._replace(stream=bytes(damaged)), 0
    for part in corpus_parts():
        yield part, 0


def by_numpy(part: Part, finest: int) -> "Tuple[Tuple[str, ...], str]":
    """The errors that a machine may print for a part, and the checksums of its integers and planes."""
    setting = Setting(part.lattice, Conditions(NUMPY, part.step_feature, part.dependent), part.low, part.coarser)
    try:
        scanned = bitstream._decode(setting, part.stream, part.flags, finest)
    except CorruptFileError as error:
        return ERRORS[type(error)], "00000000 00000000"
    bands = [level[band] for level in scanned.levels for band in part.lattice.bands if band in level]
    digest = zlib.crc32(b"".join(values.astype("<i4").tobytes() for values in bands))
    return ("0",), f"{digest:08x} {zlib.crc32(scanned.plane.astype('<i8').tobytes()):08x}"


def latents_by_numpy(part: LatentPart) -> "Tuple[Tuple[str, ...], str]":
    """The same of latents: the checksums of their integers, and of their stream's bytes as integers."""
    try:
        found = part.decode()
    except CorruptFileError as error:
        return ERRORS[type(error)], "00000000 00000000"
    digest = zlib.crc32(b"".join(values.astype("<i4").tobytes() for values in found.values()))
    stream = np.frombuffer(encode_part(part.network, found, {}).data, np.uint8)
    return ("0",), f"{digest:08x} {zlib.crc32(stream.astype('<i4').tobytes()):08x}"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, the inputs, and what comes of them."""
    folder = tmp_path_factory.mktemp("native")
    (folder / "model").write_bytes(model_bytes(NUMPY))
    for number, (part, finest) in enumerate(parts()):
        (folder / f"{number:03}.part").write_bytes(part_bytes(part, finest, 16 << number % 3))
    for number, latents in enumerate(latent_parts()):
        (folder / f"latents-{number:03}.part").write_bytes(latents.pack())
    return folder


@pytest.fixture(scope="module")
def expected() -> "List[Tuple[Tuple[str, ...], str]]":
    return [by_numpy(part, finest) for part, finest in parts()] + [latents_by_numpy(part) for part in latent_parts()]


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_it_decodes_to_the_integers_of_numpy(
    machine: str, inputs: Path, expected: "List[Tuple[Tuple[str, ...], str]]", tmp_path: Path
) -> None:
    compiler, emulator = MACHINES[machine]
    for program in (compiler[0], *emulator):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    built = str(tmp_path / "native_fuzz")
    subprocess.run([*compiler, *FLAGS, str(HERE / "native_fuzz.c"), *SOURCES, "-o", built], check=True)
    command = [*emulator, built, str(inputs / "model"), *map(str, sorted(inputs.glob("*.part")))]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    found = done.stdout.decode().splitlines()
    assert len(found) == len(expected)
    for line, (errors, checksums) in zip(found, expected):
        error, rest = line.split(" ", 1)
        assert error in errors
        assert rest == checksums
