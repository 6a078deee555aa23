"""The family `wavelet`: coefficients on a wavelet lattice."""

from __future__ import annotations

from typing import Mapping

from nifcodec.config import EncodeConfig
from nifcodec.fields.family import CodedField, Family
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import Goal
from nifcodec.fields.wavelet.decode import WaveletRender
from nifcodec.fields.wavelet.description import FAMILY_ID
from nifcodec.fields.wavelet.options import OPTIONS
from nifcodec.picture.signal import Signal


def _encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    # Readers do without the modules that encode: they are loaded here.
    from nifcodec.fields.wavelet.encode import encode

    return encode(signal, goal, config, hooks)


# Every effort ends at the finest step.
FAMILIES: Mapping[str, Family] = {
    "wavelet": Family(
        "wavelet", FAMILY_ID, OPTIONS["wavelet"], WaveletRender, _encode, missed="this field has no finer step"
    )
}
