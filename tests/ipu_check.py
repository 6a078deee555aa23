"""What an owner of Graphcore's SDK can check without an IPU: `python -m tests.ipu_check model | compile`.

`model` trains small fields, of the kind `wavelet` one step, through the whole path, on the SDK's model of an IPU where
TF_POPLAR_FLAGS has --use_ipu_model. `compile` compiles the same programs for a Mk2 chip, without a device; nothing is
run. `make ipu-check` does both, with the flags.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Dict, Optional, Sequence

import numpy as np
import tensorflow as tf

from nifcodec.config import EncodeConfig
from nifcodec.errors import NifError
from nifcodec.fields.families import configure
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.options import MlpOptions
from nifcodec.fields.mlp.training import networks
from nifcodec.fields.mlp.training.fit import arithmetic_of, fit, placement
from nifcodec.fields.mlp.training.networks import Layout
from nifcodec.fields.mlp.training.objectives import distortion
from nifcodec.fields.mlp.training.samples import Sampler
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.fields.wavelet.planes import to_planes
from nifcodec.fields.wavelet.restoration import WEIGHT_UNIT
from nifcodec.fields.wavelet.training.device_descent import DeviceDescent
from nifcodec.training.adam import fresh_state
from nifcodec.training.devices.base import HOST, Placement, Work
from nifcodec.training.devices.ipu import open_ipu
from nifcodec.training.devices.local import Local
from nifcodec.training.loop import Snapshot

CHIP = "ipu2"
SIDE, STEPS, BATCH = 16, 8, 64
STEP_INDEX = 280  # of the wavelet field: quality 60
SPECS = {
    "fourier": MlpDescription("fourier", 3, 32, 4, "powers", dimension=4, sigma=2.0, colour="ycocg"),
    "siren": MlpDescription("siren", 3, 16, 2, "none", omega=30.0, colour="ycocg"),
}
CASES: Sequence[Dict[str, object]] = (
    {"field": "fourier"},
    {"field": "siren", "gradient_accumulation": 2},
    {"field": "siren", "precision": "float16", "half_sine": True},
    {"field": "wavelet"},
)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.ipu_check", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("model", "compile"))
    parser.add_argument("--cache", type=Path, help="folder of --executable_cache_path, whose files `compile` counts")
    options = parser.parse_args(arguments)
    v, u = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    image = np.stack([0.5 + 0.4 * np.sin(7 * u + 3 * c) * np.cos(5 * v - c) for c in range(3)], axis=-1)
    for case in CASES:
        batch = {} if case["field"] == "wavelet" else {"batch_size": BATCH}
        config = configure(device="ipu", steps=STEPS, **batch, **case)
        name = ", ".join(str(value) for value in case.values())
        began = time.monotonic()
        try:
            done = (_train if options.what == "model" else _compile)(image.astype(np.float32), config)
        except NifError as error:
            print(f"{name}: {error}")
            return 1
        print(f"{name}: ok, {done}, {time.monotonic() - began:.1f} s", flush=True)
    if options.what == "model":
        return 0
    programs = list(options.cache.glob("*.poplar_exec")) if options.cache is not None else []
    print(f"{len(programs)} programs in {options.cache}")
    return 0 if len(programs) >= len(CASES) else 1


def _train(image: np.ndarray, config: EncodeConfig) -> str:
    if config.field == "wavelet":
        return f"1 step, {_step(image):.1e} from the CPU's"
    result = fit(image, SPECS[config.field], config)
    return f"{result.steps} steps, {result.psnr_float:.2f} dB"


def _step(image: np.ndarray, chip: Optional[str] = None) -> float:
    """A step of the wavelet field: how far it is at most from the CPU's, on colours of 0..1."""
    prior = priors.named()
    modes = prior.restoration.corrections
    spec = WaveletDescription(STEP_INDEX, prior.hash, ((WEIGHT_UNIT,) * modes, (WEIGHT_UNIT,) * modes))
    target = to_planes(image)
    planes = np.rint(target / spec.step).astype(np.float32)
    found, wanted = (
        DeviceDescent(prior.restoration, 3, (SIDE, SIDE), device)(planes, target, spec)
        for device in (open_ipu(Placement("ipu", independent=True), chip), Local(HOST))
    )
    return float(np.abs(found - wanted).max())


def _compile(image: np.ndarray, config: EncodeConfig) -> str:
    """One call of the first stage's program; what a device would have returned reads as zeros."""
    if config.field == "wavelet":
        _step(image, CHIP)
        return f"compiled for {CHIP}"
    spec, layout = SPECS[config.field], Layout(SPECS[config.field])
    options: MlpOptions = config.options
    device = open_ipu(placement(config, options), CHIP)
    arithmetic = arithmetic_of(options)

    def objective(flat: tf.Tensor, coords: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
        return distortion(options, networks.forward(spec, layout.split(flat), coords, arithmetic), colours)

    sampler = Sampler(image, BATCH, options.sampling, config.seed)
    start = layout.join(networks.initial_tensors(spec, config.seed, image.mean(axis=(0, 1))))
    work = Work(objective, sampler.draw, STEPS, STEPS, options.gradient_accumulation, arithmetic.half, config.seed)
    state = fresh_state(start)
    device.compile(work, state, 0)(Snapshot(state, start, 0.0), 1e-3, STEPS)
    return f"compiled for {CHIP}"


if __name__ == "__main__":
    # Python has TensorFlow's flags from the environment, which it reads when it is loaded.
    if "model" in sys.argv and "--use_ipu_model" not in os.environ.get("TF_POPLAR_FLAGS", ""):
        print("TF_POPLAR_FLAGS has no --use_ipu_model: this runs on real IPUs")
    sys.exit(main())
