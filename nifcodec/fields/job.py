"""One picture to encode, as the encoder hands it to a family of fields, and what comes back."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Callable, Optional

from nifcodec.config import DEFAULT_QUALITY, EncodeConfig
from nifcodec.container import FLAT
from nifcodec.errors import ConfigError
from nifcodec.fields.checkpoint import Checkpoint, identity
from nifcodec.fields.hooks import Hooks
from nifcodec.picture.signal import Signal


@dataclass(frozen=True)
class CodedField:
    """What a family's encoder hands over.

    Attributes:
        family, description, payload, index: its parts of the file.
        steps: training steps that it took.
        placement: on what it was trained, in words.
    """

    family: int
    description: bytes
    payload: bytes
    steps: int
    placement: Optional[str] = None
    index: bytes = b""


@dataclass(frozen=True)
class Goal:
    """What a file is to reach, and how a try is measured.

    Attributes:
        quality: 0 to 100, where nothing else is asked for.
        target_bytes: most bytes of the whole file, None where there is no such limit.
        psnr: dB that the decoded picture is to reach, None where that is not asked for.
        pack: a coded field -> the whole file.
        measure: a whole file -> dB of what it decodes to, against the picture.
        overhead: bytes of the file without description and payload.
        strippable: the file holds metadata that could be left out.
    """

    quality: float
    target_bytes: Optional[int]
    psnr: Optional[float]
    pack: Callable[[CodedField], bytes]
    measure: Callable[[bytes], float]
    overhead: int
    strippable: bool = False

    @staticmethod
    def of(
        config: EncodeConfig,
        pixels: int,
        pack: Callable[[CodedField], bytes],
        measure: Callable[[bytes], float],
        strippable: bool = False,
        family: int = 1,
    ) -> "Goal":
        """The goal of a configuration for a picture of so many pixels; the family is any that the picture can have.

        Raises ConfigError where the file takes more than is asked for without its weights.
        """
        target = config.target_size if config.bpp is None else int(config.bpp * pixels / 8)
        quality = DEFAULT_QUALITY if config.quality is None else config.quality
        overhead = len(pack(CodedField(family, b"", b"", 0)))
        goal = Goal(quality, target, config.psnr, pack, measure, overhead, strippable)
        if target is not None and target < overhead + (family != FLAT):
            raise goal._too_small(f"the file takes {overhead} without its weights")
        return goal

    @property
    def is_quality(self) -> bool:
        """Whether neither a size nor a PSNR is asked for."""
        return self.target_bytes is None and self.psnr is None

    def check_smallest(self, size: int) -> None:
        """Raises ConfigError where the smallest file that can be made, of `size` bytes, is above the target."""
        if self.target_bytes is not None and size > self.target_bytes:
            raise self._too_small(f"the smallest file found takes {size}")

    def _too_small(self, why: str) -> ConfigError:
        strip = ", or use --strip" if self.strippable else ""
        return ConfigError(f"{self.target_bytes} bytes are asked for and {why}: ask for more{strip}")


@dataclass(frozen=True)
class EncodeJob:
    """All that a family's encoder works on."""

    signal: Signal
    goal: Goal
    config: EncodeConfig
    hooks: Hooks

    def start_training(self) -> None:
        """Loads TensorFlow, with the flags that it reads only then. Raises MissingDependencyError."""
        config = self.config
        if config.executable_cache is not None:
            flags = os.environ.get("TF_POPLAR_FLAGS", "")
            os.environ["TF_POPLAR_FLAGS"] = f"{flags} --executable_cache_path={config.executable_cache}".strip()
        importlib.import_module("nifcodec.training")

    def open_checkpoint(self) -> Optional[Checkpoint]:
        """The checkpoint where one is asked for.

        Raises ConfigError where it is not of this job, MissingDependencyError without h5py.
        """
        config = self.config
        if config.checkpoint is None:
            return None
        described = identity(self.signal.samples, config)
        return Checkpoint(config.checkpoint, described, config.resume, config.checkpoint_every)

    def check_smallest(self, size: int) -> None:
        """Raises ConfigError where the smallest file that can be made, of `size` bytes, is above the target.

        Not once interrupted: what there is then is wanted, and a warning says what it missed.
        """
        if not self.hooks.interrupted():
            self.goal.check_smallest(size)
