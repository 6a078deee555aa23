"""The field `auto`: the families that may suit a picture, and the one of least cost."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, replace
from typing import List, Tuple

from nifcodec.config import EncodeConfig
from nifcodec.errors import MissingDependencyError, TrainingError
from nifcodec.fields import families
from nifcodec.fields.family import Family
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import CodedField, Goal
from nifcodec.fields.lattice_options import LARGEST_WHOLE, LatticeOptions
from nifcodec.fields.rate_control import excess_of, is_above, quality_price
from nifcodec.native import library
from nifcodec.picture.signal import Signal

CANDIDATES = ("wavelet", "pyramid")
DRAWN = 0.3  # share of pixels that equal the one beside them, from which a picture counts as a drawing
DRAWING_PIXELS = 1 << 19  # of a drawing, above which its effort falls by one with each doubling


def settled(config: EncodeConfig, signal: Signal) -> EncodeConfig:
    """The configuration for a picture: the field `auto` is `wavelet` where a pyramid would take too long.

    That is for photographs at low efforts, for drawings too where there is no native library, and for pictures that
    would be cut into tiles.
    """
    if config.field != families.AUTO:
        return config
    if signal.pixels <= LARGEST_WHOLE and (
        config.effort >= families.PHOTOGRAPHS_FROM
        or (config.steps is None and library.load() is not None and is_drawn(signal))
    ):
        return config
    return families.complete(_own(config, CANDIDATES[0], placed=True))


def is_drawn(signal: Signal) -> bool:
    """Whether many pixels equal the one to the left, or the one above: in drawings and text, hardly in photographs."""
    values, equal = signal.samples, [0.0]
    for after, before in ((values[:, 1:], values[:, :-1]), (values[1:], values[:-1])):
        if after.size:
            equal.append(float((after == before).all(axis=2).mean()))
    return max(equal) >= DRAWN


def best_of(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> Tuple[CodedField, Family]:
    """Encodes a picture by each candidate; the one of least cost, and its family.

    The first candidate is quick, and always there. One that diverges, or that nothing on the machine can train, is left
    out with a warning. The checkpoint and what is watched are those of the last.

    Raises as `Family.encode`.
    """
    found: List[Tuple[float, CodedField, Family]] = []
    for name in CANDIDATES:
        last = name == CANDIDATES[-1]
        own = families.complete(_own(config, name, placed=last))
        if last and config.effort < families.PHOTOGRAPHS_FROM:
            doublings = max(0.0, math.log2(signal.pixels / DRAWING_PIXELS))
            own = replace(own, effort=max(1, config.effort - round(doublings)))
        family = families.named(name)
        try:
            coded = family.encode(signal, goal, own, hooks if last else Hooks(hooks.progress, hooks.interrupt))
        except (MissingDependencyError, TrainingError) as error:
            if not found:
                raise
            warnings.warn(f"{error}; the field is {found[0][2].name}", stacklevel=5)
            continue
        found.append((cost(goal, coded, signal), coded, family))
    _, coded, family = min(found, key=lambda each: each[0])
    return coded, family


def cost(goal: Goal, coded: CodedField, signal: Signal) -> float:
    """What is to be least: J at the goal's quality, the error of a size, the size of a PSNR. Missed goals come last."""
    data = goal.pack(coded)
    if goal.is_quality:
        error = 10.0 ** (-goal.measure(data) / 10)
        return error + quality_price(goal.quality, signal.depth) * 8 * len(data) / signal.pixels
    excess = excess_of(goal, len(data), lambda: goal.measure(data))
    if is_above(goal, excess) is (goal.psnr is None):
        return 1e12 + abs(excess)
    return len(data) if goal.psnr is not None else 10.0 ** (-goal.measure(data) / 10)


def _own(config: EncodeConfig, name: str, placed: bool) -> EncodeConfig:
    """The configuration of one candidate; where it trains, and what is kept, only where it is `placed`."""
    options = families.options_of(name)(**asdict(config.options or LatticeOptions()))
    config = replace(config, field=name, options=options)
    if placed:
        return config
    unset = EncodeConfig()
    return replace(config, eval_every=None, **{name: getattr(unset, name) for name in config.placed}, tensorboard=None)
