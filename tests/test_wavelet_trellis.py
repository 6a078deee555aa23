"""Dependent quantization: its states, the search through them, and its files."""

from __future__ import annotations

import itertools
from typing import List, Tuple

import numpy as np
import pytest
from make_golden import FOLDER, scene

import nifcodec
from nifcodec import container, decoder
from nifcodec.fields.families import configure
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.binarization import binarization_of
from nifcodec.fields.wavelet.coding.bitstream import decode_lattice
from nifcodec.fields.wavelet.coding.dependent_quantization import (
    KIND,
    NEXT,
    Q0,
    Q1,
    SCALAR,
    QuantizerStates,
    to_indices,
    to_values,
)
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import WaveletDescription, unpack_description
from nifcodec.fields.wavelet.lattice import Lattice
from nifcodec.fields.wavelet.search.coding import Coding, contexts_of
from nifcodec.fields.wavelet.search.quantize import quantize
from nifcodec.fields.wavelet.search.rdoq import Choice, quantize_bands
from nifcodec.fields.wavelet.search.trellis import BRANCH, BRANCHES, FROM, requantize_bands
from nifcodec.picture.image import Image
from nifcodec.picture.metrics import psnr

MODEL = priors.named().context


def test_every_state_is_reached_by_two_branches_of_one_quantizer() -> None:
    assert sorted(NEXT.ravel().tolist()) == sorted(2 * list(range(8)))
    for state in range(8):
        assert {KIND[before] for before in FROM[state]} in ({Q0}, {Q1})
        assert len(set(BRANCH[state].tolist())) == 2


def test_the_trellis_gains_a_decibel_over_one_quantizer() -> None:
    """Granular gain of eight states at a high rate: 1.1 dB (Marcellin and Fischer 1990)."""
    wanted = np.random.default_rng(0).uniform(-50, 50, (600, 16))
    totals = np.full((8, 16), np.inf)
    totals[0] = 0
    for row in wanted:
        errors = np.stack([_error(row, kind, parity) for kind, parity in BRANCHES])
        totals = np.minimum(*(totals[FROM[:, i]] + errors[BRANCH[:, i]] for i in range(2)))
    gain = 10 * np.log10((1 / 12) / (totals.min(axis=0).mean() / len(wanted)))
    assert gain == pytest.approx(1.1, abs=0.05)


def _error(wanted: np.ndarray, kind: int, parity: int) -> np.ndarray:
    indices = np.arange(-120 + parity, 121, 2)
    values = to_values(indices, np.array(kind)) / 2
    return np.abs(wanted[:, None] - values).min(axis=1) ** 2


@pytest.mark.parametrize("kind", [SCALAR, Q0, Q1])
def test_indices_come_back_from_their_values(kind: int) -> None:
    indices, kinds = np.arange(-40, 41), np.full(81, kind)
    values = to_values(indices, kinds)
    assert len(set(values.tolist())) == 81 and set((values % 2).tolist()) == ({0, 1} if kind == Q1 else {0})
    np.testing.assert_array_equal(to_indices(values, kinds), indices)


def _lattice(width: int, height: int, colours: Tuple[int, ...] = (0, 1, 2)) -> Lattice:
    return Lattice(width, height, colours)


def _details(lattice: Lattice, spread: float) -> List[dict]:
    random = np.random.default_rng(7)
    return [
        {band: random.laplace(0, spread, lattice.shape(level, band)) for band in lattice.bands}
        for level in range(lattice.levels)
    ]


@pytest.mark.parametrize("spread", [0.3, 2.0, 300.0])
@pytest.mark.parametrize("size", [(64, 48), (33, 19), (1, 40), (40, 1), (9, 9)])
def test_what_the_search_finds_is_what_a_reader_reads(size: Tuple[int, int], spread: float) -> None:
    lattice = _lattice(*size, colours=(0, 1, 2, 3))
    conditions = Conditions(MODEL, 60, dependent=True)
    coding = Coding.of_root(lattice, conditions, np.full(lattice.low_shape(), 3.2))
    found = quantize(coding, _details(lattice, spread), 0.06)
    plane, levels = decode_lattice(coding.encode(found).data, lattice, conditions)
    np.testing.assert_array_equal(plane, coding.rebuild(found))
    for level, bands in enumerate(levels):
        for band in lattice.bands:
            np.testing.assert_array_equal(bands.get(band, 0), found.levels[level][band])
    # A second search starts from the first one's contexts, and a reader's scan gives these.
    again = contexts_of(coding, found.levels)
    for ours, theirs in zip(found.contexts, again.contexts):
        for band, context in ours.items():
            np.testing.assert_array_equal(context, theirs[band])


def test_no_path_is_cheaper_than_the_one_that_is_found() -> None:
    """All paths of a chain through its first six coefficients, among the values around these."""
    lattice, weight = Lattice(4, 9, (0,), levels=1), 0.1
    conditions, band = Conditions(MODEL, 60, dependent=True), lattice.bands[0]
    assert lattice.shape(0, band) == (5, 2)
    random = np.random.default_rng(3)
    wanted = {each: np.zeros(lattice.shape(0, each)) for each in lattice.bands}
    wanted[band] = random.uniform(-1.6, 1.6, (5, 2))
    wanted[band][4, 0] = 1.4
    coding = Coding.of_root(lattice, conditions, np.zeros(lattice.low_shape()))
    start = quantize_bands(coding.quantized_by(dependent=False), [wanted], weight)
    found = requantize_bands(coding, [wanted], weight, start).levels[0][band]
    context = start.contexts[0][band]

    def cost(values: Tuple[int, ...]) -> float:
        states, total = QuantizerStates(1, 2, True), 0.0
        for place, value in enumerate(values):
            at = np.unravel_index(place, (5, 2))
            kind = states.kinds(1)
            index = to_indices(np.array([[value]]), kind)
            if to_values(index, kind)[0, 0] != value:
                return np.inf
            where = binarization_of(context[0][at], context[1][at], kind[0, 0])
            choice = Choice(wanted[band][at], where, int(kind[0, 0]), np.zeros(0), np.array(weight))
            total += float(choice.cost(index, MODEL).sum())
            states.advance(np.array([[value]]), kind, np.array([[True]]))
        return total

    near = [
        sorted({0, int(np.floor(2 * x)), int(np.ceil(2 * x)), int(np.floor(2 * x)) - 1, int(np.ceil(2 * x)) + 1})
        for x in wanted[band].ravel()[:6]
    ]
    rest = tuple(found.ravel()[6:].tolist())
    best = min(cost((*path, *rest)) for path in itertools.product(*near))
    assert cost(tuple(found.ravel().tolist())) <= best + 1e-5


def _grainy(width: int, height: int) -> np.ndarray:
    grain = np.random.default_rng(1).normal(0, 6, (height, width, 1))
    return np.clip(scene(width, height, 3, 8).pixels + grain, 0, 255).astype(np.uint8)


def _spec(data: bytes) -> WaveletDescription:
    return unpack_description(container.unpack(data).description)


@pytest.mark.parametrize("name", ["dependent", "dependent-fine", "tiles-dependent"])
def test_golden_files_have_it(name: str) -> None:
    assert _spec((FOLDER / f"{name}.nif").read_bytes()).dependent


def test_it_is_on_from_effort_2_where_it_gains() -> None:
    pytest.importorskip("tensorflow")
    noisy = _grainy(96, 64)
    scalar = nifcodec.encode(noisy, configure(quality=70, effort=1))
    dependent = nifcodec.encode(noisy, configure(quality=70, effort=2))
    assert (_spec(scalar).dependent, _spec(dependent).dependent) == (False, True)
    # At one lambda the two lie at different points of the curve: 6 dB are a bit of each pixel's three samples.
    gained = (psnr(noisy, decoder.decode(dependent)) - psnr(noisy, decoder.decode(scalar))) / 6.02
    saved = 8 * (len(scalar) - len(dependent)) / (3 * 96 * 64)
    assert gained + saved > 0


@pytest.mark.parametrize("options", [{"bpp": 2.0}, {"psnr": 40.0}])
def test_a_target_is_met(options: dict) -> None:
    pytest.importorskip("tensorflow")
    noisy = _grainy(120, 80)
    data = nifcodec.encode(Image(noisy), configure(effort=3, **options))
    assert _spec(data).dependent
    if "bpp" in options:
        assert 8 * len(data) / (120 * 80) == pytest.approx(2.0, rel=0.015)
    else:
        assert psnr(noisy, decoder.decode(data)) == pytest.approx(40.0, abs=0.1)
