"""nifcodec: a picture as a small neural field, fitted to it and entropy coded.

    data = nifcodec.encode(pixels, nifcodec.EncodeConfig(bpp=0.5))   # uint8 (H, W, 1..4) -> bytes
    pixels = nifcodec.decode(data, scale=2)
    nifcodec.inspect(data).bpp

The names load on first use: importing nifcodec imports neither NumPy nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from nifcodec.config import EncodeConfig
    from nifcodec.decoder import FileInfo, decode, inspect
    from nifcodec.encoder import encode
    from nifcodec.errors import NifError
    from nifcodec.fields.mlp.options import FourierOptions, SirenOptions
    from nifcodec.fields.pyramid.options import PyramidOptions
    from nifcodec.fields.wavelet.options import WaveletOptions

__version__ = "0.1.0"
__all__ = [
    "EncodeConfig",
    "FileInfo",
    "FourierOptions",
    "NifError",
    "PyramidOptions",
    "SirenOptions",
    "WaveletOptions",
    "__version__",
    "decode",
    "encode",
    "inspect",
]

_HOMES = {
    "EncodeConfig": "nifcodec.config",
    "FileInfo": "nifcodec.decoder",
    "FourierOptions": "nifcodec.fields.mlp.options",
    "NifError": "nifcodec.errors",
    "PyramidOptions": "nifcodec.fields.pyramid.options",
    "SirenOptions": "nifcodec.fields.mlp.options",
    "WaveletOptions": "nifcodec.fields.wavelet.options",
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
