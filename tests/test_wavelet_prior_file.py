"""The file of a prior: what is packed comes back, every broken promise is refused, and the shipped one has a card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np
import pytest
from second_reader import NewerVersion, Refused, read_prior

from nifcodec.entropy.range_coder import TOTAL
from nifcodec.errors import MalformedError, UnknownPriorError, UnsupportedVersionError
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.binarization import TABLES
from nifcodec.fields.wavelet.coding.context_model import HIDDEN_MAX, Key
from nifcodec.fields.wavelet.description import HASH_BYTES
from nifcodec.fields.wavelet.priors.prior_file import (
    HEAD,
    KEYS,
    MAGIC,
    SYMBOLS,
    PriorFile,
    QuantizedFilter,
    signed_inputs,
    unpack,
)
from nifcodec.fields.wavelet.restoration import BLOCK_CHANNELS

FOLDER = Path(priors.__file__).parent
LIMIT = 1 << 23
ARRAYS = ("w1", "b1", "w2", "b2", "w3", "b3", "skip")


def random_network(rng: np.random.Generator, key: Key, first: int, second: int) -> Dict[str, np.ndarray]:
    signed = signed_inputs(key)
    shapes: Dict[str, Tuple[int, ...]] = {
        "w1": (2 * signed + 3, first),
        "b1": (first,),
        "w2": (first, second),
        "b2": (second,),
        "w3": (second, 2),
        "b3": (2,),
        "skip": (signed,),
    }
    return {
        name: rng.integers(-40, 41, shape).astype(np.int32 if name[0] == "b" else np.int16)
        for name, shape in shapes.items()
    }


def small(corrections: int = 2, layers: int = 3, channels: int = 5) -> PriorFile:
    """A prior of few and odd sizes, its numbers random."""
    rng = np.random.default_rng(4)
    sizes = {0: (3, 2), 1: (2, 4), 2: (1, 1)}
    tables = rng.integers(1, 1000, (TABLES, SYMBOLS))
    tables[:, 16] += TOTAL - tables.sum(axis=1)
    widths = [BLOCK_CHANNELS, *[channels] * (layers - 1), BLOCK_CHANNELS * corrections]
    restoration = QuantizedFilter.of(
        [rng.normal(0, 0.1, (3, 3, *pair)).astype(np.float32) for pair in zip(widths, widths[1:])],
        [rng.normal(0, 0.1, width).astype(np.float32) for width in widths[1:]],
        [rng.normal(0, 0.1, (2, width)).astype(np.float32) for width in widths[1:-1]],
    )
    return PriorFile({key: random_network(rng, key, *sizes[key[0]]) for key in KEYS}, tables, restoration)


SMALL = small()
DATA = SMALL.pack()


def floats_of(file: PriorFile) -> List[np.ndarray]:
    return [*file.restoration.steps, *file.restoration.biases, *file.restoration.conditioning]


def assert_same(file: PriorFile, other: PriorFile) -> None:
    assert file.networks.keys() == other.networks.keys()
    for key, network in file.networks.items():
        for name in ARRAYS:
            np.testing.assert_array_equal(network[name], other.networks[key][name])
    np.testing.assert_array_equal(file.tables, other.tables)
    assert len(file.restoration.kernels) == len(other.restoration.kernels)
    for kernel, again in zip(file.restoration.kernels, other.restoration.kernels):
        np.testing.assert_array_equal(kernel, again)
    for values, again in zip(floats_of(file), floats_of(other)):
        np.testing.assert_array_equal(values, again)


@pytest.mark.parametrize("sizes", [(2, 3, 5), (1, 1, 1), (1, 2, 1), (3, 1, 255)])
def test_a_prior_comes_back_as_it_was(sizes: "Tuple[int, int, int]") -> None:
    file = small(*sizes)
    again = unpack(file.pack())
    assert again.pack() == file.pack()
    if sizes[1] > 1:
        assert_same(again, file)
    assert again.restoration.filter().corrections == sizes[0]


def test_the_second_reader_finds_the_same_in_it() -> None:
    other = read_prior(DATA)
    for key, network in SMALL.networks.items():
        for name in ARRAYS:
            np.testing.assert_array_equal(network[name], getattr(other.networks[key], name))
    np.testing.assert_array_equal(np.diff(other.tables), SMALL.tables)
    assert other.corrections == 2
    mine = SMALL.restoration.filter()
    for kernel, bias, layer in zip(mine.kernels, mine.biases, other.layers):
        np.testing.assert_allclose(kernel, layer.kernel, rtol=1e-6)
        np.testing.assert_array_equal(bias, layer.bias)
    for conditioning, layer in zip(mine.conditioning, other.layers):
        np.testing.assert_array_equal(conditioning, layer.conditioning)


def test_a_filter_comes_back_from_a_work_folder() -> None:
    again = QuantizedFilter.of_arrays({**SMALL.restoration.arrays(), "other": np.zeros(3)})
    assert_same(replace(SMALL, restoration=again), SMALL)


# Promises


def refused(data: bytes, error: type = MalformedError, match: str = "prior") -> None:
    """By both readers, for the same cause."""
    with pytest.raises(error, match=match) as caught:
        unpack(data)
    assert type(caught.value) is error
    with pytest.raises(NewerVersion if error is UnsupportedVersionError else Refused):
        read_prior(data)


def with_byte(offset: int, value: int) -> bytes:
    data = bytearray(DATA)
    data[offset] = value
    return bytes(data)


@pytest.mark.parametrize("offset", range(len(MAGIC)))
def test_another_magic_is_refused(offset: int) -> None:
    refused(with_byte(offset, DATA[offset] ^ 32), match="does not begin like one")


@pytest.mark.parametrize("offset", range(8, 13), ids=["version", "transform", "neighbourhood", "states", "groups"])
@pytest.mark.parametrize("change", [-1, 1, 100])
def test_another_version_or_profile_is_a_newer_one(offset: int, change: int) -> None:
    refused(with_byte(offset, DATA[offset] + change), UnsupportedVersionError, "update")


@pytest.mark.parametrize("offset", range(13, 22))
def test_a_size_of_zero_is_refused(offset: int) -> None:
    assert HEAD.size == 22
    refused(with_byte(offset, 0), match="size of 0")


@pytest.mark.parametrize("offset", range(13, 22))
def test_another_size_does_not_have_the_length(offset: int) -> None:
    refused(with_byte(offset, DATA[offset] + 1))


@pytest.mark.parametrize("length", [0, 1, 8, 21, 22, 23, 1000, len(DATA) - 1])
def test_a_prior_that_is_cut_is_refused(length: int) -> None:
    refused(DATA[:length])


def test_a_prior_that_goes_on_is_refused() -> None:
    refused(DATA + b"\0", match="1 bytes behind its end")


@pytest.mark.parametrize("change", [{(0, 0): 0}, {(831, 32): 0}, {(5, 3): 1}, {(831, 0): -1}])
def test_a_table_that_is_none_is_refused(change: "Dict[Tuple[int, int], int]") -> None:
    """A frequency of 0 while the sum is right; a sum that is one more or less."""
    tables = SMALL.tables.copy()
    for where, value in change.items():
        before = tables[where]
        tables[where] = value if value == 0 else before + value
        if value == 0:
            tables[where[0], 16] += before
    refused(replace(SMALL, tables=tables).pack(), match="frequencies")


def test_a_sum_that_wraps_around_is_refused() -> None:
    tables = SMALL.tables.copy()
    tables[7, 1:3] += 1 << 31
    refused(replace(SMALL, tables=tables).pack(), match="frequencies")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["steps", "biases", "conditioning"])
def test_a_number_that_is_not_finite_is_refused(name: str, value: float) -> None:
    arrays = [values.copy() for values in getattr(SMALL.restoration, name)]
    arrays[-1].flat[-1] = value
    refused(replace(SMALL, restoration=replace(SMALL.restoration, **{name: arrays})).pack(), match="not finite")


def with_network(key: Key, **arrays: np.ndarray) -> PriorFile:
    return replace(SMALL, networks={**SMALL.networks, key: {**SMALL.networks[key], **arrays}})


Bound = Callable[[Dict[str, np.ndarray]], int]
BOUNDS: "Dict[str, Tuple[str, int, Bound]]" = {
    "first layer": ("b1", 1, lambda n: 127 * int(np.abs(n["w1"].astype(int))[:, 1].sum())),
    "second layer": ("b2", 0, lambda n: HIDDEN_MAX * int(np.abs(n["w2"].astype(int))[:, 0].sum())),
    "scale": ("b3", 0, lambda n: HIDDEN_MAX * int(np.abs(n["w3"].astype(int))[:, 0].sum())),
    "mean": (
        "b3",
        1,
        lambda n: HIDDEN_MAX * int(np.abs(n["w3"].astype(int))[:, 1].sum()) + 127 * int(np.abs(n["skip"]).sum()),
    ),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", BOUNDS)
def test_sums_reach_2_to_the_23_or_do_not(name: str, sign: int) -> None:
    """A bias brings the bound to one below the limit, which is taken, and then to it."""
    key = (1, 2, 0, 1)
    array, place, bound = BOUNDS[name]
    rest = LIMIT - bound(dict(SMALL.networks[key]))
    for bias, good in ((rest - 1, True), (rest, False), (2**31 - 1, False)):
        biases = SMALL.networks[key][array].copy()
        biases[place] = sign * bias
        data = with_network(key, **{array: biases}).pack()
        if good:
            unpack(data)
            read_prior(data)
        else:
            refused(data, match="2\\^23")


def test_the_linear_path_belongs_to_the_mean_alone() -> None:
    key = (2, 0, 2, 0)
    network = SMALL.networks[key]
    skip = np.zeros_like(network["skip"])
    skip[0] = 30_000  # 127 times this is nearly half of the limit
    biases = np.array([LIMIT - HIDDEN_MAX * int(np.abs(network["w3"].astype(int))[:, 0].sum()) - 1, 0], np.int32)
    data = with_network(key, skip=skip, b3=biases).pack()
    unpack(data)
    read_prior(data)
    refused(with_network(key, skip=skip, b3=biases[::-1]).pack(), match="2\\^23")


def test_any_byte_is_refused_or_read_alike() -> None:
    """Bytes changed all over the file: both readers take it, or neither."""
    rng = np.random.default_rng(6)
    taken = 0
    for _ in range(60):
        offset = int(rng.choice([rng.integers(0, 60), rng.integers(0, len(DATA)), len(DATA) - rng.integers(1, 2000)]))
        data = with_byte(offset, int(rng.integers(0, 256)))
        try:
            file = unpack(data)
        except (MalformedError, UnsupportedVersionError) as error:
            refused(data, type(error))
        else:
            assert file.pack() == data
            read_prior(data)
            taken += 1
    assert 0 < taken < 60


# The shipped prior


def test_the_shipped_prior_has_a_card_of_its_file() -> None:
    for name in priors.names():
        path = FOLDER / f"{name}{priors.ENDING}"
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        data = path.read_bytes()
        assert card["sha256"] == hashlib.sha256(data).hexdigest()
        assert card["bytes"] == len(data) <= 700_000
        assert card["command"].startswith("python -m nifcodec.fields.wavelet.training.prior ")
        assert f"-o {path.name}" in card["command"]
        assert unpack(data).pack() == data


def test_a_prior_is_found_by_its_identity() -> None:
    assert priors.DEFAULT in priors.names()
    prior = priors.named()
    data = (FOLDER / f"{priors.DEFAULT}{priors.ENDING}").read_bytes()
    assert prior.hash == hashlib.sha256(data).digest()[:HASH_BYTES]
    assert priors.find(prior.hash) is prior
    assert prior.file.pack() == data
    with pytest.raises(UnknownPriorError, match="0000000000000001"):
        priors.find(bytes(7) + b"\1")
