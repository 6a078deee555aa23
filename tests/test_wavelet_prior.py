"""How a prior is made: samples as the codec sees them, exact integers, tables that sum up, no test pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from nifcodec.errors import ConfigError
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.binarization import NEAR_ZERO, Q1_ROWS, Q1_START, TABLES
from nifcodec.fields.wavelet.coding.context_model import Network
from nifcodec.fields.wavelet.coding.dependent_quantization import Q1
from nifcodec.fields.wavelet.coding.neighbours import feature_columns
from nifcodec.fields.wavelet.lattice import Subband
from nifcodec.fields.wavelet.priors.prior_file import ARRAYS
from nifcodec.fields.wavelet.training import prior_integers, prior_networks, prior_samples
from nifcodec.picture.image import from_array
from nifcodec.picture.write import write_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rendered pictures."""
    path = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:112, 0:128] / 128
    for index in range(2):
        shade = 0.5 + 0.3 * np.sin(9 * x + (4 + index) * y) + 0.15 * (x + y > 0.8)
        noise = 0.03 * random.standard_normal((112, 128, 3))
        pixels = np.clip(255 * (shade[..., None] * (0.8, 0.9, 1.0) + noise), 0, 255).astype(np.uint8)
        write_image(from_array(pixels), str(path / f"{index}.png"))
    return path


def test_kodak_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kodak").mkdir()
    with pytest.raises(ConfigError, match="must not train"):
        prior_samples.split([str(tmp_path / "kodak")], [2], None)


def test_every_kth_picture_is_held_out(folder: Path) -> None:
    training, held_out = prior_samples.split([str(folder)], [2], None)
    assert [Path(p).name for p in held_out] == ["0.png"]
    assert [Path(p).name for p in training] == ["1.png"]


@pytest.mark.parametrize("prior", [None, priors.named()])
def test_samples_are_what_the_codec_sees(folder: Path, prior: Optional[priors.Prior]) -> None:
    found, patches = prior_samples.gather([str(folder / "0.png")], 3, prior, lambda done, total: None)
    again, _ = prior_samples.gather([str(folder / "0.png")], 3, prior, lambda done, total: None)
    assert len(found) == 54
    for key, parts in found.items():
        columns = feature_columns(Subband(key[0], key[1]), bool(key[3]), 40)
        for (features, values, kinds), (same, _, _) in zip(parts, again[key]):
            assert features.shape == (len(values), len(columns)) and kinds.shape == values.shape
            assert ((values + (kinds == Q1) * np.sign(values)) % 2 == 0).all()
            np.testing.assert_array_equal(features, same)
    # Rebuilt planes are near their originals: most coefficients are off by half a step at most.
    assert np.abs(np.stack(patches.rebuilt) - np.stack(patches.originals)).mean() < 0.6


def test_training_finds_the_scale_and_stays_exact() -> None:
    random = np.random.default_rng(1)
    features = random.integers(-127, 128, (4000, 21)).astype(np.int8)
    spread = np.where(features[:, 9] > 0, 4.0, 0.4)  # a magnitude column decides the scale
    values = 2 * np.rint(random.laplace(0, spread)).astype(np.int16)
    weights = prior_networks.train_context(features, values, 9, (8, 8), 600, 0)
    network = prior_integers.to_integers(weights)
    assert Network(*(network[name].astype(np.float32) for name in ARRAYS)).is_exact()
    scales, _ = prior_integers.outputs(network, features)
    assert scales[features[:, 9] > 40].mean() > scales[features[:, 9] < -40].mean() + 8
    samples = features, values, np.zeros(values.shape, np.int8)
    tables = prior_integers.frequency_tables(prior_integers.count(network, *samples))
    coded = prior_integers.coded_bits(network, tables, *samples)
    assert coded < prior_networks.context_bits(weights, features, values) + 0.05


def test_floats_of_integers_are_the_same_integers() -> None:
    network = {name: getattr(priors.named().context.networks[1, 2, 0, 1], name) for name in ARRAYS}
    again = prior_integers.to_integers(prior_integers.to_floats(network))
    for name in ARRAYS:
        np.testing.assert_array_equal(again[name], network[name])


def test_a_coefficient_far_from_its_prediction_has_a_finite_price() -> None:
    far = np.array([30000.0, -30000.0, 0.0], np.float32)
    bits = prior_networks.bits(far, np.full(3, -6, np.float32), np.array([0, 0, 9000], np.float32))
    assert np.isfinite(np.asarray(bits)).all()


def test_tables_sum_up_and_keep_the_symmetry() -> None:
    counts = np.random.default_rng(3).integers(0, 50, (TABLES, 33))
    tables = prior_integers.frequency_tables(counts).astype(np.int64)
    assert (tables.sum(axis=1) == 1 << 24).all()
    assert tables.min() >= 1
    np.testing.assert_array_equal(tables[:Q1_START:5], tables[:Q1_START:5, ::-1])
    for first in (0, NEAR_ZERO):  # of the rows of a scale: the mean at zero, and on a value
        rows = tables[Q1_START + first :: Q1_ROWS]
        np.testing.assert_array_equal(rows, rows[:, ::-1])


def test_without_samples_a_table_is_the_laplacian_between_the_values_of_its_quantizer() -> None:
    """Zero has the room from -1/4 to 1/4, the half steps beside it that up to 1 and -1."""
    tables = prior_integers.frequency_tables(np.zeros((TABLES, 33), np.int64)).astype(np.float64)
    row = tables[Q1_START + Q1_ROWS * 31]
    quarter, one, two = (np.exp(-border / 2.0 ** (31 / 4 - 6)) for border in (0.25, 1.0, 2.0))
    assert row[17] / row[16] == pytest.approx((quarter - one) / (2 * (1 - quarter)), rel=1e-3)
    assert row[18] / row[17] == pytest.approx((one - two) / (quarter - one), rel=1e-3)
