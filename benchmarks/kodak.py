"""One number for a codec on a set of pictures: the mean cost J = 1000 (MSE + lambda bpp).

Every picture is taken at its best setting. MSE is of RGB in [0, 1]. Nothing is interpolated, so a finer grid costs a
little less: between codecs, `bdtable.py` is fairer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

import numpy as np

from benchmarks.report import number, table
from benchmarks.rows import Row, codec_names


@dataclass(frozen=True)
class Cost:
    """Mean cost over the pictures, one value a lambda, and the median seconds at the settings that were best."""

    codec: str
    costs: Tuple[float, ...]
    enc_s: float
    dec_s: float


def cost(row: Row, multiplier: float) -> float:
    """J = 1000 (MSE + lambda bpp) of one measurement."""
    return 1000 * (row.mse_rgb / 255.0**2 + multiplier * row.bpp)


def mean_costs(
    rows: Sequence[Row], images: Sequence[str], multipliers: Sequence[float]
) -> Tuple[List[Cost], Dict[str, int]]:
    """The costs of every codec that was measured on all of `images`, and for the others on how many of them."""
    found, incomplete = [], {}
    for codec in codec_names(rows):
        own: Dict[str, List[Row]] = {}
        for row in rows:
            if row.codec == codec and row.image in images and math.isfinite(row.mse_rgb):
                own.setdefault(row.image, []).append(row)
        if len(own) < len(images):
            incomplete[codec] = len(own)
            continue
        best = [
            [min(group, key=lambda row: cost(row, multiplier)) for group in own.values()] for multiplier in multipliers
        ]
        chosen = {id(row): row for group in best for row in group}.values()
        means = [float(np.mean([cost(row, m) for row in group])) for group, m in zip(best, multipliers)]
        enc_s, dec_s = (float(np.median([getattr(row, name) for row in chosen])) for name in ("enc_s", "dec_s"))
        found.append(Cost(codec, tuple(means), enc_s, dec_s))
    return found, incomplete


def markdown(costs: Sequence[Cost], measured: Sequence[str], multipliers: Sequence[float]) -> str:
    """The table, dearest first by the middle lambda; the codecs that were measured here in bold."""
    middle = len(multipliers) // 2
    lines = [
        [f"**{item.codec}**" if item.codec in measured else item.codec]
        + [f"{value:.3f}" for value in item.costs]
        + [number(item.enc_s, ".3g"), number(item.dec_s, ".3g")]
        for item in sorted(costs, key=lambda item: -item.costs[middle])
    ]
    return table(["codec", *(f"lambda {value:g}" for value in multipliers), "encode s", "decode s"], lines)
