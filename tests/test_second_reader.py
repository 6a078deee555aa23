"""The golden files through the reader that was written from FORMAT.md alone: the same integers, the same pictures."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict

import format_example
import numpy as np
import pytest
import second_reader
from make_golden import digest, digests
from second_reader import COMPANDING, MissingPrior, NewerVersion, Picture, Refused
from second_reader.conventions import Bytes, varint
from test_wavelet_exactness import EXPECTED, assert_same_picture, golden

import nifcodec
from nifcodec import container, decoder
from nifcodec.container import NifFile
from nifcodec.errors import CorruptFileError
from nifcodec.fields.wavelet.coding.companding import FIRST_MAGNITUDE


@lru_cache(maxsize=None)
def second(name: str) -> Picture:
    return second_reader.read(golden(name))


def digests_of(picture: Picture) -> Dict[str, str]:
    """As in `digests.json`."""
    found = {"integers": digest(picture.integers, "<i4")}
    if picture.planes:
        found["plane"] = digest(picture.planes, "<i8")
    if picture.alpha is not None:
        found["alpha"] = digest([picture.alpha], "<i4")
    return found


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


def test_it_compands_alike() -> None:
    assert tuple(COMPANDING) == FIRST_MAGNITUDE


def test_it_reads_the_same_metadata() -> None:
    image = decoder.decode_image(golden("metadata"))
    assert second("metadata").metadata == {"c": image.icc, "e": image.exif, "x": image.xmp}


def test_the_example_of_the_page_is_what_it_reads() -> None:
    assert format_example.example() in format_example.PAGE.read_text(encoding="utf-8")


# Damage


def both(file: NifFile) -> bool:
    """True where both readers read it, to the same integers; False where both refuse it."""
    data = container.pack(file)
    try:
        nifcodec.decode(data)
        ours = digests(data)
    except CorruptFileError:
        with pytest.raises(Refused):
            second_reader.read(data)
        return False
    assert digests_of(second_reader.read(data)) == ours
    return True


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


SMALL = ["fourier-8-rgba", "siren-16-rgb", "siren-32-grey", "wavelet-8-rgb", "wavelet-32-grey-alpha", "row", "column"]
SMALL += ["tiles-row", "tiles-dependent", "example", "dependent-fine", "wavelet-pixel"]
SMALL += ["fine", "fine-tiles"]
SMALL += ["pyramid-8-rgb", "pyramid-32-grey-alpha", "pyramid-extremes", "pyramid-pixel", "pyramid-tiles-row"]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", SMALL)
def test_a_damaged_file_is_read_alike_or_refused_by_both(name: str) -> None:
    """Under right checksums of the chunks."""
    file = container.unpack(golden(name))
    rng = random.Random(name)
    for _ in range(8):
        both(replace(file, payload=flipped(file.payload, rng)))
    for _ in range(6):
        both(replace(file, description=flipped(file.description, rng)))
    for _ in range(4 if file.index else 0):
        both(replace(file, index=flipped(file.index, rng)))
    # A stream without checks that is cut is another one, perhaps.
    both(replace(file, payload=file.payload[: rng.randrange(len(file.payload))]))
    both(replace(file, payload=file.payload + b"\1"))
    assert not both(replace(file, payload=file.payload + b"\0"))
    assert not both(replace(file, payload=b""))


@pytest.mark.parametrize("name", ["exact-edges", "exact-one-colour", "exact-noise"])
def test_a_damaged_alpha_map_is_read_alike_or_refused_by_both(name: str) -> None:
    file = container.unpack(golden(name))
    rng = random.Random(name)
    for _ in range(6):
        both(replace(file, alpha_map=flipped(file.alpha_map, rng)))
    both(replace(file, alpha_map=file.alpha_map[: rng.randrange(1, len(file.alpha_map))]))
    assert not both(replace(file, alpha_map=file.alpha_map + b"\0"))
    assert both(replace(file, alpha_map=b""))


@pytest.mark.parametrize("name", [name for name in sorted(EXPECTED) if name.startswith("exact")])
def test_a_changed_header_is_read_alike_or_refused_by_both(name: str) -> None:
    """The byte of channels and depth, the family, and the bytes behind them."""
    data = golden(name)
    length = data[11]
    for place in range(14 if data[13] < 128 else 15, min(12 + length, 36)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            changed[12 + length : 16 + length] = zlib.crc32(changed[10 : 12 + length]).to_bytes(4, "little")
            try:
                ours = nifcodec.decode(bytes(changed))
            except CorruptFileError:
                with pytest.raises(Refused):
                    second_reader.read(bytes(changed))
                continue
            theirs = second_reader.read(bytes(changed)).samples
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            assert np.allclose(ours.astype(float), theirs, rtol=1e-4, atol=1.0)


def bands_start(payload: bytes) -> int:
    """Where the bands payload begins in a lattice payload of one or two bytes of length."""
    length = Bytes(payload)
    return length.varint() + length.position


@pytest.mark.parametrize("name", ["grey", "example", "wavelet-8-rgb", "dependent-fine"])
def test_both_refuse_bits_after_the_flags(name: str) -> None:
    file, picture = container.unpack(golden(name)), second(name)
    assert picture.wavelet is not None
    part = picture.wavelet.parts[0]
    size, start = -(-len(part.flags) // 8), bands_start(file.payload)
    padding = 8 * size - len(part.flags)
    assert padding > 0
    for bit in range(padding):
        payload = bytearray(file.payload)
        payload[start + size - 1] |= 1 << bit
        assert not both(replace(file, payload=bytes(payload)))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", ["grey", "example", "wavelet-8-rgb"])
def test_both_refuse_a_wrong_check_of_a_level(name: str) -> None:
    file, picture = container.unpack(golden(name)), second(name)
    assert picture.wavelet is not None
    part = picture.wavelet.parts[0]
    start = bands_start(file.payload) + -(-len(part.flags) // 8)
    for offset in range(1 + len(part.checks)):
        payload = bytearray(file.payload)
        payload[start + offset] ^= 1
        assert not both(replace(file, payload=bytes(payload)))


def test_both_refuse_sizes_of_parts_that_are_not_theirs() -> None:
    file = container.unpack(golden("tiles-row"))
    for index in (file.index, b""):
        for offset in range(6):
            payload = bytearray(file.payload)
            payload[offset] += 1
            assert not both(replace(file, payload=bytes(payload), index=index))
            payload[offset] -= 2
            payload[(offset + 1) % 6] += 1
            assert not both(replace(file, payload=bytes(payload), index=index))


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
        (lambda: set_byte(3, 5), "newer|update", NewerVersion),
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
