"""The field `auto`: the families that may suit a picture, and the one of least cost."""

from __future__ import annotations

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
from nifcodec.picture.signal import Signal

CANDIDATES = ("wavelet", "pyramid")


def best_of(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> Tuple[CodedField, Family]:
    """Encodes a picture by each candidate; the one of least cost, and its family.

    The first candidate is quick, and always there: alone for a picture that would be cut into tiles, of which a pyramid
    takes too long. One that diverges, or that nothing on the machine can train, is left out with a warning. The
    checkpoint and what is watched are those of the last.

    Raises as `Family.encode`.
    """
    found: List[Tuple[float, CodedField, Family]] = []
    names = CANDIDATES if signal.pixels <= LARGEST_WHOLE else CANDIDATES[:1]
    for name in names:
        last = name == names[-1]
        own = families.complete(_own(config, name, placed=last))
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
