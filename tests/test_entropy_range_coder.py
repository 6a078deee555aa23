"""The range coder against an independent one in Python integers, and its promises about bytes."""

from __future__ import annotations

import random
from typing import List, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from second_reader import Refused, Stream, cumulated, frequencies_of_table, range_encoded

from nifcodec.entropy.exp_golomb import get_code, get_signed_code, put_code
from nifcodec.entropy.range_coder import TOTAL, Decoder, Encoder, Tables, uniform
from nifcodec.errors import MalformedError


def table(weights: List[int]) -> np.ndarray:
    """A legal table of about these proportions, made with integers."""
    n = len(weights)
    total = sum(weights) or 1
    freqs = [1 + w * (TOTAL - n) // total for w in weights]
    freqs[-1] += TOTAL - sum(freqs)
    return np.array(freqs)


def one(weights: List[int]) -> Tables:
    return Tables(table(weights)[None])


def skewed(rng: random.Random, n: int) -> np.ndarray:
    return table([int(2 ** rng.uniform(0, 24)) for _ in range(n)])


def intervals(symbols: "np.ndarray | List[int]", freqs: np.ndarray) -> List[Tuple[int, int]]:
    """Each symbol as what the coder of the format description takes: `before` and `frequency`."""
    sums = cumulated(freqs)
    return [(sums[s], sums[s + 1] - sums[s]) for s in symbols]


def encoded(symbols: "np.ndarray | List[int]", tables: Tables, ids: "np.ndarray | int" = 0) -> bytes:
    encoder = Encoder()
    encoder.put(np.asarray(symbols), tables, ids)
    return encoder.finish()


def decoded(data: bytes, count: int, tables: Tables, ids: "np.ndarray | int" = 0) -> List[int]:
    decoder = Decoder(data)
    found: List[int] = decoder.get(count, tables, ids).tolist()
    decoder.finish()
    return found


@pytest.mark.parametrize("seed", range(8))
def test_same_bytes_as_the_coder_of_the_format_description(seed: int) -> None:
    rng = random.Random(seed)
    freqs = [skewed(rng, n) for n in (2, 3, 17, 255, 4000)]
    freqs.append(np.array([1, TOTAL - 2, 1]))
    ours, coded = Encoder(), []
    runs = []
    for _ in range(40):
        f = rng.choice(freqs)
        weights = list(f) if rng.random() < 0.5 else None
        symbols = np.array(rng.choices(range(len(f)), weights=weights, k=rng.randrange(60)), dtype=np.int32)
        ours.put(symbols, Tables(f[None]))
        coded += intervals(symbols, f)
        runs.append((symbols, f))
        assert ours.finish() == range_encoded(coded)
    data = ours.finish()
    decoder, reader = Decoder(data), Stream(data)
    for symbols, f in runs:
        assert decoder.get(len(symbols), Tables(f[None])).tolist() == symbols.tolist()
        assert [reader.symbol(cumulated(f)) for _ in symbols] == symbols.tolist()
    decoder.finish()
    reader.finish()


def test_each_symbol_has_the_table_that_its_id_names() -> None:
    rng = random.Random(3)
    freqs = np.stack([skewed(rng, 33) for _ in range(20)])
    ids = np.array(rng.choices(range(20), k=500))
    symbols = np.array([rng.choices(range(33), weights=freqs[i].tolist())[0] for i in ids])
    data = encoded(symbols, Tables(freqs), ids)
    assert data == range_encoded([intervals([s], freqs[i])[0] for s, i in zip(symbols, ids)])
    assert decoded(data, 500, Tables(freqs), ids) == symbols.tolist()
    # One number is the table of all symbols.
    alone = encoded(symbols, Tables(freqs), 7)
    assert alone == encoded(symbols, Tables(freqs[7:8]))
    assert decoded(alone, 500, Tables(freqs), 7) == symbols.tolist()


@pytest.mark.parametrize("bits", range(1, 13))
def test_raw_bits_are_symbols_of_equal_frequencies(bits: int) -> None:
    values = np.random.default_rng(bits).integers(0, 1 << bits, 50)
    data = encoded(values, uniform(bits))
    reader = Stream(data)
    assert [reader.raw(bits) for _ in values] == values.tolist()
    reader.finish()
    assert uniform(bits).size == 1 << bits


@pytest.mark.parametrize("n", [3, 7, 1001])
def test_carries_run_through_many_words(n: int) -> None:
    # Symbols whose intervals all hold one half leave every word undecided until one above or below it ends that.
    freqs = table([1] * n)
    middle = Stream(b"\x80")
    undecided = [middle.symbol(cumulated(freqs)) for _ in range(60)]
    first_bytes = []
    for last in (0, n - 1):
        symbols = undecided + [last] * 8
        data = encoded(symbols, Tables(freqs[None]))
        assert data == range_encoded(intervals(symbols, freqs))
        assert decoded(data, len(symbols), Tables(freqs[None])) == symbols
        first_bytes.append(data[0])
    assert first_bytes == [0x7F, 0x80]


def test_the_end_of_a_stream_may_carry_too() -> None:
    """The point of the final interval lies above all words that are held back."""
    freqs = table([1, 1, 1])
    middle = Stream(b"\x80")
    undecided = [middle.symbol(cumulated(freqs)) for _ in range(60)]
    assert encoded(undecided, Tables(freqs[None])) == b"\x80"
    assert decoded(b"\x80", 60, Tables(freqs[None])) == undecided


def test_example_of_the_format_description() -> None:
    freqs = np.array([[381301, 1525201, 3431702, 6100804, 3431702, 1525201, 381305]])
    symbols = [3, 3, 2, 4, 0, 6, 3, 1, 5, 3, 2]
    assert encoded(symbols, Tables(freqs)).hex() == "77ac7cd5"
    assert decoded(bytes.fromhex("77ac7cd5"), 11, Tables(freqs)) == symbols


def test_nothing_is_an_empty_stream() -> None:
    assert Encoder().finish() == b""
    assert encoded([], one([1, 1])) == b""
    assert decoded(b"", 0, one([1, 1])) == []


def test_length_is_the_ideal_one_within_two_bytes() -> None:
    rng = np.random.default_rng(5)
    freqs = table([int(w) for w in 1000 * np.exp(-np.abs(np.arange(-40, 41)) / 6) + 1])
    for count in (0, 1, 10, 1000, 100_000):
        symbols = rng.choice(len(freqs), count, p=freqs / TOTAL)
        ideal = float(-np.log2(freqs[symbols] / TOTAL).sum()) / 8
        assert ideal - 1 <= len(encoded(symbols, Tables(freqs[None]))) <= ideal + 2


def test_an_encoder_goes_on_after_it_was_finished() -> None:
    tables, encoder = one([3, 1, 4, 1, 5]), Encoder()
    symbols = np.random.default_rng(2).integers(0, 5, 200)
    for start in range(0, 200, 20):
        encoder.put(symbols[start : start + 20], tables)
        assert encoder.finish() == encoded(symbols[: start + 20], tables)


@pytest.mark.parametrize("seed", range(10))
def test_needed_is_what_a_decoder_has_read(seed: int) -> None:
    """After any symbol; so many bytes, and anything behind them, decode to the symbols so far."""
    rng = random.Random(seed)
    tables = Tables(np.stack([skewed(rng, 17) for _ in range(5)]))
    ids = np.array(rng.choices(range(5), k=120))
    symbols = np.array(rng.choices(range(17), k=120))
    encoder, needed = Encoder(), [8]
    for symbol, number in zip(symbols, ids):
        encoder.put(symbol[None], tables, number[None])
        needed.append(encoder.needed())
    data = encoder.finish()
    reader = Stream(data)
    for count, (symbol, number) in enumerate(zip(symbols, ids), 1):
        assert reader.symbol(cumulated(np.diff(tables.cumulative[number]))) == symbol
        assert reader.position == 4 * reader.words + 8 == needed[count]
        if count % 20 == 0:
            part = data[: needed[count]]
            part += bytes(rng.randrange(256) for _ in range(40)) if needed[count] <= len(data) else b""
            assert Decoder(part).get(count, tables, ids[:count]).tolist() == symbols[:count].tolist()


# Both ways to tell a stream from one that is not the encoder's, tried against each other.

FREQUENCIES = [skewed(random.Random(seed), n) for seed, n in enumerate([2, 3, 33, 400] * 6)]
FREQUENCIES += [np.array(frequencies_of_table(number)) for number in (0, 63, 64, 100)]
MIXED = np.stack([skewed(random.Random(seed), 33) for seed in range(12)])
SINGLE = [Tables(freqs[None]) for freqs in FREQUENCIES]
TOGETHER = Tables(MIXED)

Asked = List[Tuple[str, int]]


def script(rng: random.Random) -> Asked:
    """What a reader asks of a stream: symbols under a table or under many, raw bits, and Exp-Golomb codes."""
    kinds = ("single", "mixed", "raw", "signed", "unsigned")
    return [(kind, rng.randrange(1, 13)) for kind in rng.choices(kinds, k=rng.choice((0, 1, 2, 8, 30)))]


def by_package(data: bytes, asked: Asked) -> Tuple[bool, List[int], Encoder]:
    """Whether the stream is taken, its symbols, and an encoder that coded them again."""
    decoder, again, found = Decoder(data), Encoder(), []
    for kind, number in asked:
        if kind == "single":
            tables = SINGLE[number % len(SINGLE)]
            symbols = decoder.get(number, tables)
            again.put(symbols, tables)
        elif kind == "mixed":
            ids = np.arange(number) * 5 % len(MIXED)
            symbols = decoder.get(number, TOGETHER, ids)
            again.put(symbols, TOGETHER, ids)
        elif kind == "raw":
            symbols = decoder.get(3, uniform(number))
            again.put(symbols, uniform(number))
        elif kind == "signed":
            excess, negative = get_signed_code(decoder, number, 1 << 20)
            put_code(again, excess, negative)
            symbols = np.where(negative, -excess - 1, excess + 1)
        else:
            symbols = get_code(decoder, number, 1 << 20)
            put_code(again, symbols)
        found += symbols.tolist()
    try:
        decoder.finish()
    except MalformedError:
        return False, found, again
    return True, found, again


def by_second_reader(data: bytes, asked: Asked) -> Tuple[bool, List[int], Stream]:
    stream, found = Stream(data), []
    for kind, number in asked:
        if kind == "single":
            sums = cumulated(FREQUENCIES[number % len(SINGLE)])
            found += [stream.symbol(sums) for _ in range(number)]
        elif kind == "mixed":
            found += [stream.symbol(cumulated(MIXED[i * 5 % len(MIXED)])) for i in range(number)]
        elif kind == "raw":
            found += [stream.raw(number) for _ in range(3)]
        elif kind == "signed":
            found += [sign * (excess + 1) for sign, excess in stream.exp_golomb(number, signed=True)]
        else:
            found += [excess for _, excess in stream.exp_golomb(number, signed=False)]
    try:
        stream.finish()
    except Refused:
        return False, found, stream
    return True, found, stream


def variants(data: bytes, rng: random.Random) -> List[bytes]:
    """A stream, and what damage makes of it."""
    found = [data, data + b"\0", data[:-1], data[: rng.randrange(len(data) + 1)]]
    for _ in range(4):
        flipped = bytearray(data or b"\0")
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        found.append(bytes(flipped))
    found.append(data + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9))))
    # Another point of the final interval, or near it.
    last = int.from_bytes(data[-2:].ljust(2, b"\0"), "big")
    found.append(data[:-2] + min(last + 1, 65535).to_bytes(2, "big"))
    return found


@pytest.mark.parametrize("seed", range(120))
def test_both_canonical_checks_and_encoding_again_agree(seed: int) -> None:
    rng = random.Random(seed)
    asked = script(rng)
    noise = bytes(rng.randrange(256) for _ in range(rng.choice((0, 1, 3, 40, 600))))
    try:
        _, _, again = by_package(noise, asked)
    except MalformedError:
        return
    good = again.finish()
    assert by_package(good, asked)[0]
    for data in variants(good, rng):
        try:
            taken, symbols, again = by_package(data, asked)
        except MalformedError:
            with pytest.raises(Refused):
                by_second_reader(data, asked)
            continue
        second_taken, second_symbols, stream = by_second_reader(data, asked)
        assert symbols == second_symbols
        assert again.finish() == range_encoded(stream.coded)
        assert again.needed() == 4 * stream.words + 8
        assert taken == second_taken == (again.finish() == data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, 2))
def test_any_bytes_decode_or_are_refused(data: bytes, count: int, which: int) -> None:
    tables = (one([1, 2, 3]), Tables(np.array([[TOTAL - 1, 1]])), one(list(range(1, 300))))[which]
    try:
        symbols = decoded(data, count, tables)
    except MalformedError:
        return
    assert encoded(symbols, tables) == data


def test_surplus_and_missing_bytes_are_refused() -> None:
    tables = one([1, 2, 3, 4])
    data = encoded(np.random.default_rng(1).integers(0, 4, 300), tables)
    for bad in (data + b"\0", data + b"\1", data[1:]):
        with pytest.raises(MalformedError):
            decoded(bad, 300, tables)


def test_a_byte_that_no_decoder_looks_at_is_surplus() -> None:
    """One symbol shifts no word: only the first 8 bytes are read."""
    tables = one([1, 1])
    for data, good in ((b"\x80", True), (b"\x80" + bytes(7) + b"\1", False), (b"\x80\0", False), (b"\x81", False)):
        if good:
            assert decoded(data, 1, tables) == [1]
        else:
            with pytest.raises(MalformedError, match="surplus"):
                decoded(data, 1, tables)


def test_a_point_outside_of_every_interval_is_refused() -> None:
    with pytest.raises(MalformedError, match="no sequence"):
        Decoder(b"\xff" * 12).get(5, one([1, 1]))


@pytest.mark.parametrize(
    "bad",
    [[[TOTAL]], [[TOTAL, 0]], [[TOTAL - 1, 2]], [[-1, TOTAL + 1]], [TOTAL // 2, TOTAL // 2], [[1, TOTAL - 1], [1, 1]]],
)
def test_illegal_tables_are_refused(bad: "List[List[int]]") -> None:
    with pytest.raises(ValueError, match="frequency table"):
        Tables(np.array(bad))


@pytest.mark.parametrize("symbol", [-1, 3, 2**31 - 1])
def test_a_symbol_outside_of_the_alphabet_is_refused(symbol: int) -> None:
    with pytest.raises(ValueError, match="alphabet 0 to 2"):
        Encoder().put(np.array([symbol]), one([1, 1, 1]))
