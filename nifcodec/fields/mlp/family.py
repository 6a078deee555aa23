"""The families `fourier` and `siren`: coordinate networks."""

from __future__ import annotations

from typing import Mapping

from nifcodec.config import EncodeConfig
from nifcodec.fields.family import CodedField, Family
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import Goal
from nifcodec.fields.mlp.decode import MlpRender
from nifcodec.fields.mlp.description import FAMILY_IDS
from nifcodec.fields.mlp.options import OPTIONS
from nifcodec.picture.signal import Signal


def _encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    # Readers do without the modules that encode: they are loaded here.
    from nifcodec.fields.mlp.encode import encode

    return encode(signal, goal, config, hooks)


FAMILIES: Mapping[str, Family] = {
    name: Family(name, number, OPTIONS[name], MlpRender, _encode, missed="try a higher effort")
    for name, number in FAMILY_IDS.items()
}
