"""The description of a wavelet field, and the index of its payload: what is read, and what is refused."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Callable, List, Tuple

import numpy as np
import pytest
import second_reader
from make_golden import FOLDER

import nifcodec
from nifcodec import container
from nifcodec.container import NifFile
from nifcodec.entropy.varint import write_varint
from nifcodec.errors import (
    ChecksumError,
    CorruptFileError,
    LimitError,
    MalformedError,
    TruncatedError,
    UnknownPriorError,
    UnsupportedVersionError,
)
from nifcodec.fields.detail.reference import DetailReference
from nifcodec.fields.lattice_options import LARGEST_WHOLE
from nifcodec.fields.parts import CodedPart, check_index, pack_index, pack_parts
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.description import WaveletDescription, unpack_description

PLAIN = WaveletDescription(-3, b"identity", ((1, -2, 127), (0, -127, 5)), 7, dependent=True)
DATA = bytes.fromhex("12" + "fdff" + "87") + b"identity" + bytes([3, 1, 254, 127, 0, 129, 5])


def golden(name: str) -> NifFile:
    return container.unpack((FOLDER / f"{name}.nif").read_bytes())


# Description


def test_golden_bytes() -> None:
    assert PLAIN.pack() == DATA
    assert unpack_description(DATA) == PLAIN


@pytest.mark.parametrize(
    "spec",
    [
        WaveletDescription(-256, bytes(8)),
        WaveletDescription(768, b"\xff" * 8, tile_exponent=11),
        WaveletDescription(0, b"12345678", ((-128,), (-128,))),
        WaveletDescription(5, b"12345678", (tuple(range(100)), tuple(range(100))), 9, True),
        WaveletDescription(5, b"12345678", ((1,), (2,)), detail=DetailReference(b"1234", -128)),
    ],
)
def test_round_trip(spec: WaveletDescription) -> None:
    assert unpack_description(spec.pack()) == spec
    later = b"four" if spec.detail is None else b"for later versions"
    assert unpack_description(spec.pack() + later) == spec


REFUSED = {
    "empty": (b"", TruncatedError),
    "length cut": (b"\x80", TruncatedError),
    "length not minimal": (b"\x92\0" + DATA[1:], MalformedError),
    "cut": (DATA[:-1], MalformedError),
    "shorter than the least": (b"\x0b" + DATA[1:], MalformedError),
    "shorter than its corrections": (b"\x11" + DATA[1:], MalformedError),
    "longer": (b"\x13" + DATA[1:] + b"\0", UnsupportedVersionError),
    "much longer": (write_varint(300) + DATA[1:] + bytes(300 - 18), UnsupportedVersionError),
    "longer and cut": (b"\x13" + DATA[1:], MalformedError),
    "step too fine": (DATA[:1] + struct.pack("<h", -257) + DATA[3:], LimitError),
    "step too coarse": (DATA[:1] + struct.pack("<h", 769) + DATA[3:], LimitError),
    "small tiles": (DATA[:3] + b"\x86" + DATA[4:], LimitError),
    "large tiles": (DATA[:3] + b"\x0c" + DATA[4:], LimitError),
    "tiles of 2^127": (DATA[:3] + b"\xff" + DATA[4:], LimitError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, error = REFUSED[name]
    with pytest.raises(error) as caught:
        unpack_description(data)
    assert type(caught.value) is error


def refused(file: NifFile, error: "type[CorruptFileError]", refusal: type = second_reader.Refused) -> None:
    """By both readers."""
    data = container.pack(file)
    with pytest.raises(error):
        nifcodec.decode(data)
    with pytest.raises(refusal):
        second_reader.read(data)


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "longer and cut"])
def test_the_second_reader_refuses_it_too(name: str) -> None:
    """Of this shape in a whole file."""
    file, (data, error) = golden("grey"), REFUSED[name]
    newer = error is UnsupportedVersionError
    refused(replace(file, description=data), error, second_reader.NewerVersion if newer else second_reader.Refused)


def test_another_number_of_corrections_than_the_priors_is_refused() -> None:
    file = golden("grey")
    spec = unpack_description(file.description)
    luma, chroma = spec.mixture
    for mixture in (((*luma, 1), (*chroma, 1)), (luma[:-1], chroma[:-1]), ((), ())):
        refused(replace(file, description=replace(spec, mixture=mixture).pack()), MalformedError)


def test_another_prior_is_named() -> None:
    file = golden("grey")
    spec = replace(unpack_description(file.description), prior=b"\1\2\3\4\5\6\7\xff")
    refused(replace(file, description=spec.pack()), UnknownPriorError, second_reader.MissingPrior)
    with pytest.raises(UnknownPriorError, match="01020304050607ff"):
        nifcodec.decode(container.pack(replace(file, description=spec.pack())))


def test_a_large_picture_has_tiles() -> None:
    spec = WaveletDescription(200, priors.named().hash, unpack_description(golden("grey").description).mixture)
    refused(NifFile(LARGEST_WHOLE // 1024 + 1, 1024, 1, 8, 3, spec.pack(), b""), LimitError)


@pytest.mark.parametrize("name", ["grey", "tiles-dependent"])
def test_bytes_after_the_description_change_nothing(name: str) -> None:
    file = golden(name)
    longer = container.pack(replace(file, description=file.description + b"\xff\0later"))
    assert container.unpack(longer).description == file.description + b"\xff\0later"
    np.testing.assert_array_equal(nifcodec.decode(longer), nifcodec.decode(container.pack(file)))


# Index

PARTS = [CodedPart(b"the root", (5, 8)), CodedPart(b"", (0, 0)), CodedPart(bytes(range(200)), (150, 200))]
LEVELS = [2, 2, 2]


def entry(part: bytes, *ends: int) -> bytes:
    numbers = b"".join(map(write_varint, ends))
    return write_varint(len(part)) + zlib.crc32(part).to_bytes(4, "little") + numbers


def test_an_index_is_size_checksum_and_ends_of_each_part() -> None:
    index = pack_index(PARTS)
    assert index == b"".join(entry(part.data, *part.ends) for part in PARTS)
    check_index(index, [part.data for part in PARTS], LEVELS)
    assert pack_index([CodedPart(b"no levels", ())]) == entry(b"no levels")
    check_index(entry(b"no levels"), [b"no levels"], [0])


WRONG: "List[Tuple[str, Callable[[bytes], bytes], type]]" = [
    ("empty", lambda index: b"", TruncatedError),
    ("cut", lambda index: index[:-1], TruncatedError),
    ("cut in a checksum", lambda index: index[:3], TruncatedError),
    ("goes on", lambda index: index + b"\0", MalformedError),
    ("size", lambda index: b"\x09" + index[1:], MalformedError),
    ("size not minimal", lambda index: b"\x88\0" + index[1:], MalformedError),
    ("checksum", lambda index: index[:1] + bytes([index[1] ^ 1]) + index[2:], ChecksumError),
    ("ends decrease", lambda index: index[:5] + b"\x09\x08" + index[7:], MalformedError),
    ("the last end is too small", lambda index: index[:5] + b"\x05\x07" + index[7:], MalformedError),
    ("the last end is too large", lambda index: index[:5] + b"\x05\x09" + index[7:], MalformedError),
    ("a part is left out", lambda index: index[:7] + index[14:], CorruptFileError),
]


@pytest.mark.parametrize(("change", "error"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_an_index_of_something_else_is_refused(change: Callable[[bytes], bytes], error: type) -> None:
    with pytest.raises(error):
        check_index(change(pack_index(PARTS)), [part.data for part in PARTS], LEVELS)


def second_index(data: bytes) -> bytes:
    """The index that belongs to a file's payload, as the second reader makes it."""
    field = second_reader.read(data).wavelet
    assert field is not None
    return field.index_chunk


@pytest.mark.parametrize("name", ["tiles", "grey", "wavelet-pixel"])
def test_a_reader_of_a_whole_file_refuses_a_wrong_index(name: str) -> None:
    """In files with tiles and without, which may have one too."""
    file = golden(name)
    index = second_index(container.pack(file))
    assert file.index in (index, b"")
    right = container.pack(replace(file, index=index))
    np.testing.assert_array_equal(nifcodec.decode(right), nifcodec.decode(container.pack(file)))
    second_reader.read(right)
    wrong = [index + b"\0", index[:-1], bytes([index[0] ^ 1]) + index[1:]]
    start = len(write_varint(len(file.payload))) if name != "tiles" else 1
    wrong.append(index[:start] + bytes([index[start] ^ 128]) + index[start + 1 :])
    if name != "wavelet-pixel":
        wrong.append(index[:-1] + bytes([index[-1] ^ 1]))
    for bad in wrong:
        refused(replace(file, index=bad), CorruptFileError)


def test_an_index_of_other_parts_is_refused() -> None:
    """A byte moved from one part to the next, while all sizes sum to the same."""
    file = golden("tiles")
    refused(replace(file, index=golden("tiles-row").index), MalformedError)
    field = second_reader.read(container.pack(file)).wavelet
    assert field is not None
    swapped = pack_parts([CodedPart(bytes(len(part.ends)), ()) for part in field.parts])
    refused(replace(file, payload=swapped), MalformedError)


def test_a_file_with_tiles_has_an_index() -> None:
    assert golden("tiles").index and golden("tiles-dependent").index and golden("tiles-row").index
    assert not golden("grey").index
