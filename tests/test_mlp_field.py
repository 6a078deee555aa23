"""The coordinate networks: description, encodings, rendering, integer weights."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nifcodec.entropy.tensors import MAX_SYMBOL
from nifcodec.errors import ConfigError, CorruptFileError, LimitError, MalformedError
from nifcodec.fields.mlp import position_encoding, render
from nifcodec.fields.mlp.description import MlpDescription, pack, unpack
from nifcodec.fields.mlp.options import FourierOptions, SirenOptions
from nifcodec.fields.mlp.sizing import design
from nifcodec.fields.mlp.weights import QuantizedMlp, quantize, step

EXAMPLE = MlpDescription("fourier", 3, 256, 6, "powers", dimension=10, sigma=2.0, colour="ycocg")
SPECS = [
    EXAMPLE,
    MlpDescription("fourier", 4, 24, 5, "gaussian", features=7, scale=3.5, seed=2**32 - 1, colour="yuv"),
    MlpDescription("fourier", 1, 9, 1, "none"),
    MlpDescription("siren", 2, 16, 3, "none", omega=30.0),
    MlpDescription("siren", 3, 12, 2, "none", omega=12.5, colour="ycocg"),
]


def random_tensors(spec, seed=0):
    """Weights of the size that keeps activations at theirs."""
    generator = np.random.RandomState(seed)
    factor = 1.0 / max(spec.omega, 1.0)
    return tuple(
        (factor * generator.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        for shape in spec.tensor_shapes()
    )


def test_default_network_of_the_example_has_its_parameters_and_skip():
    assert EXAMPLE.parameter_count() == 328_707
    assert EXAMPLE.tensor_shapes()[2:4] == ((256, 216), (256, 256))
    assert EXAMPLE.macs_per_pixel() == 328_707 - 256 - 3 + 9


def test_narrow_network_keeps_its_width_before_the_skip():
    spec = replace(EXAMPLE, width=48, layers=4)
    assert spec.tensor_shapes()[:4] == ((40, 48), (48, 48), (48 + 40, 48), (48, 48))


@pytest.mark.parametrize("spec", SPECS)
def test_description_round_trips_in_twelve_bytes(spec):
    data = pack(spec)
    assert unpack({"fourier": 1, "siren": 2}[spec.family], spec.channels, data) == spec
    assert len(data) <= 12
    for end in range(len(data)):
        with pytest.raises(MalformedError):
            unpack({"fourier": 1, "siren": 2}[spec.family], spec.channels, data[:end])


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=20))
def test_any_description_is_valid_or_refused(family, channels, data):
    try:
        spec = unpack(family, channels, data)
    except CorruptFileError:
        return
    assert pack(spec) == data


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"width": 0}, MalformedError),
        ({"width": 2049}, LimitError),
        ({"layers": 33}, LimitError),
        ({"width": 2048, "layers": 8}, LimitError),
        ({"dimension": 33}, LimitError),
        ({"dimension": 22, "sigma": 2.0}, LimitError),
        ({"sigma": 0.001}, MalformedError),
        ({"channels": 5}, MalformedError),
        ({"channels": 2}, MalformedError),
        ({"colour": "lab"}, MalformedError),
        ({"encoding": "hash"}, MalformedError),
        ({"family": "siren"}, MalformedError),
    ],
)
def test_values_outside_of_the_format_are_refused(change, error):
    with pytest.raises(error):
        replace(EXAMPLE, **change).validate()


@pytest.mark.parametrize(
    ("family", "options"),
    [("fourier", FourierOptions()), ("fourier", FourierOptions(encoding="gaussian")), ("siren", SirenOptions())],
)
@pytest.mark.parametrize("bits", [12_000, 90_000, 2_000_000])
def test_size_follows_the_budget(family, options, bits):
    spec = design(family, 3, (512, 768), bits, options)
    assert 0.7 * bits < 6 * spec.parameter_count() <= bits
    assert unpack({"fourier": 1, "siren": 2}[family], 3, pack(spec)) == spec


def test_given_size_is_kept_and_an_impossible_one_refused():
    spec = design("fourier", 3, (64, 64), 1e5, FourierOptions(width=33, layers=2))
    assert (spec.width, spec.layers) == (33, 2)
    assert design("fourier", 1, (64, 64), 1e4).colour == "rgb"
    with pytest.raises(ConfigError, match=r"this network cannot be stored: .*parameters"):
        design("fourier", 3, (64, 64), 1e5, FourierOptions(width=2048, layers=32))


def test_colour_matrices_invert_the_forward_transforms():
    red, green, blue = 0.2, 0.5, 0.9
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    components = {
        "rgb": (red, green, blue),
        "ycocg": ((red + 2 * green + blue) / 4, (red - blue) / 2, (2 * green - red - blue) / 4),
        "yuv": (luma, 0.492 * (blue - luma), 0.877 * (red - luma)),
    }
    for colour, values in components.items():
        matrix = position_encoding.colour_matrix(replace(EXAMPLE, channels=4, colour=colour))
        np.testing.assert_allclose(matrix @ (*values, 0.25), (red, green, blue, 0.25), atol=1e-6)


def test_gaussian_frequencies_are_the_documented_integers():
    spec = MlpDescription("fourier", 3, 8, 1, "gaussian", features=2, scale=1.0, seed=0)
    outputs = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # SplitMix64's published first outputs
    total = sum(output >> shift & 0xFFFF for output in outputs for shift in (0, 16, 32, 48))
    frequencies = position_encoding.gaussian_frequencies(spec)
    assert frequencies[0, 0] == pytest.approx(2 * math.pi * (total - 393210) / 65536, rel=1e-15)
    many = position_encoding.gaussian_frequencies(replace(spec, features=1000)) / (2 * math.pi)
    assert abs(many.mean()) < 0.05
    assert many.std() == pytest.approx(1.0, abs=0.05)


def test_encodings_are_their_formulas():
    us, vs = np.array([0.1, -0.3, 1.7]), np.array([0.25, 0.8])
    gaussian = SPECS[1]
    angles = (np.stack(np.meshgrid(us, vs), axis=-1) @ position_encoding.gaussian_frequencies(gaussian).T).astype(
        np.float64
    )
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    np.testing.assert_allclose(position_encoding.encode_grid(gaussian, us, vs), expected, atol=1e-5)
    powers = replace(EXAMPLE, dimension=3)
    row = position_encoding.encode_grid(powers, us, vs)[1, 2]
    frequencies = np.array([1.0, 2.0, 4.0])
    angle_u, angle_v = frequencies * (2 * 1.7 - 1), frequencies * (2 * 0.8 - 1)
    np.testing.assert_allclose(
        row, np.concatenate([np.sin(angle_u), np.sin(angle_v), np.cos(angle_u), np.cos(angle_v)]), atol=1e-6
    )


def ramp():
    """A network whose value is u: relu(p_u) and relu(-p_u) give p_u = 2u - 1 exactly."""
    spec = MlpDescription("fourier", 1, 2, 1, "none")
    kernel = np.array([[1, -1], [0, 0]], np.float32)
    return spec, (kernel, np.zeros(2, np.float32), np.array([[0.5], [-0.5]], np.float32), np.array([0.5], np.float32))


def disc():
    """A network whose value is a soft-edged centred disc: a clipped ramp of cos(p_u) + cos(p_v)."""
    spec = MlpDescription("fourier", 1, 2, 1, "powers", dimension=1, sigma=1.0)
    kernel = np.array([[0, 0], [0, 0], [8, 8], [8, 8]], np.float32)
    bias = np.array([-13.6, -14.6], np.float32)
    return spec, (kernel, bias, np.array([[1], [-1]], np.float32), np.zeros(1, np.float32))


@pytest.mark.parametrize("count", [1, 7, 64, 200])
def test_perfect_field_gives_back_the_picture(count):
    picture = np.floor(255 * (np.arange(count) + 0.5) / count + 0.5).astype(np.uint8)
    values = render.render(*ramp(), render.pixel_centres(count), render.pixel_centres(3))
    for row in values:
        np.testing.assert_array_equal(np.floor(255 * row[:, 0] + 0.5).astype(np.uint8), picture)


@pytest.mark.parametrize("field", [ramp, disc])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (15, 40)])
def test_rendering_at_twice_the_size_does_not_shift(field, height, width):
    def grid(factor):
        centres = render.pixel_centres(factor * width), render.pixel_centres(factor * height)
        return render.render(*field(), *centres)[..., 0].astype(np.float64)

    def centroid(values, axis):
        weights = values.sum(axis=1 - axis)
        return float((weights * np.arange(len(weights))).sum() / weights.sum())

    native, double = grid(1), grid(2)
    averaged = double.reshape(height, 2, width, 2).mean(axis=(1, 3))
    assert native.max() > 0.9
    assert native.min() < 0.1
    for axis in (0, 1):
        assert centroid(averaged, axis) == pytest.approx(centroid(native, axis), abs=2e-4)
    if field is disc:
        np.testing.assert_allclose(native, native[::-1, ::-1], atol=1e-5)
    else:
        np.testing.assert_allclose(averaged, native, atol=1e-6)


@pytest.mark.parametrize("spec", SPECS)
def test_bands_do_not_change_the_picture(spec):
    tensors = random_tensors(spec)
    us, vs = np.linspace(-0.2, 1.3, 13), np.linspace(0, 1, 5)
    whole = render.render(spec, tensors, us, vs)
    assert whole.shape == (5, 13, spec.channels)
    assert whole.dtype == np.float32
    for band in (1, 4 * 256, 30 * 256):
        np.testing.assert_allclose(render.render(spec, tensors, us, vs, band_values=band), whole, atol=1e-5)


def test_memory_does_not_depend_on_the_height():
    spec = MlpDescription("fourier", 1, 64, 2, "powers", dimension=4, sigma=2.0)
    tensors = random_tensors(spec)

    def peak(rows):
        tracemalloc.start()
        output = render.render(spec, tensors, render.pixel_centres(400), render.pixel_centres(rows))
        used = tracemalloc.get_traced_memory()[1] - output.nbytes
        tracemalloc.stop()
        return used

    # nan_to_num's mask takes a byte a value of the output.
    assert peak(400) < peak(100) + 2 * 400 * 300


def test_hostile_weights_give_finite_values():
    spec = replace(EXAMPLE, layers=30)
    tensors = tuple(np.full(shape, 2.0**20, np.float32) for shape in spec.tensor_shapes())
    assert np.isfinite(render.render(spec, tensors, render.pixel_centres(3), render.pixel_centres(2))).all()


def test_tensors_of_another_network_are_refused():
    with pytest.raises(MalformedError, match="shapes"):
        render.render(EXAMPLE, random_tensors(SPECS[2]), render.pixel_centres(2), render.pixel_centres(2))


def test_steps_are_eighths_of_octaves():
    assert [float(step(index)) for index in (0, 8, 16, 248)] == [1.0, 0.5, 0.25, 2.0**-31]
    for index in range(255):
        assert float(step(index + 1) / step(index)) == pytest.approx(2 ** (-1 / 8), rel=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 255), st.floats(-4, 4, width=32))
def test_rounding_is_to_the_nearest_multiple(index, value):
    symbol = quantize(np.array([value], np.float32), index)[0]
    size = float(step(index))
    assert abs(symbol) <= MAX_SYMBOL
    if abs(symbol) < MAX_SYMBOL:
        assert abs(symbol * size - value) <= size / 2 * (1 + 1e-6)


def test_integers_round_trip():
    spec = SPECS[1]
    steps = tuple(40 + 5 * (index % 3) for index in range(len(spec.tensor_shapes())))
    symbols = tuple(quantize(tensor, index) for tensor, index in zip(random_tensors(spec), steps))
    network = QuantizedMlp(spec, symbols, steps)
    payload = network.to_payload()
    assert tuple(array.shape for array in payload) == QuantizedMlp.payload_shapes(spec)
    again = QuantizedMlp.from_payload(spec, payload)
    assert again.steps == steps
    for one, other, original in zip(again.dequantize(), network.dequantize(), random_tensors(spec)):
        np.testing.assert_array_equal(one, other)
        assert np.abs(one - original).max() <= float(step(40))


@pytest.mark.parametrize("change", [-300, 300, 2**31 - 1])
def test_step_indices_outside_of_the_table_are_refused(change):
    spec = SPECS[2]
    arrays = [np.zeros(shape, np.int32) for shape in QuantizedMlp.payload_shapes(spec)]
    arrays[0][1] = change
    with pytest.raises(MalformedError, match="steps"):
        QuantizedMlp.from_payload(spec, arrays)
    with pytest.raises(MalformedError, match="shapes"):
        QuantizedMlp.from_payload(spec, arrays[1:])
