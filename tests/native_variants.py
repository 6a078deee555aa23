"""The native library as it is installed, and as other machines and checks see it: without vectors, with UBSan."""

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

from nifcodec import native
from nifcodec.native.library import load, open_library

FLAGS = "-std=gnu99 -O1 -fno-math-errno -ffp-contract=off -fvisibility=hidden -fPIC -shared -Wall -Wextra -Werror"
VARIANTS = {
    "no-avx2": ["-DNIF_NO_AVX2"],
    "no-simd": ["-DNIF_NO_SIMD"],
    "undefined": ["-fsanitize=undefined", "-fno-sanitize-recover=all"],
}


@lru_cache(maxsize=1)
def libraries() -> Dict[str, ctypes.CDLL]:
    """By name; those that cannot be built here are left out."""
    installed = load()
    found = {} if installed is None else {"installed": installed}
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if installed is None or shutil.which(compiler[0]) is None:
        return found
    sources: List[str] = sorted(map(str, Path(native.__file__).parent.glob("*.c")))
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in VARIANTS.items():
            path = os.path.join(folder, f"{name}.so")
            done = subprocess.run([*compiler, *FLAGS.split(), *flags, *sources, "-o", path], check=False)
            if done.returncode == 0:
                found[name] = open_library(Path(path))
            else:
                assert name == "undefined", "the native library does not build"
    return found
