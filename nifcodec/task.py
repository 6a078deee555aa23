"""One picture to encode, as the chain hands it to whatever trains a field on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

import numpy as np

from nifcodec import container, decoder, metrics
from nifcodec.colour import white
from nifcodec.config import DEFAULT_QUALITY, EncodeConfig
from nifcodec.container import NifFile
from nifcodec.errors import ConfigError
from nifcodec.image import Image
from nifcodec.progress import Watch
from nifcodec.transfer import Transfer

if TYPE_CHECKING:
    from nifcodec.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Trained:
    """What a trainer hands over: the parts of the file that are its own, the steps it took, and on what, in words."""

    family: int
    description: bytes
    payload: bytes
    steps: int
    placement: Optional[str] = None


@dataclass(frozen=True)
class Task:
    """What a trainer works on.

    Attributes:
        image: the picture that the file will be measured against, with its metadata.
        wanted: (H, W, C), what to train on: integers like the picture's, but for what lies under full transparency, or
            float32 codes of 0..1 of a float picture.
        config: what is asked for.
        progress, interrupt: callbacks of `encoder.encode`.
        transfer: how the codes come from the light of a float picture; None for integers.
        watch: called with what training comes to, by trainers that show it.
    """

    image: Image
    wanted: np.ndarray
    config: EncodeConfig
    progress: Optional[Callable[[Any], None]]
    interrupt: Optional[Callable[[], bool]]
    transfer: Optional[Transfer] = None
    watch: Optional[Watch] = None

    def values(self, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
        """What to train on, or a part of it: float32 (H, W, C) in [0, 1]."""
        return self.wanted[rows, columns].astype(np.float32) / np.float32(white(self.wanted.dtype))

    @property
    def pixels(self) -> int:
        return self.image.width * self.image.height

    def pack(self, trained: Trained) -> bytes:
        """The whole file."""
        image = self.image
        file = NifFile(
            image.width,
            image.height,
            image.channels,
            image.depth,
            trained.family,
            trained.description,
            trained.payload,
            image.icc,
            image.exif,
            image.xmp,
            self.transfer,
        )
        return container.pack(file)

    def psnr(self, data: bytes) -> float:
        """PSNR in dB of a file, decoded: of RGB, or of the log values of a float picture."""
        return metrics.fidelity(self.image.pixels, decoder.decode(data, max_pixels=self.pixels))

    def target_bytes(self) -> Optional[int]:
        """Bytes of the whole file where the configuration sets them; None for a quality or a PSNR.

        Raises ConfigError where the metadata alone takes more.
        """
        config = self.config
        target = config.target_size if config.bpp is None else int(config.bpp * self.pixels / 8)
        if target is None:
            return None
        metadata = len(self.pack(Trained(1, b"", b"", 0)))
        if target <= metadata:
            raise self._too_small(f"{target} bytes are asked for and the file takes {metadata} without its weights")
        return target

    def check_smallest(self, size: int) -> None:
        """Raises ConfigError where the smallest file that can be made, of `size` bytes, is above a target in bytes.

        Not once interrupted: what there is then is wanted, and a warning says what it missed.
        """
        target = self.target_bytes()
        if target is not None and size > target and not (self.interrupt is not None and self.interrupt()):
            raise self._too_small(f"{target} bytes are asked for and the smallest file found takes {size}")

    def _too_small(self, why: str) -> ConfigError:
        strip = ", or use --strip" if self.image.exif or self.image.xmp else ""
        return ConfigError(f"{why}: ask for more{strip}")

    def quality(self) -> float:
        """0 to 100, for a configuration without any other target."""
        return DEFAULT_QUALITY if self.config.quality is None else self.config.quality


def start_training(task: Task) -> "Optional[Checkpoint]":
    """Loads TensorFlow, with the flags that it reads only then; the checkpoint where one is asked for.

    Raises MissingDependencyError, and ConfigError where the checkpoint is not of this task.
    """
    config = task.config
    if config.executable_cache is not None:
        flags = os.environ.get("TF_POPLAR_FLAGS", "")
        os.environ["TF_POPLAR_FLAGS"] = f"{flags} --executable_cache_path={config.executable_cache}".strip()
    from nifcodec.training.checkpoint import Checkpoint, identity

    if config.checkpoint is None:
        return None
    return Checkpoint(config.checkpoint, identity(task.wanted, config), config.resume)
