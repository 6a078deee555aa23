"""Training of large pictures: windows, a sample, and what is done to them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from make_golden import scene
from native_variants import LIBRARIES, MISSING

from nifcodec import decoder, encoder
from nifcodec.fields.families import configure
from nifcodec.fields.pyramid import encode, large, priors
from nifcodec.fields.pyramid.fit import fit_latents
from nifcodec.fields.pyramid.grids import all_grids
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.schedule import latents_alone
from nifcodec.fields.pyramid.step import Pyramid
from nifcodec.fields.pyramid.windows import ALIGNED, sample, windows
from nifcodec.native.pyramid import NativePyramid
from nifcodec.picture.metrics import fidelity

needs_library = pytest.mark.skipif(not LIBRARIES, reason=MISSING)


@pytest.fixture(name="small_windows")
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of 300x200 pixels is large, and has six windows."""
    monkeypatch.setattr(encode, "LARGEST_WHOLE", 50_000)
    monkeypatch.setattr(large, "windows", partial(windows, side=ALIGNED, around=ALIGNED))


@pytest.mark.parametrize("size", [(1, 1), (200, 300), (1024, 1025), (3000, 130)])
def test_windows_cover_each_grid_once(size: "tuple[int, int]") -> None:
    for grid in all_grids():
        times = np.zeros(grid.size(*size), int)
        for window in windows(*size, side=2 * ALIGNED, around=ALIGNED):
            times[window.inner(grid.level)] += 1
            numbers = np.arange(times.size).reshape(times.shape)
            seen = window.of(numbers, grid.level)
            np.testing.assert_array_equal(seen[window.inner_of_seen(grid.level)], numbers[window.inner(grid.level)])
        assert (times == 1).all()


def test_a_sample_is_of_all_parts_of_the_picture() -> None:
    rows, columns = np.mgrid[:2000, :3000]
    picture = np.stack([rows, columns], axis=-1)
    found = sample(picture)
    assert found.shape == (3 * 256, 4 * 256, 2)
    assert sample(picture.transpose(1, 0, 2)).shape == (4 * 256, 3 * 256, 2)
    spread = [np.histogram(found[..., axis], 4, (0, side))[0].min() for axis, side in enumerate((2000, 3000))]
    assert min(spread) > found[..., 0].size / 8


@needs_library
def test_latents_outside_of_a_window_stay() -> None:
    picture = scene(160, 130, 3, 8).pixels.astype(np.float32) / 255
    window = windows(130, 160, side=ALIGNED, around=ALIGNED)[1]
    step = Pyramid(NativePyramid(LIBRARIES["installed"]), picture, moved=lambda grid: window.inner_of_seen(grid.level))
    weights = priors.named().weights(2, layout(3)).astype(np.float32)
    step.set_latents(priors.named().latents(2, picture))
    first, before = step.latents(), step.evaluate(weights).at(1e-3)
    fit_latents(step, weights, latents_alone(60), 1e-3, 0, lambda steps, loss: None, lambda: False)
    assert step.evaluate(weights).at(1e-3) < before
    for grid, was, now in zip(all_grids(), first, step.latents()):
        inside = np.zeros(was.shape, bool)
        inside[window.inner_of_seen(grid.level)] = True
        assert inside.any() and not inside.all()
        assert (was != now)[inside].mean() > 0.5
        np.testing.assert_array_equal(was[~inside], now[~inside])


@needs_library
@pytest.mark.usefixtures("small_windows")
def test_a_large_picture_comes_back_without_seams() -> None:
    image = scene(300, 200, 3, 8)
    asked = configure(field="pyramid", steps=90, quality=50)
    data = encoder.encode(image, asked)
    off = (decoder.decode(data).astype(float) - image.pixels) ** 2
    assert fidelity(image.pixels, decoder.decode(data)) > 26
    at_seams = np.concatenate([off[126:130].ravel(), off[:, 126:130].ravel(), off[:, 254:258].ravel()])
    assert at_seams.mean() < 1.5 * off.mean()


@needs_library
@pytest.mark.usefixtures("small_windows")
def test_a_large_picture_reaches_its_goal() -> None:
    image = scene(300, 200, 3, 8)
    data = encoder.encode(image, configure(field="pyramid", steps=60, target_size=6000))
    assert 5400 < len(data) <= 6000


@needs_library
@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("polls", [20, 85])
def test_a_large_picture_that_is_interrupted_is_a_file_and_goes_on(polls: int, tmp_path: Path) -> None:
    """While the sample is trained, and in a window."""
    image, polled = scene(300, 200, 3, 8), iter(range(100_000))
    asked = configure(field="pyramid", steps=60, quality=50)
    undisturbed = encoder.encode(image, asked)
    asked = replace(asked, checkpoint=str(tmp_path / "c.h5"), checkpoint_every=0)
    stopped = encoder.encode(image, asked, interrupt=lambda: next(polled) >= polls)
    assert stopped != undisturbed
    assert fidelity(image.pixels, decoder.decode(stopped)) > 15
    assert encoder.encode(image, replace(asked, resume=True)) == undisturbed
