"""The native library: where it lies, whether it fits, and what it is called in `--version`.

`NIFCODEC_NATIVE=0` leaves it out, `NIFCODEC_NATIVE=1` makes it an error where it cannot be loaded. Without it NumPy and
Python serve: more slowly, with the same integers.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Optional

from nifcodec.errors import MissingDependencyError

ABI = 8  # NIF_ABI in nifcodec.h
NAMES = {"win32": "_nifcodec.dll", "darwin": "_nifcodec.dylib"}
NAME = NAMES.get(sys.platform, "_nifcodec.so")
SWITCH = "NIFCODEC_NATIVE"


@lru_cache(maxsize=1)
def load() -> Optional[ctypes.CDLL]:
    """The library, or None where it was not built, does not fit, or is switched off.

    Raises:
        MissingDependencyError: `NIFCODEC_NATIVE=1` asks for it, and it cannot be used.
    """
    switch = os.environ.get(SWITCH, "")
    if switch == "0":
        return None
    path = Path(__file__).with_name(NAME)
    try:
        return open_library(path)
    except OSError as error:
        why = str(error) if path.exists() else "it was not built: reinstall nifcodec where there is a C compiler"
    if switch == "1":
        raise MissingDependencyError(f"{SWITCH}=1 asks for the native library, which cannot be used: {why}")
    return None


def open_library(path: Path) -> ctypes.CDLL:
    """A build of the native library.

    Raises:
        OSError: it cannot be loaded, or has another interface.
    """
    library = ctypes.CDLL(str(path))
    found = int(library.nifcodec_abi()) if hasattr(library, "nifcodec_abi") else 0
    if found != ABI:
        raise OSError(f"{path.name} has the interface {found} in place of {ABI}")
    library.nifcodec_instructions.restype = ctypes.c_char_p
    for name in ("model_size", "model_header_size", "decode_memory"):
        getattr(library, f"nifcodec_{name}").restype = ctypes.c_uint64
    return library


def backend() -> str:
    """What computes: "native, avx2" with the instructions in use, or "numpy"."""
    library = load()
    return "numpy" if library is None else f"native, {library.nifcodec_instructions().decode()}"
