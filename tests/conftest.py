"""Fixtures of several test modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nifcodec import container, encoder
from nifcodec.coding.tensors import encode_tensors
from nifcodec.container import NifFile
from nifcodec.fields.quantize import QuantizedMlp, quantize
from nifcodec.fields.spec import FAMILY_IDS, MlpSpec, design, pack
from nifcodec.task import Task, Trained

SAMPLES = Path(__file__).resolve().parents[1] / "sample_images"


def random_network(channels: int, family: str = "fourier", seed: int = 0) -> QuantizedMlp:
    """An untrained network that shows something: random weights of a sensible spread, quantized."""
    spec: MlpSpec = design(family, channels, (64, 64), 8000)
    rng = np.random.default_rng(seed)
    tensors = [rng.normal(0, 1.2 / np.sqrt(shape[0]), shape).astype(np.float32) for shape in spec.tensor_shapes()]
    steps = (40,) * len(tensors)
    return QuantizedMlp(spec, tuple(quantize(tensor, 40) for tensor in tensors), steps)


def nif_bytes(width: int, height: int, channels: int = 3, family: str = "fourier", **metadata: bytes) -> bytes:
    """A valid file that took no training."""
    network = random_network(channels, family)
    payload = encode_tensors(network.to_payload())
    file = NifFile(width, height, channels, 8, FAMILY_IDS[family], pack(network.spec), payload, **metadata)
    return container.pack(file)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoding without training: the network stays random."""

    def train(task: Task) -> Trained:
        family = "siren" if task.config.field == "siren" else "fourier"
        network = random_network(task.image.channels, family, task.config.seed)
        payload = encode_tensors(network.to_payload())
        return Trained(FAMILY_IDS[family], pack(network.spec), payload, 7)

    monkeypatch.setattr(encoder, "TRAINERS", dict.fromkeys(("wavelet", "fourier", "siren"), train))
