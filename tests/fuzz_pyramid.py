"""Readers of the field `pyramid` for the fuzz harness (`fuzz.py`), and what they begin with."""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, Dict, Iterator, List, Tuple

import numpy as np

import nifcodec
from nifcodec import container
from nifcodec.container import NifFile
from nifcodec.errors import CorruptFileError
from nifcodec.fields.families import configure
from nifcodec.fields.parts import CodedPart, pack_parts, unpack_parts
from nifcodec.fields.pyramid import priors
from nifcodec.fields.pyramid.bitstream import decode_part, encode_part
from nifcodec.fields.pyramid.decode import PyramidRender
from nifcodec.fields.pyramid.description import FAMILY_ID, PyramidDescription
from nifcodec.fields.pyramid.grids import Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.priors import prior_file
from nifcodec.fields.pyramid.tiling import Tiling
from nifcodec.fields.pyramid.weights import QuantizedWeights, unpack_weights

SIZES = ((1, 1), (9, 8), (16, 16), (33, 20), (1, 40), (64, 1), (130, 3), (5, 131))
TILED = 6  # of the sizes, those from here on have tiles
Reader = Callable[[int, bytes], None]


def opened(layout_byte: int, payload: bytes) -> PyramidRender:
    """A file of any payload: size, channels and start by the bits of a byte."""
    number, channels = layout_byte % 8, 1 + layout_byte // 8 % 4
    prior, (width, height) = priors.named(), SIZES[number]
    start = layout_byte // 32 % len(prior.starts)
    description = PyramidDescription(prior.hash, start, 7 if number >= TILED else 0).pack()
    return PyramidRender(NifFile(width, height, channels, 8, FAMILY_ID, description, payload))


def read_pyramid(layout_byte: int, data: bytes) -> None:
    """A payload, sampled at places that touch several tiles and lie outside of the picture."""
    field = opened(layout_byte, data).samples()
    colours = field(np.array([-0.3, 0.01, 0.86, 0.99]), np.array([0.02, 0.9]))
    assert colours.shape == (2, 4, 1 + layout_byte // 8 % 4)
    assert np.isfinite(colours).all()


@lru_cache(maxsize=None)
def networks(channels: int, start: int) -> Tuple[IntegerNetwork, IntegerNetwork]:
    """That of a start, native where there is a library, and in NumPy."""
    wanted = layout(channels)
    weights = priors.named().weights(start, wanted).astype(np.float32)
    return IntegerNetwork.of(wanted, weights), IntegerNetwork.of(wanted, weights, native=False)


def read_latents_by_both(layout_byte: int, data: bytes) -> None:
    """A stream by the native library and by NumPy: the same latents, or the same class of error."""
    width, height = SIZES[layout_byte % 8]
    finest = layout_byte // 8 % 7
    shapes, found = Tiling(width, height, 0).root.shapes, []
    for network in networks(3, layout_byte // 64 % len(priors.named().starts)):
        try:
            grids = decode_part(network, data, shapes, {}, finest)
            found.append([(grid, values.tobytes()) for grid, values in grids.items()])
        except CorruptFileError as error:
            found.append([type(error)])
    assert found[0] == found[1]


def read_weights(layout_byte: int, data: bytes) -> None:
    """Weights, and the network of them, which may be refused."""
    wanted = layout(1 + layout_byte % 4)
    start = priors.named().weights(layout_byte // 4 % len(priors.named().starts), wanted)
    weights = unpack_weights(data, wanted, start).weights()
    assert np.isfinite(weights).all()
    IntegerNetwork.of(wanted, weights)


@lru_cache(maxsize=1)
def small_prior() -> bytes:
    """The file of the shipped prior's first start alone."""
    return prior_file.pack(priors.named().starts[:1])


def read_prior(layout_byte: int, data: bytes) -> None:
    """The file of a prior: any bytes, or a true one in which each four bytes of the input change one."""
    if layout_byte % 2:
        changed = bytearray(small_prior())
        for offset in range(0, len(data) - 3, 4):
            changed[int.from_bytes(data[offset : offset + 3], "little") % len(changed)] = data[offset + 3]
        data = bytes(changed[: len(changed) - layout_byte // 2])
    starts = prior_file.unpack(data)
    assert prior_file.pack(starts) == data
    for channels in range(1, 5):
        found = priors.Prior(b"", starts).weights(0, layout(channels))
        assert np.isfinite(found).all()


READERS: List[Reader] = [read_pyramid, read_latents_by_both, read_weights, read_prior]


def parts_of(file: NifFile) -> Tuple[List[bytes], List[int]]:
    """The parts of a file's payload, and how many levels each has."""
    tiling = PyramidRender(file).tiling
    levels = [0, tiling.root.levels] + [tiling.tile_levels] * tiling.count
    return unpack_parts(file.payload, 2 + tiling.count), levels


def seeds() -> Iterator[Tuple[Reader, str, bytes]]:
    """Inputs without their reader's number: the reader, a name, a layout and what is read."""
    random = np.random.RandomState(1)
    pixels = random.randint(0, 256, (131, 131, 4)).astype(np.uint8)
    for number, (width, height) in enumerate(SIZES):
        tiles = {"largest_whole": 0, "tile_exponent": 7} if number >= TILED else {}
        for channels in (1, 3, 4):
            config = configure(field="pyramid", steps=20, quality=30, **tiles)
            payload = container.unpack(nifcodec.encode(pixels[:height, :width, :channels], config)).payload
            weights = unpack_parts(payload, 2 + Tiling(width, height, 7 if tiles else 0).count)[0]
            name = f"{width}x{height}x{channels}"
            yield read_pyramid, f"pyramid-{name}", bytes([number + 8 * (channels - 1)]) + payload
            yield read_weights, f"pyramid-weights-{name}", bytes([channels - 1]) + weights
        stream = encode_part(networks(3, 0)[1], drawn(random, (height, width), 20), {})
        yield read_latents_by_both, f"pyramid-latents-{width}x{height}", bytes([number]) + stream.data
    yield read_pyramid, "pyramid-wild", bytes([1 + 8 * 2]) + wild_payload(random, (8, 9))
    for name, data in (
        ("cut", b"\0" + small_prior()[:30]),
        ("whole", b"\1"),
        ("other-weights", b"\1\x18\0\0\x05\x28\0\0\x81"),
        ("other-version", b"\1\x08\0\0\2"),
        ("other-map", b"\1\x00\x20\0\x7f\x20\x20\0\x55"),
    ):
        yield read_prior, f"pyramid-prior-{name}", data


def drawn(random: np.random.RandomState, size: Tuple[int, int], most: int) -> Dict[Grid, np.ndarray]:
    """Latents of all grids."""
    return {grid: random.randint(-most, most + 1, grid.size(*size)).astype(np.int32) for grid in all_grids()}


def wild_payload(random: np.random.RandomState, size: Tuple[int, int]) -> bytes:
    """Of three channels, all weights of floating point as large as they can be."""
    wanted = layout(3)
    integers = random.choice([1 - (1 << 20), (1 << 20) - 1], wanted.count).astype(np.int32)
    integers[: wanted.parts["double 0"].start] = 0
    start, steps = priors.named().weights(0, wanted), dict.fromkeys(wanted.parts, 0)
    weights = QuantizedWeights(wanted, start, steps, integers)
    network = IntegerNetwork.of(wanted, weights.weights(), native=False)
    return pack_parts([CodedPart(weights.pack()), encode_part(network, drawn(random, size, 99), {})])
