"""The native library as it is installed, and as other machines and checks see it: without vectors, with UBSan.

A context model of each runs the package's own functions natively; `NUMPY` is the other side of every comparison.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Dict, List

import pytest

from nifcodec import native
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.kernels import Kernels
from nifcodec.native import library

SOURCES: List[str] = sorted(map(str, Path(native.__file__).parent.glob("*.c")))
FLAGS = "-std=gnu99 -O1 -fno-math-errno -ffp-contract=off -fvisibility=hidden -fPIC -shared -Wall -Wextra -Werror"
VARIANTS = {
    "no-avx2": ["-DNIF_NO_AVX2"],
    "no-simd": ["-DNIF_NO_SIMD"],
    "undefined": ["-fsanitize=undefined", "-fno-sanitize-recover=all"],
}
MISSING = "there is no native library: it was not built, or NIFCODEC_NATIVE=0 leaves it out"


@lru_cache(maxsize=1)
def libraries() -> Dict[str, ctypes.CDLL]:
    """By name; those that cannot be built here are left out."""
    installed = library.load()
    found = {} if installed is None else {"installed": installed}
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if installed is None or shutil.which(compiler[0]) is None:
        return found
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in VARIANTS.items():
            path = os.path.join(folder, f"{name}.so")
            done = subprocess.run([*compiler, *FLAGS.split(), *flags, *SOURCES, "-o", path], check=False)
            if done.returncode == 0:
                found[name] = library.open_library(Path(path))
            else:
                assert name == "undefined", "the native library does not build"
    return found


def model_of(built: ctypes.CDLL) -> ContextModel:
    """The shipped context model as a build of the library runs it."""
    model = ContextModel(NUMPY.networks, NUMPY.frequencies, native=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "load", lambda: built)
        model.kernels = Kernels(model)
    return model


NUMPY = ContextModel(priors.named().context.networks, priors.named().context.frequencies, native=False)
LIBRARIES = libraries()
MODELS = {name: model_of(built) for name, built in LIBRARIES.items()}
