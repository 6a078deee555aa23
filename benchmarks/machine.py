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
from nifcodec.threads import cores

PACKAGES = ("numpy", "Pillow", "zstandard", "tensorflow", "tensorflow-cpu", "matplotlib")
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


def processor() -> str:
    """Its name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
