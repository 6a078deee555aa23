"""The Keras model of a stored network, read as the original example reads it, shows the picture that decoding gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from conftest import nif_bytes

from nifcodec import container, decoder
from nifcodec.cli.main import main
from nifcodec.container import NifFile
from nifcodec.entropy.tensors import encode_tensors
from nifcodec.fields.mlp.description import FAMILY_IDS, MlpDescription, pack
from nifcodec.fields.mlp.training import networks
from nifcodec.fields.mlp.weights import QuantizedMlp, quantize

WIDTH, HEIGHT = 23, 17
SPECS = [
    MlpDescription("fourier", 3, 64, 4, "powers", dimension=6, sigma=2.0, colour="ycocg"),
    MlpDescription("fourier", 3, 20, 5, "powers", dimension=6, sigma=1.5, colour="yuv"),
    MlpDescription("fourier", 1, 9, 1, "none"),
    MlpDescription("siren", 3, 16, 3, "none", omega=30.0, colour="yuv"),
]


def stored(spec: MlpDescription) -> bytes:
    tensors = networks.initial_tensors(spec, 1, np.full(spec.channels, 0.4))
    steps = (80,) * len(tensors)
    network = QuantizedMlp(spec, tuple(quantize(tensor, 80) for tensor in tensors), steps)
    payload = encode_tensors(network.to_payload())
    return container.pack(NifFile(WIDTH, HEIGHT, spec.channels, 8, FAMILY_IDS[spec.family], pack(spec), payload))


def as_the_example_renders(model_path: Path, metadata_path: Path) -> np.ndarray:
    """(H, W, 3) float RGB in 0..255: positions, encoding and decoding by the names of the example's metadata."""
    metadata = json.loads(metadata_path.read_text())
    height, width, _ = metadata["original_image_shape"]
    rows, columns = np.mgrid[0.0:height, 0.0:width]
    inputs = np.stack([rows.ravel() / height, columns.ravel() / width], axis=1)
    if metadata["embedding_dimension"] > 0:
        powers = metadata["embedding_sigma"] ** np.arange(metadata["embedding_dimension"])
        moved = 2 * (inputs - 1.0)
        angles = np.concatenate([moved[:, :1] * powers, moved[:, 1:] * powers], axis=1)
        inputs = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    model = tf.keras.models.load_model(str(model_path), compile=False)
    values = model(tf.constant(inputs, tf.float32)).numpy()
    parameters = metadata["encode_params"]
    assert parameters["transfer_function"] == "linear" and not parameters["log_tone_map"]
    values = values * parameters["max"] + np.asarray(parameters["mean"])
    return values.reshape(height, width, 3)[..., ::-1]


@pytest.mark.parametrize("spec", SPECS)
def test_both_render_the_same_picture(spec: MlpDescription, tmp_path: Path) -> None:
    file, model = tmp_path / "in.nif", tmp_path / "converted.hdf5"
    file.write_bytes(stored(spec))
    assert main(["export", str(file), "--keras", str(model)]) == 0
    exported = as_the_example_renders(model, tmp_path / "nif_metadata.txt")
    decoded = decoder.decode(file.read_bytes()).reshape(HEIGHT, WIDTH, -1)
    assert decoded.std() > 2
    assert np.abs(np.clip(exported, 0, 255) - decoded).max() < 0.51


def test_metadata_has_the_examples_names(tmp_path: Path) -> None:
    file, model = tmp_path / "in.nif", tmp_path / "out.h5"
    file.write_bytes(stored(SPECS[0]))
    assert main(["export", str(file), "--keras", str(model)]) == 0
    metadata = json.loads((tmp_path / "nif_metadata.txt").read_text())
    assert set(metadata) == {
        "name", "train_command", "original_image_shape", "embedding_dimension", "embedding_sigma", "keras_model",
        "encode_params",
    }  # fmt: skip
    assert set(metadata["encode_params"]) == {"mean", "max", "log_tone_map", "transfer_function", "eps"}


def test_what_cannot_be_exported_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, model = tmp_path / "in.nif", tmp_path / "out.h5"
    for spec, word in (
        (MlpDescription("fourier", 3, 8, 2, "gaussian", features=4, scale=2.0), "Gaussian"),
        (MlpDescription("siren", 4, 8, 2, "none", omega=30.0), "alpha"),
    ):
        file.write_bytes(stored(spec))
        assert main(["export", str(file), "--keras", str(model)]) == 2
        assert word in capsys.readouterr().err
    for name in ("out.xyz", "out.keras", "out"):
        assert main(["export", str(file), "--keras", str(tmp_path / name)]) == 2
        assert "by .h5 or .hdf5 alone" in capsys.readouterr().err
    (tmp_path / "nif_metadata.txt").write_bytes(b"of another")
    assert main(["export", str(file), "--keras", str(model)]) == 4
    assert "nif_metadata.txt exists: use -f to replace it, or export to another folder" in capsys.readouterr().err
    file.write_bytes(nif_bytes(8, 8))
    model.write_bytes(b"kept")
    assert main(["export", str(file), "--keras", str(model)]) == 4
    assert model.read_bytes() == b"kept"
    assert (tmp_path / "nif_metadata.txt").read_bytes() == b"of another"
