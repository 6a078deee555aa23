"""What FORMAT.md says of the pyramid, exactly: tables, parts and their index, bounds of the integer network."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from typing import Dict, List, Tuple

import numpy as np
import pytest
import second_reader
from second_reader import Refused, latents
from second_reader.pyramid import Tile, touched_tiles
from test_second_reader import both
from test_second_reader_parts import Ranges, rectangles
from test_wavelet_exactness import PYRAMIDS, golden

import nifcodec
from nifcodec import container
from nifcodec.container import NifFile
from nifcodec.entropy.varint import write_varint
from nifcodec.errors import ChecksumError, CorruptFileError, LimitError
from nifcodec.fields.parts import CodedPart, pack_parts, unpack_parts
from nifcodec.fields.pyramid import priors
from nifcodec.fields.pyramid.bitstream import decode_part, encode_part
from nifcodec.fields.pyramid.decode import PyramidRender
from nifcodec.fields.pyramid.description import FAMILY_ID, PyramidDescription
from nifcodec.fields.pyramid.grids import Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.laplacians import frequencies
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.weights import QuantizedWeights

DIGEST = "38e79ed509a32d4ca56498cb4d3cd251a42bcd69dd5c9e98a7ec1c965e96cadc"  # on the page too
TILED = [name for name in PYRAMIDS if "tiles" in name]
SIZE = (12, 20)
LAYOUT = layout(3)
IN_INTEGERS = ("entropy", "features")

Span = Tuple[int, int]


def test_the_tables_are_those_of_the_page() -> None:
    assert hashlib.sha256(frequencies().astype("<i8").tobytes()).hexdigest() == DIGEST
    np.testing.assert_array_equal([latents.frequencies_of_laplacian(n) for n in range(57 * 17)], frequencies())


def test_low_bits_and_escapes_are_among_the_golden_files(monkeypatch: pytest.MonkeyPatch) -> None:
    shifts, excesses = set(), []
    read = latents.read_diagonal

    def watched(stream: latents.Stream, frames: List[latents.Frame]) -> List[int]:
        values = read(stream, frames)
        shifts.update(frame.shift for frame in frames)
        excesses.extend(abs(value - frame.base) - 16 for value, frame in zip(values, frames) if frame.shift == 0)
        return values

    monkeypatch.setattr(latents, "read_diagonal", watched)
    field = second_reader.read(golden("pyramid-extremes")).pyramid
    assert field is not None
    assert shifts == set(range(6))
    assert max(excesses) > 100
    assert max(int(np.abs(values).max()) for values in field.grids.values()) == 1 << 18


# Parts


@pytest.mark.parametrize("name", TILED)
def test_a_crop_is_that_of_the_whole_picture(name: str) -> None:
    whole = second_reader.read(golden(name)).samples
    for rows, columns in rectangles(*whole.shape[:2]):
        crop = second_reader.read_crop(Ranges(golden(name)), rows, columns)
        np.testing.assert_array_equal(crop, whole[slice(*rows), slice(*columns)])
        ours = nifcodec.decode(golden(name), crop=(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0]))
        assert np.abs(crop.astype(int) - ours).max() <= 1


def start_of_payload(name: str) -> int:
    return golden(name).index(container.unpack(golden(name)).payload)


def test_a_crop_reads_weights_root_and_the_tiles_that_it_needs() -> None:
    name = "pyramid-tiles-row"
    payload = container.unpack(golden(name)).payload
    sizes = [len(part) for part in unpack_parts(payload, 5)]
    for columns, parts in (((0, 9), [0, 1, 2]), ((120, 121), [0, 1, 2, 3]), ((267, 268), [0, 1, 3, 4])):
        fetch = Ranges(golden(name))
        second_reader.read_crop(fetch, (0, 3), columns)
        first = start_of_payload(name) + len(payload) - sum(sizes)
        starts = [first + sum(sizes[:number]) for number in parts]
        assert fetch.from_offset(start_of_payload(name)) == [(s, sizes[n]) for s, n in zip(starts, parts)]


def test_a_rectangle_needs_no_more_than_its_surroundings() -> None:
    tiles = [Tile(top, left, (128, 128)) for top in range(0, 512, 128) for left in range(0, 512, 128)]
    assert touched_tiles(tiles, (0, 10), (0, 10)) == [2]
    # At level 4 the reach is more than 100 pixels.
    assert touched_tiles(tiles, (200, 201), (330, 331)) == [3, 4, 5, 7, 8, 9, 11, 12, 13]
    assert touched_tiles(tiles, (500, 512), (500, 512)) == [17]


@pytest.mark.parametrize("name", TILED)
def test_the_index_is_that_of_the_payload(name: str) -> None:
    field = second_reader.read(golden(name)).pyramid
    assert field is not None
    assert container.unpack(golden(name)).index == field.index_chunk


def test_damage_elsewhere_does_not_matter_to_a_part() -> None:
    name = "pyramid-tiles-row"
    good = second_reader.read_crop(Ranges(golden(name)), (0, 2), (0, 2))
    data = bytearray(golden(name))
    data[-5] ^= 1  # the last byte of the last tile
    with pytest.raises(ChecksumError):
        nifcodec.decode(bytes(data))
    np.testing.assert_array_equal(second_reader.read_crop(Ranges(bytes(data)), (0, 2), (0, 2)), good)
    with pytest.raises(Refused, match="checksum of a part"):
        second_reader.read_crop(Ranges(bytes(data)), (0, 2), (266, 268))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", ["pyramid-8-rgb", "pyramid-extremes", "pyramid-32-grey-alpha"])
def test_the_end_of_a_level_is_enough_for_it(name: str) -> None:
    """Whatever follows."""
    file, field = container.unpack(golden(name)), second_reader.read(golden(name)).pyramid
    assert field is not None
    network = IntegerNetwork.of(layout(file.channels), PyramidRender(file).weights().weights())
    stream = unpack_parts(file.payload, 2)[1]
    shapes = {grid: grid.size(file.height, file.width) for grid in all_grids()}
    ends = field.parts[0].ends
    assert len(ends) == 7 and ends == sorted(ends) and ends[-1] == len(stream)
    for level, end in zip(range(6, -1, -1), ends):
        cut = stream[:end] + b"\xff" * (end < len(stream))
        for grid, values in decode_part(network, cut, shapes, {}, level).items():
            np.testing.assert_array_equal(values, field.grids[latents.Grid(grid.level, grid.hyper)])


# Bounds


def file_of(integers: np.ndarray, steps: Dict[str, int], values: Dict[Grid, np.ndarray], number: int = 0) -> NifFile:
    """A file of any weights, even those that no reader takes: latents are then coded under others."""
    prior = priors.named()
    start = prior.weights(min(number, len(prior.starts) - 1), LAYOUT)
    weights = QuantizedWeights(LAYOUT, start, steps, integers)
    try:
        network = IntegerNetwork.of(LAYOUT, weights.weights())
    except LimitError:
        network = IntegerNetwork.of(LAYOUT, start)
    parts = [CodedPart(weights.pack()), encode_part(network, values, {})]
    description = PyramidDescription(prior.hash, number).pack()
    return NifFile(SIZE[1], SIZE[0], 3, 8, FAMILY_ID, description, pack_parts(parts))


def drawn(spread: int) -> Dict[Grid, np.ndarray]:
    random = np.random.RandomState(0)
    return {grid: random.randint(-spread, spread + 1, grid.size(*SIZE)).astype(np.int32) for grid in all_grids()}


def summing_to(name: str, total: int) -> NifFile:
    """All weights as at the start, but for one output's of a tensor, whose magnitudes in 2^-11 sum to a total."""
    start = priors.named().weights(0, LAYOUT)
    steps = {part: 11 for part in LAYOUT.parts}
    steps[f"{name} bias"] = 14
    integers = np.zeros(LAYOUT.count, np.int32)
    bias = LAYOUT.parts[f"{name} bias"]
    bias.of(integers)[0] = -np.rint(bias.of(start)[0] * 2.0**14)
    matrix = LAYOUT.parts[name]
    row = np.rint(matrix.of(start)[0] * 2.0**11)
    matrix.of(integers)[0] = -row
    matrix.of(integers)[0, 0] += total // 3
    matrix.of(integers)[0, 1] -= total - total // 3
    return file_of(integers, steps, drawn(2))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("name", "most"),
    [("entropy 0 first", 131079), ("entropy 3 second", 131079), ("features 0", 1 << 17), ("features 2", 1 << 17)],
)
def test_both_readers_take_weights_up_to_the_bounds(name: str, most: int) -> None:
    assert both(summing_to(name, most))
    assert not both(summing_to(name, most + 1))


@pytest.mark.usefixtures("backend")
def test_weights_that_overflow_give_a_finite_picture() -> None:
    """Without a warning."""
    integers = np.zeros(LAYOUT.count, np.int32)
    for part in LAYOUT.parts.values():
        if not part.name.startswith(IN_INTEGERS):
            part.of(integers)[...] = np.random.RandomState(1).choice([1 - (1 << 20), (1 << 20) - 1], part.shape)
    file = file_of(integers, {name: 0 for name in LAYOUT.parts}, drawn(200))
    data = container.pack(file)
    for scale in (None, 0.3, 1.7):
        assert nifcodec.decode(data, scale=scale).dtype == np.uint8
    values = PyramidRender(file).samples()(np.linspace(-0.2, 1.2, 9), np.linspace(0, 1, 7))
    assert np.isfinite(values).all()
    second_reader.read(data)


@pytest.mark.usefixtures("backend")
def test_a_flip_of_any_bit_is_a_picture_or_a_corrupt_file() -> None:
    """Under right checksums, of description and payload, without a warning."""
    file = container.unpack(golden("pyramid-pixel"))
    for name in ("description", "payload"):
        content, taken = getattr(file, name), 0
        for position in range(8 * len(content)):
            flipped = bytearray(content)
            flipped[position // 8] ^= 1 << position % 8
            try:
                pixels = nifcodec.decode(container.pack(replace(file, **{name: bytes(flipped)})))
            except CorruptFileError:
                continue
            assert pixels.shape == (1, 1, 3)
            taken += 1
        assert taken < 8 * len(content) / 2


@pytest.mark.usefixtures("backend")
def test_both_refuse_what_is_not_there() -> None:
    some = np.ones(LAYOUT.count, np.int32)
    steps = {name: 7 for name in LAYOUT.parts}
    file = file_of(some, steps, drawn(2))
    assert both(file)
    assert not both(file_of(some, steps, drawn(2), number=len(priors.named().starts)))
    assert not both(file_of(some, {**steps, "double 3": 15}, drawn(2)))
    assert not both(file_of(some, {**steps, "synthesis hidden": -1}, drawn(2)))
    # A root of no bytes is a stream of zeros, if any; one more part is none of this picture.
    weights, root = unpack_parts(file.payload, 2)
    both(replace(file, payload=pack_parts([CodedPart(weights), CodedPart(b"")])))
    assert not both(replace(file, payload=pack_parts([CodedPart(weights), CodedPart(root), CodedPart(b"")])))
    assert not both(replace(file, payload=pack_parts([CodedPart(weights)])))
    # An index of one part less, and one whose last end is not the size.
    checks = [zlib.crc32(part).to_bytes(4, "little") for part in (weights, root)]
    head = write_varint(len(weights)) + checks[0] + write_varint(len(root)) + checks[1]
    ends = write_varint(len(root)) * 6
    assert both(replace(file, index=head + ends + write_varint(len(root))))
    for last in (b"", write_varint(len(root) - 1), write_varint(len(root)) * 2):
        assert not both(replace(file, index=head + ends + last))
