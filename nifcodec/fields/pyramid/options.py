"""Options that only the field `pyramid` has. This module loads neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from nifcodec.config import EncodeConfig
from nifcodec.fields.lattice_options import LatticeOptions


@dataclass(frozen=True)
class PyramidOptions(LatticeOptions):
    """Options of `pyramid`, which are those of `LatticeOptions`."""

    def check_with(self, config: EncodeConfig) -> None:
        """Raises ConfigError for options that do not go together with the others."""


OPTIONS = {"pyramid": PyramidOptions}
