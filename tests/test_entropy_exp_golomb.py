"""Exp-Golomb codes: those of the format description, their lengths, and a bound on what a stream may stand for."""

from __future__ import annotations

import numpy as np
import pytest
from second_reader import Refused, Stream, range_encoded
from second_reader.entropy import LENGTHS

from nifcodec.entropy.exp_golomb import MAX_LENGTH, code_bits, get_code, get_signed_code, put_code
from nifcodec.entropy.range_coder import TOTAL, Decoder, Encoder
from nifcodec.errors import TruncatedError

LARGEST = (1 << MAX_LENGTH + 1) - 2
EDGES = sorted({0, *(near for n in range(1, MAX_LENGTH + 1) for near in (2**n - 2, 2**n - 1, 2**n)), LARGEST})


def coded(excess: "list[int]", negative: "list[bool] | None" = None) -> bytes:
    encoder = Encoder()
    put_code(encoder, np.array(excess, np.int64), None if negative is None else np.array(negative, bool))
    return encoder.finish()


def test_values_without_signs() -> None:
    data = coded(EDGES)
    decoder, reader = Decoder(data), Stream(data)
    assert get_code(decoder, len(EDGES), len(data)).tolist() == EDGES
    assert reader.exp_golomb(len(EDGES), signed=False) == [(1, excess) for excess in EDGES]
    decoder.finish()
    reader.finish()


def test_values_with_signs() -> None:
    negative = [index % 3 == 0 for index in range(len(EDGES))]
    data = coded(EDGES, negative)
    decoder, reader = Decoder(data), Stream(data)
    excess, signs = get_signed_code(decoder, len(EDGES), len(data))
    assert (excess.tolist(), signs.tolist()) == (EDGES, negative)
    assert reader.exp_golomb(len(EDGES), signed=True) == [(-1 if n else 1, e) for n, e in zip(negative, EDGES)]
    decoder.finish()
    reader.finish()


def test_the_example_of_the_format_description() -> None:
    """Excess 5: the length symbol 2 and the bits 1, 0; with a negative sign the bits 1, 1, 0. No second sign."""
    half = TOTAL // 2
    length = half + half // 2, half // 4
    one, zero = (half, half), (0, half)
    assert coded([5]) == range_encoded([length, one, zero])
    assert coded([5], [True]) == range_encoded([length, one, one, zero])
    assert coded([5], [False]) == range_encoded([length, zero, one, zero])


def test_all_lengths_come_before_all_bits() -> None:
    half, quarter = TOTAL // 2, TOTAL // 4
    of_length_1, one, zero = (half, quarter), (half, half), (0, half)
    assert coded([1, 2]) == range_encoded([of_length_1, of_length_1, zero, one])


def test_nothing_is_coded_of_nothing() -> None:
    assert coded([]) == coded([], []) == b""
    assert get_code(Decoder(b""), 0, 0).size == 0
    assert [part.size for part in get_signed_code(Decoder(b""), 0, 0)] == [0, 0]


def test_bits_are_those_of_the_code() -> None:
    assert code_bits(np.array([0, 1, 2, 3, 5, 6, 7])).tolist() == [1, 3, 3, 5, 5, 5, 7]
    assert code_bits(np.array([2**20 - 2, 2**20 - 1, LARGEST])).tolist() == [39, 40, 40]
    for excess in (2, 6, 100, 70_000, LARGEST):
        assert len(coded([excess] * 400)) == pytest.approx(400 * code_bits(np.array([excess]))[0] / 8, abs=2)


def test_more_integers_than_the_stream_may_have_are_refused() -> None:
    """The zeros after its end decode to lengths of 0 for ever; it stays a matter of its bytes how many are read."""
    assert get_code(Decoder(b""), 128, 0).tolist() == [0] * 128
    assert Stream(b"").exp_golomb(128, signed=False) == [(1, 0)] * 128
    with pytest.raises(TruncatedError, match="cannot hold"):
        get_code(Decoder(b""), 129, 0)
    with pytest.raises(Refused, match="integers"):
        Stream(b"").exp_golomb(129, signed=False)


@pytest.mark.parametrize("signed", [False, True])
def test_more_bits_than_the_stream_may_have_are_refused(signed: bool) -> None:
    """As many lengths as it may have, of more bits than those."""
    data = b"\xfe"
    count = 8 * len(data) + 128
    probe = Stream(data)
    lengths = [probe.symbol(LENGTHS) for _ in range(count)]
    assert sum(lengths) > count
    read = get_signed_code if signed else get_code
    with pytest.raises(TruncatedError, match="cannot hold"):
        read(Decoder(data), count, len(data))
    with pytest.raises(Refused, match="bits"):
        Stream(data).exp_golomb(count, signed)
