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
from nifcodec.fields.pyramid.weights import (
    FINEST_INTEGER_STEP,
    FINEST_STEP,
    QuantizedWeights,
    best_steps,
    bit_gradient,
    plain_start,
    rounded,
    step_sizes,
    typical_steps,
    unpack_weights,
)

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
    integers[3] = -(1 << 20) + 1
    idle = LAYOUT.parts["entropy 1 second"]
    idle.of(integers)[...] = 0
    quantized = QuantizedWeights(LAYOUT, START, steps, integers)
    data = quantized.pack()
    found = unpack_weights(data, LAYOUT, START)
    assert found.steps == {**steps, idle.name: typical_steps(LAYOUT)[idle.name]}
    np.testing.assert_array_equal(found.integers, integers)
    assert found.pack() == data
    too_fine = QuantizedWeights(LAYOUT, START, {**steps, "double 0": FINEST_STEP + 1}, integers).pack()
    for damaged in (data[:20], data + b"\1", too_fine):
        with pytest.raises(CorruptFileError):
            unpack_weights(damaged, LAYOUT, START)


def test_few_weights_take_few_bytes() -> None:
    zeros = np.zeros(LAYOUT.count, np.int32)
    assert len(QuantizedWeights(LAYOUT, START, typical_steps(LAYOUT), zeros).pack()) <= 2
    sparse = zeros.copy()
    sparse[::40] = 1 + np.arange(len(sparse[::40])) % 2
    # Where each of them is takes log2(40) + log2(e) bits, its sign and its size two more; the rest is learning of odds.
    assert len(QuantizedWeights(LAYOUT, START, typical_steps(LAYOUT), sparse).pack()) < 1.5 * len(sparse[::40])


def test_steps_are_as_fine_as_weights_matter() -> None:
    curvature = np.full(LAYOUT.count, 12 / np.log(2) * 1e-3 * 4.0**5)
    LAYOUT.parts["synthesis hidden"].of(curvature)[...] *= 16
    LAYOUT.parts["synthesis colours"].of(curvature)[...] *= 1e-12
    LAYOUT.parts["entropy 0 first"].of(curvature)[...] *= 1e12
    steps = best_steps(LAYOUT, curvature, 1e-3)
    assert (steps["double 0"], steps["synthesis hidden"]) == (5, 7)
    assert (steps["synthesis colours"], steps["entropy 0 first"]) == (0, FINEST_INTEGER_STEP)
    quantized = rounded(LAYOUT, START, steps, START + random_weights(3))
    off = np.abs(quantized.weights() - START - random_weights(3))
    assert (off <= step_sizes(LAYOUT, steps) / 2 * (1 + 1e-5)).all()


def test_bits_pull_by_their_derivative() -> None:
    off, sizes = np.array([-3.0, 0.0, 0.1, 200.0]), np.array([1.0, 2.0, 0.5, 1.0])

    def bits(of: np.ndarray) -> np.ndarray:
        return np.asarray(np.log2(1 + (of / sizes) ** 2) / 2)

    np.testing.assert_allclose(bit_gradient(off, sizes), (bits(off + 1e-5) - bits(off - 1e-5)) / 2e-5, atol=1e-6)


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
