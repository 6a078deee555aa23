"""Reading a part of a picture from the byte ranges that its index names, by the reader written from FORMAT.md."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import lru_cache
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
import pytest
import second_reader
from make_golden import wavelet_integers
from second_reader import Refused
from second_reader.container import Head, Header, read_head, read_header
from second_reader.conventions import Bytes
from second_reader.index import Entry, read_index
from second_reader.lattice import Coding, Part, read_bands, read_lattice, sizes_of_planes, synthesise, zero_bands
from second_reader.wavelet import Description, Layout, Wavelet, read_description
from test_wavelet_exactness import WAVELETS, assert_same_picture, golden

import nifcodec
from nifcodec import container
from nifcodec.errors import ChecksumError, CorruptFileError
from nifcodec.fields.wavelet.decode import WaveletRender

TILED = [name for name in WAVELETS if name.startswith("tiles")]
TILE_LEVELS = 5

Span = Tuple[int, int]


class Ranges:
    """A file of which the bytes that are asked for are counted."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: List[Span] = []

    def __call__(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return self.data[offset : offset + length]

    def from_offset(self, start: int) -> List[Span]:
        return [(offset, length) for offset, length in self.asked if offset >= start]


class Opened(NamedTuple):
    """A file up to its payload."""

    head: Head
    header: Header
    by: Description
    layout: Layout
    entries: List[Entry]
    """Of the index; none where there is none."""

    def start(self, number: int) -> int:
        """Where a part begins in the file."""
        sizes = [entry.size for entry in self.entries]
        return self.head.start + len(self.layout.list_of_sizes(sizes)) + sum(sizes[:number])


def opened(fetch: second_reader.container.Fetch) -> Opened:
    head = read_head(fetch)
    header = read_header(head.chunks["H"])
    by = read_description(header)
    layout = Layout(header, by)
    return Opened(head, header, by, layout, read_index(head.chunks["i"], layout.levels) if "i" in head.chunks else [])


@lru_cache(maxsize=None)
def second(name: str) -> Wavelet:
    field = second_reader.read(golden(name)).wavelet
    assert field is not None
    return field


@lru_cache(maxsize=None)
def whole_picture(name: str) -> np.ndarray:
    pixels: np.ndarray = nifcodec.decode(golden(name))
    assert_same_picture(pixels, name)
    return pixels


def rectangles(height: int, width: int) -> "List[Tuple[Span, Span]]":
    """Corners, the whole picture, one pixel, and some inside."""
    found = [((0, 1), (0, 1)), ((height - 1, height), (width - 1, width)), ((0, height), (0, width))]
    middle = width // 2
    return [*found, ((height // 3, height // 3 + 1), (width // 3, middle)), ((0, height), (middle, middle + 3))]


@pytest.mark.parametrize("name", TILED)
def test_a_crop_is_that_of_the_whole_picture(name: str) -> None:
    whole, again = whole_picture(name), second_reader.read(golden(name)).samples
    for rows, columns in rectangles(*whole.shape[:2]):
        crop = second_reader.read_crop(Ranges(golden(name)), rows, columns)
        np.testing.assert_array_equal(crop, again[slice(*rows), slice(*columns)])
        assert np.abs(crop.astype(int) - whole[slice(*rows), slice(*columns)]).max() <= 1
        (top, bottom), (left, right) = rows, columns
        ours = nifcodec.decode(golden(name), crop=(left, top, right - left, bottom - top))
        np.testing.assert_array_equal(ours, whole[slice(*rows), slice(*columns)])


@pytest.mark.parametrize(
    ("name", "rows", "columns", "parts"),
    [
        # The margins of the coarsest of a tile's levels reach into the next tile.
        ("tiles-row", (0, 1), (0, 1), [0, 1, 2]),
        ("tiles-row", (2, 3), (529, 530), [0, 4, 5]),
        ("tiles-row", (0, 5), (256, 260), [0, 1, 2, 3, 4]),
        ("tiles", (0, 4), (0, 4), [0, 1, 2, 4, 5]),
    ],
)
def test_a_crop_reads_the_root_and_the_tiles_that_it_needs(
    name: str, rows: Span, columns: Span, parts: "Sequence[int]"
) -> None:
    """Those alone, each at once, after the beginning of the file."""
    fetch = Ranges(golden(name))
    file = opened(Ranges(golden(name)))
    second_reader.read_crop(fetch, rows, columns)
    ranges = fetch.from_offset(file.head.start)
    assert ranges == [(file.start(number), file.entries[number].size) for number in parts]
    needed, all_of_it = sum(length for _, length in ranges), sum(entry.size for entry in file.entries)
    assert needed == all_of_it - sum(entry.size for number, entry in enumerate(file.entries) if number not in parts)
    assert needed < all_of_it
    before = [offset + length for offset, length in fetch.asked if offset < file.head.start]
    assert max(before) <= file.head.start + 6  # a chunk's framing is asked for in six bytes


def test_damage_elsewhere_does_not_matter_to_a_part() -> None:
    file = opened(Ranges(golden("tiles-row")))
    rows, columns = (0, 1), (0, 1)
    good = second_reader.read_crop(Ranges(golden("tiles-row")), rows, columns)
    for number, needed in ((0, True), (1, True), (4, False), (5, False)):
        data = bytearray(golden("tiles-row"))
        data[file.start(number) + file.entries[number].size - 1] ^= 1
        with pytest.raises(ChecksumError):
            nifcodec.decode(bytes(data))
        if needed:
            with pytest.raises(Refused, match="checksum of a part"):
                second_reader.read_crop(Ranges(bytes(data)), rows, columns)
        else:
            np.testing.assert_array_equal(second_reader.read_crop(Ranges(bytes(data)), rows, columns), good)


@pytest.mark.parametrize("name", TILED)
def test_the_index_of_a_tiled_file_is_that_of_its_payload(name: str) -> None:
    file = opened(Ranges(golden(name)))
    assert file.head.chunks["i"] == second(name).index_chunk
    assert container.unpack(golden(name)).index == second(name).index_chunk
    payload = container.unpack(golden(name)).payload
    for number, entry in enumerate(file.entries):
        start = file.start(number) - file.head.start
        assert zlib.crc32(payload[start : start + entry.size]) == entry.crc


# Up to a level


def reduced(fetch: Ranges, reduction: int) -> "Tuple[np.ndarray, int]":
    """The low-pass planes before the levels below `reduction` are added, and the bytes that were read of the payload.

    The root is read whole, and each tile up to the end of the level, which its check holds.
    """
    file = opened(fetch)
    planes = list(range(file.header.channels)) if file.header.channels != 2 else [0, 3]
    coding = Coding(file.by.prior, file.by.step_feature, file.by.dependent, planes)

    def get(number: int, length: int) -> Bytes:
        return Bytes(fetch(file.start(number), length))

    root = read_lattice(get(0, file.entries[0].size), file.layout.root, coding, TILE_LEVELS)
    levels = [zero_bands(size, planes) for size in sizes_of_planes(file.layout.size, TILE_LEVELS)[:TILE_LEVELS]]
    for number, tile in enumerate(file.layout.tiles, 1):
        end = file.entries[number].ends[TILE_LEVELS - 1 - reduction] if reduction < TILE_LEVELS else 0
        low = {plane: samples[tile.within(samples, TILE_LEVELS - 1)] for plane, samples in root.low_pass.items()}
        beyond = [
            {band: values[tile.within(values, TILE_LEVELS + further)] for band, values in bands.items()}
            for further, bands in enumerate(root.levels[:2])
        ]
        if not end:
            continue
        size = (tile.rows[1] - tile.rows[0], tile.columns[1] - tile.columns[0])
        part: Part = read_bands(get(number, end), size, TILE_LEVELS, low, coding, 0, beyond, reduction)
        for level, bands in enumerate(part.levels):
            for band, values in bands.items() if level >= reduction else ():
                levels[level][band][tile.within(levels[level][band], level)] = values
    found = root.low_pass
    for bands in levels[TILE_LEVELS - 1 : reduction - 1 if reduction else None : -1]:
        found = synthesise(found, bands)
    return np.stack(list(found.values())), sum(length for _, length in fetch.from_offset(file.head.start))


@pytest.mark.parametrize("name", TILED)
def test_a_reduced_picture_needs_the_parts_up_to_a_level(name: str) -> None:
    file = container.unpack(golden(name))
    field = WaveletRender(file)
    read: List[int] = []
    for reduction in range(TILE_LEVELS + 1):
        plane, length = reduced(Ranges(golden(name)), reduction)
        rows, columns = plane.shape[1:]
        np.testing.assert_array_equal(plane, field._region(reduction)((0, rows), (0, columns)))
        read.append(length)
    np.testing.assert_array_equal(reduced(Ranges(golden(name)), 0)[0], wavelet_integers(file)[0])
    entries = opened(Ranges(golden(name))).entries
    assert read[0] == sum(entry.size for entry in entries)
    assert read == sorted(read, reverse=True) and read[-1] == entries[0].size < read[0]


@pytest.mark.parametrize("name", ["dependent-fine", "wavelet-32-grey", "row"])
def test_the_end_of_a_level_is_enough_for_it(name: str) -> None:
    """In a file without tiles, whatever follows the end."""
    file = opened(Ranges(golden(name)))
    field = second(name)
    assert len(field.parts) == 1
    payload = golden(name)[file.head.start : file.head.start + file.head.length]
    coding = Coding(file.by.prior, file.by.step_feature, file.by.dependent, list(field.planes))
    ends = field.parts[0].ends
    assert ends == sorted(ends) and ends[-1] == len(payload)
    for level, end in zip(range(len(ends) - 1, -1, -1), ends):
        whole = read_lattice(Bytes(payload), file.layout.size, coding, finest=level)
        cut = payload[:end] + b"\xff" * (end < len(payload))
        part = read_lattice(Bytes(cut), file.layout.size, coding, finest=level)
        for plane, samples in part.low_pass.items():
            np.testing.assert_array_equal(samples, whole.low_pass[plane])


def test_a_reduced_picture_does_not_meet_damage_in_a_level_that_it_leaves_out() -> None:
    file = container.unpack(golden("dependent-fine"))
    end = second("dependent-fine").parts[0].ends[-2]
    damaged = container.pack(replace(file, payload=file.payload[:end] + b"\xff"))
    small = nifcodec.decode(damaged, scale=0.5)
    np.testing.assert_array_equal(small, nifcodec.decode(golden("dependent-fine"), scale=0.5))
    with pytest.raises(CorruptFileError):
        nifcodec.decode(damaged)
