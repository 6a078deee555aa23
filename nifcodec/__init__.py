"""nifcodec: a picture as a small neural field, trained on it and entropy coded.

    data = nifcodec.encode(pixels, nifcodec.EncodeConfig(bpp=0.5))   # uint8 (H, W, 1..4) -> bytes
    pixels = nifcodec.decode(data, scale=2)
    nifcodec.inspect(data).bpp

The names load on first use: importing nifcodec imports neither NumPy nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

from nifcodec.config import EncodeConfig
from nifcodec.errors import NifError

if TYPE_CHECKING:
    from nifcodec.decoder import FileInfo, decode, inspect
    from nifcodec.encoder import encode

__version__ = "0.1.0"
__all__ = ["EncodeConfig", "FileInfo", "NifError", "__version__", "decode", "encode", "inspect"]

_HOMES = {
    "FileInfo": "nifcodec.decoder",
    "decode": "nifcodec.decoder",
    "encode": "nifcodec.encoder",
    "inspect": "nifcodec.decoder",
}


def __getattr__(name: str) -> Any:
    """PEP 562: the public names come from their modules when they are first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nifcodec' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(__all__)
