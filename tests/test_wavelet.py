"""The wavelet field: exact networks, round trips of every shape, targets, geometry and damage."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nifcodec
from nifcodec import container, decoder, encoder
from nifcodec.errors import ChecksumError, ConfigError, CorruptFileError, MalformedError, UnknownPriorError
from nifcodec.fields.families import configure
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.binarization import (
    Q0_START,
    Q1_START,
    TABLES,
    binarization_of,
    binarize,
    debinarize,
)
from nifcodec.fields.wavelet.coding.bitstream import decode_lattice
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.dependent_quantization import Q0, Q1, SCALAR
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import unpack_description
from nifcodec.fields.wavelet.encode import ROUNDS
from nifcodec.fields.wavelet.lattice import Lattice
from nifcodec.fields.wavelet.planes import corrected
from nifcodec.fields.wavelet.restoration_fit import MixtureFit
from nifcodec.fields.wavelet.search.coding import Coding
from nifcodec.fields.wavelet.search.quantize import STEP_PER_SQRT_LAMBDA
from nifcodec.fields.wavelet.search.rdoq import quantize_bands
from nifcodec.picture import metrics
from nifcodec.picture.image import from_array
from nifcodec.picture.metrics import psnr
from nifcodec.picture.read import read_image

SAMPLES = Path(__file__).resolve().parents[1] / "sample_images"


def picture(height, width, channels=3, seed=0):
    """Smooth shades, an edge and some texture."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    random = np.random.default_rng(seed)
    shade = 0.5 + 0.3 * np.sin(5 * x + 3 * y) + 0.2 * (x + 0.7 * y > 0.6)
    planes = [shade * (0.6 + 0.1 * c) + 0.04 * random.standard_normal((height, width)) for c in range(channels)]
    return np.clip(np.stack(planes, -1) * 255, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("network", sorted(priors.named().context.networks))
def test_no_sum_of_the_shipped_networks_can_leave_the_exact_range(network):
    assert priors.named().context.networks[network].is_exact()


def test_float32_and_integer_arithmetic_agree():
    """The same contexts from float32 products and from Python's integers."""
    prior = priors.named()
    lattice = Lattice(64, 64, (0, 1, 2))
    model = prior.context.level(lattice.bands, 0, 30, 2 * (30 + 34) + 3)
    random = np.random.default_rng(3)
    seen = random.integers(-127, 128, (9, 50, 2 * (30 + 34) + 3))
    scales, means = model(seen.astype(np.float32), True)
    assert len(np.unique(scales)) > 5
    for where, net in model._parts[True]:
        ints = {name: np.asarray(getattr(net, name)).astype(np.int64) for name in vars(net)}
        x = seen[where].astype(np.int64)
        first = np.clip((x @ ints["w1"] + ints["b1"][:, None]) >> 6, 0, 1023)
        second = np.clip((first @ ints["w2"] + ints["b2"][:, None]) >> 8, 0, 1023)
        out = second @ ints["w3"] + ints["b3"][:, None]
        mean = out[..., 1] + (x @ ints["skip"][..., None])[..., 0]
        np.testing.assert_array_equal(scales[where], np.clip((out[..., 0] + 24 * 8192 + 4096) >> 13, 0, 63))
        np.testing.assert_array_equal(means[where], np.clip((mean + 2048) >> 12, -1016, 1016))


@pytest.mark.parametrize("kind", [SCALAR, Q0, Q1])
def test_every_integer_survives_every_context(kind):
    scales, means = (grid.ravel() for grid in np.meshgrid(np.arange(64), [*range(-40, 41), *range(-1016, 1017, 7)]))
    kinds = np.full(scales.shape, kind)
    for value in (-100000, -17, -1, 0, 1, 16, 4711):
        where = binarization_of(scales, means, kinds)
        cells = binarize(np.full(scales.shape, value), where)
        high = np.where(cells.excess >= 0, np.sign(cells.symbols - 16) * (cells.excess + 16), cells.symbols - 16)
        np.testing.assert_array_equal(debinarize(high, cells.low_bits, where), value)
        assert cells.low_bits.min() >= 0 and (cells.low_bits < 1 << cells.shifts).all()
        starts = {SCALAR: 0, Q0: Q0_START, Q1: Q1_START}
        ends = {SCALAR: Q0_START, Q0: Q1_START, Q1: TABLES}
        assert starts[kind] <= cells.tables.min() and cells.tables.max() < ends[kind]


SIZES = [(1, 1), (1, 9), (9, 1), (2, 3), (8, 8), (17, 5), (37, 50), (64, 33)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_any_size_and_channels_come_back(size, channels):
    image = picture(*size, channels)
    data = nifcodec.encode(image, configure(quality=90))
    again = nifcodec.decode(data)
    assert again.shape == image.shape
    if channels in (1, 3):
        assert psnr(image, again) > 36


def test_a_flat_picture_is_tiny():
    data = nifcodec.encode(np.full((1000, 1000, 3), (200, 30, 90), np.uint8))
    assert len(data) < 100
    assert np.abs(nifcodec.decode(data).astype(int) - (200, 30, 90)).max() <= 2


def test_quality_is_monotone_in_size_and_psnr():
    image = picture(96, 128)
    sizes, decibels = [], []
    for quality in range(0, 101, 20):
        data = nifcodec.encode(image, configure(quality=quality))
        sizes.append(len(data))
        decibels.append(psnr(image, nifcodec.decode(data)))
    assert sizes == sorted(sizes)
    assert decibels == sorted(decibels)


def test_targets_are_met():
    image = picture(160, 192)
    data = nifcodec.encode(image, configure(target_size=3000))
    assert 3000 * 0.985 <= len(data) <= 3000
    data = nifcodec.encode(image, configure(bpp=1.0))
    assert 0.985 <= 8 * len(data) / image[..., 0].size <= 1.0
    data = nifcodec.encode(image, configure(psnr=33.0))
    assert 33.0 <= psnr(image, nifcodec.decode(data)) < 33.1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("effort", [1, 2])
def test_a_search_for_a_psnr_ends_where_there_is_no_error(dtype, effort):
    for shape in ((1, 1, 3), (8, 9), (40, 60, 4)):
        flat = np.zeros(shape, dtype)
        data = nifcodec.encode(flat, configure(psnr=40.0, effort=effort))
        assert metrics.fidelity(np.atleast_3d(flat), nifcodec.decode(data)) >= 40.0
        assert len(data) < 120


def test_a_search_reports_its_tries():
    image = picture(96, 96)
    for config in (configure(bpp=1.0, effort=1), configure(psnr=33.0, effort=1)):
        seen = []
        data = nifcodec.encode(image, config, progress=seen.append)
        assert {update.stage for update in seen} == {"search"}
        assert [update.step for update in seen] == list(range(1, len(seen) + 1))
        assert all(update.step < update.steps for update in seen[:-1])
        assert seen[-1].step == seen[-1].steps
        assert min(abs(update.psnr - psnr(image, nifcodec.decode(data))) for update in seen) < 0.2


@pytest.mark.usefixtures("backend")
def test_wide_alphabets_at_the_finest_step():
    """Large coefficients take raw low bits and escapes."""
    noise = np.random.default_rng(5).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    data = nifcodec.encode(noise, configure(quality=100))
    assert psnr(noise, nifcodec.decode(data)) > 45


@pytest.mark.parametrize("feature", [20, 64, 110])
def test_the_synthesis_network_is_that_of_the_training(feature):
    """At steps other than the middle one too."""
    pytest.importorskip("tensorflow")
    import tensorflow as tf

    from nifcodec.fields.wavelet.training.prior_networks import corrections

    network = priors.named().restoration
    planes = np.random.default_rng(5).normal(0, 2, (3, 48, 64)).astype(np.float32)
    parts = (network.kernels, network.biases, network.conditioning)
    blocks = tf.nn.space_to_depth(np.moveaxis(planes, 0, -1)[None], 2)
    twin = np.asarray(corrections(*parts, blocks, np.array([feature], np.float32)))[0]
    border = 2 * len(network.kernels)
    inner = network(planes, feature)[:, :, border:-border, border:-border]
    np.testing.assert_allclose(np.moveaxis(inner, 1, -1), twin, atol=2e-4)
    assert np.abs(twin).max() > 0.05


def test_a_mixture_is_the_weighted_sum_of_the_corrections():
    network = priors.named().restoration
    planes = np.random.default_rng(6).normal(0, 2, (3, 17, 10)).astype(np.float32)
    random = np.random.default_rng(7)
    mixture = tuple(tuple(random.integers(-127, 128, network.corrections).tolist()) for _ in range(2))
    each = network(planes, 70)
    weights = np.array([mixture[0], mixture[1], mixture[1]]) / 32
    expected = sum(weights[:, i, None, None] * each[i] for i in range(network.corrections))
    np.testing.assert_allclose(network.mixed(mixture)(planes, 70)[0], expected, atol=1e-3)


def test_twice_the_size_averages_back_to_the_native_render():
    image = picture(48, 64)
    data = nifcodec.encode(image, configure(quality=70))
    native = nifcodec.decode(data).astype(float)
    double = nifcodec.decode(data, scale=2).astype(float)
    mean = double.reshape(48, 2, 64, 2, 3).mean(axis=(1, 3))
    assert abs((mean - native).mean()) < 0.2
    assert np.sqrt(((mean - native) ** 2).mean()) < 6
    crop = nifcodec.decode(data, scale=2, crop=(8, 4, 20, 16))
    np.testing.assert_array_equal(crop, double[8:40, 16:56].astype(np.uint8))


@pytest.mark.parametrize("quality", [40, 85])
def test_enlarging_a_halved_picture_is_as_near_to_it_as_lanczos(quality):
    with Image.open(SAMPLES / "chelsea.png") as opened:
        original = opened.convert("RGB").crop((80, 40, 336, 232))
    data = nifcodec.encode(np.asarray(original.reduce(2)), configure(quality=quality, effort=1))
    native, double = nifcodec.decode(data), nifcodec.decode(data, scale=2)
    lanczos = np.asarray(Image.fromarray(native).resize(original.size, Image.LANCZOS))
    assert psnr(np.asarray(original), double) > psnr(np.asarray(original), lanczos) - 0.05


def test_a_foreign_prior_is_named():
    data = nifcodec.encode(picture(16, 16))
    file = container.unpack(data)
    foreign = replace(unpack_description(file.description), prior=bytes(8))
    other = container.pack(replace(file, description=foreign.pack()))
    with pytest.raises(UnknownPriorError, match="0000000000000000"):
        decoder.decode(other)


def test_a_model_that_differs_by_one_unit_is_noticed():
    image = picture(64, 64)
    file = container.unpack(nifcodec.encode(image, configure(quality=80)))
    spec = unpack_description(file.description)
    prior = priors.find(spec.prior)
    lattice = Lattice(64, 64, (0, 1, 2))
    plane, _ = decode_lattice(file.payload, lattice, Conditions(prior.context, spec.step_feature, spec.dependent))
    assert plane.shape == (3, 64, 64)
    networks = {key: replace(net, b3=net.b3 + np.float32(8192)) for key, net in prior.context.networks.items()}
    changed = ContextModel(networks, prior.context.frequencies)
    with pytest.raises(CorruptFileError):
        decode_lattice(file.payload, lattice, Conditions(changed, spec.step_feature, spec.dependent))


@pytest.mark.usefixtures("backend")
def test_the_checksum_guards_the_coefficients():
    lattice = Lattice(32, 32, (0, 1, 2))
    conditions = Conditions(priors.named().context, 60)
    random = np.random.default_rng(2)
    levels = [
        {band: random.integers(-2, 3, lattice.shape(level, band)) for band in lattice.bands}
        for level in range(lattice.levels)
    ]
    levels[0][lattice.bands[4]][:] = 0  # a band that is left out
    low = random.integers(-50, 50, lattice.low_shape())
    coding = Coding.of_root(lattice, conditions, low)
    quantized = quantize_bands(coding, levels, 0.0)
    payload = coding.encode(quantized).data
    decoded, again = decode_lattice(payload, lattice, conditions)
    np.testing.assert_array_equal(decoded, coding.rebuild(quantized))
    for level in range(lattice.levels):
        for band in lattice.bands:
            np.testing.assert_array_equal(again[level].get(band, 0), 2 * levels[level][band])
    middle, found = len(payload) // 2, set()
    for bit in range(8):
        damaged = payload[:middle] + bytes([payload[middle] ^ (1 << bit)]) + payload[middle + 1 :]
        with pytest.raises((ChecksumError, MalformedError)) as caught:
            decode_lattice(damaged, lattice, conditions)
        found.add(caught.type)
    assert ChecksumError in found


def test_a_band_that_quantization_empties_is_left_out_of_the_file():
    """Contexts found while the band was scanned serve the file that lacks it."""
    lattice = Lattice(40, 40, (0, 1, 2))
    conditions = Conditions(priors.named().context, 60)
    random = np.random.default_rng(5)
    details = [
        {band: random.normal(0, 3, lattice.shape(level, band)) for band in lattice.bands}
        for level in range(lattice.levels)
    ]
    details[0][lattice.bands[2]] = np.zeros(lattice.shape(0, lattice.bands[2]))
    details[0][lattice.bands[2]][5, 7] = 0.55
    coding = Coding.of_root(lattice, conditions, random.integers(-50, 50, lattice.low_shape()))
    quantized = quantize_bands(coding, details, 0.12)
    assert not quantized.levels[0][lattice.bands[2]].any()
    decoded, _ = decode_lattice(coding.encode(quantized).data, lattice, conditions)
    np.testing.assert_array_equal(decoded, coding.rebuild(quantized))


def test_training_lowers_the_cost_and_reports_it():
    pytest.importorskip("tensorflow")
    image = np.ascontiguousarray(read_image(SAMPLES / "coffee.png").pixels[100:228, 200:360])
    seen = []
    closed = nifcodec.encode(image, configure(quality=40, effort=1))
    data = nifcodec.encode(image, configure(quality=40, effort=5), progress=seen.append)
    spec = unpack_description(container.unpack(data).description)

    def cost(file):
        mse = 10 ** (-psnr(image, nifcodec.decode(file)) / 10)
        return mse + (spec.step / STEP_PER_SQRT_LAMBDA) ** 2 * 8 * len(file) / image[..., 0].size

    assert cost(data) < 0.995 * cost(closed)
    assert [update.step for update in seen] == list(range(ROUNDS[4] + 1))
    assert abs(max(update.psnr for update in seen) - psnr(image, nifcodec.decode(data))) < 0.3


def test_training_gives_the_same_file_twice_and_stops_when_told():
    pytest.importorskip("tensorflow")
    image = picture(40, 41, 2)
    config = configure(field="wavelet", quality=50, effort=3)
    assert nifcodec.encode(image, config) == nifcodec.encode(image, config)
    polls = iter([False, True])
    stopped = nifcodec.encode(image, replace(config, effort=9), interrupt=lambda: next(polls))
    assert nifcodec.decode(stopped).shape == image.shape


def test_the_default_field_is_trained_without_tensorflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for name in [name for name in sys.modules if name.startswith("nifcodec.training")]:
        monkeypatch.delitem(sys.modules, name)
    image = picture(24, 32)
    report = encoder.encode_image(from_array(image), configure(quality=40)).report
    assert report.steps == 6
    assert report.device is not None and report.device.startswith("cpu, ")


def test_options_of_the_mlp_fields_are_refused():
    with pytest.raises(ConfigError, match="width or omega"):
        configure(width=32, omega=20.0)


def test_the_name_of_a_file_is_not_taken_for_its_bytes():
    with pytest.raises(TypeError, match="read the file first"):
        nifcodec.decode("photo.nif")


@pytest.mark.usefixtures("backend")
def test_damage_raises_nothing_but_nif_errors():
    file = container.unpack(nifcodec.encode(picture(24, 24)))
    random = np.random.default_rng(11)
    for _ in range(60):
        payload = bytearray(file.payload)
        payload[random.integers(len(payload))] ^= 1 << random.integers(8)
        data = container.pack(replace(file, payload=bytes(payload[: random.integers(1, len(payload) + 1)])))
        with pytest.raises(CorruptFileError):
            decoder.decode(data)


def test_the_fit_knows_the_error_of_its_mixture():
    network = priors.named().restoration
    random = np.random.default_rng(8)
    planes = random.normal(0, 2, (4, 20, 30)).astype(np.float32)
    each = network(planes[:3], 64)
    target = planes + 0.3 * random.standard_normal(planes.shape)
    target[:3] += 0.8 * each[0]
    halves = [np.s_[..., :15], np.s_[..., 15:]]
    fit = MixtureFit.of(target[halves[0]], planes[halves[0]], each[halves[0]])
    fit = fit + MixtureFit.of(target[halves[1]], planes[halves[1]], each[halves[1]])
    mixture = fit.mixture()
    restored = corrected(planes, network.mixed(mixture)(planes[:3], 64)[0])
    error = float(((target - restored) ** 2).sum())
    np.testing.assert_allclose(fit.error(mixture), error, rtol=1e-3)
    assert error < float(((target - planes) ** 2).sum())
