"""One process of a cluster, for tests: `cluster_worker.py OUT.nif CHECKPOINT STEPS`, under TF_CONFIG."""

from __future__ import annotations

import sys

import numpy as np

from nifcodec import encoder
from nifcodec.config import EncodeConfig
from nifcodec.errors import NifError
from nifcodec.fields.families import configure

REPORT_EVERY = 54
V, U = np.mgrid[0:24, 0:32]
PICTURE = np.stack([127 + 100 * np.sin(U / 6 + c) * np.cos(V / 5) for c in range(3)], axis=-1).astype(np.uint8)


def config(steps: int, **options: object) -> EncodeConfig:
    """Short chunks, so that a worker is killed between two of them."""
    network = {"width": 8, "layers": 2, "batch_size": 256, "report_every": REPORT_EVERY}
    return configure(field="siren", device="cpu", steps=steps, quality=80.0, **network, **options)


def main() -> int:
    output, kept, steps = sys.argv[1:]
    try:
        data = encoder.encode(PICTURE, config(int(steps), checkpoint=kept, checkpoint_every=0.0, resume=True))
    except NifError as error:
        print(f"{type(error).__name__}: {error}")
        return error.exit_code
    with open(output, "wb") as file:
        file.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
