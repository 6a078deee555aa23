"""Integer tensors through their payload: round trips, lengths, escapes, fallback, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from second_reader import Refused, read_tensors

from nifcodec.entropy.exp_golomb import code_bits, put_code
from nifcodec.entropy.range_coder import Encoder
from nifcodec.entropy.tables import largest, table
from nifcodec.entropy.tensors import (
    COUNT_PER_BYTE,
    FREE_COUNT,
    MAX_COUNT,
    MAX_SYMBOL,
    MAX_ZSTANDARD_COUNT,
    RANGE_CODED,
    ZSTANDARD,
    decode_range,
    decode_tensors,
    encode_range,
    encode_tensors,
    ideal_bits,
    table_costs,
)
from nifcodec.errors import LimitError, MalformedError, NifError, TruncatedError


def shapes_of(tensors):
    return [tensor.shape for tensor in tensors]


def assert_round_trip(tensors):
    data = encode_tensors(tensors)
    back = decode_tensors(data, shapes_of(tensors))
    assert len(back) == len(tensors)
    for tensor, again in zip(tensors, back):
        assert again.dtype == np.int32
        assert again.shape == tensor.shape
        assert np.array_equal(again, tensor)
    return data


def network(rng, width=64, spread=12.0):
    shapes = [(8, width), (width, width), (width, width), (width,), (width, 3), (3,)]
    return [np.rint(rng.normal(0, spread / (1 + i), shape)).astype(np.int32) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize("spread", [0.05, 0.4, 3.0, 25.0, 400.0, 20_000.0])
def test_network_round_trip_and_length(spread):
    tensors = network(np.random.default_rng(1), spread=spread)
    data = assert_round_trip(tensors)
    ideal = ideal_bits(tensors) / 8
    assert len(data) <= ideal * 1.01 + 16
    if data[0] == RANGE_CODED:
        assert len(data) >= ideal * 0.99 - 16


def test_a_reader_written_from_the_format_description_gets_the_same_integers():
    tensors = network(np.random.default_rng(8), width=12, spread=30.0)
    tensors[1][0, :5] = [900, -900, 77_777, MAX_SYMBOL, -MAX_SYMBOL]
    tensors[3][2] = -400
    data = encode_tensors(tensors)
    assert data[0] == RANGE_CODED
    for read, tensor in zip(read_tensors(data, shapes_of(tensors)), tensors):
        np.testing.assert_array_equal(read, tensor)


def test_large_payload_is_close_to_the_ideal_length():
    rng = np.random.default_rng(2)
    tensors = [np.rint(rng.laplace(0, s, 100_000)).astype(np.int32) for s in (0.3, 2.0, 50.0)]
    assert len(assert_round_trip(tensors)) == pytest.approx(ideal_bits(tensors) / 8, rel=1e-4, abs=4)


@pytest.mark.parametrize(
    "tensors",
    [
        [],
        [np.zeros((0, 5), np.int32)],
        [np.zeros(1, np.int32)],
        [np.array(-7, np.int32)],
        [np.zeros((300, 300), np.int32)],
        [np.full((30, 30), 12345, np.int32)],
        [np.array([MAX_SYMBOL, -MAX_SYMBOL, 0], np.int32)],
        [np.array([], np.int32), np.array([[3, -3]], np.int32), np.array([], np.int32)],
        [np.concatenate([np.zeros(5000, np.int32), [MAX_SYMBOL, -MAX_SYMBOL, 1000, -1000]]).astype(np.int32)],
    ],
)
def test_special_tensors(tensors):
    assert_round_trip(tensors)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-MAX_SYMBOL, MAX_SYMBOL) | st.integers(-3, 3), max_size=30), max_size=4))
def test_any_integers_round_trip(lists):
    assert_round_trip([np.array(values, dtype=np.int32) for values in lists])


def test_fortran_order_and_slices_are_coded_in_c_order():
    array = np.arange(24, dtype=np.int32).reshape(4, 6) - 12
    assert encode_tensors([np.asfortranarray(array)]) == encode_tensors([array])
    assert np.array_equal(decode_tensors(encode_tensors([array.T]), [(6, 4)])[0], array.T)


def test_repetition_falls_back_to_zstandard():
    pattern = np.tile(np.random.default_rng(4).integers(-90, 90, 64), 200).astype(np.int32)
    data = assert_round_trip([pattern])
    assert data[0] == ZSTANDARD
    assert len(data) < ideal_bits([pattern]) / 8 / 10


def test_large_tensors_never_fall_back():
    data = assert_round_trip([np.tile(np.arange(-8, 8), MAX_ZSTANDARD_COUNT // 16 + 1).astype(np.int32)])
    assert data[0] == RANGE_CODED
    with pytest.raises(MalformedError, match="method"):
        decode_tensors(bytes([ZSTANDARD]) + data[1:], [(MAX_ZSTANDARD_COUNT + 1,)])


def test_all_zero_weights_cost_almost_nothing():
    assert len(encode_tensors([np.zeros((128, 128), np.int32)])) < 8
    for count in (FREE_COUNT + 1, 3 * FREE_COUNT, 1_000_000):
        data = assert_round_trip([np.zeros(count, np.int32)])
        assert count <= FREE_COUNT + COUNT_PER_BYTE * len(data)
        assert len(data) < count / 128


def test_more_weights_than_the_bytes_may_stand_for_are_refused():
    # What the coder alone would take: zeros under the table that gives them next to no bits.
    encoder = Encoder()
    encoder.put(np.full(1 << 16, largest(0), np.int32), table(0))
    data = bytes([RANGE_CODED, 0]) + encoder.finish()
    with pytest.raises(LimitError, match="65536 weights in"):
        decode_tensors(data, [(1 << 16,)])


def test_as_many_weights_as_the_bytes_may_stand_for_are_read():
    """The payload counts as a whole, with its method and its tables."""

    def payload(count):
        encoder = Encoder()
        encoder.put(np.append(np.full(count - 1, largest(0)), 2 * largest(0)), table(0))
        return bytes([RANGE_CODED, 0]) + encoder.finish()

    most = FREE_COUNT + COUNT_PER_BYTE * len(payload(FREE_COUNT))
    data = payload(most)
    assert most == FREE_COUNT + COUNT_PER_BYTE * len(data)
    for values in (decode_tensors(data, [(most,)])[0], read_tensors(data, [(most,)])[0]):
        assert (int(values[-1]), np.count_nonzero(values)) == (largest(0), 1)
    with pytest.raises(LimitError):
        decode_tensors(data, [(most + 1,)])
    with pytest.raises(Refused):
        read_tensors(data, [(most + 1,)])


def test_range_coded_tensors_stand_alone():
    """Without the byte of the method; so a lattice holds its coarsest low-pass plane."""
    tensors = network(np.random.default_rng(3), width=5)
    tensors[0][0, 0] = -MAX_SYMBOL
    data = encode_range(tensors)
    assert encode_tensors(tensors) == bytes([RANGE_CODED]) + data
    for tensor, again in zip(tensors, decode_range(data, shapes_of(tensors))):
        assert np.array_equal(again, tensor)
    assert encode_range([]) == b"" and decode_range(b"", []) == []
    with pytest.raises(TruncatedError, match="tables"):
        decode_range(data[:3], shapes_of(tensors))


@pytest.mark.parametrize("value", [10, -10, 700, -700, MAX_SYMBOL, -MAX_SYMBOL])
def test_an_escape_has_its_sign_once(value):
    """The table's escape is one for both signs, and the code says the sign: none can contradict another."""
    top = largest(0)
    encoder = Encoder()
    encoder.put(np.array([2 * top + 1]), table(0))
    put_code(encoder, np.array([abs(value) - top - 1]), np.array([value < 0]))
    data = bytes([0]) + encoder.finish()
    assert decode_range(data, [(1,)])[0].tolist() == [value]
    assert read_tensors(bytes([RANGE_CODED]) + data, [(1,)])[0].tolist() == [value]


def test_an_escaped_value_above_the_limit_is_refused():
    encoder = Encoder()
    encoder.put(np.array([2 * largest(0) + 1]), table(0))
    put_code(encoder, np.array([MAX_SYMBOL - largest(0)]), np.array([True]))
    data = bytes([RANGE_CODED, 0]) + encoder.finish()
    with pytest.raises(MalformedError, match="outside"):
        decode_tensors(data, [(1,)])
    with pytest.raises(Refused):
        read_tensors(data, [(1,)])


def test_costs_count_escapes():
    values = np.array([2000, -2000, 5])
    top = largest(10)
    expected = 2 * (float(code_bits(np.array([2000 - top - 1]))[0]) + 1)
    costs = table_costs(values)
    assert costs[10] > expected
    assert costs.shape == (128,)
    # Above the cached magnitudes and below them the same sum has to come out.
    small = np.array([1000, -1000, 5])
    assert table_costs(np.append(small, 1 << 18))[10] - table_costs(small)[10] == pytest.approx(
        table_costs(np.array([1 << 18]))[10]
    )


def test_one_escape_in_a_stream_costs_what_is_said():
    zeros = np.zeros(100_000, np.int32)
    for value in (500, -70_000, MAX_SYMBOL):
        tensors = [np.append(zeros, value).astype(np.int32)]
        assert len(assert_round_trip(tensors)) == pytest.approx(ideal_bits(tensors) / 8, abs=3)


@pytest.mark.parametrize("value", [MAX_SYMBOL + 1, -MAX_SYMBOL - 1, 2**31 - 1, -(2**31)])
def test_values_outside_of_the_range_are_not_encoded(value):
    with pytest.raises(ValueError, match="outside"):
        encode_tensors([np.array([value], np.int32)])


def test_too_many_weights_are_refused_before_anything_is_allocated():
    for shapes in ([(MAX_COUNT + 1,)], [(1 << 40, 1 << 40)], [(MAX_COUNT,), (1,)]):
        with pytest.raises(LimitError, match="limit"):
            decode_tensors(b"\0\0", shapes)


def test_what_is_wrong_is_named():
    good = encode_tensors([np.arange(-50, 50).astype(np.int32)])
    assert good[0] == RANGE_CODED
    cases = [
        (b"", TruncatedError, "missing"),
        (b"\0", TruncatedError, "tables"),
        (b"\7" + good[1:], MalformedError, "method"),
        (b"\0\x80" + good[2:], MalformedError, "table"),
        (good + b"\0", MalformedError, "surplus"),
        (b"\1", TruncatedError, "length"),
        (b"\1\xff\xff\x7f", MalformedError, "too much"),
        (b"\1\x10garbage", MalformedError, "zstandard"),
    ]
    for data, error, match in cases:
        with pytest.raises(error, match=match):
            decode_tensors(data, [(100,)])


def test_zstandard_payload_is_checked():
    pattern = np.tile(np.arange(-500, 500), 50).astype(np.int32)
    data = encode_tensors([pattern])
    assert data[0] == ZSTANDARD
    for bad in (data + b"\0", data[:-1], data[:1] + b"\1" + data[3:]):
        with pytest.raises(MalformedError):
            decode_tensors(bad, [pattern.shape])
    for shape in ((49_999,), (50_001,)):
        with pytest.raises(MalformedError):
            decode_tensors(data, [shape])


def test_wrong_shapes_are_refused_or_give_those_shapes():
    tensors = network(np.random.default_rng(6))
    data = encode_tensors(tensors)
    with pytest.raises(NifError):
        decode_tensors(data, [(5, 5)] * 6)
