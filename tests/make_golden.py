"""Writes the golden files and their digests anew: `python -m tests.make_golden`, after a change of format or prior.

Files of a released format are never written anew: they are decoded forever.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Dict, Tuple

import numpy as np

import nifcodec
from nifcodec import container, priors
from nifcodec.coding.lattice import Conditions, Lattice
from nifcodec.coding.payload import decode_lattice
from nifcodec.config import EncodeConfig
from nifcodec.fields import wavelet
from nifcodec.fields.lifting import synthesise_plane

FOLDER = Path(__file__).resolve().parent / "golden"
DIGESTS = FOLDER / "digests.json"


def pictures() -> Dict[str, Tuple[np.ndarray, float]]:
    """Pixels uint8 (H, W, C) and quality of each file.

    `rgb` is wide enough for a linear algebra library to share a row among threads; `escapes` has noise, whose low bits
    are sent raw, and dots on black, which no context expects.
    """
    y, x = np.mgrid[0:48, 0:160] / 48.0
    random = np.random.default_rng(0)
    shade = 0.5 + 0.3 * np.sin(5 * x + 3 * y) + 0.2 * (x + 0.7 * y > 1.6)
    coloured = np.stack([shade * (0.9 - 0.15 * channel) for channel in range(4)], axis=-1)
    textured = np.clip(255 * coloured + random.normal(0, 8, coloured.shape), 0, 255).astype(np.uint8)
    alpha = np.where(np.hypot(x[:31, :37] - 0.4, y[:31, :37] - 0.3) < 0.28, 255, 60 * y[:31, :37])
    dots = np.zeros((40, 32, 3), np.uint8)
    dots[:, 24:] = random.integers(0, 256, (40, 8, 3))
    dots[5::10, 3:24:7] = (255, 255, 0)
    return {
        "rgb": (textured[..., :3], 70),
        "grey": (textured[:33, :47, :1], 75),
        "rgba": (np.concatenate([textured[:31, :37, :3], alpha[..., None].astype(np.uint8)], axis=-1), 80),
        "escapes": (dots, 100),
    }


def digests(data: bytes) -> Dict[str, str]:
    """SHA-256 of the integers of a file's lattice, finest level first, and of its native plane; both as decoded."""
    file = container.unpack(data)
    spec = wavelet.unpack(file.description)
    lattice = Lattice(file.width, file.height, wavelet.colours(file.channels), synthesise_plane)
    conditions = Conditions(priors.find(spec.prior).context, spec.step_feature)
    plane, levels = decode_lattice(file.payload, lattice, conditions)
    integers = hashlib.sha256()
    for level in range(lattice.levels):
        for band in lattice.bands:
            values = levels[level].get(band, np.zeros(lattice.shape(level, band), np.int64))
            integers.update(values.astype("<i4").tobytes())
    return {"integers": integers.hexdigest(), "plane": hashlib.sha256(plane.astype("<i8").tobytes()).hexdigest()}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    found = {}
    for name, (pixels, quality) in pictures().items():
        data = nifcodec.encode(pixels, EncodeConfig(quality=quality, effort=1))
        (FOLDER / f"{name}.nif").write_bytes(data)
        found[name] = digests(data)
        print(f"{name}: {len(data)} bytes")
    DIGESTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
