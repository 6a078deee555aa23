"""The field `wavelet`: coefficients on a multiresolution lattice, a small synthesis network, and a smooth interpolant.

f(u, v) is the picture that the integer inverse transform and the synthesis network give at the pixel centres, read
between them with a Lanczos kernel of three lobes. At the pixel centres the kernel is 1 at one sample and 0 at all
others, so the native render is the decoded picture itself. A reduced picture is a low-pass plane, read in the same way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from nifcodec.errors import LimitError, MalformedError
from nifcodec.fields.synthesis import Mixture, SynthesisNetwork

FAMILY_ID = 3
STEP_INDICES = 769  # steps 2^(i / 64 - 8): 1/256 to 16 on colours of 0..1 for the indices from 0
FINEST_INDEX = -256  # the step 2^-12, for pictures of more than 8 bits
HASH_BYTES = 8
HEAD_BYTES = 3 + HASH_BYTES
TILE_EXPONENTS = range(7, 12)  # log2 of a tile's side
DEPENDENT = 0x80  # flag beside it
LANCZOS_LOBES = 3

# Orthonormal opponent colours: rows are the sum, red against blue, and both against green.
OPPONENT = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]) / np.sqrt([[3.0], [2.0], [6.0]])


@dataclass(frozen=True)
class WaveletSpec:
    """What the header says of the field.

    Attributes:
        step_index: of the quantization step, 64 to an octave.
        prior: first bytes of the hash of the prior it was coded with.
        mixture: weights of the synthesis network's corrections, for luma and for chroma, each -127..127 in
            1/WEIGHT_UNIT. The encoder takes the best ones for the picture.
        tile_exponent: log2 of the side of its tiles in pixels, one of TILE_EXPONENTS; 0 where the picture is one
            lattice.
        dependent: quantization is (coding.states).
    """

    step_index: int
    prior: bytes
    mixture: Mixture = ((), ())
    tile_exponent: int = 0
    dependent: bool = False

    def pack(self) -> bytes:
        """The description: i16 step index, u8 log2 of a tile's side or 0 and flag, prior (8 bytes), i8 weights."""
        luma, chroma = self.mixture
        head = struct.pack("<hB", self.step_index, self.tile_exponent | DEPENDENT * self.dependent) + self.prior
        return head + struct.pack(f"{len(luma) + len(chroma)}b", *luma, *chroma)

    @property
    def step(self) -> float:
        """Quantization step on colours of 0..1."""
        return step_size(self.step_index)

    @property
    def step_feature(self) -> int:
        """The step as an input of the networks, 0..127: 24 an octave, 64 at 0.17."""
        return min(max((3 * self.step_index - 529) // 8, 0), 127)


def unpack(description: bytes) -> WaveletSpec:
    """Reads a description. Raises MalformedError, LimitError."""
    weights = len(description) - HEAD_BYTES
    if weights < 0 or weights % 2:
        raise MalformedError("wavelet description", f"has {len(description)} bytes")
    index, flagged, prior, *mixture = struct.unpack(f"<hB{HASH_BYTES}s{weights}b", description)
    if not FINEST_INDEX <= index < STEP_INDICES:
        raise LimitError(f"step index {index} is outside of {FINEST_INDEX} to {STEP_INDICES - 1}")
    exponent = flagged & ~DEPENDENT
    if exponent and exponent not in TILE_EXPONENTS:
        raise LimitError(f"tiles of 2^{exponent} pixels a side are outside of the limits")
    weighted = tuple(mixture[: weights // 2]), tuple(mixture[weights // 2 :])
    return WaveletSpec(index, prior, weighted, exponent, bool(flagged & DEPENDENT))


def step_size(index: int) -> float:
    """Quantization step of an index: 64 to an octave."""
    return 2.0 ** (index / 64 - 8)


def colours(channels: int) -> Tuple[int, ...]:
    """Planes of a picture with 1..4 channels: 0 luma, 1 and 2 chroma, 3 alpha."""
    return {1: (0,), 2: (0, 3), 3: (0, 1, 2), 4: (0, 1, 2, 3)}[channels]


def colour_planes(planes: int) -> int:
    """How many of a picture's planes the synthesis network corrects: 3 of a colour picture, 1 of a grey one."""
    return 3 if planes >= 3 else 1


def to_planes(values: np.ndarray) -> np.ndarray:
    """Colours (H, W, C) of 0..1 -> opponent planes (C, H, W) float64, zero at mid-grey.

    A plane without partners (grey, alpha) is multiplied by sqrt(3), so that one step means one error everywhere.
    """
    centred = np.moveaxis(values.astype(np.float64) - 0.5, -1, 0)
    if len(centred) < 3:
        return np.ascontiguousarray(centred * np.sqrt(3.0))
    planes = np.tensordot(OPPONENT, centred[:3], 1)
    return np.concatenate([planes, centred[3:] * np.sqrt(3.0)])


def from_planes(planes: np.ndarray) -> np.ndarray:
    """The inverse of `to_planes`, float32 (H, W, C)."""
    if len(planes) < 3:
        return (np.moveaxis(planes, 0, -1) / np.float32(np.sqrt(3.0)) + np.float32(0.5)).astype(np.float32)
    rgb = np.tensordot(OPPONENT.T.astype(np.float32), planes[:3].astype(np.float32), 1)
    values = np.concatenate([rgb, planes[3:].astype(np.float32) / np.float32(np.sqrt(3.0))])
    return np.moveaxis(values + np.float32(0.5), 0, -1)


def finish(plane: np.ndarray, spec: WaveletSpec, network: Optional[SynthesisNetwork], unit: int) -> np.ndarray:
    """Integer planes (C, H, W) in 1/unit steps -> colours float32 (H, W, C), 1.0 white, not clipped.

    Args:
        network: of one correction, already mixed; None leaves it out.
    """
    planes = plane.astype(np.float32) / np.float32(unit)
    if network is not None:
        planes = corrected(planes, network(planes[: colour_planes(len(planes))], spec.step_feature)[0])
    return from_planes(planes * np.float32(spec.step))


def corrected(planes: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Planes (C, H, W) and the correction of the first of them -> the corrected planes."""
    out = planes.copy()
    out[: len(change)] += change
    return out


Taps = Tuple[np.ndarray, np.ndarray]


def interpolate(picture: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """The interpolant: float32 (rows, columns, C) of samples (H, W, C), which the indices of the taps count."""
    lines = np.zeros((rows[0].shape[1], *picture.shape[1:]), np.float32)
    for index, weight in zip(*rows):
        lines += weight[:, None, None] * picture[index]
    out = np.zeros((len(lines), columns[0].shape[1], picture.shape[2]), np.float32)
    for index, weight in zip(*columns):
        out += weight[None, :, None] * lines[:, index]
    return out


def taps(positions: np.ndarray, count: int, reduction: int = 0) -> Taps:
    """Indices and Lanczos weights (taps, len(positions)); samples beyond the edge repeat the edge.

    Args:
        positions: fractions of a side.
        count: pixels of the side.
        reduction: level of the low-pass plane whose samples are meant, 0 for pixels. Sample i of a level lies where
            sample 2i of the next finer one does, and so at the centre of pixel i * 2^reduction.
    """
    centre = (np.asarray(positions, np.float64) * count - 0.5) / (1 << reduction)
    nearest = np.rint(centre)
    centre = np.where(np.abs(centre - nearest) < 1e-6, nearest, centre)
    first = np.floor(centre).astype(np.int64) - LANCZOS_LOBES + 1
    index = first[None, :] + np.arange(2 * LANCZOS_LOBES)[:, None]
    distance = centre[None, :] - index
    weight = np.sinc(distance) * np.sinc(distance / LANCZOS_LOBES) * (np.abs(distance) < LANCZOS_LOBES)
    weight = np.where(np.abs(weight) < 1e-12, 0.0, weight)
    weight /= weight.sum(axis=0)
    used = weight.any(axis=1)  # at pixel centres, one tap in six
    return np.clip(index[used], 0, -(-count >> reduction) - 1), weight[used].astype(np.float32)
