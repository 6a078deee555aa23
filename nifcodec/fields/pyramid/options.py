"""Options that only the field `pyramid` has. This module loads neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass

from nifcodec.fields.lattice_options import LatticeOptions


@dataclass(frozen=True)
class PyramidOptions(LatticeOptions):
    """Options of `pyramid`, which are those of `LatticeOptions`."""


OPTIONS = {"pyramid": PyramidOptions}
