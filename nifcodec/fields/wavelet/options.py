"""Options that only the field `wavelet` has. This module loads neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.fields.lattice_options import LatticeOptions


@dataclass(frozen=True)
class WaveletOptions(LatticeOptions):
    """Options of `wavelet`, which are those of `LatticeOptions`."""

    def check_with(self, config: EncodeConfig) -> None:
        """Raises ConfigError for options that do not go together with the others."""
        if config.effort == 1 and config.steps is None and config.placed:
            raise ConfigError(
                f"-e 1 does not train the field wavelet, so that {' and '.join(config.placed)} would do nothing: give "
                "a higher effort"
            )


OPTIONS = {"wavelet": WaveletOptions}
