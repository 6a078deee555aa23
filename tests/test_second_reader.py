"""The golden files through the reader that was written from FORMAT.md alone: the same integers, the same pictures."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import second_reader
from make_golden import digest
from second_reader import Picture, Refused
from test_exactness import EXPECTED, assert_same_picture, golden

import nifcodec
from nifcodec import container, decoder
from nifcodec.errors import CorruptFileError


@lru_cache(maxsize=None)
def second(name: str) -> Picture:
    return second_reader.read(golden(name))


def test_it_knows_nothing_of_this_codec() -> None:
    source = Path(second_reader.__file__).read_text(encoding="utf-8")
    imports = [line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert not {"nifcodec", "constriction"} & {name.split(".")[0] for name in imports}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_reads_the_same_integers(name: str) -> None:
    picture = second(name)
    found = {"integers": digest(picture.integers, "<i4")}
    if picture.planes:
        found["plane"] = digest(picture.planes, "<i8")
    assert found == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_reads_the_same_picture(name: str) -> None:
    assert_same_picture(second(name).samples, name)


def test_it_reads_the_same_metadata() -> None:
    image = decoder.decode_image(golden("metadata"))
    assert second("metadata").metadata == {"c": image.icc, "e": image.exif, "x": image.xmp}


@pytest.mark.parametrize("name", ["fourier-8-rgba", "siren-16-rgb", "wavelet-8-rgb", "wavelet-32-grey-alpha", "tiles"])
def test_what_it_reads_of_a_damaged_file_is_read_alike(name: str) -> None:
    file = container.unpack(golden(name))
    rng = random.Random(name)
    refused = 0
    for _ in range(12):
        payload = bytearray(file.payload)
        payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        data = container.pack(replace(file, payload=bytes(payload)))
        try:
            samples = second_reader.read(data).samples
        except Refused:
            refused += 1
            continue
        difference = nifcodec.decode(data).astype(np.float64) - samples
        assert np.abs(difference).max() <= (1.0 if samples.dtype.kind == "u" else np.abs(samples).max() / 65535)
    assert refused > 0


@pytest.mark.parametrize("name", ["metadata", "siren-8-grey", "wavelet-pixel"])
def test_both_refuse_a_file_that_is_cut_or_goes_on(name: str) -> None:
    data = golden(name)
    for bad in (*(data[:end] for end in range(len(data))), data + b"\0"):
        with pytest.raises(Refused):
            second_reader.read(bad)
        with pytest.raises(CorruptFileError):
            nifcodec.decode(bad)
