"""The family `pyramid`: latent grids of several sizes, and networks, fitted to one picture."""

from __future__ import annotations

from typing import Mapping

from nifcodec.config import EncodeConfig
from nifcodec.fields.family import CodedField, Family
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import Goal
from nifcodec.fields.pyramid.decode import PyramidRender
from nifcodec.fields.pyramid.description import FAMILY_ID
from nifcodec.fields.pyramid.options import OPTIONS
from nifcodec.picture.signal import Signal


def _encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    # Readers do without the modules that encode: they are loaded here.
    from nifcodec.fields.pyramid.encode import encode

    return encode(signal, goal, config, hooks)


_MISSED = "try a higher effort or --field wavelet"

FAMILIES: Mapping[str, Family] = {
    "pyramid": Family(
        "pyramid",
        FAMILY_ID,
        OPTIONS["pyramid"],
        PyramidRender,
        _encode,
        missed=_MISSED,
    )
}
