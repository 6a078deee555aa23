"""The context model: small integer networks from a coefficient's neighbours to the table it is coded under.

Each network is a perceptron with two hidden layers and a linear path to the mean. Its inputs, weights and activations
are integers, and every sum stays below 2^23, so that float32 products give exactly the integer result in any order of
summation: the same tables on every machine (FORMAT.md, "Context model").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nifcodec.entropy.exp_golomb import code_bits
from nifcodec.entropy.range_coder import PRECISION, Tables
from nifcodec.fields.wavelet.coding.binarization import Binarization, binarize
from nifcodec.fields.wavelet.coding.companding import FEATURE_MAX
from nifcodec.fields.wavelet.coding.kernels import Kernels
from nifcodec.fields.wavelet.coding.neighbours import feature_columns
from nifcodec.fields.wavelet.lattice import Subband
from nifcodec.native import library

HIDDEN_MAX = 1023
HIDDEN_SHIFTS = (6, 8)  # after the sums of the first and of the second layer
OUTPUT_UNIT = 1 << 15  # of the outputs: log2 scale and mean in steps
SCALE_SHIFT, MEAN_SHIFT = 13, 12  # from an output to quarter octaves of a scale, and to eighths of a mean
SCALE_OF_ONE_STEP = 24
SCALE_MAX = 63  # quarter octaves
MEAN_MAX = 1016
GROUPS = 3  # levels from the third on share their networks

Key = Tuple[int, int, int, int]  # plane, orientation, group of levels, odd


@dataclass(frozen=True)
class Network:
    """Integer weights of one network, as float32 arrays of integers: inputs x hidden, hidden x hidden, hidden x 2."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    b3: np.ndarray
    skip: np.ndarray

    def is_exact(self) -> bool:
        """Whether no sum can reach 2^23, whatever the inputs."""
        first = np.abs(self.w1).sum(axis=0) * FEATURE_MAX + np.abs(self.b1)
        second = np.abs(self.w2).sum(axis=0) * HIDDEN_MAX + np.abs(self.b2)
        third = np.abs(self.w3).sum(axis=0) * HIDDEN_MAX + np.abs(self.b3)
        third[1] += np.abs(self.skip).sum() * FEATURE_MAX
        return max(float(bound.max()) for bound in (first, second, third)) < 2**23


class ContextModel:
    """All networks and tables of a prior.

    Args:
        networks: one for each plane 0..2, orientation 0..2, group 0..2 and parity.
        tables: frequencies (832, 33), in the order of `binarization.binarization_of`.
        native: use the native library, where there is one.

    Attributes:
        lengths: bits of each symbol under each table, float64 (832, 33). They decide what an encoder chooses, and
            never how a symbol is coded.
        kernels: the native forms of what takes the time; None where NumPy serves.
    """

    def __init__(self, networks: Mapping[Key, Network], tables: np.ndarray, native: bool = True) -> None:
        self.networks: Mapping[Key, Network] = networks
        self.frequencies = tables
        self.tables = Tables(tables)
        self.lengths = PRECISION - np.log2(tables.astype(np.float64))
        self.kernels: Optional[Kernels] = Kernels(self) if native and networks and library.load() else None

    def level(self, bands: Sequence[Subband], level: int, near_length: int, features: int) -> "LevelModel":
        """The networks of a level's bands, ready for whole passes."""
        return LevelModel(self.networks, bands, min(level, GROUPS - 1), near_length, features)

    def macs_per_pixel(self, plane_ids: Sequence[int]) -> float:
        """Multiply-adds of a pixel's coefficients where none of the finest bands is empty."""
        total = 0.0
        for (plane, orientation, group, _), net in self.networks.items():
            share = 0.125 * 0.25**group  # of a band's pixels in one of two passes
            planes = sum(Subband(each, orientation).network_plane == plane for each in plane_ids)
            total += planes * share * (net.w1.size + net.w2.size + net.w3.size + net.skip.size)
        return total

    def code_length(self, indices: np.ndarray, where: Binarization) -> np.ndarray:
        """Bits that indices of quantizers take under their contexts, float64, all arrays of one shape."""
        cells = binarize(indices, where)
        bits = self.lengths[cells.tables, cells.symbols] + cells.shifts
        escaped = cells.excess >= 0
        bits[escaped] += code_bits(cells.excess[escaped])
        return bits


class LevelModel:
    """Networks of one level, stacked, with zero weights where a band's network reads fewer features or is narrower."""

    def __init__(
        self, networks: Mapping[Key, Network], bands: Sequence[Subband], group: int, near_length: int, features: int
    ) -> None:
        kinds = [[i for i, band in enumerate(bands) if band.is_chroma is chroma] for chroma in (False, True)]
        self._parts: Dict[bool, List[Tuple[slice, Network]]] = {}
        for odd in (False, True):
            parts: List[Tuple[slice, Network]] = []
            for indices in kinds:
                if not indices:
                    continue
                chosen = [networks[(bands[i].network_plane, bands[i].orientation, group, int(odd))] for i in indices]
                columns = [feature_columns(bands[i], odd, near_length) for i in indices]
                # Luma comes first, chroma next, alpha last: each kind is one run but for alpha, which is a luma.
                for run in _runs(indices):
                    members = [indices.index(i) for i in run]
                    stacked = stack([chosen[m] for m in members], [columns[m] for m in members], features)
                    parts.append((slice(run[0], run[-1] + 1), stacked))
            self._parts[odd] = parts

    def parts(self, odd: bool) -> List[Tuple[slice, Network]]:
        """Runs of bands, and their networks, stacked."""
        return self._parts[odd]

    def __call__(self, features: np.ndarray, odd: bool) -> Tuple[np.ndarray, np.ndarray]:
        """Features float32 (bands, n, features) -> scale index 0..63 and mean in eighths, int32 (bands, n) each."""
        scales = np.empty(features.shape[:2], np.int32)
        means = np.empty(features.shape[:2], np.int32)
        for where, net in self._parts[odd]:
            scales[where], means[where] = evaluate(net, features[where])
        return scales, means


def evaluate(net: Network, x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """A stack of networks, each on its own features: float32 (networks, n, features) -> scale indices and means."""
    hidden = np.matmul(x, net.w1)
    hidden += net.b1[:, None]
    hidden *= 2.0 ** -HIDDEN_SHIFTS[0]
    _activate(hidden)
    hidden = np.matmul(hidden, net.w2)
    hidden += net.b2[:, None]
    hidden *= 2.0 ** -HIDDEN_SHIFTS[1]
    _activate(hidden)
    out = np.matmul(hidden, net.w3) + net.b3[:, None]
    mean = (out[..., 1] + np.matmul(x, net.skip[..., None])[..., 0]).astype(np.int32)
    scale = SCALE_OF_ONE_STEP + _rounded(out[..., 0].astype(np.int32), SCALE_SHIFT)
    mean = _rounded(mean, MEAN_SHIFT)
    return np.minimum(np.maximum(scale, 0), SCALE_MAX), np.minimum(np.maximum(mean, -MEAN_MAX), MEAN_MAX)


def _rounded(values: np.ndarray, shift: int) -> np.ndarray:
    return (values + (1 << (shift - 1))) >> shift


def _activate(values: np.ndarray) -> None:
    """Rounds down and limits to 0..HIDDEN_MAX, in place; several times faster than np.clip on small arrays."""
    np.floor(values, out=values)
    np.maximum(values, 0, out=values)
    np.minimum(values, HIDDEN_MAX, out=values)


def _runs(indices: Sequence[int]) -> List[List[int]]:
    runs: List[List[int]] = []
    for index in indices:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def stack(networks: Sequence[Network], columns: Sequence[np.ndarray], features: int) -> Network:
    """Networks of one shape as `evaluate` takes them, each reading the features that its `columns` name."""
    w1 = np.zeros((len(networks), features, networks[0].w1.shape[1]), np.float32)
    skip = np.zeros((len(networks), features), np.float32)
    for i, (network, used) in enumerate(zip(networks, columns)):
        w1[i, used] = network.w1
        skip[i, used[: len(network.skip)]] = network.skip
    b1, w2, b2, w3, b3 = (np.stack([getattr(net, name) for net in networks]) for name in ("b1", "w2", "b2", "w3", "b3"))
    return Network(w1, b1, w2, b2, w3, b3, skip)
