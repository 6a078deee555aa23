"""The file of a pyramid's prior, and its weights for pictures of other than three channels."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import List

import numpy as np
import pytest
import second_reader
from second_reader import NewerVersion, Refused
from second_reader.pyramid import read_starts, shapes_of_weights

from nifcodec.errors import MalformedError, UnknownPriorError, UnsupportedVersionError
from nifcodec.fields.pyramid import priors
from nifcodec.fields.pyramid.description import HASH_BYTES
from nifcodec.fields.pyramid.first_latents import map_sizes
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.priors import for_colours
from nifcodec.fields.pyramid.priors.prior_file import HEAD, UNIT_BITS, Start, pack, unpack
from nifcodec.fields.shipped import Shipped

FOLDER = Path(priors.__file__).parent
LAYOUT = layout(3)
EACH = 4 * (1 + LAYOUT.count + sum(map_sizes()))


def drawn(price: float, seed: int) -> Start:
    random = np.random.RandomState(seed)
    weights = random.randint(-(1 << 31), (1 << 31) - 1, LAYOUT.count, np.int64).astype(np.int32)
    return Start(price, weights, [random.normal(0, 1, size).astype(np.float32) for size in map_sizes()])


STARTS = [drawn(0.5, 0), drawn(2.0**-10, 1)]
DATA = pack(STARTS)


def test_a_prior_comes_back_as_it_was() -> None:
    found = unpack(DATA)
    assert [start.price for start in found] == [0.5, 2.0**-10]
    for start, expected in zip(found, STARTS):
        np.testing.assert_array_equal(start.weights, expected.weights)
        for numbers, same in zip(start.maps, expected.maps):
            np.testing.assert_array_equal(numbers, same)
    assert pack(found) == DATA


def test_the_second_reader_finds_the_same_in_it() -> None:
    for start, expected in zip(read_starts(DATA), STARTS):
        flat = np.concatenate([values.ravel() for values in start.weights.values()])
        np.testing.assert_array_equal(flat, expected.weights * 2.0**-UNIT_BITS)


def changed(offset: int, content: bytes) -> bytes:
    return DATA[:offset] + content + DATA[offset + len(content) :]


def refused(data: bytes) -> None:
    with pytest.raises(MalformedError, match="prior"):
        unpack(data)
    with pytest.raises(Refused) as caught:
        read_starts(data)
    assert caught.type is Refused


@pytest.mark.parametrize("offset", range(8))
def test_another_magic_is_refused(offset: int) -> None:
    refused(changed(offset, bytes([DATA[offset] ^ 32])))


def test_another_version_is_a_newer_one() -> None:
    for version in (0, 2, 255):
        with pytest.raises(UnsupportedVersionError):
            unpack(changed(8, bytes([version])))
        with pytest.raises(NewerVersion):
            read_starts(changed(8, bytes([version])))


@pytest.mark.parametrize("offset", range(9, HEAD.size))
def test_another_number_is_refused(offset: int) -> None:
    for change in (1, 3, 128):
        refused(changed(offset, bytes([DATA[offset] ^ change])))


def test_a_prior_without_starts_is_refused() -> None:
    refused(changed(9, b"\0")[: HEAD.size])


@pytest.mark.parametrize("length", [0, 7, HEAD.size - 1, HEAD.size, HEAD.size + EACH, len(DATA) - 4, len(DATA) - 1])
def test_a_prior_that_is_cut_is_refused(length: int) -> None:
    refused(DATA[:length])


def test_a_prior_that_goes_on_is_refused() -> None:
    for more in (b"\0", bytes(EACH)):
        refused(DATA + more)


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_a_price_that_is_none_is_refused(value: float) -> None:
    for number in range(2):
        refused(changed(HEAD.size + number * EACH, struct.pack("<f", value)))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    for offset in (HEAD.size + 4 * (1 + LAYOUT.count), len(DATA) - 4):
        refused(changed(offset, struct.pack("<f", value)))


def test_any_byte_is_refused_or_read_alike() -> None:
    random = np.random.RandomState(5)
    for _ in range(200):
        data = changed(random.randint(len(DATA)), bytes([random.randint(256)]))
        try:
            found = unpack(data)
        except (MalformedError, UnsupportedVersionError):
            with pytest.raises(Refused):
                read_starts(data)
            continue
        assert pack(found) == data
        assert len(read_starts(data)) == len(found)


# Of other channels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_both_readers_make_the_same_weights_of_a_start(channels: int) -> None:
    wanted = layout(channels)
    assert {name: part.shape for name, part in wanted.parts.items()} == {
        name.replace(" first", " first kernel").replace(" second", " second kernel")
        if name.startswith("synthesis")
        else name: shape
        for name, shape in shapes_of_weights(channels).items()
    }
    found = for_colours(STARTS[0].weights * 2.0**-UNIT_BITS, wanted)
    second = read_starts(DATA)[0].of_channels(channels)
    np.testing.assert_allclose(np.concatenate([values.ravel() for values in second.values()]), found, rtol=1e-15)


def picture_of(weights: np.ndarray, channels: int, latents: "List[np.ndarray]") -> np.ndarray:
    names = zip(shapes_of_weights(channels), layout(channels).parts.values())
    named = {name: part.of(weights) for name, part in names}
    grids = {second_reader.latents.Grid(level): values for level, values in enumerate(latents)}
    return second_reader.synthesis.render(grids, named)


def test_grey_is_three_equal_colours_and_alpha_is_nothing() -> None:
    random = np.random.RandomState(2)
    weights = random.normal(0, 0.2, LAYOUT.count)
    latents = [random.randint(-3, 4, (-(-11 >> level), -(-14 >> level))) for level in range(7)]
    for name in ("colours", "linear", "first kernel", "second kernel"):
        for end in ("", " bias"):
            part = LAYOUT.parts[f"synthesis {name}{end}"].of(weights)
            # Outputs that are alike: then each of the three colours is the grey one.
            part[...] = part[:1]
    coloured = picture_of(weights, 3, latents)
    for channels in (1, 2):
        found = picture_of(for_colours(weights, layout(channels)), channels, latents)
        np.testing.assert_allclose(found[..., 0], coloured[..., 0], atol=1e-12)
    assert not found[..., 1].any()
    with_alpha = picture_of(for_colours(weights, layout(4)), 4, latents)
    np.testing.assert_allclose(with_alpha[..., :3], coloured, atol=1e-12)
    assert not with_alpha[..., 3].any()


# The shipped one


def test_a_prior_is_found_by_its_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in FOLDER.glob("*.nifprior"):
        data = path.read_bytes()
        assert pack(unpack(data)) == data
        prior = priors.find(hashlib.sha256(data).digest()[:HASH_BYTES])
        assert prior is priors.named(path.stem)
    (tmp_path / "other.nifprior").write_bytes(DATA)
    there = Shipped(tmp_path, priors.ENDING, HASH_BYTES, lambda identity, data: priors.Prior(identity, unpack(data)))
    monkeypatch.setattr(priors, "_shipped", there)
    identity = hashlib.sha256(DATA).digest()[:HASH_BYTES]
    assert priors.find(identity).starts[1].price == 2.0**-10
    with pytest.raises(UnknownPriorError, match="update nifcodec"):
        priors.find(b"\0" * HASH_BYTES)


@pytest.mark.parametrize("price", [1e-9, 2.0**-10, 2.0**-6, 0.5, 9.0])
def test_a_start_is_chosen_by_its_price(price: float) -> None:
    prior = priors.Prior(b"", STARTS)
    assert prior.nearest(price) == (0 if price > 2.0**-5.5 else 1)


def test_a_start_that_is_not_there_is_refused() -> None:
    prior = priors.Prior(b"", STARTS)
    with pytest.raises(MalformedError, match="start 2 of 2"):
        prior.weights(2, LAYOUT)
