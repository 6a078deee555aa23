"""The second reader's canonical check against its encoder, and what it refuses of a prior."""

from __future__ import annotations

import random
from typing import List, Tuple

import pytest
from second_reader import NewerVersion, Refused, Stream, cumulated, frequencies_of_table, range_encoded, read_prior
from second_reader.entropy import LENGTHS
from second_reader.prior import signed_inputs


def random_table(rng: random.Random) -> List[int]:
    """Cumulated frequencies, from nearly equal to as skewed as can be."""
    weights = [2 ** rng.uniform(0, 24) for _ in range(rng.choice((2, 3, 33, 400)))]
    frequencies = [1 + int(weight / sum(weights) * (2**24 - len(weights))) for weight in weights]
    frequencies[rng.randrange(len(weights))] += 2**24 - sum(frequencies)
    return cumulated(frequencies)


TABLES = [random_table(random.Random(seed)) for seed in range(40)]
TABLES += [cumulated(frequencies_of_table(number)) for number in (0, 63, 64, 100)]


def script(rng: random.Random) -> "List[Tuple[str, int]]":
    """What a reader asks of a stream: symbols under tables, raw bits, and Exp-Golomb codes."""
    kinds = ("symbol", "symbol", "symbol", "raw", "signed", "unsigned")
    return [(kind, rng.randrange(1, 9)) for kind in rng.choices(kinds, k=rng.choice((0, 1, 2, 30)))]


def follow(stream: Stream, script: "List[Tuple[str, int]]") -> None:
    for kind, number in script:
        if kind == "symbol":
            for step in range(number):
                stream.symbol(TABLES[(number * 7 + step) % len(TABLES)])
        elif kind == "raw":
            stream.raw(number)
        else:
            stream.exp_golomb(number, kind == "signed")


def variants(data: bytes, rng: random.Random) -> "List[bytes]":
    """A stream, and what damage makes of it."""
    flipped = bytearray(data)
    if data:
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    more = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 6)))
    return [data, data[: rng.randrange(len(data) + 1)], bytes(flipped), data + b"\0", data + more]


@pytest.mark.parametrize("seed", range(60))
def test_the_canonical_check_agrees_with_encoding_again(seed: int) -> None:
    rng = random.Random(seed)
    asked = script(rng)
    stream = Stream(bytes(rng.randrange(256) for _ in range(rng.choice((0, 3, 40, 400)))))
    try:
        follow(stream, asked)
    except Refused:
        return
    for data in variants(range_encoded(stream.coded), rng):
        stream = Stream(data)
        try:
            follow(stream, asked)
        except Refused:
            continue
        try:
            stream.finish()
        except Refused:
            assert range_encoded(stream.coded) != data
        else:
            assert range_encoded(stream.coded) == data


def test_the_example_of_the_page() -> None:
    stream = Stream(bytes.fromhex("77AC7CD5"))
    table = cumulated([381301, 1525201, 3431702, 6100804, 3431702, 1525201, 381305])
    assert [stream.symbol(table) for _ in range(11)] == [3, 3, 2, 4, 0, 6, 3, 1, 5, 3, 2]
    assert (stream.words, stream.window) == (0, 0x77AC7CD500000000)
    assert (stream.offset, stream.width) == (0x1B2E5D31, 0x2BE344C06)
    stream.finish()


def test_exp_golomb_of_the_page() -> None:
    half = 2**23
    length = LENGTHS[2], LENGTHS[3] - LENGTHS[2]
    bits = {0: (0, half), 1: (half, half)}
    assert Stream(range_encoded([length, bits[1], bits[0]])).exp_golomb(1, signed=False) == [(1, 5)]
    assert Stream(range_encoded([length, bits[1], bits[1], bits[0]])).exp_golomb(1, signed=True) == [(-1, 5)]


# Priors

NETWORKS = [(plane, orientation, parity) for plane in range(3) for orientation in range(3) for parity in (0, 1) * 3]
CONTEXT_BYTES = sum(2 * (3 * signed_inputs(*key) + 3 + 1 + 2) + 4 * 4 for key in NETWORKS)
HEAD = 22


def small_prior() -> bytearray:
    """One unit a layer, one correction, one layer, all weights 0."""
    head = b"NIFPRIOR" + bytes([1, 1, 1, 8, 3]) + bytes(6 * [1]) + bytes([1, 1, 1])
    table = b"".join(f.to_bytes(4, "little") for f in [1] * 32 + [2**24 - 32])
    return bytearray(head + bytes(CONTEXT_BYTES) + 832 * table + bytes(9 * 12 * 12 + 2 * 4 * 12))


def test_a_prior_is_read() -> None:
    prior = read_prior(bytes(small_prior()))
    assert len(prior.networks) == 54 and len(prior.tables) == 832
    assert prior.layers[0].kernel.shape == (3, 3, 12, 12)


@pytest.mark.parametrize("offset", range(8, 13), ids=["version", "transform", "neighbourhood", "states", "groups"])
def test_a_prior_of_a_newer_version_is_refused(offset: int) -> None:
    data = small_prior()
    data[offset] += 1
    with pytest.raises(NewerVersion):
        read_prior(bytes(data))


@pytest.mark.parametrize(
    ("offset", "damage"),
    [
        (0, b"n"),
        (13, b"\0"),
        (HEAD + CONTEXT_BYTES, (0).to_bytes(4, "little")),
        (HEAD + CONTEXT_BYTES, (2).to_bytes(4, "little")),
        (-4, b"\0\0\x80\x7f"),
        # The first network: 95 weights of 16 bits, then the bias, of 32 bits.
        (HEAD + 2 * 95, (2**23).to_bytes(4, "little")),
    ],
    ids=["magic", "size", "frequency 0", "sum of frequencies", "infinity", "sum of a network"],
)
def test_a_prior_that_breaks_its_promises_is_refused(offset: int, damage: bytes) -> None:
    data = small_prior()
    offset %= len(data)
    data[offset : offset + len(damage)] = damage
    with pytest.raises(Refused):
        read_prior(bytes(data))


def test_a_prior_has_its_exact_length() -> None:
    data = bytes(small_prior())
    for bad in (data[:-1], data + b"\0"):
        with pytest.raises(Refused):
            read_prior(bad)
