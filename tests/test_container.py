"""The container: golden bytes, round trips, and one error a cause, each from bytes built by hand."""

import struct
import zlib
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from conftest import nif_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

import nifcodec
from nifcodec import container
from nifcodec.chunks import SIGNATURE
from nifcodec.container import Limits, NifFile, Packer, pack, part_sizes, read_header, unpack
from nifcodec.entropy import varint, zstd
from nifcodec.errors import (
    ChecksumError,
    LimitError,
    MalformedError,
    NotANifError,
    TruncatedError,
    UnsupportedVersionError,
)
from nifcodec.picture.transfer import Transfer

PLAIN = NifFile(768, 512, 3, 8, 1, b"descr", b"payload")
RICH = replace(PLAIN, icc=b"I" * 3000, exif=bytes(range(256)), xmp=b"<x:xmpmeta/>")


def chunk(kind, data):
    body = kind + varint.write_varint(len(data)) + data
    return body + zlib.crc32(body).to_bytes(4, "little")


def build(*chunks, version=b"\1\0"):
    return SIGNATURE + version + b"".join(chunks)


HEADER = chunk(b"H", b"\x80\x06\x80\x04\x03\x01descr")
INDEX = chunk(b"i", b"parts")
WEIGHTS = chunk(b"W", b"payload")


def test_golden_bytes():
    signature, version = "894e49460d0a1a0a", "0100"
    header, weights = "480b800680040301" + "6465736372" + "de0a1a3d", "5707" + "7061796c6f6164" + "6384bf25"
    assert pack(PLAIN).hex() == signature + version + header + weights
    assert pack(PLAIN) == build(HEADER, WEIGHTS)


LIGHT = replace(PLAIN, depth=32, transfer=Transfer("log", -0.5, 100.0, 64.0))


def test_golden_header_of_a_float_picture():
    descr = "6465736372"
    assert pack(LIGHT)[10:-13] == chunk(b"H", bytes.fromhex("80068004" + "2301" + "01000000bf0000c84200008042" + descr))


@pytest.mark.parametrize(
    "file",
    [
        PLAIN,
        RICH,
        LIGHT,
        replace(PLAIN, payload=b"", description=b""),
        replace(RICH, exif=b"", depth=16),
        replace(PLAIN, index=b"parts"),
        replace(RICH, index=bytes(70_000)),
    ],
)
def test_round_trip(file):
    data = pack(file)
    assert unpack(data) == file
    assert read_header(data) == replace(file, payload=b"")
    assert sum(part_sizes(data).values()) == len(data)
    assert part_sizes(data)["weights"] == len(file.payload)


@settings(deadline=None)
@given(
    st.builds(
        NifFile,
        width=st.integers(1, 2**14),
        height=st.integers(1, 2**14),
        channels=st.integers(1, 4),
        depth=st.sampled_from([8, 16]),
        family=st.integers(1, 255),
        description=st.binary(max_size=300),
        payload=st.binary(max_size=300),
        icc=st.binary(max_size=300),
        exif=st.binary(max_size=300),
        xmp=st.binary(max_size=300),
        index=st.binary(max_size=300),
    )
)
def test_any_file_round_trips(file):
    assert unpack(pack(file)) == file


def test_a_minimal_file_spends_at_most_40_bytes_outside_of_the_payload():
    for side in (1, 512, 8000, 2**14):
        data = pack(NifFile(side, side, 3, 8, 1, b"12345678", b"w" * 10_000))
        assert len(data) - 10_000 <= 40


def test_metadata_is_compressed_only_where_that_helps():
    assert part_sizes(pack(replace(PLAIN, icc=b"I" * 3000)))["metadata"] < 60
    noise = zlib.compress(bytes(range(256)))
    assert part_sizes(pack(replace(PLAIN, icc=noise)))["metadata"] <= len(noise) + 10


def test_header_from_a_prefix():
    data = pack(RICH)
    reach = len(data) - len(WEIGHTS) + 1
    assert read_header(data[:reach]) == replace(RICH, payload=b"")
    with pytest.raises(TruncatedError):
        read_header(data[: reach - 1])


def test_unknown_ancillary_chunks_are_skipped():
    extra = chunk(b"q", b"later")
    data = build(HEADER, extra, chunk(b"x", b"\0\2hi"), extra, WEIGHTS, version=b"\1\7")
    assert unpack(data) == replace(PLAIN, xmp=b"hi")
    assert part_sizes(data)["metadata"] == 2 * len(extra) + 10


def test_the_index_stands_directly_before_the_weights():
    note, extra = chunk(b"x", b"\0\2hi"), chunk(b"q", b"later")
    file = replace(PLAIN, xmp=b"hi", index=b"parts")
    assert pack(file) == build(HEADER, note, INDEX, WEIGHTS)
    data = build(HEADER, extra, note, extra, INDEX, WEIGHTS)
    assert unpack(data) == file
    # As much of the file as is before the weights tells where its parts lie.
    assert read_header(data[: len(data) - len(WEIGHTS) + 1]) == replace(file, payload=b"")
    with pytest.raises(TruncatedError):
        read_header(data[: len(data) - len(WEIGHTS)])


def test_the_index_is_no_metadata():
    sizes = part_sizes(pack(replace(RICH, index=b"parts")))
    assert sizes["metadata"] == part_sizes(pack(RICH))["metadata"]
    assert sizes["header"] == part_sizes(pack(RICH))["header"] + len(INDEX)
    assert sum(sizes.values()) == len(pack(replace(RICH, index=b"parts")))


@pytest.mark.parametrize("family", ["fourier", "siren"])
def test_other_families_skip_an_index(family):
    file = unpack(nif_bytes(9, 5, family=family))
    data = pack(replace(file, index=b"no index of anything"))
    assert unpack(data).index == b"no index of anything"
    np.testing.assert_array_equal(nifcodec.decode(data), nifcodec.decode(pack(file)))
    assert nifcodec.inspect(data).settings == nifcodec.inspect(pack(file)).settings


def test_bytes_after_a_description_are_kept():
    """Those that a later minor version adds: the description is the rest of the header."""
    data = build(chunk(b"H", b"\x80\x06\x80\x04\x03\x03descr and more"), WEIGHTS, version=b"\1\7")
    assert unpack(data).description == b"descr and more"
    assert unpack(pack(unpack(data))) == unpack(data)


def test_a_packer_compresses_the_metadata_once():
    with mock.patch.object(container, "compress", wraps=container.compress) as compress:
        packer = Packer(replace(RICH, family=99, description=b"not looked at", payload=bytes(9)))
        assert compress.call_count == 3
        for field in (
            (1, b"descr", b"payload"),
            (3, b"", b"", b"parts"),
            (2, bytes(9), bytes(1000)),
        ):
            data = packer(*field)
            family, description, payload, index = (*field, b"")[:4]
            assert unpack(data) == replace(RICH, family=family, description=description, payload=payload, index=index)
        assert compress.call_count == 3
    for family in (0, 256):
        with pytest.raises(ValueError, match="no family"):
            packer(family, b"", b"")
    with pytest.raises(LimitError):
        packer(1, bytes(container.DEFAULT_LIMITS.description + 1), b"")


HUGE = varint.write_varint(2**17 + 1)
SIDE = varint.write_varint(2**17)


def light(kind, *numbers):
    """A file of one float pixel, with any transfer."""
    return build(chunk(b"H", b"\1\1\x23\1" + bytes([kind]) + struct.pack("<fff", *numbers)), WEIGHTS)


REFUSED = {
    "empty": (b"", NotANifError, "empty"),
    "another format": (b"\xff\xd8\xff\xe0" + bytes(40), NotANifError, "not a .nif"),
    "line ends to LF": (pack(PLAIN).replace(b"\r\n", b"\n"), NotANifError, "text-mode"),
    "line ends to CR LF": (pack(PLAIN).replace(b"\n", b"\r\n"), NotANifError, "text-mode"),
    "seven bits": (bytes(b & 127 for b in pack(PLAIN)), NotANifError, "text-mode"),
    "read as Latin-1": (pack(PLAIN).decode("latin-1").encode(), NotANifError, "text-mode"),
    "read as UTF-8": (pack(PLAIN).decode(errors="replace").encode(), NotANifError, "text-mode"),
    "signature only": (SIGNATURE, TruncatedError, "8 bytes"),
    "part of the signature": (SIGNATURE[:3], TruncatedError, "signature"),
    "major version": (build(HEADER, WEIGHTS, version=b"\2\0"), UnsupportedVersionError, "version 2.0"),
    "no chunk": (build(), TruncatedError, "before its weights"),
    "no weights": (build(HEADER), TruncatedError, "before its weights"),
    "cut": (build(HEADER, WEIGHTS)[:-1], TruncatedError, "ends after"),
    "cut in a length": (build(HEADER) + b"W\x80", TruncatedError, "length"),
    "huge length": (build(HEADER) + b"W\xff\xff\xff\xff\x0f" + b"1234", TruncatedError, "ends after"),
    "length of 33 bits": (build(HEADER) + b"W\xff\xff\xff\xff\x1f", MalformedError, "2\\^32"),
    "length of six bytes": (build(HEADER) + b"W\xff\xff\xff\xff\xff\0", MalformedError, "five bytes"),
    "length not minimal": (build(HEADER) + b"W\x80\0" + bytes(9), MalformedError, "shortest"),
    "checksum": (build(HEADER, WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1])), ChecksumError, "chunk W"),
    "chunk type": (build(HEADER, chunk(b"\x07", b""), WEIGHTS), MalformedError, "letter"),
    "chunk type above ASCII": (build(HEADER, chunk(b"\xe9", b""), WEIGHTS), MalformedError, "letter"),
    "critical chunk": (build(HEADER, chunk(b"Q", b""), WEIGHTS), UnsupportedVersionError, "chunk Q"),
    "weights first": (build(WEIGHTS, HEADER), MalformedError, "header H must be"),
    "ancillary first": (build(chunk(b"q", b""), HEADER, WEIGHTS), MalformedError, "header H must be"),
    "two headers": (build(HEADER, HEADER, WEIGHTS), MalformedError, "H behind H"),
    "two profiles": (build(HEADER, *[chunk(b"c", b"\0\1i")] * 2, WEIGHTS), MalformedError, "c behind c"),
    "wrong order": (build(HEADER, chunk(b"x", b"\0\1i"), chunk(b"e", b"\0\1i"), WEIGHTS), MalformedError, "e behind x"),
    "two indices": (build(HEADER, INDEX, INDEX, WEIGHTS), MalformedError, "i between the index and the weights"),
    "unknown after the index": (build(HEADER, INDEX, chunk(b"q", b""), WEIGHTS), MalformedError, "q between"),
    "metadata after the index": (build(HEADER, INDEX, chunk(b"x", b"\0\1i"), WEIGHTS), MalformedError, "x between"),
    "critical after the index": (build(HEADER, INDEX, chunk(b"Q", b""), WEIGHTS), UnsupportedVersionError, "chunk Q"),
    "index first": (build(INDEX, HEADER, WEIGHTS), MalformedError, "header H must be"),
    "index last": (build(HEADER, WEIGHTS, INDEX), MalformedError, "followed by 11 bytes"),
    "index without weights": (build(HEADER, INDEX), TruncatedError, "before its weights"),
    "checksum of the index": (build(HEADER, INDEX[:-1] + b"?", WEIGHTS), ChecksumError, "chunk i"),
    "after the weights": (build(HEADER, WEIGHTS, chunk(b"q", b"")), MalformedError, "followed by 6 bytes"),
    "trailing byte": (build(HEADER, WEIGHTS) + b"\0", MalformedError, "followed by 1 bytes"),
    "many chunks": (build(HEADER, *[chunk(b"q", b"")] * 300, WEIGHTS), LimitError, "chunks"),
    "empty header": (build(chunk(b"H", b""), WEIGHTS), MalformedError, "width"),
    "short header": (build(chunk(b"H", b"\1\1\3"), WEIGHTS), MalformedError, "kind of field"),
    "no width": (build(chunk(b"H", b"\0\1\3\1"), WEIGHTS), MalformedError, "0 x 1"),
    "no height": (build(chunk(b"H", b"\1\0\3\1"), WEIGHTS), MalformedError, "1 x 0"),
    "no channels": (build(chunk(b"H", b"\1\1\0\1"), WEIGHTS), MalformedError, "channels"),
    "five channels": (build(chunk(b"H", b"\1\1\5\1"), WEIGHTS), MalformedError, "channels"),
    "reserved depth": (build(chunk(b"H", b"\1\1\x33\1"), WEIGHTS), UnsupportedVersionError, "depth"),
    "no transfer": (build(chunk(b"H", b"\1\1\x23\1" + bytes(12)), WEIGHTS), MalformedError, "transfer"),
    "unknown transfer": (light(3, 0, 1, 1), MalformedError, "kind 3"),
    "infinite transfer": (light(1, 0, float("inf"), 1), MalformedError, "to inf"),
    "reversed transfer": (light(1, 1, 0, 1), MalformedError, "1.0 to 0"),
    "transfer of scale 0": (light(1, 0, 1, 0), MalformedError, "scale 0"),
    "bright PQ": (light(2, 0, 1, 10001), MalformedError, "10000"),
    "family 0": (build(chunk(b"H", b"\1\1\3\0"), WEIGHTS), MalformedError, "family"),
    "width": (build(chunk(b"H", HUGE + b"\1\3\1"), WEIGHTS), LimitError, "131073 x 1 "),
    "height": (build(chunk(b"H", b"\1" + HUGE + b"\3\1"), WEIGHTS), LimitError, "1 x 131073 "),
    "pixels": (build(chunk(b"H", SIDE + SIDE + b"\3\1"), WEIGHTS), LimitError, "536870912 together"),
    "description": (build(chunk(b"H", b"\1\1\3\1" + bytes(65537)), WEIGHTS), LimitError, "description"),
    "metadata without method": (build(HEADER, chunk(b"c", b""), WEIGHTS), MalformedError, "no method"),
    "metadata without length": (build(HEADER, chunk(b"c", b"\0"), WEIGHTS), MalformedError, "cut short"),
    "metadata empty": (build(HEADER, chunk(b"c", b"\0\0"), WEIGHTS), MalformedError, "empty"),
    "metadata method": (build(HEADER, chunk(b"c", b"\2\1x"), WEIGHTS), MalformedError, "method 2"),
    "metadata short": (build(HEADER, chunk(b"e", b"\0\3ab"), WEIGHTS), MalformedError, "2 bytes in place of 3"),
    "metadata long": (build(HEADER, chunk(b"e", b"\0\1ab"), WEIGHTS), MalformedError, "2 bytes in place of 1"),
    "metadata not zstd": (build(HEADER, chunk(b"e", b"\1\3abc"), WEIGHTS), MalformedError, "zstandard"),
    "metadata limit": (
        build(HEADER, chunk(b"e", b"\1" + varint.write_varint(2**24 + 1)), WEIGHTS),
        LimitError,
        "exif data has 16777217",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    data, error, match = REFUSED[name]
    with pytest.raises(error, match=match) as caught:
        unpack(data)
    assert type(caught.value) is error
    assert caught.value.exit_code == 3


def metadata_file(raw, size=None, extra=b""):
    content = zstd.compress(raw) + extra
    return build(
        HEADER, chunk(b"e", b"\1" + varint.write_varint(len(raw) if size is None else size) + content), WEIGHTS
    )


def test_compressed_metadata_must_be_exactly_what_it_says():
    raw = b"abc" * 1000
    assert unpack(metadata_file(raw)).exif == raw
    for data in (metadata_file(raw, 2999), metadata_file(raw, 3001), metadata_file(raw, extra=b"\0")):
        with pytest.raises(MalformedError):
            unpack(data)


def test_a_bomb_is_refused_by_what_it_says():
    bomb = bytes(2**24 + 1)
    with pytest.raises(LimitError):
        unpack(metadata_file(bomb))
    with pytest.raises(MalformedError):
        unpack(metadata_file(bomb, 100))


def test_limits_are_the_callers_choice():
    data = pack(RICH)
    for limits in (Limits(side=700), Limits(pixels=768 * 511), Limits(description=4), Limits(metadata=2999)):
        with pytest.raises(LimitError):
            unpack(data, limits)
    assert unpack(data, Limits(768, 768 * 512, 5, 3000)) == RICH


def test_what_no_reader_takes_is_not_written():
    limit = container.DEFAULT_LIMITS
    for file in (
        replace(PLAIN, width=limit.side + 1),
        replace(PLAIN, width=limit.side, height=limit.side),
        replace(PLAIN, description=bytes(limit.description + 1)),
        replace(PLAIN, xmp=bytes(limit.metadata + 1)),
    ):
        with pytest.raises(LimitError):
            pack(file)
    for field, value in (
        ("width", 0),
        ("height", 0),
        ("channels", 0),
        ("channels", 5),
        ("depth", 9),
        ("depth", 32),
        ("family", 0),
        ("family", 256),
    ):
        with pytest.raises(ValueError, match="no family" if field == "family" else "no picture"):
            pack(replace(PLAIN, **{field: value}))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**14, 2**28 - 1, 2**32 - 1])
def test_varint(value):
    data = varint.write_varint(value)
    assert varint.read_varint(b"x" + data + b"y", 1, "number") == (value, 1 + len(data))
    assert len(data) == max(1, -(-value.bit_length() // 7))


def test_varint_range():
    for value in (-1, 2**32):
        with pytest.raises(ValueError, match="outside"):
            varint.write_varint(value)
