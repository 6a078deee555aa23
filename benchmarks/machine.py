"""What a measurement depends on besides the code: recorded beside the results."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from PIL import features

import nifcodec
from nifcodec.errors import MissingDependencyError
from nifcodec.native import library
from nifcodec.threads import cores

PACKAGES = ("numpy", "Pillow", "zstandard", "tensorflow", "tensorflow-cpu", "matplotlib")
# In a checkout Python takes the package that lies there, which an installation elsewhere gives no library.
INSTALL = "install the checkout by pip install -e '.[bench]', where there is a C compiler"
LIBRARIES = ("jpg", "webp", "avif", "jpg_2000")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def record(command: Sequence[str], seed: int) -> Dict[str, Any]:
    """Date (UTC), command line, seed, processor, usable cores, limits on threads, and versions."""
    versions = {"nifcodec": nifcodec.__version__, **{name: _version(name) for name in PACKAGES}}
    # Asking for one that an older Pillow does not know is a warning.
    supported = features.get_supported()
    versions.update({f"Pillow's {name}": features.version(name) for name in LIBRARIES if name in supported})
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": list(command),
        "seed": seed,
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": cores(),
            "threads": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        },
        "versions": {"Python": platform.python_version(), **{name: v for name, v in versions.items() if v}},
    }


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def without_native() -> Optional[str]:
    """What is to be said where NumPy is measured in place of the native library, else None."""
    if library.load() is not None:
        return None
    if os.environ.get(library.SWITCH) == "0":
        return f"NumPy is measured, as {library.SWITCH}=0 asks for: unset it for the native library"
    return f"NumPy is measured, since {_package()} has no native library: {INSTALL}"


def check_native() -> None:
    """Raises MissingDependencyError where the native library cannot be loaded, whatever the environment asks for."""
    try:
        library.open_library(Path(library.__file__).with_name(library.NAME))
    except OSError:
        advice = f"{INSTALL}, or leave native out of --back-ends"
        raise MissingDependencyError(f"{_package()} has no native library that can be loaded: {advice}") from None


def _package() -> str:
    return str(Path(nifcodec.__file__).parent)


def processor() -> str:
    """Its name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
