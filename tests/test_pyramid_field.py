"""The field `pyramid` from a picture to a file and back."""

from __future__ import annotations

import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Tuple

import numpy as np
import pytest
from make_golden import DEPTHS, LAYOUTS, scene
from native_variants import LIBRARIES, MISSING

import nifcodec
from nifcodec import container, decoder, encoder
from nifcodec.container import NifFile
from nifcodec.errors import (
    CorruptFileError,
    LimitError,
    MalformedError,
    UnknownPriorError,
    UnsupportedVersionError,
)
from nifcodec.fields.detail.reference import DetailReference
from nifcodec.fields.families import configure
from nifcodec.fields.lattice_options import LARGEST_WHOLE
from nifcodec.fields.pyramid import priors
from nifcodec.fields.pyramid.decode import PyramidRender
from nifcodec.fields.pyramid.description import PyramidDescription, unpack_description
from nifcodec.fields.pyramid.grids import LEVELS, all_grids
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.synthesis import Synthesis
from nifcodec.fields.pyramid.tiling import Tiling
from nifcodec.fields.pyramid.upsampling import doubled, filtered
from nifcodec.native import library
from nifcodec.native.pyramid import NativePyramid
from nifcodec.picture.metrics import fidelity

needs_library = pytest.mark.skipif(not LIBRARIES, reason=MISSING)
FAST = {"field": "pyramid", "steps": 60, "quality": 40}
TILES = {"largest_whole": 0, "tile_exponent": 7}


def random_weights(colours: int) -> np.ndarray:
    random = np.random.RandomState(colours)
    parts = layout(colours)
    return parts.initial(1) + random.normal(0, 0.05, parts.count).astype(np.float32)


def test_doubling_and_filters_are_those_of_training() -> None:
    """Polynomials come out of the plain filters as they are, away from the border."""
    plane = np.outer(np.arange(9.0), np.ones(7)).astype(np.float32)
    np.testing.assert_array_equal(filtered(plane, np.zeros(4, np.float32)), plane)
    big = doubled(plane, np.array([0, 0.25, 0.75, 0], np.float32), 17, 14)
    assert big.shape == (17, 14)
    np.testing.assert_allclose(big[4:12, 5], (np.arange(4, 12) + 0.5) / 2 - 0.5, atol=1e-6)


@needs_library
@pytest.mark.parametrize(("size", "colours"), [((70, 45), 3), ((1, 1), 1), ((3, 140), 2), ((130, 67), 4)])
def test_any_part_is_that_of_the_picture_and_both_back_ends_agree(size: Tuple[int, int], colours: int) -> None:
    from nifcodec.fields.pyramid.step import Pyramid

    height, width = size
    random, weights = np.random.RandomState(0), random_weights(colours)
    native = NativePyramid(LIBRARIES["installed"])
    pyramid = Pyramid(native, np.zeros((*size, colours), np.float32), 65535.0)
    latents = [random.normal(0, 1.5, grid.size(*size)).astype(np.float32) for grid in all_grids()]
    pyramid.set_latents(latents)
    pyramid.evaluate(weights)
    grids = {grid.level: np.floor(values + 0.5) for grid, values in zip(all_grids(), latents) if not grid.hyper}

    def region(level: int, rows: Tuple[int, int], columns: Tuple[int, int]) -> np.ndarray:
        return grids[level][slice(*rows), slice(*columns)]

    for back_end in (native, None):
        made = Synthesis(layout(colours), weights, (width, height), native=back_end)
        whole = made(region, (0, height), (0, width))
        np.testing.assert_allclose(np.clip(whole, 0, 1), pyramid.picture(), atol=2e-5)
        rows, columns = (height // 3, height // 2 + 1), (width // 4, width // 2 + 1)
        part = made(region, rows, columns)
        np.testing.assert_allclose(part, whole[slice(*rows), slice(*columns)], atol=1e-6 if back_end is None else 0)


@needs_library
@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("channels", LAYOUTS)
def test_every_kind_of_picture_comes_back(bits: int, channels: int) -> None:
    image = scene(50, 34, channels, bits)
    data = encoder.encode(image, configure(field="pyramid", steps=120, quality=60))
    info = nifcodec.inspect(data)
    assert (info.field, info.depth, info.channels) == ("pyramid", bits, channels)
    found = decoder.decode(data)
    assert (found.shape, found.dtype) == (image.pixels.shape, image.pixels.dtype)
    assert fidelity(image.pixels, found) > 18


@needs_library
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 70), (65, 3)])
def test_small_pictures_come_back(size: Tuple[int, int]) -> None:
    image = scene(*size, 3, 8)
    data = encoder.encode(image, configure(field="pyramid", steps=150, quality=70))
    assert fidelity(image.pixels, decoder.decode(data)) > 16
    assert decoder.decode(data, scale=2).shape == (2 * size[1], 2 * size[0], 3)


@needs_library
@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_pictures_come_back(value: int) -> None:
    pixels = np.full((40, 60, 3), value, np.uint8)
    data = nifcodec.encode(pixels, configure(field="pyramid", steps=200, quality=60))
    assert np.abs(nifcodec.decode(data).astype(int) - value).max() <= 8


@needs_library
def test_a_better_quality_and_more_steps_are_better() -> None:
    image = scene(64, 48, 3, 8)
    sizes, errors = [], []
    for quality in (20, 50, 80):
        data = encoder.encode(image, configure(field="pyramid", steps=100, quality=quality))
        sizes.append(len(data))
        errors.append(fidelity(image.pixels, decoder.decode(data)))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors)


@needs_library
def test_tiles_are_the_picture() -> None:
    """A part of a tiled file is the same as of the whole."""
    image = scene(300, 150, 3, 8)
    whole = encoder.encode(image, configure(**FAST))
    tiled = encoder.encode(image, configure(**FAST, **TILES))
    assert nifcodec.inspect(tiled).settings["tiles"] == 6
    assert len(tiled) < 1.2 * len(whole) + 300
    np.testing.assert_array_equal(nifcodec.decode(tiled), nifcodec.decode(whole))
    crop = nifcodec.decode(tiled, crop=(0, 0, 10, 12))
    np.testing.assert_array_equal(crop, nifcodec.decode(tiled)[:12, :10])
    assert nifcodec.encode(image.pixels, configure(**FAST, **TILES, threads=2)) == tiled


@needs_library
def test_damage_in_a_tile_is_found_when_it_is_needed() -> None:
    image = scene(300, 150, 3, 8)
    file = container.unpack(encoder.encode(image, configure(**FAST, **TILES)))
    damaged = replace(file, payload=file.payload[:-4], index=b"")
    with pytest.raises(CorruptFileError):
        PyramidRender(damaged).samples()
    changed = bytes([*file.payload[:-40], *(byte ^ 0x55 for byte in file.payload[-40:])])
    with pytest.raises(CorruptFileError):
        PyramidRender(replace(file, payload=changed)).samples()  # the index says so


@needs_library
def test_numpy_decodes_what_the_library_does(monkeypatch: pytest.MonkeyPatch) -> None:
    image = scene(70, 90, 3, 8)
    data = encoder.encode(image, configure(**FAST))
    native = nifcodec.decode(data)
    monkeypatch.setattr(library, "load", lambda: None)
    assert np.abs(nifcodec.decode(data).astype(int) - native).max() <= 1


@needs_library
@pytest.mark.parametrize("goal", [{"bpp": 1.2}, {"target_size": 2500}, {"psnr": 30.0}, {"psnr": 24.0}])
def test_goals_are_met(goal: "dict[str, float]") -> None:
    image = scene(128, 96, 3, 8)
    data = encoder.encode(image, configure(field="pyramid", steps=200, **goal))
    if "psnr" in goal:
        assert goal["psnr"] <= fidelity(image.pixels, decoder.decode(data))
        return
    wanted = goal.get("target_size", goal.get("bpp", 0) * 128 * 96 / 8)
    assert 0.9 * wanted < len(data) <= wanted


@needs_library
@pytest.mark.parametrize("polls", [38, 39, 40, 41, 42, 43, 60])
def test_an_interrupted_search_for_a_size_is_a_file(polls: int) -> None:
    """Also between the training of 40 steps and the first step of a correction."""
    image, polled = scene(64, 48, 3, 8), iter(range(1000))
    asked = configure(field="pyramid", steps=40, psnr=20.0)
    data = encoder.encode(image, asked, interrupt=lambda: next(polled) >= polls)
    assert fidelity(image.pixels, decoder.decode(data)) > 10


@needs_library
def test_an_interrupted_encode_is_a_file_and_goes_on(tmp_path: Path) -> None:
    image = scene(64, 48, 3, 8)
    undisturbed = encoder.encode(image, configure(**FAST))
    polls = iter(range(1000))
    asked = configure(**FAST, checkpoint=str(tmp_path / "c.h5"), checkpoint_every=0)
    stopped = encoder.encode(image, asked, interrupt=lambda: next(polls) >= 30)
    assert stopped != undisturbed
    assert fidelity(image.pixels, decoder.decode(stopped)) > 10
    assert encoder.encode(image, replace(asked, resume=True)) == undisturbed


@needs_library
def test_progress_tells_of_each_step() -> None:
    told = []
    encoder.encode(scene(40, 30, 3, 8), configure(**FAST), progress=told.append)
    assert [progress.step for progress in told] == sorted(progress.step for progress in told)
    assert told[-1].step == told[-1].steps == 60
    assert {progress.stage for progress in told} == {"train"}


@needs_library
def test_what_is_watched_reaches_another_process() -> None:
    from nifcodec.fields.hooks import Hooks
    from nifcodec.fields.job import Goal
    from nifcodec.fields.pyramid.encode import encode
    from nifcodec.picture.signal import to_signal

    image, seen = scene(40, 30, 3, 8), []
    signal, config = to_signal(image.pixels, image.depth, "auto"), configure(**FAST)
    goal = Goal.of(config, signal.pixels, lambda coded: coded.payload, lambda data: 0.0)
    encode(signal, goal, config, Hooks(watch=lambda step, scalars, make: seen.append((step, scalars, make))))
    step, scalars, make = seen[-1]
    assert step == 60 and make is not None
    field = pickle.loads(pickle.dumps(make()))
    us, vs = (np.arange(side) + 0.5 for side in (40, 30))
    error = float(np.mean((np.clip(field(us / 40, vs / 30), 0, 1) - signal.values()) ** 2))
    assert scalars["psnr"] == pytest.approx(-10 * np.log10(error), abs=0.2)


def test_without_the_library_tensorflow_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    monkeypatch.setattr(library, "load", lambda: None)
    image = scene(24, 16, 3, 8)
    encoded = encoder.encode_image(image, configure(field="pyramid", steps=20, quality=40))
    assert encoded.report.device is not None and encoded.report.device.startswith("cpu, 24x16 pixels")
    assert fidelity(image.pixels, decoder.decode(encoded.data)) > 12


def test_descriptions_come_back_or_are_refused() -> None:
    spec = PyramidDescription(bytes(range(8)), 3, 9)
    assert unpack_description(spec.pack() + b"four") == spec
    named = replace(spec, detail=DetailReference(b"1234", 5))
    assert unpack_description(named.pack() + b"of later versions") == named
    with pytest.raises(UnsupportedVersionError):
        unpack_description(b"\x0b" + spec.pack()[1:] + b"\0")
    for damaged, error in ((spec.pack()[:-1], MalformedError), (b"\x02\0\0", MalformedError), (b"", CorruptFileError)):
        with pytest.raises(error):
            unpack_description(damaged)
    with pytest.raises(LimitError):
        unpack_description(PyramidDescription(bytes(8), 0, 12).pack())


def test_files_beyond_the_limits_are_refused() -> None:
    plain = PyramidDescription(priors.named().hash, 0).pack()

    def opened(width: int, height: int, description: bytes, payload: bytes = b"") -> PyramidRender:
        return PyramidRender(NifFile(width, height, 3, 8, 4, description, payload))

    with pytest.raises(LimitError):
        opened(LARGEST_WHOLE // 1024 + 1, 1024, plain)
    with pytest.raises(UnknownPriorError):
        opened(9, 9, PyramidDescription(b"12345678", 0).pack())
    with pytest.raises(MalformedError, match="start"):
        opened(9, 9, PyramidDescription(priors.named().hash, 200).pack())
    for payload in (b"", b"\1\0\0", b"\x05\x01" + bytes(6), struct.pack("<BB", 3, 0) + b"\xff\xff\xff"):
        with pytest.raises(CorruptFileError):
            opened(9, 9, plain, payload).samples()


def test_parts_cover_the_picture_once() -> None:
    for exponent in (0, 7):
        tiling = Tiling(300, 150, exponent)
        parts = [tiling.root, *map(tiling.tile, range(tiling.count))]
        for grid in all_grids():
            height, width = grid.size(150, 300)
            assert sum(np.prod(part.shapes[grid]) for part in parts if grid in part.shapes) == height * width
    assert len({grid.level for grid in Tiling(9, 9, 0).root.grids}) == LEVELS
