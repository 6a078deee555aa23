"""The range coder against an independent one in Python integers, and its promises about bytes."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from second_reader import Stream, cumulated, range_encoded

from nifcodec.entropy.range_coder import TOTAL, Decoder, Encoder, Model, decode, encode
from nifcodec.errors import MalformedError


def table(weights):
    """A legal table of about these proportions, made with integers."""
    n = len(weights)
    total = sum(weights) or 1
    freqs = [1 + w * (TOTAL - n) // total for w in weights]
    freqs[-1] += TOTAL - sum(freqs)
    return np.array(freqs)


def plainly(*runs):
    """The stream of runs of symbols, (symbols, frequencies) each, by the coder of the format description."""
    tables = [(symbols, cumulated(freqs)) for symbols, freqs in runs]
    return range_encoded([(sums[s], sums[s + 1] - sums[s]) for symbols, sums in tables for s in symbols])


def skewed(rng, n):
    return table([int(2 ** rng.uniform(0, 24)) for _ in range(n)])


@pytest.mark.parametrize("seed", range(8))
def test_same_bytes_as_the_coder_of_the_format_description(seed):
    rng = random.Random(seed)
    freqs = [skewed(rng, n) for n in (2, 3, 17, 255, 4000)]
    freqs.append(np.array([1, TOTAL - 2, 1]))
    ours, runs = Encoder(), []
    for _ in range(40):
        f = rng.choice(freqs)
        if rng.random() < 0.5:
            symbols = np.array(rng.choices(range(len(f)), k=rng.randrange(60)), dtype=np.int32)
        else:
            symbols = np.array(rng.choices(range(len(f)), weights=list(f), k=rng.randrange(60)), dtype=np.int32)
        ours.put(symbols, Model(f))
        runs.append((symbols, f))
        assert ours.finish() == plainly(*runs)
    data = ours.finish()
    decoder, reader = Decoder(data), Stream(data)
    for symbols, f in runs:
        assert decoder.get(len(symbols), Model(f)).tolist() == symbols.tolist()
        assert [reader.symbol(cumulated(f)) for _ in symbols] == symbols.tolist()
    decoder.finish()
    reader.finish()


@pytest.mark.parametrize("n", [3, 7, 1001])
def test_carries_run_through_many_words(n):
    # Symbols whose intervals all hold one half leave every word undecided until one above or below it ends that.
    freqs = table([1] * n)
    middle = Stream(b"\x80")
    undecided = [middle.symbol(cumulated(freqs)) for _ in range(60)]
    first_bytes = []
    for last in (0, n - 1):
        symbols = undecided + [last] * 8
        data = encode(np.array(symbols, dtype=np.int32), np.zeros(68, int), [freqs])
        assert data == plainly((symbols, freqs))
        assert decode(data, np.zeros(68, int), [freqs]).tolist() == symbols
        first_bytes.append(data[0])
    assert first_bytes == [0x7F, 0x80]


def test_example_of_the_format_description():
    freqs = np.array([381301, 1525201, 3431702, 6100804, 3431702, 1525201, 381305])
    symbols = np.array([3, 3, 2, 4, 0, 6, 3, 1, 5, 3, 2], dtype=np.int32)
    assert encode(symbols, np.zeros(11, dtype=int), [freqs]).hex() == "77ac7cd5"


def test_symbols_are_grouped_by_table():
    freqs = [table([5, 1]), table([1, 1, 7])]
    symbols = np.array([0, 2, 1, 0, 0, 1], dtype=np.int32)
    ids = np.array([0, 1, 0, 1, 0, 1])
    data = encode(symbols, ids, freqs)
    assert data == plainly(([0, 1, 0], freqs[0]), ([2, 0, 1], freqs[1]))
    assert decode(data, ids, freqs).tolist() == symbols.tolist()


def test_nothing_is_an_empty_stream():
    assert Encoder().finish() == b""
    assert encode(np.zeros(0, np.int32), np.zeros(0, int), [table([1, 1])]) == b""
    assert decode(b"", np.zeros(0, int), [table([1, 1])]).size == 0


def test_length_is_the_ideal_one_within_two_bytes():
    rng = np.random.default_rng(5)
    freqs = table([int(w) for w in 1000 * np.exp(-np.abs(np.arange(-40, 41)) / 6) + 1])
    for count in (0, 1, 10, 1000, 100_000):
        symbols = rng.choice(len(freqs), count, p=freqs / TOTAL).astype(np.int32)
        ideal = float(-np.log2(freqs[symbols] / TOTAL).sum()) / 8
        assert ideal - 1 <= len(encode(symbols, np.zeros(count, int), [freqs])) <= ideal + 2


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, 2))
def test_any_bytes_decode_or_are_refused(data, count, which):
    freqs = [table([1, 2, 3]), np.array([TOTAL - 1, 1]), table(list(range(1, 300)))][which]
    decoder = Decoder(data)
    try:
        symbols = decoder.get(count, Model(freqs))
        decoder.finish()
    except MalformedError:
        return
    assert encode(symbols, np.zeros(count, int), [freqs]) == data


def test_surplus_and_missing_bytes_are_refused():
    freqs = table([1, 2, 3, 4])
    ids = np.zeros(300, dtype=int)
    data = encode(np.random.default_rng(1).integers(0, 4, 300).astype(np.int32), ids, [freqs])
    for bad in (data + b"\0", data + b"\1", data[1:]):
        with pytest.raises(MalformedError):
            decode(bad, ids, [freqs])


def test_a_point_outside_of_every_interval_is_refused():
    with pytest.raises(MalformedError, match="no sequence"):
        Decoder(b"\xff" * 12).get(5, Model(table([1, 1])))


@pytest.mark.parametrize("bad", [[TOTAL], [TOTAL, 0], [TOTAL - 1, 2], [-1, TOTAL + 1], [[TOTAL // 2, TOTAL // 2]]])
def test_illegal_tables_are_refused(bad):
    with pytest.raises(ValueError, match="frequency table"):
        Model(np.array(bad))


@pytest.mark.parametrize("symbol", [-1, 3, 2**31 - 1])
def test_a_symbol_outside_of_the_alphabet_is_refused(symbol):
    with pytest.raises(ValueError, match="alphabet 0 to 2"):
        Encoder().put(np.array([symbol], dtype=np.int32), Model(table([1, 1, 1])))
