"""Large pictures: tiles, the parts that are decoded of them, and pictures reduced by leaving levels out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_wavelet import SAMPLES, picture

import nifcodec
from nifcodec import container
from nifcodec.errors import ChecksumError, ConfigError, CorruptFileError, LimitError, MalformedError, TruncatedError
from nifcodec.fields.families import configure
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import EncodeJob, Goal
from nifcodec.fields.parts import CodedPart, pack_parts, unpack_parts
from nifcodec.fields.rendering import render
from nifcodec.fields.wavelet import decode, priors
from nifcodec.fields.wavelet.coding.bitstream import decode_lattice
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import unpack_description
from nifcodec.fields.wavelet.lattice import HALF, Lattice
from nifcodec.fields.wavelet.lifting import analyse_levels, analyse_plane, span_below, synthesise_plane
from nifcodec.fields.wavelet.picture_encoder import PictureEncoder
from nifcodec.fields.wavelet.planes import plane_ids, to_planes
from nifcodec.fields.wavelet.search.coding import Coding
from nifcodec.fields.wavelet.search.rdoq import quantize_bands
from nifcodec.fields.wavelet.tile_source import TileSource
from nifcodec.fields.wavelet.tiling import TILE_LEVELS, Tiling
from nifcodec.picture.image import from_array
from nifcodec.picture.metrics import psnr
from nifcodec.picture.read import read_image
from nifcodec.picture.signal import to_signal
from nifcodec.picture.window import choose_window

TILES = {"tile_exponent": 7, "largest_whole": 0}  # every picture has tiles, of 128 x 128 pixels
FAST = configure(quality=60, effort=1)
TILED = configure(quality=60, effort=1, **TILES)


def photograph(height=200, width=300):
    return np.ascontiguousarray(read_image(SAMPLES / "coffee.png").pixels[:height, :width])


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (5, 9), (17, 30), (33, 64)])
def test_synthesis_of_a_part_equals_that_of_the_whole(shape):
    random = np.random.default_rng(4)
    low, bands = analyse_plane(np.zeros((2, *shape)))
    low, *bands = (random.integers(-5000, 5000, plane.shape) for plane in (low, *bands))
    whole = synthesise_plane(low, tuple(bands))
    for _ in range(60):
        spans = [tuple(sorted(random.choice(side + 1, 2, replace=False).tolist())) for side in shape]
        (top, bottom), (left, right) = (span_below(span, side) for span, side in zip(spans, shape))
        part = synthesise_plane(
            low[:, top:bottom, left:right], tuple(band[:, top:bottom, left:right] for band in bands)
        )
        (y, y_end), (x, x_end) = spans
        np.testing.assert_array_equal(
            part[:, y - 2 * top : y_end - 2 * top, x - 2 * left : x_end - 2 * left], whole[:, y:y_end, x:x_end]
        )


def _opened(data, reduction=0):
    file = container.unpack(data)
    spec = unpack_description(file.description)
    tiling = Tiling(file.width, file.height, plane_ids(file.channels), 1 << spec.tile_exponent)
    conditions = Conditions(priors.named().context, spec.step_feature)
    return tiling, decode.TiledPlanes(unpack_parts(file.payload, 1 + tiling.count), tiling, conditions, reduction)


@pytest.mark.parametrize("size", [(300, 257), (131, 400), (129, 128)])
def test_any_part_of_a_tiled_picture_equals_the_global_synthesis(size):
    data = nifcodec.encode(picture(*size), TILED)
    tiling, planes = _opened(data)
    plane = planes._root
    tiles = dict(enumerate(planes._tiles(range(tiling.count))))
    for level in range(TILE_LEVELS - 1, -1, -1):
        rows, columns = tiling.whole.sizes[level + 1]
        bands = [planes._gather(tiles, level, o, (0, rows), (0, columns)) * HALF for o in range(3)]
        plane = synthesise_plane(plane, tuple(bands))
        for reduction in {level} & {0, 1, 3}:
            _, reduced = _opened(data, reduction)
            height, width = plane.shape[1:]
            for (y, y_end), (x, x_end) in (
                ((0, height), (0, width)),
                ((height // 3, height - 1), (width // 2, width // 2 + 1)),
                ((height - 1, height), (0, width // 3 + 1)),
            ):
                np.testing.assert_array_equal(reduced((y, y_end), (x, x_end)), plane[:, y:y_end, x:x_end])


def test_the_tiles_hold_what_the_encoder_saw(monkeypatch):
    """The integers of each tile's bands come back, and its rebuilt planes but for those next to its border."""
    seen = []
    original = PictureEncoder._encode_tile

    def record(self, tile, root, **rest):
        seen.append((tile, root))
        return original(self, tile, root, **rest)

    monkeypatch.setattr(PictureEncoder, "_encode_tile", record)
    _, planes = _opened(nifcodec.encode(picture(200, 300), TILED))
    assert len(seen) == 6
    np.testing.assert_array_equal(planes._root, seen[0][1].plane)
    for level, bands in enumerate(planes._levels):
        for band, values in bands.items():
            np.testing.assert_array_equal(values, seen[0][1].bands.levels[level][band])


def test_a_tile_with_its_margin_has_the_analysis_of_the_whole():
    signal = to_signal(from_array(picture(300, 401)).pixels, 8, "auto")
    job = EncodeJob(signal, Goal.of(TILED, signal.pixels, lambda coded: b"", lambda data: 0.0), TILED, Hooks())
    encoder = PictureEncoder(job, tile_exponent=7)
    low, details = analyse_levels(to_planes(signal.values()), TILE_LEVELS)
    np.testing.assert_allclose(encoder.source.original, low, atol=1e-12)
    for number in (0, 5, 11):
        tile = encoder.tiling.tile(number)
        for level, bands in enumerate(TileSource(tile, signal).coefficients(1.0)):
            for band, values in bands.items():
                y, x = (span[0] >> (level + 1) for span in (tile.rows, tile.columns))
                whole = details[level][band.orientation][band.plane]
                assert values.shape == tile.lattice.shape(level, band)
                expected = whole[y : y + values.shape[0], x : x + values.shape[1]]
                np.testing.assert_allclose(values, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_errors_at_the_borders_of_tiles_are_no_higher_than_without_tiles(name):
    pixels = read_image(SAMPLES / f"{name}.png").pixels[:296, :440]
    whole, parts = (nifcodec.decode(nifcodec.encode(pixels, config)) for config in (FAST, TILED))
    rows, columns = (np.isin((np.arange(side) + 4) % 128, range(8)) for side in pixels.shape[:2])
    rows[:4] = columns[:4] = False  # the picture's own border
    near = rows[:, None] | columns[None]
    tiled, untiled = (((each.astype(np.float64) - pixels) ** 2)[near].mean() for each in (parts, whole))
    assert tiled <= untiled


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(150, 131), (128, 257), (1, 300), (300, 2)])
def test_any_size_and_channels_come_back(size, channels):
    image = picture(*size, channels)
    data = nifcodec.encode(image, configure(quality=85, effort=1, **TILES))
    again = nifcodec.decode(data)
    assert again.shape == image.shape
    if channels in (1, 3):
        assert psnr(image, again) > 34


@pytest.mark.parametrize("side", range(1, 18))
def test_small_pictures_with_and_without_tiles(side):
    image = picture(side, 18 - side)
    expected = nifcodec.decode(nifcodec.encode(image, FAST))
    data = nifcodec.encode(image, configure(quality=60, effort=1, largest_whole=0))
    assert nifcodec.inspect(data).settings["tiles"] == 1
    assert psnr(nifcodec.decode(data), expected) > 30
    for scale in (0.5, 0.2, 3):
        assert nifcodec.decode(data, scale=scale).shape[2] == 3


def test_a_crop_is_the_same_part_of_the_whole():
    data = nifcodec.encode(photograph(), TILED)
    for options in ({}, {"scale": 0.5}, {"scale": 2}):
        whole = nifcodec.decode(data, **options)
        factor = options.get("scale", 1)
        for left, top, width, height in ((120, 100, 60, 40), (298, 196, 2, 4), (150, 0, 90, 2)):
            part = nifcodec.decode(data, crop=(left, top, width, height), **options)
            x, y = int(left * factor), int(top * factor)
            np.testing.assert_array_equal(part, whole[y : y + part.shape[0], x : x + part.shape[1]])


@pytest.fixture
def decoded(monkeypatch):
    """Numbers of the tiles that are decoded, as they are."""
    numbers = []
    original = decode.TiledPlanes._decode
    monkeypatch.setattr(
        decode.TiledPlanes, "_decode", lambda self, number: numbers.append(number) or original(self, number)
    )
    return numbers


def test_a_crop_decodes_only_the_tiles_it_touches(decoded):
    data = nifcodec.encode(photograph(), TILED)
    decoded.clear()
    nifcodec.decode(data)
    assert sorted(decoded) == list(range(6))
    decoded.clear()
    nifcodec.decode(data, scale=1 / 32)
    assert decoded == []


def test_a_picture_of_many_rows_decodes_each_tile_once(decoded):
    # Tiles are larger than the margin of a cell, and there are many bands of rows.
    config = configure(quality=5, effort=1, tile_exponent=8, largest_whole=0)
    file = container.unpack(nifcodec.encode(picture(2000, 600), config))
    decoded.clear()
    window = choose_window((600, 2000), None, None, None, 2000 * 600)
    pixels = render(decode.WaveletRender(file, cell=64).samples(), window, 3, band_samples=256 * 256)
    assert pixels.shape == (2000, 600, 3)
    assert sorted(decoded) == list(range(24))


def test_tiles_cost_little_and_leave_no_seam():
    image = photograph()
    data, whole = nifcodec.encode(image, TILED), nifcodec.encode(image, FAST)
    again = nifcodec.decode(data)
    without_index = container.pack(replace(container.unpack(data), index=b""))
    assert len(without_index) < 1.04 * len(whole)
    assert psnr(image, again) > psnr(image, nifcodec.decode(whole)) - 0.05
    error = ((image.astype(float) - again) ** 2).mean(axis=2)
    # The last and the first column and row of neighbouring tiles, against those a few pixels away from them.
    columns, rows = [127, 128, 255, 256], [127, 128]
    border = error[:, columns].mean() + error[rows].mean()
    away = sum(error[:, [x + d for x in columns]].mean() + error[[y + d for y in rows]].mean() for d in (-9, -5, 5, 9))
    assert border < 1.1 * away / 4


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.3, 0.125])
def test_a_reduced_tiled_picture_is_that_of_one_lattice(scale):
    image = photograph()
    tiled, whole = (nifcodec.decode(nifcodec.encode(image, config), scale=scale) for config in (TILED, FAST))
    assert psnr(tiled, whole) > 40


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125])
def test_a_reduced_picture_is_not_shifted(scale):
    """A soft disc, off the grid: its centre of gravity stays, and it is near the picture's own means."""
    y, x = np.mgrid[0:240, 0:320]
    disc = 1 / (1 + np.exp((np.hypot(x - 150.3, y - 121.6) - 60) / 6))
    data = nifcodec.encode(np.rint(20 + 200 * disc).astype(np.uint8), configure(quality=90, effort=1))
    reduced = nifcodec.decode(data, scale=scale)[..., 0].astype(float) - 20
    rows, columns = (np.indices(reduced.shape) + 0.5) / scale - 0.5
    assert abs((reduced * columns).sum() / reduced.sum() - 150.3) < 0.15
    assert abs((reduced * rows).sum() / reduced.sum() - 121.6) < 0.15
    step = round(1 / scale)
    means = (200 * disc).reshape(240 // step, step, 320 // step, step).mean(axis=(1, 3))
    assert np.sqrt(((reduced - means) ** 2).mean()) < 1.5


@pytest.mark.parametrize(("scale", "least"), [(0.5, 31), (0.25, 31)])
def test_a_reduction_is_near_the_reduced_original(scale, least):
    from PIL import Image

    image = photograph(200, 304)
    reduced = nifcodec.decode(nifcodec.encode(image, configure(quality=80, effort=1)), scale=scale)
    size = (reduced.shape[1], reduced.shape[0])
    assert psnr(reduced, np.asarray(Image.fromarray(image).resize(size, Image.LANCZOS))) > least


@pytest.mark.usefixtures("backend")
def test_levels_that_are_left_out_are_not_read():
    """What lies behind them in the stream may be damaged; what is read is checked."""
    lattice = Lattice(64, 48, (0, 1, 2))
    conditions = Conditions(priors.named().context, 60)
    random = np.random.default_rng(2)
    details = [
        {band: random.normal(0, 2, lattice.shape(level, band)) for band in lattice.bands}
        for level in range(lattice.levels)
    ]
    coding = Coding.of_root(lattice, conditions, random.integers(-50, 50, lattice.low_shape()))
    quantized = quantize_bands(coding, details, 0.0)
    payload = coding.encode(quantized).data
    half, _ = decode_lattice(payload, lattice, conditions, 1)
    damaged = payload[:-60] + bytes(60)
    np.testing.assert_array_equal(decode_lattice(damaged, lattice, conditions, 1)[0], half)
    with pytest.raises(CorruptFileError):
        decode_lattice(damaged, lattice, conditions)
    plane = lattice.rebuild(half, quantized.levels[0], 0)
    np.testing.assert_array_equal(plane, coding.rebuild(quantized))
    place = len(payload) // 10  # where the coarser levels are
    early = payload[:place] + bytes([payload[place] ^ 64]) + payload[place + 1 :]
    with pytest.raises((ChecksumError, MalformedError)):
        decode_lattice(early, lattice, conditions, 1)


@pytest.mark.usefixtures("backend")
def test_a_damaged_tile_is_noticed_where_it_is_needed():
    data = nifcodec.encode(photograph(), TILED)
    file = container.unpack(data)
    root, *tiles = (bytes(part) for part in unpack_parts(file.payload, 7))
    middle = len(tiles[2]) // 2
    tiles[2] = tiles[2][:middle] + bytes([tiles[2][middle] ^ 16]) + tiles[2][middle + 1 :]
    parts = [CodedPart(part, ()) for part in (root, *tiles)]
    damaged = replace(file, payload=pack_parts(parts), index=b"")
    window = choose_window((300, 200), None, None, (0, 0, 40, 40), 1600)
    ours, theirs = (render(decode.WaveletRender(each, cell=64).samples(), window, 3) for each in (damaged, file))
    np.testing.assert_array_equal(ours, theirs)
    with pytest.raises((ChecksumError, MalformedError)):
        nifcodec.decode(container.pack(damaged))


def test_sizes_are_checked_before_anything_is_made():
    file = container.unpack(nifcodec.encode(picture(130, 130), TILED))
    huge = replace(file, width=1 << 17, height=1 << 12)
    with pytest.raises(TruncatedError):
        nifcodec.decode(container.pack(huge), crop=(0, 0, 1, 1))
    untiled = replace(huge, description=file.description[:3] + bytes(1) + file.description[4:])
    with pytest.raises(LimitError, match="without tiles"):
        nifcodec.decode(container.pack(untiled), crop=(0, 0, 1, 1))
    for exponent in (6, 12, 255):
        wrong = replace(file, description=file.description[:3] + bytes([exponent]) + file.description[4:])
        with pytest.raises(LimitError, match="tiles"):
            nifcodec.decode(container.pack(wrong))
    with pytest.raises(MalformedError, match="sizes of the parts"):
        nifcodec.decode(container.pack(replace(file, payload=file.payload + b"\0")))


@pytest.mark.parametrize("config", [{"bpp": 1.0}, {"target_size": 5000}, {"psnr": 33.0}])
def test_targets_are_met(config):
    image = photograph()
    data = nifcodec.encode(image, configure(effort=1, **config, **TILES))
    if "psnr" in config:
        assert 33.0 <= psnr(image, nifcodec.decode(data)) < 33.1
    else:
        target = config.get("target_size", 200 * 300 // 8)
        assert 0.985 * target <= len(data) <= target


def test_a_size_that_no_file_has_is_refused():
    with pytest.raises(ConfigError, match="ask for more"):
        nifcodec.encode(photograph(140, 200), configure(effort=1, target_size=60, **TILES))


def test_training_lowers_the_cost_of_tiles_and_stops_when_told():
    pytest.importorskip("tensorflow")
    image = photograph(140, 200)
    closed = nifcodec.encode(image, configure(quality=40, effort=1, **TILES))
    seen = []
    trained = nifcodec.encode(image, configure(quality=40, effort=4, **TILES), progress=seen.append)
    assert [update.step for update in seen] == [1, 2, 3, 4]
    assert seen[-1].steps == 4
    weight = (unpack_description(container.unpack(closed).description).step / 5) ** 2 * 8 / (140 * 200)
    costs = [10 ** (-psnr(image, nifcodec.decode(data)) / 10) + weight * len(data) for data in (closed, trained)]
    assert costs[1] < costs[0]
    stopped = nifcodec.encode(image, configure(field="wavelet", quality=40, effort=9, **TILES), interrupt=lambda: True)
    assert stopped == closed
