"""The coded part of FORMAT.md written down once more, for the tests: plain Python integers, nothing of nifcodec."""

from math import isqrt

import numpy as np


class PlainEncoder:
    """FORMAT.md's range coder with the whole stream as one Python integer: no carry logic, no library."""

    def __init__(self):
        self.low, self.width, self.words = 0, 2**64 - 1, 0

    def put(self, symbols, freqs):
        cumulative = np.concatenate([[0], np.cumsum(freqs)])
        for s in symbols:
            scale = self.width >> 24
            self.low += scale * int(cumulative[s])
            self.width = scale * int(freqs[s])
            if self.width < 2**32:
                self.width <<= 32
                self.low <<= 32
                self.words += 1

    def finish(self):
        for zeros in range(64, -1, -8):
            point = (self.low + (1 << zeros) - 1) >> zeros << zeros
            if point < self.low + self.width:
                return point.to_bytes(4 * self.words + 8, "big").rstrip(b"\0")
        raise AssertionError("the interval contains its own start")


class PlainDecoder:
    def __init__(self, data):
        self.data = data + bytes(8)
        self.position, self.offset, self.width = 8, int.from_bytes(self.data[:8], "big"), 2**64 - 1

    def get(self, count, freqs):
        cumulative = np.concatenate([[0], np.cumsum(freqs)])
        out = []
        for _ in range(count):
            scale = self.width >> 24
            s = int(np.searchsorted(cumulative, self.offset // scale, side="right")) - 1
            out.append(s)
            self.offset -= scale * int(cumulative[s])
            self.width = scale * int(freqs[s])
            if self.width < 2**32:
                word = (self.data[self.position : self.position + 4] + bytes(4))[:4]
                self.position += 4
                self.width <<= 32
                self.offset = self.offset << 32 | int.from_bytes(word, "big")
        return out


def plain_table(table_id):
    """Steps 1 to 5 of FORMAT.md, "Tables", written down once more."""
    shape, i = divmod(table_id, 64)
    size = (65536, 75281, 86475, 99334, 114105)[i % 5] * 2 ** (i // 5)
    top = (16, 5)[shape] * size // 2**20 + 8
    roots = [2**61]
    for _ in range(16):
        roots.append(isqrt(roots[-1] * 2**62))

    def product(byte, first):
        value = 2**62
        for j, bit in enumerate(f"{byte:08b}"):
            if bit == "1":
                value = value * roots[first + j] >> 62
        return value

    def power(x):
        return (product(x // 256 % 256, 1) * product(x % 256, 9) >> 62) >> (x >> 16)

    half = [power((k * 2**36) // size if shape == 0 else (k**2 * 2**56) // size**2) for k in range(top + 1)]
    weights = [half[abs(k)] for k in range(-top, top + 1)] + [half[top]]
    free, total = 2**24 - len(weights), sum(weights)
    table = [1 + weight * free // total for weight in weights]
    table[top] += 2**24 - sum(table)
    return table


def plain_tensors(data, sizes):
    """A range coded tensors payload, read as FORMAT.md says: one list of integers a tensor."""
    assert data[0] == 0
    table_ids = data[1 : 1 + len(sizes)]
    decoder = PlainDecoder(data[1 + len(sizes) :])
    tensors, tops = [], []
    for table_id, size in zip(table_ids, sizes):
        table = plain_table(table_id)
        tops.append(len(table) // 2 - 1)
        tensors.append([symbol - tops[-1] for symbol in decoder.get(size, table)])
    escapes = [(i, j) for i, tensor in enumerate(tensors) for j, value in enumerate(tensor) if value > tops[i]]
    lengths = decoder.get(len(escapes), [2**23 >> m for m in range(20)] + [2**4])
    for (i, j), length in zip(escapes, lengths):
        sign, *low = decoder.get(length + 1, [2**23, 2**23])
        excess = int("1" + "".join(map(str, low)), 2) - 1
        tensors[i][j] = (-1) ** sign * (excess + tops[i] + 1)
    return tensors
