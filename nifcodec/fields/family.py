"""The contract of a family of fields: what a kind of field gives to the encoder, the decoder and the command line.

A family is one folder beside this module and one row in `families`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Protocol, Type

import numpy as np

from nifcodec.config import EncodeConfig
from nifcodec.container import NifFile
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import CodedField, Goal
from nifcodec.picture.signal import Signal
from nifcodec.picture.window import Window

__all__ = ["CodedField", "Family", "Options", "Render", "Samples", "Summary"]

# (us, vs) -> float32 (len(vs), len(us), channels); 1.0 is white.
Samples = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Summary:
    """What the header says of a field: enough for `info`, without decoding a weight.

    Attributes:
        parameters: numbers that the payload holds.
        macs_per_pixel: multiply-adds of one sample.
        settings: everything else, by name.
    """

    parameters: int
    macs_per_pixel: float
    settings: Mapping[str, Any]


class Render(Protocol):
    """The field of a file, its description parsed and checked; the payload is read when samples are asked for."""

    @property
    def reductions(self) -> int:
        """How often the picture can be halved by decoding less of it."""

    def describe(self) -> Summary:
        """What the header says."""

    def samples(self, reduction: int = 0, window: Optional[Window] = None) -> Samples:
        """The field, its picture halved so often. Raises CorruptFileError.

        Args:
            window: what is read of it, for fields on a lattice: where that takes more samples than there are, a detail
                network makes them. None leaves it out: then a kernel reads between the samples.
        """


class Options(Protocol):
    """Options that only one family has: a frozen dataclass of described fields (`config`)."""

    def check_with(self, config: EncodeConfig) -> None:
        """Raises ConfigError for options that do not go together with the others."""


@dataclass(frozen=True)
class Family:
    """A kind of field.

    Attributes:
        name: in `EncodeConfig.field`.
        number: in a file's header.
        options: class of the options that only this family has.
        open: a file -> its field. Raises CorruptFileError.
        encode: (signal, goal, config, hooks) -> the field that meets the goal. Raises ConfigError, TrainingError,
            DeviceError, MissingDependencyError, InterruptedEncodeError.
        missed: what to do about a PSNR that was not reached, for a warning.
    """

    name: str
    number: int
    options: Type[Options]
    open: Callable[[NifFile], Render]
    encode: Callable[[Signal, Goal, EncodeConfig, Hooks], CodedField]
    missed: str

    def describe(self, file: NifFile) -> Summary:
        """What a file's header says of its field. Raises CorruptFileError."""
        return self.open(file).describe()
