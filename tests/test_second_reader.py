"""The golden files through the reader that was written from FORMAT.md alone: the same integers, the same pictures."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import format_example
import numpy as np
import pytest
import second_reader
from make_golden import digest, digests
from second_reader import MissingPrior, NewerVersion, Picture, Refused
from second_reader.container import read_head, read_header
from second_reader.conventions import Bytes, varint
from second_reader.lattice import Coding, read_lattice
from second_reader.wavelet import Layout
from test_wavelet_exactness import EXPECTED, WAVELETS, assert_same_picture, golden

import nifcodec
from nifcodec import container, decoder
from nifcodec.errors import CorruptFileError
from nifcodec.fields.wavelet.coding.companding import FIRST_MAGNITUDE

TILED = [name for name in WAVELETS if name.startswith("tiles")]


@lru_cache(maxsize=None)
def second(name: str) -> Picture:
    return second_reader.read(golden(name))


def digests_of(picture: Picture) -> Dict[str, str]:
    """As in `digests.json`."""
    found = {"integers": digest(picture.integers, "<i4")}
    return {**found, "plane": digest(picture.planes, "<i8")} if picture.planes else found


def test_it_knows_nothing_of_this_codec() -> None:
    sources = sorted(Path(second_reader.__file__).parent.glob("*.py"))
    assert len(sources) > 5
    lines = [line for path in sources for line in path.read_text(encoding="utf-8").splitlines()]
    imports = [line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))]
    assert not {"nifcodec", "constriction"} & set(imports)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_reads_the_same_integers(name: str) -> None:
    assert digests_of(second(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_reads_the_same_picture(name: str) -> None:
    assert_same_picture(second(name).samples, name)


def test_it_reads_the_same_metadata() -> None:
    image = decoder.decode_image(golden("metadata"))
    assert second("metadata").metadata == {"c": image.icc, "e": image.exif, "x": image.xmp}


def test_the_example_of_the_page_is_what_it_reads() -> None:
    assert format_example.example() in format_example.PAGE.read_text(encoding="utf-8")


# Damage


@pytest.mark.parametrize(
    "name", ["fourier-8-rgba", "siren-16-rgb", "wavelet-8-rgb", "wavelet-32-grey-alpha", "tiles", "dependent"]
)
def test_what_it_reads_of_a_damaged_file_is_read_alike(name: str) -> None:
    file = container.unpack(golden(name))
    rng = random.Random(name)
    refused = 0
    for _ in range(12):
        payload = bytearray(file.payload)
        payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        data = container.pack(replace(file, payload=bytes(payload)))
        try:
            picture = second_reader.read(data)
        except Refused:
            refused += 1
            with pytest.raises(CorruptFileError):
                nifcodec.decode(data)
        else:
            assert digests(data) == digests_of(picture)
    assert refused > 0


@pytest.mark.parametrize("name", ["metadata", "siren-8-grey", "wavelet-pixel"])
def test_both_refuse_a_file_that_is_cut_or_goes_on(name: str) -> None:
    data = golden(name)
    for bad in (*(data[:end] for end in range(len(data))), data + b"\0"):
        with pytest.raises(Refused):
            second_reader.read(bad)
        with pytest.raises(CorruptFileError):
            nifcodec.decode(bad)


HEADER = 10  # where the chunks begin
FIELDS = 4  # where the description of `grey` begins in its header


def with_chunk(kind: bytes, minor: int = 0) -> bytes:
    """The golden file `grey` with a chunk of two bytes after its header."""
    data = golden("grey")
    end = HEADER + 2 + data[HEADER + 1] + 4
    chunk = kind + b"\x02ab"
    return data[:9] + bytes([minor]) + data[10:end] + chunk + zlib.crc32(chunk).to_bytes(4, "little") + data[end:]


def with_header(change: Callable[[bytearray], None]) -> bytes:
    """The same file with another header."""
    data = golden("grey")
    end = HEADER + 2 + data[HEADER + 1]
    header = bytearray(data[HEADER + 2 : end])
    change(header)
    chunk = b"H" + varint(len(header)) + bytes(header)
    return data[:HEADER] + chunk + zlib.crc32(chunk).to_bytes(4, "little") + data[end + 4 :]


def set_byte(offset: int, value: int) -> bytes:
    return with_header(lambda header: header.__setitem__(offset, value))


def longer_description(header: bytearray) -> None:
    header[FIELDS] += 1
    header.append(0)


@pytest.mark.parametrize(
    "make",
    [lambda: with_chunk(b"q", minor=1), lambda: with_header(lambda header: header.extend(b"later"))],
    ids=["ancillary chunk", "bytes after the description"],
)
def test_both_read_a_newer_minor_version(make: Callable[[], bytes]) -> None:
    np.testing.assert_array_equal(nifcodec.decode(make()), nifcodec.decode(golden("grey")))
    np.testing.assert_array_equal(second_reader.read(make()).samples, second("grey").samples)


@pytest.mark.parametrize(
    ("make", "message", "refusal"),
    [
        (lambda: golden("grey")[:8] + b"\2" + golden("grey")[9:], "version", NewerVersion),
        (lambda: with_chunk(b"Q"), "newer|update", NewerVersion),
        (lambda: set_byte(2, 0x31), "newer|update", NewerVersion),
        (lambda: set_byte(3, 4), "newer|update", NewerVersion),
        (lambda: with_header(longer_description), "newer|update", NewerVersion),
        (lambda: set_byte(FIELDS + 4, 255 - golden("grey")[HEADER + 2 + FIELDS + 4]), "prior", MissingPrior),
    ],
    ids=["major version", "critical chunk", "depth code", "family", "description", "prior"],
)
def test_both_refuse_what_is_of_a_newer_version(make: Callable[[], bytes], message: str, refusal: type) -> None:
    with pytest.raises(CorruptFileError, match=message):
        nifcodec.decode(make())
    with pytest.raises(refusal):
        second_reader.read(make())
