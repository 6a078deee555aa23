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

ABI = 1  # NIF_ABI in nifcodec.h
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
        library = ctypes.CDLL(str(path))
        found = int(library.nifcodec_abi())
        why = "" if found == ABI else f"has the interface {found} in place of {ABI}"
    except (OSError, AttributeError) as error:
        why = str(error) if path.exists() else "was not built: reinstall nifcodec where there is a C compiler"
    if not why:
        return library
    if switch == "1":
        raise MissingDependencyError(f"{SWITCH}=1 asks for the native library, which {why}")
    return None


def backend() -> str:
    """What computes: "native, avx2" with the instructions in use, or "numpy"."""
    library = load()
    if library is None:
        return "numpy"
    name = library.nifcodec_instructions
    name.restype = ctypes.c_char_p
    return f"native, {name().decode()}"
