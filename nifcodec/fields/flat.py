"""No field: of a picture of which all channels are constant, and stand in the header."""

from __future__ import annotations

from typing import Optional

import numpy as np

from nifcodec.config import EncodeConfig
from nifcodec.container import FLAT, NifFile
from nifcodec.fields.family import Family, Samples, Summary
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import CodedField, Goal
from nifcodec.picture.signal import Signal
from nifcodec.picture.window import Window


class NoRender:
    """Samples of no channels."""

    reductions = 0

    def describe(self) -> Summary:
        """Nothing."""
        return Summary(0, 0.0, {})

    def samples(self, reduction: int = 0, window: Optional[Window] = None) -> Samples:
        """(us, vs) -> float32 (len(vs), len(us), 0)."""
        return lambda us, vs: np.zeros((len(vs), len(us), 0), np.float32)


class NoOptions:
    """There are none."""

    def check_with(self, config: EncodeConfig) -> None:
        """Anything goes together with them."""


def _open(_file: NifFile) -> NoRender:
    return NoRender()


def _encode(_signal: Signal, _goal: Goal, _config: EncodeConfig, _hooks: Hooks) -> CodedField:
    return CodedField(FLAT, b"", b"", 0)


FAMILY = Family("none", FLAT, NoOptions, _open, _encode, "the picture is exact")
