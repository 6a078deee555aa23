"""The range coder: native and in Python, the same bytes; the check of a stream without encoding it again."""

from __future__ import annotations

import ctypes
from typing import List, Optional, Tuple

import numpy as np
import pytest

from nifcodec.coding import coder as former
from nifcodec.errors import MalformedError
from nifcodec.native.library import load
from nifcodec.native.range_coder import TOTAL, Decoder, Encoder, Model, ModelSet

LIBRARIES = [None, load()] if load() is not None else [None]
Part = Tuple[np.ndarray, np.ndarray]  # symbols, ids of tables


def random_tables(random: np.random.Generator, tables: int, size: int, sharp: float) -> np.ndarray:
    weights = random.random((tables, size)) ** sharp
    frequencies = 1 + np.floor(weights / weights.sum(axis=1, keepdims=True) * (TOTAL - size)).astype(np.int64)
    frequencies[np.arange(tables), frequencies.argmax(axis=1)] += TOTAL - frequencies.sum(axis=1)
    return frequencies


def random_parts(random: np.random.Generator, tables: np.ndarray, most: int) -> List[Part]:
    """Runs of symbols, mostly those that their tables expect."""
    parts = []
    for _ in range(random.integers(1, 5)):
        ids = random.integers(0, len(tables), random.integers(0, most))
        draws = random.integers(0, TOTAL, len(ids))
        symbols = (np.cumsum(tables[ids], axis=1) <= draws[:, None]).sum(axis=1)
        parts.append((symbols.astype(np.int32), ids.astype(np.int32)))
    return parts


def encode(parts: List[Part], models: ModelSet, library: Optional[ctypes.CDLL]) -> bytes:
    encoder = Encoder(library)
    for symbols, ids in parts:
        encoder.put_each(symbols, ids, models)
    return encoder.finish()


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_example_of_the_format(library: Optional[ctypes.CDLL]) -> None:
    model = Model(np.array([381301, 1525201, 3431702, 6100804, 3431702, 1525201, 381305]))
    symbols = np.array([3, 3, 2, 4, 0, 6, 3, 1, 5, 3, 2], np.int32)
    encoder = Encoder(library)
    assert encoder.finish() == b""
    encoder.put(symbols, model)
    assert encoder.finish() == bytes.fromhex("77AC7CD5")
    decoder = Decoder(encoder.finish(), library)
    assert decoder.get(11, model).tolist() == symbols.tolist()
    decoder.finish()


@pytest.mark.parametrize("sharp", [0.1, 1, 6, 40])
def test_both_give_the_bytes_of_the_former_coder(sharp: float) -> None:
    random = np.random.default_rng(int(sharp * 10))
    for _ in range(20):
        size = int(random.integers(2, 40))
        tables = random_tables(random, 7, size, sharp)
        parts, models, old = random_parts(random, tables, 300), ModelSet(tables), former.ModelSet(tables)
        encoder = former.Encoder()
        for symbols, ids in parts:
            encoder.put_each(symbols, ids, old)
        for library in LIBRARIES:
            data = encode(parts, models, library)
            assert data == encoder.finish()
            decoder = Decoder(data, library)
            for symbols, ids in parts:
                assert decoder.get_each(ids, models).tolist() == symbols.tolist()
            decoder.finish()


def damaged(random: np.random.Generator, data: bytes) -> bytes:
    kind = int(random.integers(0, 6))
    if kind == 0 or not data:
        return random.bytes(int(random.integers(0, 40)))
    if kind == 1:
        return data[: int(random.integers(0, len(data)))]
    if kind == 2:
        return data + bytes(int(random.integers(0, 3))) + random.bytes(int(random.integers(0, 4)))
    changed = bytearray(data)
    at = int(random.integers(max(len(data) - 9, 0), len(data))) if kind == 3 else 0
    changed[at] ^= 1 << int(random.integers(0, 8))
    return bytes(changed)


def test_a_stream_passes_if_and_only_if_encoding_it_again_gives_it() -> None:
    random = np.random.default_rng(1)
    outcomes = {True: 0, False: 0}
    for _ in range(500):
        tables = random_tables(random, 3, int(random.integers(2, 34)), float(random.choice([0.5, 2, 30])))
        models, parts = ModelSet(tables), random_parts(random, tables, 40)
        data = encode(parts, models, None)
        if random.random() < 0.7:
            data = damaged(random, data)
        verdicts = []
        for library in LIBRARIES:
            decoder = Decoder(data, library)
            try:
                read = [(decoder.get_each(ids, models), ids) for _, ids in parts]
            except MalformedError:
                verdicts.append((None, []))
                continue
            again = encode(read, models, library) == data
            assert decoder.is_canonical() == again
            if library is not None:
                said = library.nifcodec_decoder_is_canonical(
                    ctypes.byref(decoder._state), data, ctypes.c_uint64(len(data)), int(any(len(x) for x, _ in read))
                )
                assert bool(said) == again
            outcomes[again] += 1
            verdicts.append((again, [symbols.tolist() for symbols, _ in read]))
        assert all(verdict == verdicts[0] for verdict in verdicts)
    assert min(outcomes.values()) > 100


@pytest.mark.parametrize("library", LIBRARIES)
def test_needed_bytes_are_enough_for_what_was_put(library: Optional[ctypes.CDLL]) -> None:
    random = np.random.default_rng(2)
    tables = random_tables(random, 4, 20, 3)
    models, encoder, sizes, parts = ModelSet(tables), Encoder(library), [], random_parts(random, tables, 200)
    for symbols, ids in parts:
        encoder.put_each(symbols, ids, models)
        sizes.append(encoder.needed())
    data = encoder.finish()
    for i, size in enumerate(sizes):
        decoder = Decoder(data[:size] + b"\xff" * 8, library)
        for symbols, ids in parts[: i + 1]:
            assert decoder.get_each(ids, models).tolist() == symbols.tolist()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_carry_goes_through_many_full_bytes(library: Optional[ctypes.CDLL]) -> None:
    """The last symbol of a table of two, again and again, leaves bytes of ones behind."""
    model = Model(np.array([1, TOTAL - 1]))
    half = Model(np.array([TOTAL // 2, TOTAL // 2]))
    for last in (0, 1):
        encoder = Encoder(library)
        encoder.put(np.ones(40, np.int32), half)
        encoder.put(np.full(200, last, np.int32), half)
        encoder.put(np.ones(2000, np.int32), model)
        data = encoder.finish()
        decoder = Decoder(data, library)
        assert decoder.get(40, half).all() and set(decoder.get(200, half).tolist()) == {last}
        assert decoder.get(2000, model).all()
        decoder.finish()


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_no_table_has_is_refused(library: Optional[ctypes.CDLL]) -> None:
    model, models = Model(np.array([1, TOTAL - 1])), ModelSet(np.array([[1, TOTAL - 1]]))
    for symbols in ([2], [-1]):
        with pytest.raises(ValueError, match="outside of the alphabet 0 to 1"):
            Encoder(library).put(np.array(symbols), model)
    with pytest.raises(ValueError, match="one of the tables"):
        Encoder(library).put_each(np.array([1]), np.array([1]), models)
    with pytest.raises(ValueError, match="one of the tables"):
        Decoder(b"", library).get_each(np.array([-1]), models)
    for table in ([1, TOTAL], [0, TOTAL], [TOTAL]):
        with pytest.raises(ValueError, match="frequency table"):
            Model(np.array(table))


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_symbols_are_no_bytes(library: Optional[ctypes.CDLL]) -> None:
    Decoder(b"", library).finish()
    with pytest.raises(MalformedError):
        Decoder(b"\1", library).finish()
