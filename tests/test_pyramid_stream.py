"""Latents and weights of a pyramid as bytes; test_native_latents.py holds both back ends against each other."""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np
import pytest

from nifcodec.entropy.range_coder import TOTAL, Decoder, Encoder
from nifcodec.errors import CorruptFileError, LimitError
from nifcodec.fields.pyramid import bitstream, laplacians
from nifcodec.fields.pyramid.grids import GROUPS, Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.laplacians import FRACTIONS, LARGEST, SCALES, TABLE_SCALES, Frames
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.weights import FINEST_STEP, QuantizedWeights, plain_start, quantize_weights, unpack_weights

LAYOUT = layout(3)
START = plain_start(LAYOUT)


def random_weights(seed: int) -> np.ndarray:
    random = np.random.RandomState(seed)
    weights = LAYOUT.initial(seed) + random.normal(0, 0.05, LAYOUT.count).astype(np.float32)
    for group in range(GROUPS):
        LAYOUT.parts[f"entropy {group} last bias"].of(weights)[...] = [0.1, 0.5]
    return weights


def random_latents(size: Tuple[int, int], spread: float) -> Dict[Grid, np.ndarray]:
    random = np.random.RandomState(sum(size))
    return {grid: np.rint(random.laplace(0, spread, grid.size(*size))).astype(np.int64) for grid in all_grids()}


def test_tables_are_laplacians() -> None:
    found = laplacians.frequencies()
    assert found.shape == (TABLE_SCALES * FRACTIONS, 2 * LARGEST + 1)
    assert (found.sum(axis=1) == TOTAL).all()
    assert found.min() >= laplacians.LEAST
    for scale in (0, 20, 40, TABLE_SCALES - 1):
        for fraction in (0, 7, 16):
            width, mean = 2.0 ** (scale / 8 - 5), fraction / 32
            borders = np.arange(-LARGEST, LARGEST + 2) - 0.5 - mean
            below = np.where(
                borders > 0, 1 - np.exp(-np.abs(borders) / width) / 2, np.exp(-np.abs(borders) / width) / 2
            )
            masses = np.diff(below)
            np.testing.assert_allclose(found[FRACTIONS * scale + fraction] / TOTAL, masses / masses.sum(), atol=6e-4)


def test_integers_come_back_under_any_frame() -> None:
    random = np.random.RandomState(0)
    means = np.concatenate([random.randint(-200, 200, 4000), random.randint(-16383, 16384, 1000)])
    scales = random.randint(0, SCALES, 5000)
    values = np.rint(means / 32 + random.laplace(0, 1, 5000) * 2.0 ** random.uniform(-3, 9, 5000)).astype(np.int64)
    encoder = Encoder()
    frames = Frames.of(means, scales)
    frames.put(encoder, values)
    data = encoder.finish()
    decoder = Decoder(data)
    np.testing.assert_array_equal(frames.get(decoder, len(data)), values)
    decoder.finish()


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (33, 70)])
@pytest.mark.parametrize("spread", [0.3, 3.0, 60.0])
def test_latents_come_back(size: Tuple[int, int], spread: float) -> None:
    latents = random_latents(size, spread)
    network = IntegerNetwork.of(LAYOUT, random_weights(1), native=False)
    shapes = {grid: grid.size(*size) for grid in all_grids()}
    data = bitstream.encode_part(network, latents, {}).data
    found = bitstream.decode_part(network, data, shapes, {})
    for grid, values in latents.items():
        np.testing.assert_array_equal(found[grid], values)
    # A damaged stream is malformed, or that of other latents.
    for damaged in (data[:-1], data + b"\1", bytes([data[0] ^ 255]) + data[1:]):
        try:
            found = bitstream.decode_part(network, damaged, shapes, {})
        except CorruptFileError:
            continue
        assert any((found[grid] != values).any() for grid, values in latents.items())


def test_the_integer_network_is_the_one_that_is_trained() -> None:
    from nifcodec.fields.pyramid.step import Pyramid
    from nifcodec.native import library
    from nifcodec.native.pyramid import NativePyramid

    loaded = library.load()
    if loaded is None:
        pytest.skip("training needs the native library")
    pyramid, weights = Pyramid(NativePyramid(loaded), np.zeros((60, 90, 3), np.float32)), random_weights(2)
    latents = random_latents((60, 90), 1.0)
    for kept, values in zip(pyramid.grids, latents.values()):
        kept.y.inner[...] = values
    bits = pyramid.evaluate(weights).bits
    part = bitstream.encode_part(IntegerNetwork.of(LAYOUT, weights), latents, {})
    assert 8 * len(part.data) == pytest.approx(bits, rel=0.01)


def test_weights_come_back() -> None:
    steps = {name: 5 + number % 6 for number, name in enumerate(LAYOUT.parts)}
    integers = np.rint(np.random.RandomState(0).laplace(0, 4, LAYOUT.count)).astype(np.int32)
    quantized = QuantizedWeights(LAYOUT, START, steps, integers)
    data = quantized.pack()
    assert quantized.bits() < 8 * len(data) < quantized.bits() + 8 * 100  # steps, and which tables there are
    found = unpack_weights(data, LAYOUT, START)
    assert found.steps == steps
    np.testing.assert_array_equal(found.integers, integers)
    too_fine = QuantizedWeights(LAYOUT, START, {**steps, "double 0": FINEST_STEP + 1}, integers).pack()
    for damaged in (b"", data[:20], too_fine):
        with pytest.raises(CorruptFileError):
            unpack_weights(damaged, LAYOUT, START)


def test_weights_are_quantized_by_what_they_matter() -> None:
    weights = random_weights(3)
    curvature = np.full(LAYOUT.count, 2.0)
    idle = LAYOUT.parts["synthesis hidden"].of(curvature)
    idle[:20] = 1e-9

    def cost(tried: np.ndarray) -> float:
        return float((curvature * (tried - weights) ** 2).sum()) / 2

    dear, cheap = (quantize_weights(LAYOUT, weights, START, curvature, cost, price) for price in (1e-3, 1e-6))
    assert not LAYOUT.parts["synthesis hidden"].of(cheap.integers)[:20].any()
    assert LAYOUT.parts["synthesis hidden"].of(cheap.integers)[20:].any()
    assert dear.bits() < cheap.bits()
    assert cost(cheap.weights()) < cost(dear.weights()) < cost(np.zeros(LAYOUT.count))


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("entropy 1 second", 5, "unit"),
        ("entropy 2 linear", 5, "unit"),
        ("entropy 0 first bias", 1e6, "unit"),
        ("entropy 3 last bias", np.nan, "unit"),
        ("features 1", 10, "feature"),
        ("features 0 bias", np.inf, "feature"),
    ],
)
def test_weights_that_could_overflow_are_refused(name: str, value: float, message: str) -> None:
    weights = random_weights(4)
    LAYOUT.parts[name].of(weights)[1] = value
    with pytest.raises(LimitError, match=f"a {message} of .* 64 together"):
        IntegerNetwork.of(LAYOUT, weights)
