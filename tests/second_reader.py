"""A second reader of `.nif` files, written from FORMAT.md alone: slow, obvious, and without any part of nifcodec.

It holds FORMAT.md to its word: what it decodes is what somebody else would decode who has nothing but that page and the
prior's file. Names and order follow the page. NumPy holds arrays and multiplies them; all that is coded is decoded with
Python's integers, one symbol and one coefficient at a time. It reads pictures at their own size, and those of some
thousand pixels in seconds.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from bisect import bisect_right
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
import zstandard

PRIORS = Path(__file__).resolve().parent.parent / "nifcodec" / "priors"

Band = Tuple[int, int]
"""A plane, 0 to 3, and an orientation: 0 HL, 1 LH, 2 HH."""
Bands = Dict[Band, np.ndarray]
"""The bands of one level, in their order."""
Encode = Callable[[float, float], List[float]]
"""From u and v to the encoded position."""
Field = Tuple[List[np.ndarray], List[np.ndarray], np.ndarray]
"""Integers and planes as in `Picture`, and the field's values (H, W, channels) at the pixel centres."""


class Refused(Exception):
    """The file is not one that FORMAT.md allows, or needs what this reader lacks."""


class Picture(NamedTuple):
    """What a file holds."""

    integers: List[np.ndarray]
    """Of fourier and siren the step indices, then each tensor; of wavelet the bands in order, from level 0 on."""
    planes: List[np.ndarray]
    """Of wavelet the planes after level 0, in 1/64 of the step."""
    samples: np.ndarray
    """(H, W, channels): uint8, uint16 or, of depth code 2, float32."""
    metadata: Dict[str, bytes]
    """ICC profile `c`, EXIF `e` and XMP packet `x`, as far as they are there."""


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise Refused(reason)


# Conventions


class Bytes:
    """Bytes that are taken one after another."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        require(self.position + count <= len(self.data), "bytes are missing")
        self.position += count
        return self.data[self.position - count : self.position]

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.position)

    def number(self, count: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    def varint(self, longest: int = 5) -> int:
        value = 0
        for index in range(longest):
            byte = self.number(1)
            value |= (byte & 127) << 7 * index
            if byte < 128:
                require(byte > 0 or index == 0, "varint is not in its shortest form")
                require(value < 2**32, "varint is too large")
                return value
        raise Refused("varint is too long")


def zstd(frame: bytes, size: int) -> bytes:
    parameters = zstandard.get_frame_parameters(frame)
    require(parameters.content_size == size and parameters.dict_id == 0, "zstd frame announces another size")
    require(parameters.window_size <= max(size, 1024), "zstd window is too large")
    unpacking = zstandard.ZstdDecompressor().decompressobj()
    data = unpacking.decompress(frame)
    require(len(data) == size and not unpacking.unused_data, "zstd frame is cut or has bytes after it")
    return data


# Container


def read(data: bytes) -> Picture:
    file = Bytes(data)
    require(file.take(8) == b"\x89NIF\r\n\x1a\n", "signature")
    require(file.number(1) == 1, "major version")
    file.number(1)
    chunks = []
    while file.position < len(data):
        start = file.position
        kind = file.take(1).decode("latin-1")
        content = file.take(file.varint())
        checked = data[start : file.position]
        require(file.number(4) == zlib.crc32(checked), "checksum")
        chunks.append((kind, content))
        require(len(chunks) <= 256, "too many chunks")
    kinds = "".join(kind for kind, _ in chunks)
    known = [kind for kind in kinds if kind in "HcexW"]
    require(kinds[:1] == "H" and kinds[-1:] == "W", "H is first and W last")
    require(len(set(known)) == len(known), "a chunk comes twice")
    require(known == sorted(known, key="HcexW".index), "order of the chunks")
    require(all(kind in "HW" or kind.islower() for kind in kinds), "unknown critical chunk")
    metadata = {kind: read_metadata(Bytes(content)) for kind, content in chunks if kind in "cex"}

    header = Bytes(chunks[0][1])
    width, height = header.varint(), header.varint()
    require(1 <= width <= 2**17 and 1 <= height <= 2**17 and width * height <= 2**29, "size of the picture")
    depth, channels = divmod(header.number(1), 16)
    require(depth <= 2, "depth of a newer version")
    require(1 <= channels <= 4, "channels")
    family = header.number(1)
    require(1 <= family <= 3, "family of a newer version")
    transfer = Transfer(header) if depth == 2 else None
    description = header.rest()
    require(len(description) <= 2**16, "length of the description")

    read_field = read_wavelet if family == 3 else read_network
    integers, planes, field = read_field(family, Bytes(description), width, height, channels, chunks[-1][1])
    return Picture(integers, planes, samples(field, depth, transfer), metadata)


def read_metadata(content: Bytes) -> bytes:
    method, size = content.number(1), content.varint()
    require(method <= 1 and 1 <= size <= 2**24, "metadata")
    unpacked = zstd(content.rest(), size) if method == 1 else content.rest()
    require(len(unpacked) == size, "length of the metadata")
    return unpacked


class Transfer:
    """From codes to linear light."""

    def __init__(self, header: Bytes) -> None:
        self.curve = header.number(1)
        self.low, self.high, self.scale = struct.unpack("<3f", header.take(12))
        require(self.curve <= 2, "curve")
        require(all(map(math.isfinite, (self.low, self.high, self.scale))), "transfer is not finite")
        require(self.low <= self.high and self.scale > 0, "transfer")
        largest = max(abs(self.low), abs(self.high)) * self.scale
        require(self.curve != 2 or largest <= 10000, "PQ ends at 10000 cd/m2")

    m1, m2, c1, c2, c3 = 2610 / 16384, 128 * 2523 / 4096, 3424 / 4096, 32 * 2413 / 4096, 32 * 2392 / 4096

    def perceptual(self, y: float) -> float:
        return ((self.c1 + self.c2 * y**self.m1) / (1 + self.c3 * y**self.m1)) ** self.m2

    def forward(self, light: float) -> float:
        """s(x)."""
        x = abs(light)
        if self.curve == 1:
            x = math.log1p(self.scale * x)
        elif self.curve == 2:
            x = self.perceptual(self.scale * x / 10000) - self.perceptual(0)
        return math.copysign(x, light)

    def inverse(self, value: float) -> float:
        """The x with s(x) = value."""
        s = abs(value)
        if self.curve == 1:
            s = math.expm1(s) / self.scale
        elif self.curve == 2:
            root = (s + self.perceptual(0)) ** (1 / self.m2)
            s = 10000 / self.scale * (max(root - self.c1, 0) / (self.c2 - self.c3 * root)) ** (1 / self.m1)
        return math.copysign(s, value)

    def light(self, code: float) -> float:
        low, high = self.forward(self.low), self.forward(self.high)
        code = min(max(code, 0), 1)
        return min(max(self.inverse(low + code * (high - low)), self.low), self.high)


def samples(field: np.ndarray, depth: int, transfer: Transfer) -> np.ndarray:
    """The samples of a field's values (H, W, channels) at the pixel centres."""
    clipped = np.clip(np.where(np.isnan(field), 0, field), 0, 1)
    if depth == 0:
        return np.floor(255 * clipped + 0.5).astype(np.uint8)
    if depth == 1:
        return np.floor(65535 * clipped + 0.5).astype(np.uint16)
    colours = field.shape[2] - (field.shape[2] in (2, 4))
    for position in np.ndindex(*clipped.shape):
        if position[2] < colours:
            clipped[position] = transfer.light(clipped[position])
    return clipped.astype(np.float32)


# Tables, each as the sums of the frequencies before each symbol, and their total at the end


def cumulated(frequencies: Sequence[int]) -> List[int]:
    return [0, *accumulate(int(frequency) for frequency in frequencies)]


def roots() -> List[int]:
    """R[0] to R[16]: 2^-(1 / 2^j) in units of 2^-62."""
    found = [2**61]
    for _ in range(16):
        found.append(math.isqrt(found[-1] << 62))
    return found


ROOTS = roots()


def product(byte: int, first: int) -> int:
    """C[byte], and with `first` 8 D[byte]."""
    value = 2**62
    for j in range(1, 9):
        if byte >> (8 - j) & 1:
            value = (value * ROOTS[first + j]) >> 62
    return value


def power(x: int) -> int:
    """P(x) = 2^-(x / 2^16) in units of 2^-62."""
    return ((product((x >> 8) % 256, 0) * product(x % 256, 8)) >> 62) >> (x >> 16)


def frequencies_of_table(t: int) -> List[int]:
    s, i = divmod(t, 64)
    big_s = (65536, 75281, 86475, 99334, 114105)[i % 5] << (i // 5)
    if s == 0:
        k_max = ((16 * big_s) >> 20) + 8
        weights = [power((k << 36) // big_s) for k in range(k_max + 1)]
    else:
        k_max = ((5 * big_s) >> 20) + 8
        weights = [power((k * k << 56) // big_s**2) for k in range(k_max + 1)]
    ordered = [weights[abs(k)] for k in range(-k_max, k_max + 1)] + [weights[k_max]]
    total = sum(ordered)
    frequencies = [1 + w * (2**24 - len(ordered)) // total for w in ordered]
    frequencies[k_max] += 2**24 - sum(frequencies)
    return frequencies


# Range coder


class Stream:
    """A range decoder that remembers what it has read, to tell at the end whether an encoder made the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.offset = self.next_bytes(8)
        self.width = 2**64 - 1
        self.coded: List[Tuple[int, int]] = []

    def next_bytes(self, count: int) -> int:
        taken = self.data[self.position : self.position + count]
        self.position += count
        return int.from_bytes(taken.ljust(count, b"\0"), "big")

    def symbol(self, table: Sequence[int]) -> int:
        scale = self.width >> 24
        q = self.offset // scale
        require(q < 2**24, "malformed stream")
        symbol = bisect_right(table, q) - 1
        c, f = table[symbol], table[symbol + 1] - table[symbol]
        self.coded.append((c, f))
        self.offset -= scale * c
        self.width = scale * f
        if self.width < 2**32:
            self.width <<= 32
            self.offset = (self.offset << 32) + self.next_bytes(4)
        return symbol

    def raw(self, bits: int) -> int:
        return self.symbol(range(0, 2**24 + 1, 2 ** (24 - bits)))

    def escapes(self, count: int) -> List[Tuple[int, int]]:
        """Sign and excess of `count` escapes that are coded together: (-1 or 1, e)."""
        lengths = cumulated([2**23 >> m for m in range(20)] + [2**4])
        read = []
        for m in [self.symbol(lengths) for _ in range(count)]:
            sign = -1 if self.raw(1) else 1
            number = 1
            for _ in range(m):
                number = 2 * number + self.raw(1)
            read.append((sign, number - 1))
        return read

    def finish(self) -> None:
        """Refuses a stream that is not the encoder's of the same symbols."""
        require(self.data == range_encoded(self.coded), "the stream is not the one of its symbols")


def range_encoded(coded: Sequence[Tuple[int, int]]) -> bytes:
    """The stream of symbols, each as its c and f."""
    low, width, n = 0, 2**64 - 1, 0
    for c, f in coded:
        scale = width >> 24
        low += scale * c
        width = scale * f
        if width < 2**32:
            low <<= 32
            width <<= 32
            n += 1
    if not coded:
        return b""
    multiples = [-(-low >> z) << z for z in (64, 56, 48, 40, 32)]
    p = next(multiple for multiple in multiples if multiple < low + width)
    return p.to_bytes(4 * n + 8, "big").rstrip(b"\0")


# Tensors payload


def read_tensors(payload: bytes, shapes: Sequence[Tuple[int, ...]]) -> List[np.ndarray]:
    data = Bytes(payload)
    method = data.number(1)
    counts = [int(np.prod(shape)) for shape in shapes]
    require(sum(counts) <= 2**24, "too many integers")
    values: List[int] = []
    if method == 0:
        choices = list(data.take(len(shapes)))
        require(max(choices) < 128, "number of a table")
        stream = Stream(data.rest())
        escaped = []
        for choice, count in zip(choices, counts):
            frequencies = frequencies_of_table(choice)
            table, k_max = cumulated(frequencies), len(frequencies) // 2 - 1
            for _ in range(count):
                symbol = stream.symbol(table)
                if symbol == 2 * k_max + 1:
                    escaped.append((len(values), k_max))
                values.append(symbol - k_max)
        for (index, k_max), (sign, excess) in zip(escaped, stream.escapes(len(escaped))):
            values[index] = sign * (excess + k_max + 1)
        stream.finish()
    elif method == 1:
        require(sum(counts) <= 2**20, "too many integers")
        size = data.varint()
        require(size <= 4 * sum(counts), "more bytes than the numbers can have")
        numbers = Bytes(zstd(data.rest(), size))
        for _ in range(sum(counts)):
            folded = numbers.varint(4)
            values.append(-(folded + 1) // 2 if folded % 2 else folded // 2)
        require(not numbers.rest(), "bytes are left over")
    else:
        raise Refused("method of the tensors")
    require(all(abs(value) <= 2**20 for value in values), "magnitude of an integer")
    tensors, start = [], 0
    for shape, count in zip(shapes, counts):
        tensors.append(np.array(values[start : start + count], np.int64).reshape(shape))
        start += count
    return tensors


# Fields fourier and siren


def read_network(family: int, description: Bytes, width: int, height: int, channels: int, payload: bytes) -> Field:
    units, layers = description.number(2), description.number(1)
    colour, encoding = divmod(description.number(1), 16)
    require(1 <= units <= 2048 and 1 <= layers <= 32, "size of the network")
    require(colour == 0 or (colour <= 2 and channels >= 3), "colour")
    require(encoding <= 2 and (family == 1 or encoding == 2), "encoding")
    omega = positive(description.number(2)) if family == 2 else 0.0
    encode, length = read_encoding(encoding, description)
    require(not description.rest(), "bytes after the description")

    joined = layers // 2 if family == 1 and layers > 1 else None
    shapes: List[Tuple[int, ...]] = []
    has_bias = []
    inputs = length
    for layer in range(layers + 1):
        outputs = units if layer < layers else channels
        if joined is not None and layer == joined - 1 and 2 * (units - length) >= units:
            outputs = units - length
        if layer == joined:
            inputs += length
        has_bias.append(family == 2 or layer >= layers - 1)
        shapes.append((inputs, outputs))
        if has_bias[-1]:
            shapes.append((outputs,))
        inputs = outputs
    require(sum(int(np.prod(shape)) for shape in shapes) <= 2**24, "too many weights")

    indices, *integers = read_tensors(payload, [(len(shapes),), *shapes])
    steps = np.cumsum(indices)
    require(all(0 <= k <= 255 for k in steps), "step index")
    weights = [values * np.float64(np.float32(2 ** (-k / 8))) for k, values in zip(steps, integers)]
    weights = [values.astype(np.float32).astype(np.float64) for values in weights]

    def colours(u: float, v: float) -> np.ndarray:
        position = np.array(encode(u, v))
        x, remaining = position, list(weights)
        for layer in range(layers + 1):
            if layer == joined:
                x = np.concatenate([x, position])
            x = x @ remaining.pop(0)
            if has_bias[layer]:
                x = x + remaining.pop(0)
            if layer < layers:
                x = np.sin(omega * x) if family == 2 else np.maximum(x, 0)
        return to_rgb(colour, x)

    field = [[colours((i + 0.5) / width, (j + 0.5) / height) for i in range(width)] for j in range(height)]
    return [steps, *integers], [], np.array(field)


def read_encoding(encoding: int, description: Bytes) -> Tuple[Encode, int]:
    """The encoding of a position, and the length E of what it gives."""
    if encoding == 0:
        dimension, sigma = description.number(1), positive(description.number(2))
        require(1 <= dimension <= 32, "dimension")
        require(Fraction(sigma) ** (dimension - 1) <= 2**20, "powers are too large")
        return powers(dimension, sigma), 4 * dimension
    if encoding == 1:
        features = description.number(2)
        scale, seed = positive(description.number(2)), description.number(4)
        require(1 <= features <= 1024, "number of features")
        return gaussian(features, scale, seed), 2 * features
    return centred, 2


def positive(number: int) -> float:
    require(number >= 1, "sigma, scale and omega are at least 1/256")
    return number / 256


def centred(u: float, v: float) -> List[float]:
    return [2 * u - 1, 2 * v - 1]


def powers(dimension: int, sigma: float) -> Encode:
    def encode(u: float, v: float) -> List[float]:
        angles = [sigma**i * x for x in centred(u, v) for i in range(dimension)]
        return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]

    return encode


def gaussian(features: int, scale: float, seed: int) -> Encode:
    def output(n: int) -> int:
        z = (seed + (n + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    def normal(j: int) -> float:
        words = [output(3 * j + i) >> 16 * word & 0xFFFF for i in range(3) for word in range(4)]
        return (sum(words) - 393210) / 65536

    frequencies = [[2 * math.pi * scale * normal(2 * k + axis) for axis in range(2)] for k in range(features)]

    def encode(u: float, v: float) -> List[float]:
        angles = [a * u + b * v for a, b in frequencies]
        return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]

    return encode


def to_rgb(colour: int, outputs: np.ndarray) -> np.ndarray:
    if colour == 0:
        return outputs
    x, y, z = outputs[:3]
    if colour == 1:
        rgb = [x + y - z, x + z, x - y - z]
    else:
        green = x - 0.114 / 0.587 * y / 0.492 - 0.299 / 0.587 * z / 0.877
        rgb = [x + z / 0.877, green, x + y / 0.492]
    return np.array([*rgb, *outputs[3:]])


# Field wavelet: prior


class Prior:
    """The arrays of a prior, by their names in FORMAT.md, and the networks of the context model."""

    def __init__(self, start_of_hash: bytes) -> None:
        paths = [
            path for path in PRIORS.glob("*.npz") if hashlib.sha256(path.read_bytes()).digest()[:8] == start_of_hash
        ]
        require(bool(paths), f"the prior {start_of_hash.hex()} is missing")
        with np.load(paths[0], allow_pickle=False) as arrays:
            self.arrays = dict(arrays)
        self.tables = [cumulated(row) for row in self.arrays["tables"]]
        self.layers = sum(name.startswith("synthesis.w") for name in self.arrays)
        self.corrections = self.arrays[f"synthesis.w{self.layers - 1}"].shape[3] // 12
        self.networks = self.read_networks()

    def read_networks(self) -> Dict[Tuple[int, int, int, int], List[np.ndarray]]:
        """(w1, b1, w2, b2, w3, b3, skip) by plane, orientation, group and parity."""
        weights = self.arrays["context.low"].astype(np.int64) + 256 * self.arrays["context.high"].astype(np.int64)
        biases = self.arrays["context.biases"].astype(np.int64)

        def take(line: np.ndarray, *shape: int) -> Tuple[np.ndarray, np.ndarray]:
            count = int(np.prod(shape))
            return line[:count].reshape(shape), line[count:]

        networks = {}
        for plane in range(3):
            first, second = (int(units) for units in self.arrays["context.hidden"][plane])
            for orientation in range(3):
                for group in range(3):
                    for parity in range(2):
                        signed = len(neighbours(plane, orientation, parity)) + len(around(plane))
                        w1, weights = take(weights, 2 * signed + 3, first)
                        w2, weights = take(weights, first, second)
                        w3, weights = take(weights, second, 2)
                        skip, weights = take(weights, signed)
                        b1, biases = take(biases, first)
                        b2, biases = take(biases, second)
                        b3, biases = take(biases, 2)
                        networks[plane, orientation, group, parity] = [w1, b1, w2, b2, w3, b3, skip]
        require(len(weights) == 0 and len(biases) == 0, "the prior has more numbers than its networks")
        return networks


# Field wavelet: context model

COMPAND = [math.ceil(64 * math.sinh((v - 0.5) / 22)) for v in range(1, 123)]
SQUARE = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
CROSS = [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]


def compand(x: int) -> int:
    """C(x)."""
    v = bisect_right(COMPAND, min(abs(x), 8192))
    return -v if x < 0 else v


def is_chroma(plane: int) -> bool:
    return plane in (1, 2)


@lru_cache(maxsize=None)
def neighbours(plane: int, orientation: int, parity: int) -> List[Tuple[int, Band, int, int]]:
    """The coefficients of a context in their order: how many levels further, band, and offset (row, column)."""
    here = [(-1, column) for column in range(-3, 4)] + [(-2, column) for column in range(-2, 3)]
    if parity == 1:
        here += [(0, -1), (0, 1), (0, -3), (0, 3)]
    found = [(0, (plane, orientation), *offset) for offset in here]
    for lower in range(orientation):
        found += [(0, (plane, lower), *offset) for offset in (CROSS if is_chroma(plane) else SQUARE)]
    if is_chroma(plane):
        for before in range(plane):
            found += [(0, (before, orientation), *offset) for offset in SQUARE]
    found += [(1, (plane, orientation), *offset) for offset in SQUARE]
    return [*found, (2, (plane, orientation), 0, 0)]


@lru_cache(maxsize=None)
def around(plane: int) -> List[Tuple[int, int]]:
    """The offsets in the low-pass plane."""
    reach = 1 if is_chroma(plane) else 2
    span = range(-reach, reach + 1)
    return [(row, column) for row in span for column in span if (row, column) != (0, 0)]


def signed_features(band: Band, y: int, x: int, levels: Sequence[Bands], low_pass: Dict[int, np.ndarray]) -> List[int]:
    """`levels` are this level, one further and two further."""
    plane, orientation = band
    found = []
    for further, other, down, right in neighbours(plane, orientation, x % 2):
        values = levels[further].get(other)
        row, column = (y >> further) + down, (x >> further) + right
        there = values is not None and 0 <= row < values.shape[0] and 0 <= column < values.shape[1]
        found.append(compand(32 * int(values[row, column])) if there else 0)
    values = low_pass[plane]
    centre = int(values[y, x])
    for down, right in around(plane):
        row = min(max(y + down, 0), values.shape[0] - 1)
        column = min(max(x + right, 0), values.shape[1] - 1)
        found.append(compand(int(values[row, column]) - centre))
    return found


# Field wavelet: quantizers

NEXT = [(0, 2), (5, 7), (1, 3), (6, 4), (2, 0), (4, 6), (3, 1), (7, 5)]


def value_of(k: int, quantizer: str) -> int:
    """h, in half steps."""
    return 2 * k - (k > 0) + (k < 0) if quantizer == "B" else 2 * k


class States:
    """Those of the chains of a level."""

    def __init__(self, dependent: bool) -> None:
        self.dependent = dependent
        self.states: Dict[Tuple[Band, int], int] = {}

    def quantizer(self, band: Band, column: int) -> str:
        if not self.dependent:
            return "scalar"
        return "AB"[self.states.get((band, column // 2), 0) % 2]

    def follow(self, band: Band, column: int, k: int) -> None:
        chain = band, column // 2
        self.states[chain] = NEXT[self.states.get(chain, 0)][k % 2]


class Expected(NamedTuple):
    """How a coefficient is coded."""

    base: int
    flipped: bool
    shift: int
    row: int


def expectation(
    prior: Prior,
    step_feature: int,
    level: int,
    band: Band,
    t: int,
    column: int,
    signed: Sequence[int],
    quantizer: str,
) -> Expected:
    constants = [127 * (t % 2), step_feature, 20 * min(level, 6)]
    s = np.array(signed, np.int64)
    x = np.concatenate([s, np.abs(s), constants])
    plane = 0 if band[0] == 3 else band[0]
    w1, b1, w2, b2, w3, b3, skip = prior.networks[plane, band[1], min(level, 2), column % 2]
    h = np.clip((x @ w1 + b1) >> 6, 0, 1023)
    g = np.clip((h @ w2 + b2) >> 8, 0, 1023)
    o, m = (int(value) for value in g @ w3 + b3)
    scale = min(max((o + 200704) >> 13, 0), 63)
    mean = min(max((m + int(s @ skip) + 2048) >> 12, -1016), 1016)
    shift = (scale - 32) // 4 + 1 if scale >= 32 else 0
    low = scale - 4 * shift
    if quantizer == "B":
        d, sign = abs(mean), -1 if mean < 0 else 1
        if d <= 10 and shift == 0:
            return Expected(0, mean < 0, 0, 320 + 16 * low + d)
        nearest = (d + 8) >> 3
        f = d - (8 * nearest - 4)
        return Expected(sign * nearest, (f < 0) != (mean < 0), shift, 331 + 16 * low + (0 if shift > 0 else abs(f)))
    base = (mean + 4) >> 3
    f = mean - 8 * base
    row = 5 * low + (0 if shift > 0 else abs(f))
    return Expected(base, f < 0, shift, row + 160 if quantizer == "A" else row)


# Field wavelet: planes, levels and bands


def sizes_of_planes(height: int, width: int, levels: int) -> List[Tuple[int, int]]:
    """(rows, columns) of the planes before level 0 is split, after it, after level 1, ..."""
    sizes = [(height, width)]
    for _ in range(levels):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def number_of_levels(height: int, width: int) -> int:
    levels = 0
    while max(height, width) > 8:
        height, width, levels = -(-height // 2), -(-width // 2), levels + 1
    return levels


def band_shape(size: Tuple[int, int], orientation: int) -> Tuple[int, int]:
    rows, columns = size
    high_along_rows, high_along_columns = orientation in (0, 2), orientation in (1, 2)
    return (
        rows // 2 if high_along_columns else -(-rows // 2),
        columns // 2 if high_along_rows else -(-columns // 2),
    )


def zero_bands(size: Tuple[int, int], planes: Sequence[int]) -> Bands:
    return {(plane, o): np.zeros(band_shape(size, o), np.int64) for plane in planes for o in range(3)}


def scaled(x: np.ndarray, c: int) -> np.ndarray:
    """R(x, c)."""
    return (x * c + 8192) >> 14


def merge(s: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Columns of low-pass and high-pass samples, one beside another, to columns of n + m samples."""
    n, m = len(s), len(d)
    if m == 0:
        return scaled(s, 11585)

    def lift_s(factor: int) -> None:
        for k in range(n):
            s[k] -= scaled(d[max(k - 1, 0)] + d[min(k, m - 1)], factor)

    def lift_d(factor: int) -> None:
        for k in range(m):
            d[k] -= scaled(s[k] + s[min(k + 1, n - 1)], factor)

    s, d = scaled(s, 14252), scaled(d, 18835)
    lift_s(7266)
    lift_d(14466)
    lift_s(-868)
    lift_d(-25987)
    line = np.empty((n + m, s.shape[1]), np.int64)
    line[0::2], line[1::2] = s, d
    return line


def synthesise(low_pass: Dict[int, np.ndarray], bands: Bands) -> Dict[int, np.ndarray]:
    planes = {}
    for plane, values in low_pass.items():
        left = merge(values, 32 * bands[plane, 1])
        right = merge(32 * bands[plane, 0], 32 * bands[plane, 2])
        planes[plane] = merge(left.T, right.T).T
    return planes


# Field wavelet: payloads


def read_bands(
    payload: Bytes,
    size: Tuple[int, int],
    levels: int,
    low_pass: Dict[int, np.ndarray],
    prior: Prior,
    step_feature: int,
    dependent: bool,
    first_level: int = 0,
    beyond: Sequence[Bands] = (),
) -> Tuple[List[Bands], Dict[int, np.ndarray]]:
    """The bands of the levels from the finest, in half steps, and the planes after it.

    `low_pass` is what the coarsest level begins with, `first_level` what the finest is for the context model, `beyond`
    the bands one and two levels further than the coarsest.
    """
    sizes = sizes_of_planes(*size, levels)
    planes = list(low_pass)
    order = [(level, (plane, o)) for level in range(levels) for plane in planes for o in range(3)]
    packed = payload.take(-(-len(order) // 8))
    flags = "".join(f"{byte:08b}" for byte in packed)
    require("1" not in flags[len(order) :], "bits after the flags")
    coded = {key for key, flag in zip(order, flags) if flag == "1"}
    checks = [(width, payload.number(width)) for width in (2, 1, 1, 1, 1)[:levels]]
    stream = Stream(payload.rest())

    found: Dict[int, Bands] = {levels + index: bands for index, bands in enumerate(beyond)}
    crc = 0
    for level in reversed(range(levels)):
        found[level] = zero_bands(sizes[level], planes)
        bands = [band for band in found[level] if (level, band) in coded]
        states = States(dependent)
        visible = [found.get(level + further, {}) for further in range(3)]
        rows = max([found[level][band].shape[0] + 2 * b for b, band in enumerate(bands)], default=0)
        for t in range(rows):
            for parity in range(2):
                positions = []
                for b, band in enumerate(bands):
                    height, width = found[level][band].shape
                    if 0 <= t - 2 * b < height:
                        positions += [(band, t - 2 * b, column) for column in range(parity, width, 2)]
                expected = []
                for band, y, x in positions:
                    signed = signed_features(band, y, x, visible, low_pass)
                    quantizer = states.quantizer(band, x)
                    expected.append(
                        expectation(prior, step_feature, first_level + level, band, t, x, signed, quantizer)
                    )
                for (band, y, x), k in zip(positions, read_pass(stream, prior, expected)):
                    require(abs(k) <= 2**20, "magnitude of a coefficient")
                    found[level][band][y, x] = value_of(k, states.quantizer(band, x))
                    states.follow(band, x, k)
                    crc = zlib.crc32(struct.pack("<i", k), crc)
        if level < len(checks):
            width, check = checks[level]
            require(crc % 256**width == check, f"check of level {level}")
        low_pass = synthesise(low_pass, found[level])
    stream.finish()
    return [found[level] for level in range(levels)], low_pass


def read_pass(stream: Stream, prior: Prior, expected: Sequence[Expected]) -> List[int]:
    """The indices of a pass."""
    symbols = [stream.symbol(prior.tables[one.row]) for one in expected]
    values = [symbol - 16 for symbol in symbols]
    escaped = [index for index, symbol in enumerate(symbols) if symbol in (0, 32)]
    for index, (sign, excess) in zip(escaped, stream.escapes(len(escaped))):
        require((sign < 0) == (symbols[index] == 0), "sign of an escape")
        values[index] = sign * (16 + excess)
    for shift in sorted({one.shift for one in expected} - {0}):
        for index, one in enumerate(expected):
            if one.shift == shift:
                values[index] = (values[index] << shift) + stream.raw(shift) - (1 << (shift - 1))
    return [one.base - r if one.flipped else one.base + r for one, r in zip(expected, values)]


def read_lattice(
    payload: Bytes,
    size: Tuple[int, int],
    planes: Sequence[int],
    prior: Prior,
    step_feature: int,
    dependent: bool,
    first_level: int = 0,
) -> Tuple[List[Bands], Dict[int, np.ndarray]]:
    """The bands of the levels from the finest, and the planes after it."""
    levels = number_of_levels(*size)
    shape = sizes_of_planes(*size, levels)[-1]
    differences = read_tensors(payload.take(payload.varint()), [shape] * len(planes))
    low_pass = {}
    for plane, values in zip(planes, differences):
        values[:, 0] = np.cumsum(values[:, 0])
        low_pass[plane] = 64 * np.cumsum(values, axis=1)
    return read_bands(payload, size, levels, low_pass, prior, step_feature, dependent, first_level)


def part(values: np.ndarray, level: int, rows: Tuple[int, int], columns: Tuple[int, int]) -> Tuple[slice, slice]:
    """Where a tile of these pixels, from and to, lies in a band or a low-pass plane of a level."""
    (top, bottom), (left, right) = ((start >> (level + 1), -(-end >> (level + 1))) for start, end in (rows, columns))
    return slice(top, min(bottom, values.shape[0])), slice(left, min(right, values.shape[1]))


def read_tiles(
    payload: Bytes,
    size: Tuple[int, int],
    side: int,
    planes: Sequence[int],
    prior: Prior,
    step_feature: int,
    dependent: bool,
) -> Tuple[List[Bands], Dict[int, np.ndarray]]:
    """As `read_lattice`."""
    sizes = sizes_of_planes(*size, 5)
    corners = [(top, left) for top in range(0, size[0], side) for left in range(0, size[1], side)]
    lengths = [payload.varint() for _ in range(1 + len(corners))]
    require(sum(lengths) == len(payload.data) - payload.position, "lengths of the tiles")
    root = Bytes(payload.take(lengths[0]))
    root_bands, root_planes = read_lattice(root, sizes[5], planes, prior, step_feature, dependent, 5)
    levels = [zero_bands(sizes[level], planes) for level in range(5)] + root_bands
    for (top, left), length in zip(corners, lengths[1:]):
        rows, columns = (top, min(top + side, size[0])), (left, min(left + side, size[1]))
        low_pass = {plane: values[part(values, 4, rows, columns)] for plane, values in root_planes.items()}
        beyond = [
            {band: values[part(values, 5 + index, rows, columns)] for band, values in bands.items()}
            for index, bands in enumerate(root_bands[:2])
        ]
        tile = Bytes(payload.take(length))
        shape = (rows[1] - rows[0], columns[1] - columns[0])
        own, _ = read_bands(tile, shape, 5, low_pass, prior, step_feature, dependent, 0, beyond)
        for level, bands in enumerate(own):
            for band, values in bands.items():
                whole = levels[level][band]
                whole[part(whole, level, rows, columns)] = values
    finest = root_planes
    for bands in levels[4::-1]:
        finest = synthesise(finest, bands)
    return levels, finest


# Field wavelet: description and rendering


def read_wavelet(family: int, description: Bytes, width: int, height: int, channels: int, payload: bytes) -> Field:
    i, e = description.number(2, signed=True), description.number(1)
    dependent, e = e >= 128, e % 128
    require(-256 <= i <= 768, "step index")
    require(e == 0 or 7 <= e <= 11, "size of the tiles")
    require(e > 0 or width * height <= 2**21, "a picture of this size has tiles")
    prior = Prior(description.take(8))
    mixed = np.frombuffer(description.rest(), np.int8).reshape(2, -1) / 32
    require(mixed.shape[1] == prior.corrections, "length of the description")
    step = 2 ** (i / 64 - 8)
    step_feature = min(max((3 * i - 529) // 8, 0), 127)
    planes = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]

    data, size = Bytes(payload), (height, width)
    if e > 0:
        levels, finest = read_tiles(data, size, 2**e, planes, prior, step_feature, dependent)
    else:
        levels, finest = read_lattice(data, size, planes, prior, step_feature, dependent)
    integers = [values for bands in levels for values in bands.values()]
    return integers, list(finest.values()), render(finest, prior, mixed, step_feature, step)


def render(
    finest: Dict[int, np.ndarray], prior: Prior, mixed: np.ndarray, step_feature: int, step: float
) -> np.ndarray:
    """The colours (H, W, channels) at the pixel centres; `mixed` (2, K) are the weights for luma and chroma."""
    planes = {plane: values / 64 for plane, values in finest.items()}
    height, width = planes[0].shape
    rows, columns = -(-height // 2), -(-width // 2)
    blocks = np.zeros((rows, columns, 12))
    for plane in planes.keys() - {3}:
        for y in range(2 * rows):
            for x in range(2 * columns):
                value = planes[plane][min(y, height - 1), min(x, width - 1)]
                blocks[y // 2, x // 2, 6 * (y % 2) + 3 * (x % 2) + plane] = value
    corrections = convolve(blocks, prior, step_feature)
    for plane in planes.keys() - {3}:
        weights = mixed[0 if plane == 0 else 1]
        for y in range(height):
            for x in range(width):
                channel = 6 * (y % 2) + 3 * (x % 2) + plane
                planes[plane][y, x] += corrections[y // 2, x // 2, channel::12] @ weights

    coloured = {plane: step * values for plane, values in planes.items()}
    luma = coloured[0] / math.sqrt(3)
    if 1 in coloured:
        a, b = coloured[1] / math.sqrt(2), coloured[2] / math.sqrt(6)
        found = [luma + a + b, luma - 2 * b, luma - a + b]
    else:
        found = [luma]
    if 3 in coloured:
        found.append(coloured[3] / math.sqrt(3))
    return np.stack(found, axis=-1) + 0.5


def convolve(blocks: np.ndarray, prior: Prior, step_feature: int) -> np.ndarray:
    """The 12 K outputs of the synthesis network for each block."""
    e = (step_feature - 64) / 32
    border = prior.layers
    x = np.pad(blocks, ((border, border), (border, border), (0, 0)), mode="symmetric")
    for layer in range(prior.layers):
        kernel, scale, bias = (prior.arrays[f"synthesis.{name}{layer}"].astype(np.float64) for name in "wsb")
        kernel = kernel * scale
        rows, columns = x.shape[0] - 2, x.shape[1] - 2
        y = np.zeros((rows, columns, len(bias))) + bias
        for row in range(3):
            for column in range(3):
                y += x[row : row + rows, column : column + columns] @ kernel[row, column]
        if layer < prior.layers - 1:
            f = prior.arrays[f"synthesis.f{layer}"].astype(np.float64)
            y = np.maximum(y + f[0] * e + f[1] * e * e, 0)
        x = y
    return x
