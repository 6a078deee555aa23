"""The golden files through the reader that was written from FORMAT.md alone: the same integers, the same pictures."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict

import numpy as np
import pytest
import second_reader
from make_golden import digest, digests
from second_reader import Picture, Refused
from test_exactness import EXPECTED, assert_same_picture, golden

import nifcodec
from nifcodec import container, decoder
from nifcodec.errors import CorruptFileError
from nifcodec.fields.wavelet.coding.companding import FIRST_MAGNITUDE


@lru_cache(maxsize=None)
def second(name: str) -> Picture:
    return second_reader.read(golden(name))


def digests_of(picture: Picture) -> Dict[str, str]:
    """As in `digests.json`."""
    found = {"integers": digest(picture.integers, "<i4")}
    return {**found, "plane": digest(picture.planes, "<i8")} if picture.planes else found


def test_it_knows_nothing_of_this_codec() -> None:
    source = Path(second_reader.__file__).read_text(encoding="utf-8")
    imports = [line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert not {"nifcodec", "constriction"} & {name.split(".")[0] for name in imports}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_reads_the_same_integers(name: str) -> None:
    assert digests_of(second(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_reads_the_same_picture(name: str) -> None:
    assert_same_picture(second(name).samples, name)


def test_it_reads_the_same_metadata() -> None:
    image = decoder.decode_image(golden("metadata"))
    assert second("metadata").metadata == {"c": image.icc, "e": image.exif, "x": image.xmp}


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


def test_the_formula_of_the_companding_gives_its_table() -> None:
    assert tuple(second_reader.COMPAND) == FIRST_MAGNITUDE


HEADER = 10  # where the chunks begin


def with_chunk(kind: bytes, minor: int = 0) -> bytes:
    """The golden file `grey` with a chunk of two bytes after its header."""
    data = golden("grey")
    end = HEADER + 2 + data[HEADER + 1] + 4
    chunk = kind + b"\x02ab"
    return data[:9] + bytes([minor]) + data[10:end] + chunk + zlib.crc32(chunk).to_bytes(4, "little") + data[end:]


def with_header(offset: int, value: int) -> bytes:
    """The same file with a byte of its header's data changed; width and height take a byte each."""
    data = bytearray(golden("grey"))
    end = HEADER + 2 + data[HEADER + 1]
    data[HEADER + 2 + offset] = value
    data[end : end + 4] = zlib.crc32(data[HEADER:end]).to_bytes(4, "little")
    return bytes(data)


def test_both_read_a_newer_minor_version() -> None:
    data = with_chunk(b"q", minor=1)
    np.testing.assert_array_equal(nifcodec.decode(data), nifcodec.decode(golden("grey")))
    np.testing.assert_array_equal(second_reader.read(data).samples, second("grey").samples)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: golden("grey")[:8] + b"\2" + golden("grey")[9:], "version"),
        (lambda: with_chunk(b"Q"), "newer|update"),
        (lambda: with_header(2, 0x31), "newer|update"),
        (lambda: with_header(3, 4), "newer|update"),
        (lambda: with_header(7, 255 - golden("grey")[HEADER + 9]), "prior"),
    ],
    ids=["major version", "critical chunk", "depth code", "family", "prior"],
)
def test_both_refuse_what_is_of_a_newer_version(make: Callable[[], bytes], message: str) -> None:
    with pytest.raises(CorruptFileError, match=message):
        nifcodec.decode(make())
    with pytest.raises(Refused):
        second_reader.read(make())
