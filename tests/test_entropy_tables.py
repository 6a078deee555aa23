"""The frequency tables: legal, symmetric, close to the shapes they stand for, and the same for ever."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from second_reader import frequencies_of_table

from nifcodec.entropy.range_coder import TOTAL
from nifcodec.entropy.tables import (
    GAUSSIAN,
    LAPLACIAN,
    SCALE_BITS,
    SCALE_COUNT,
    SCALES,
    TABLE_COUNT,
    code_lengths,
    frequencies,
    largest,
    power_of_half,
    table,
)

# Of all tables as little-endian int64, in order of their identifiers. A change makes every old file unreadable.
DIGEST = "c81c53ef30ecd4de999608ee7ce1e2190f4ed37b6d45f2a9037422c021cecd27"


def test_the_tables_are_the_ones_of_the_format():
    digest = hashlib.sha256()
    for table_id in range(TABLE_COUNT):
        digest.update(frequencies(table_id).astype("<i8").tobytes())
    assert digest.hexdigest() == DIGEST


@pytest.mark.parametrize("table_id", [0, 7, 31, 45, 64, 90, 110])
def test_the_recipe_of_the_format_description_gives_the_tables(table_id):
    assert frequencies(table_id).tolist() == frequencies_of_table(table_id)


def test_the_format_description_states_the_digest():
    assert DIGEST in (Path(__file__).parent.parent / "FORMAT.md").read_text(encoding="utf-8")


def test_table_of_the_format_description():
    assert frequencies(0).tolist() == [1] * 8 + [256, TOTAL - 529, 256] + [1] * 9


@pytest.mark.parametrize("table_id", range(TABLE_COUNT))
def test_tables_are_legal_and_symmetric(table_id):
    counts, top = frequencies(table_id), largest(table_id)
    assert counts.shape == (2 * top + 2,)
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    assert (counts[: 2 * top + 1] == counts[2 * top :: -1]).all()
    assert (np.diff(counts[top : 2 * top + 1]) <= 0).all()
    ready = table(table_id)
    assert ready.size == 2 * top + 2
    assert np.diff(ready.cumulative).tolist() == [counts.tolist()]


@pytest.mark.parametrize("index", [5, 20, 33, 50, 63])
def test_tables_follow_their_shapes(index):
    scale = SCALES[index] / 2**SCALE_BITS
    for shape, exponent in ((LAPLACIAN, 1), (GAUSSIAN, 2)):
        table_id = 64 * shape + index
        top = largest(table_id)
        values = np.arange(-top, top + 1)
        density = 2.0 ** -((np.abs(values) / scale) ** exponent)
        difference = frequencies(table_id)[:-1] / TOTAL - density / density.sum()
        assert np.abs(difference).sum() < 2e-3
        assert np.abs(difference).max() < 1e-3


def test_scales_are_geometric():
    ratios = np.array(SCALES[1:]) / np.array(SCALES[:-1])
    assert len(SCALES) == SCALE_COUNT
    assert np.abs(ratios - 2**0.2).max() < 1e-5
    assert SCALES[0] / 2**SCALE_BITS == 0.0625


def test_power_of_half_against_floats():
    for exponent in (0, 1, 255, 256, 65535, 65536, 70000, 1_000_000, 4_000_000):
        assert power_of_half(exponent) / 2**62 == pytest.approx(2.0 ** -(exponent / 65536), rel=1e-9, abs=2**-60)
    assert power_of_half(0) == 2**62
    assert power_of_half(65536) == 2**61


def test_code_lengths_are_those_of_the_frequencies():
    assert code_lengths(20) == pytest.approx(-np.log2(frequencies(20) / TOTAL))


@pytest.mark.parametrize("scale", [0.3, 1.5, 7.0, 40.0, 200.0])
@pytest.mark.parametrize("name", ["laplace", "normal"])
def test_some_table_comes_within_two_percent_of_the_entropy(scale, name):
    values = np.rint(getattr(np.random.default_rng(3), name)(0, scale, 100_000)).astype(int)
    counts = np.bincount(values - values.min())
    share = counts[counts > 0] / len(values)
    entropy = float(-(share * np.log2(share)).sum())
    costs = []
    for table_id in range(TABLE_COUNT):
        if largest(table_id) >= np.abs(values).max():
            costs.append(float(code_lengths(table_id)[values + largest(table_id)].mean()))
    assert min(costs) < entropy * 1.02
