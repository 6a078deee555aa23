"""Files decode to the same integers and pictures everywhere: golden files, other precision, threads and models.

The same tests run on the oldest NumPy that is supported (`.ci/run`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import pytest
from make_golden import DEPTHS, DIGESTS, FOLDER, LAYOUTS, PICTURES, digests, pictures

import nifcodec
from nifcodec import container, decoder
from nifcodec.entropy.tensors import RANGE_CODED, ZSTANDARD
from nifcodec.errors import ChecksumError, MalformedError
from nifcodec.fields.families import configure
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding import neighbours
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.priors import Prior
from nifcodec.picture.transfer import KINDS

EXPECTED: Dict[str, Dict[str, str]] = json.loads(DIGESTS.read_text(encoding="utf-8"))
WAVELETS = sorted(name for name, found in EXPECTED.items() if "plane" in found)


def golden(name: str) -> bytes:
    return (FOLDER / f"{name}.nif").read_bytes()


def assert_same_picture(pixels: np.ndarray, name: str) -> None:
    """Samples within 1 of those that are stored; floats within 1 of 65535 of the largest."""
    with np.load(PICTURES) as stored:
        expected = stored[name]
    assert (pixels.dtype, pixels.shape) == (expected.dtype, expected.shape)
    one = 1.0 if expected.dtype.kind == "u" else float(np.abs(expected).max()) / 65535
    assert np.abs(pixels.astype(np.float64) - expected).max() <= one


def test_no_golden_file_is_missing() -> None:
    with np.load(PICTURES) as stored:
        assert sorted(EXPECTED) == sorted(path.stem for path in FOLDER.glob("*.nif")) == sorted(stored.files)
    assert max(path.stat().st_size for path in FOLDER.glob("*.nif")) < 5_000
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 150_000


def test_there_is_a_golden_file_for_each_field_depth_and_layout() -> None:
    infos = [nifcodec.inspect(golden(name)) for name in EXPECTED]
    found = {(info.field, info.depth, info.channels) for info in infos}
    families = [family.name for family in decoder.FAMILIES.values()]
    assert found == set(product(families, DEPTHS, LAYOUTS))
    pixels = {info.field for info in infos if info.width * info.height == 1}
    assert pixels == set(families)
    for setting, values in (("encoding", {"powers", "gaussian", "none"}), ("colour", {"rgb", "ycocg", "yuv"})):
        assert {info.settings[setting] for info in infos if setting in info.settings} == values
    assert {info.transfer["kind"] for info in infos if info.transfer} == set(KINDS)
    assert max(info.settings.get("tiles", 1) for info in infos) > 1


def test_both_methods_of_tensors_are_among_them() -> None:
    methods = {container.unpack(golden(name)).payload[0] for name in EXPECTED if name not in WAVELETS}
    assert methods == {RANGE_CODED, ZSTANDARD}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_golden_files_decode_to_their_integers(name: str) -> None:
    assert digests(golden(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_golden_files_decode_to_their_pictures(name: str) -> None:
    assert_same_picture(nifcodec.decode(golden(name)), name)


def test_raw_bits_and_escapes_are_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"get_escapes": 0, "_uniform": 0}

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(payload, name)

        def call(*arguments: Any) -> Any:
            seen[name] += 1
            return original(*arguments)

        return call

    for name in seen:
        monkeypatch.setattr(payload, name, counted(name))
    digests(golden("escapes"))
    assert min(seen.values()) > 0


class Wider:
    """NumPy with float64 under the name float32."""

    used = False

    def __getattr__(self, name: str) -> Any:
        if name == "float32":
            self.used = True
            return np.float64
        return getattr(np, name)


@pytest.mark.parametrize("name", WAVELETS)
def test_float64_in_the_context_networks_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wider = Wider()
    for module in (context, neighbours):
        monkeypatch.setattr(module, "np", wider)
    assert digests(golden(name)) == EXPECTED[name]
    assert wider.used == (nifcodec.inspect(golden(name)).settings["levels"] > 0)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_threads_of_the_linear_algebra_change_nothing(threads: str) -> None:
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    paths = [str(Path(nifcodec.__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]
    environment = {**os.environ, **dict.fromkeys(variables, threads), "PYTHONPATH": os.pathsep.join(paths)}
    code = "import sys, json, make_golden as m; print(json.dumps({n: m.digests((m.FOLDER / (n + '.nif')).read_bytes())"
    code += " for n in sys.argv[1:]}))"
    command = [sys.executable, "-c", code, *EXPECTED]
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout
    assert json.loads(found) == EXPECTED


def one_weight(prior: Prior, unit: int) -> ContextModel:
    """A weight of a network of luma, from a hidden unit to the scale, one larger."""
    key = (0, 0, 1, 1)
    weights = prior.context.networks[key].w3.copy()
    weights[unit, 0] += 1
    networks = {**prior.context.networks, key: replace(prior.context.networks[key], w3=weights)}
    return ContextModel(networks, tables())


def one_frequency(prior: Prior, _: int) -> ContextModel:
    """In each table, the most probable symbol one unit less probable, and an escape one more."""
    moved = tables()
    moved[np.arange(len(moved)), moved.argmax(axis=1)] -= 1
    moved[:, 0] += 1
    return ContextModel(prior.context.networks, moved)


@pytest.mark.parametrize("change", [one_weight, one_frequency])
@pytest.mark.parametrize("name", ["rgb", "rgba"])
def test_a_stream_of_a_model_one_unit_away_is_refused(
    name: str, change: Callable[[Prior, int], ContextModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = pictures()[name]
    true = priors.named()
    config = configure(quality=80, effort=1)
    written = data = nifcodec.encode(image, config)
    # A hidden unit that is silent on this picture changes nothing: the first one that speaks is taken.
    for unit in range(true.context.networks[(0, 0, 1, 1)].w3.shape[0]):
        other = replace(true, context=change(true, unit))
        with monkeypatch.context() as patch:
            patch.setattr(priors, "named", lambda other=other: other)
            patch.setattr(priors, "find", lambda wanted, other=other: other)
            data = nifcodec.encode(image, config)
            nifcodec.decode(data)
        if data != written:
            break
    assert data != written
    # Most such streams decode to other integers, which the checksum tells; some come upon a point that is no symbol's.
    with pytest.raises((ChecksumError, MalformedError)):
        nifcodec.decode(data)


def tables() -> np.ndarray:
    """The shipped frequency tables, int64."""
    with np.load(Path(priors.__file__).parent / f"{priors.DEFAULT}.npz") as archive:
        return np.asarray(archive["tables"]).astype(np.int64)
