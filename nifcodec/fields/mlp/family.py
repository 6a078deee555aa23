"""The families `fourier` and `siren`: coordinate networks."""

from __future__ import annotations

from typing import Mapping

from nifcodec.fields.family import Family
from nifcodec.fields.mlp.decode import MlpRender
from nifcodec.fields.mlp.description import FAMILY_IDS
from nifcodec.fields.mlp.encode import encode
from nifcodec.fields.mlp.options import OPTIONS

FAMILIES: Mapping[str, Family] = {
    name: Family(name, number, OPTIONS[name], MlpRender, encode, missed="try a higher effort")
    for name, number in FAMILY_IDS.items()
}
