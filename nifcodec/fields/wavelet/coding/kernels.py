"""The seam to the native library: the functions of this family that take the time, in their native form.

Where there is no library, the same functions in NumPy serve; each of them asks its `Conditions` which it is. Integers
are the same either way, and floats are equal but for rounding. Everything here is pure: arrays in, arrays out.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

import numpy as np

from nifcodec.entropy.range_coder import is_canonical
from nifcodec.fields.wavelet.coding.companding import COMPAND_TABLE
from nifcodec.fields.wavelet.lattice import BandArrays, BandValues, Lattice, Subband
from nifcodec.fields.wavelet.lifting import Bands
from nifcodec.native import library
from nifcodec.native.bands import LatticeShape, NativeModel, Network, NetworkKey
from nifcodec.native.filters import NativeFilters
from nifcodec.native.lifting import NativeLifting
from nifcodec.native.search import NativeSearch


class Model(Protocol):
    """The networks and tables of a prior: `coding.context_model.ContextModel` is one."""

    @property
    def networks(self) -> Mapping[NetworkKey, Network]:
        """By plane, orientation, group of levels and parity of the column."""

    @property
    def frequencies(self) -> np.ndarray:
        """Of each symbol under each table, (832, 33)."""

    @property
    def lengths(self) -> np.ndarray:
        """Bits of each symbol under each table, float64 (832, 33)."""


class Conditions(Protocol):
    """What bands are coded under besides the model: `coding.wavefront.Conditions` is one."""

    @property
    def step_feature(self) -> int:
        """0 to 127."""

    @property
    def dependent(self) -> bool:
        """Whether quantization is."""


class Scanned(NamedTuple):
    """What the wavefront scan of a stream gives.

    Attributes:
        plane: the low-pass planes of the level that it ended with, int64 (planes, rows, columns) in 1/UNIT steps.
        levels: integers of the coded bands of each level, in half steps.
        digests: of each level, the CRC-32 of all indices up to its end.
        canonical: the stream is that of its symbols.
    """

    plane: np.ndarray
    levels: List[BandValues]
    digests: List[int]
    canonical: bool


class Setting(Protocol):
    """A lattice, and what its bands are coded under: `search.coding.Coding` is one."""

    @property
    def lattice(self) -> Lattice:
        """Shapes of the bands."""

    @property
    def conditions(self) -> Conditions:
        """The step, and whether quantization is dependent."""

    @property
    def low(self) -> np.ndarray:
        """The coarsest low-pass planes, int64 in 1/UNIT steps."""

    @property
    def coarser(self) -> Sequence[BandValues]:
        """Integers of up to two levels beyond the coarsest."""


class Quantized(NamedTuple):
    """Integers and contexts of the bands of each level, and the low-pass planes of the finest."""

    levels: List[BandValues]
    contexts: List[Dict[Subband, np.ndarray]]
    plane: np.ndarray


class Kernels:
    """Native functions under the context networks of a prior."""

    def __init__(self, model: Model) -> None:
        loaded = library.load()
        assert loaded is not None
        self._lifting = NativeLifting(loaded)
        self._model = NativeModel(loaded, model.networks, model.frequencies, COMPAND_TABLE)
        self._search = NativeSearch(self._model, model.lengths)
        self.filters = NativeFilters(loaded)

    def decode_bands(self, setting: Setting, stream: bytes, coded: np.ndarray, finest: int) -> Scanned:
        """The integers of a stream, down to the level `finest`. Raises TruncatedError, MalformedError.

        Args:
            coded: bool (levels, bands), which bands the stream holds.
        """
        bands = setting.lattice.bands
        plane, arrays, digests, state = self._model.decode_bands(
            stream, _shape(setting), coded, setting.low, _coarser(setting), finest
        )
        levels = [{b: values for b, values in zip(bands, level) if values is not None} for level in arrays]
        return Scanned(plane, levels, digests, is_canonical(stream, *state))

    def synthesise(self, low: np.ndarray, bands: Bands) -> np.ndarray:
        """`lifting.synthesise_plane`."""
        return self._lifting.synthesise(low, bands)

    def analyse(self, planes: np.ndarray) -> Tuple[np.ndarray, Bands]:
        """`lifting.analyse_plane`."""
        return self._lifting.analyse(planes)

    def quantize_bands(
        self,
        setting: Setting,
        coefficients: BandArrays,
        lagrangian: float,
        gradient: Optional[BandArrays],
        weights: Optional[BandArrays],
    ) -> Quantized:
        """`search.rdoq.quantize_bands`."""
        found = self._search.quantize_bands(
            _shape(setting),
            setting.low,
            _coarser(setting),
            _lists(setting, coefficients),
            lagrangian,
            None if gradient is None else _lists(setting, gradient),
            None if weights is None else _lists(setting, weights),
        )
        return Quantized(_maps(setting, found.values), _maps(setting, found.contexts), found.plane)

    def requantize_bands(
        self,
        setting: Setting,
        coefficients: BandArrays,
        lagrangian: float,
        levels: BandArrays,
        contexts: BandArrays,
        gradient: Optional[BandArrays],
        weights: Optional[BandArrays],
    ) -> List[BandValues]:
        """The integers of `search.trellis.requantize_bands`."""
        found = self._search.requantize_bands(
            _shape(setting),
            _lists(setting, coefficients),
            lagrangian,
            _lists(setting, levels),
            _lists(setting, contexts),
            None if gradient is None else _lists(setting, gradient),
            None if weights is None else _lists(setting, weights),
        )
        return _maps(setting, found)

    def contexts_of(self, setting: Setting, levels: BandArrays) -> Quantized:
        """`search.coding.contexts_of`."""
        found = self._search.contexts_of(_shape(setting), setting.low, _coarser(setting), _lists(setting, levels))
        return Quantized(_maps(setting, found.values), _maps(setting, found.contexts), found.plane)

    def rate_gradient(self, setting: Setting, levels: BandArrays) -> List[Dict[Subband, np.ndarray]]:
        """`search.rate_gradient.rate_gradient`."""
        found = self._search.rate_gradient(_shape(setting), setting.low, _coarser(setting), _lists(setting, levels))
        return _maps(setting, found)

    def encode_bands(
        self, setting: Setting, levels: BandArrays, contexts: BandArrays
    ) -> Tuple[bytes, np.ndarray, List[int], List[int]]:
        """The stream, which bands it holds, and of each level its digest and the bytes that a decoder has read then."""
        found = self._search.encode_bands(_shape(setting), _lists(setting, levels), _lists(setting, contexts))
        return found.data, found.coded, found.digests, found.needed


def _shape(setting: Setting) -> LatticeShape:
    lattice, conditions = setting.lattice, setting.conditions
    (height, width), planes = lattice.sizes[0], tuple(lattice.plane_ids)
    return LatticeShape(
        height, width, planes, lattice.levels, lattice.first, conditions.step_feature, conditions.dependent
    )


def _coarser(setting: Setting) -> List[List[Optional[np.ndarray]]]:
    return [[planes.get(band) for band in setting.lattice.bands] for planes in setting.coarser]


def _lists(setting: Setting, levels: BandArrays) -> List[List[np.ndarray]]:
    return [[bands[band] for band in setting.lattice.bands] for bands in levels]


def _maps(setting: Setting, levels: Sequence[Sequence[np.ndarray]]) -> List[Dict[Subband, np.ndarray]]:
    return [dict(zip(setting.lattice.bands, bands)) for bands in levels]
