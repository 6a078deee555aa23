"""nifcodec beside other codecs from stored rows: BD-rates, and the cost J on interpolated curves. Measures nothing.

J = 1000 (MSE + lambda bpp), MSE of RGB in [0, 1]. The minimum is taken on the interpolated curve of every picture, so
that a codec with more settings has no advantage; `kodak.py` takes the best of the settings that were measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from benchmarks import bdrate, report
from benchmarks.rows import Curve, Row, average_curve, codec_names
from nifcodec.errors import ConfigError

STORED = tuple(Path(__file__).parent / "stored" / name for name in ("kodak-nifcodec.csv", "kodak-peers.tsv"))
GRID = 4001  # points of a curve at which J is evaluated: about 0.005 dB apart


@dataclass(frozen=True)
class Cost:
    """Mean over the pictures of the least J on each picture's curve.

    Attributes:
        value: the mean; NaN where a picture has less than two points.
        bound: whether the least J of some picture lies at an end of its curve, where more settings could lower it.
    """

    value: float
    bound: bool

    def __str__(self) -> str:
        return "-" if math.isnan(self.value) else f"{'<= ' if self.bound else ''}{self.value:.3f}"


def least_cost(bpp: np.ndarray, psnr: np.ndarray, multiplier: float) -> Cost:
    """The least J = 1000 (MSE + multiplier * bpp) on one picture's curve, log bpp interpolated over PSNR by PCHIP.

    Args:
        bpp: bits per pixel, > 0, one a point, in any order.
        psnr: dB of RGB; points that are not finite are left out.
    """
    rates, levels = bdrate.front(bpp, psnr)
    if len(rates) < 2:
        return Cost(math.nan, False)
    grid = np.linspace(levels[0], levels[-1], GRID)
    bits = np.exp(bdrate.interpolate(levels, np.log(rates), grid))
    costs = 1000 * (10 ** (-grid / 10) + multiplier * bits)
    best = int(np.argmin(costs))
    return Cost(float(costs[best]), best in (0, GRID - 1))


def mean_cost(rows: Sequence[Row], codec: str, images: Sequence[str], multiplier: float) -> Cost:
    """The mean of `least_cost` over the pictures."""
    curves = [average_curve(rows, codec, [image]) for image in images]
    costs = [least_cost(curve.bpp, curve.psnr_rgb, multiplier) for curve in curves]
    return Cost(float(np.mean([cost.value for cost in costs])), any(cost.bound for cost in costs))


def pictures_of(rows: Sequence[Row], codecs: Sequence[str], wanted: Optional[Sequence[str]] = None) -> List[str]:
    """The pictures that all of `codecs` have, or those of `wanted` where it is given.

    Raises:
        ConfigError: an unknown codec, a picture in `wanted` that one of the codecs does not have, or no picture at all.
    """
    unknown = [codec for codec in codecs if codec not in codec_names(rows)]
    if unknown or not codecs:
        known = ", ".join(codec_names(rows)) or "none"
        raise ConfigError(f"no stored codec is called {', '.join(unknown) or 'nif'}: there are {known}")
    images = sorted({row.image for row in rows})
    common = [image for image in images if all(_covers(rows, codec, [image]) for codec in codecs)]
    missing = [image for image in wanted or () if image not in common]
    if missing or not common:
        raise ConfigError(f"{' and '.join(codecs)} do not all have {' and '.join(missing) or 'one picture'}")
    return common if wanted is None else sorted(wanted)


def markdown(
    rows: Sequence[Row], codecs: Sequence[str], images: Sequence[str], multipliers: Sequence[float]
) -> Tuple[str, Dict[str, int]]:
    """The table: a line a codec, dearest first at the middle lambda, `codecs` in bold.

    Returns:
        The table, and of every codec that does not have all of `images`, and is left out, how many it has.
    """
    names = [name for name in codec_names(rows) if _covers(rows, name, images)]
    costs = {name: [mean_cost(rows, name, images, multiplier) for multiplier in multipliers] for name in names}
    names.sort(key=lambda name: -costs[name][len(multipliers) // 2].value)
    lines = []
    for name in names:
        found = [report.compare(rows, codec, name, images) for codec in codecs]
        rates = [item.curve for item in found] + [item.msssim for item in found]
        cells = [
            "0" if codec == name else report.number(rate, "+.1f") for codec, rate in zip([*codecs, *codecs], rates)
        ]
        shown = _shown(rows, name)
        lines.append([f"**{shown}**" if name in codecs else shown, *cells, *map(str, costs[name])])
    heads = [f"{codec}, {measure} %" for measure in ("PSNR", "MS-SSIM") for codec in codecs]
    heads += [f"J, lambda {value:g}" for value in multipliers]
    left_out = {
        name: len({row.image for row in rows if row.codec == name and row.image in images})
        for name in codec_names(rows)
        if name not in names
    }
    return report.table(["to", *heads], lines), left_out


def curves(rows: Sequence[Row], codecs: Sequence[str], images: Sequence[str]) -> Tuple[List[Curve], List[Curve]]:
    """The mean curves of `codecs`, and of all others that have all of `images`."""
    others = [name for name in codec_names(rows) if name not in codecs and _covers(rows, name, images)]

    def named(names: Sequence[str]) -> List[Curve]:
        return [replace(average_curve(rows, name, images), codec=_shown(rows, name)) for name in names]

    return named(codecs), named(others)


def _shown(rows: Sequence[Row], codec: str) -> str:
    return f"{codec} (published)" if any(row.source for row in rows if row.codec == codec) else codec


def _covers(rows: Sequence[Row], codec: str, images: Sequence[str]) -> bool:
    return {row.image for row in rows if row.codec == codec}.issuperset(images)
