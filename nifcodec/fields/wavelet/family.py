"""The family `wavelet`: coefficients on a wavelet lattice."""

from __future__ import annotations

from typing import Mapping

from nifcodec.fields.family import Family
from nifcodec.fields.wavelet.decode import WaveletRender
from nifcodec.fields.wavelet.description import FAMILY_ID
from nifcodec.fields.wavelet.encode import encode
from nifcodec.fields.wavelet.options import OPTIONS

# Every effort ends at the finest step.
FAMILIES: Mapping[str, Family] = {
    "wavelet": Family(
        "wavelet", FAMILY_ID, OPTIONS["wavelet"], WaveletRender, encode, missed="this field has no finer step"
    )
}
