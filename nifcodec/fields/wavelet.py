"""The field `wavelet`: coefficients on a multiresolution lattice, a small synthesis network, and a smooth interpolant.

f(u, v) is the picture that the integer inverse transform and the synthesis network give at the pixel centres, read
between them with a Lanczos kernel of three lobes. At the pixel centres the kernel is 1 at one sample and 0 at all
others, so the native render is the decoded picture itself. A reduced picture is a low-pass plane, read in the same way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import List, Sequence, Tuple

import numpy as np

from nifcodec.errors import LimitError, MalformedError

FAMILY_ID = 3
STEP_INDICES = 769  # steps 2^(i / 64 - 8): 1/256 to 16 on colours of 0..1
HEAD_BYTES = 4
HASH_BYTES = 8
STRENGTH_UNIT = 32
TILE_EXPONENTS = range(7, 12)  # log2 of a tile's side
ROWS_PER_STRIP = 32  # rows of 2x2 blocks that the synthesis network sees at a time
LANCZOS_LOBES = 3

# Orthonormal opponent colours: rows are the sum, red against blue, and both against green.
OPPONENT = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]) / np.sqrt([[3.0], [2.0], [6.0]])


@dataclass(frozen=True)
class WaveletSpec:
    """What the header says of the field.

    Attributes:
        step_index: of the quantization step, 64 to an octave.
        prior: first bytes of the hash of the prior it was coded with.
        strengths: what the synthesis network's correction is multiplied by, for luma and for chroma, in
            1/STRENGTH_UNIT; 0 leaves it out. The encoder takes the best ones for the picture.
        tile_exponent: log2 of the side of its tiles in pixels, one of TILE_EXPONENTS; 0 where the picture is one
            lattice.
    """

    step_index: int
    prior: bytes
    strengths: Tuple[int, int] = (0, 0)
    tile_exponent: int = 0

    def pack(self) -> bytes:
        """The description: u16 step index, u8 strength for luma and for chroma, 8 bytes of the prior's SHA-256.

        A u8 follows where there are tiles, log2 of their side.
        """
        head = struct.pack("<HBB", self.step_index, *self.strengths) + self.prior
        return head + bytes([self.tile_exponent] if self.tile_exponent else [])

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
    size = HEAD_BYTES + HASH_BYTES
    if len(description) not in (size, size + 1):
        raise MalformedError("wavelet description", f"has {len(description)} bytes, not {size} or {size + 1}")
    index, luma, chroma = struct.unpack("<HBB", description[:HEAD_BYTES])
    if index >= STEP_INDICES:
        raise LimitError(f"step index {index} is above {STEP_INDICES - 1}")
    exponent = description[size] if len(description) > size else 0
    if exponent not in TILE_EXPONENTS and len(description) > size:
        raise LimitError(f"tiles of 2^{exponent} pixels a side are outside of the limits")
    return WaveletSpec(index, description[HEAD_BYTES:size], (luma, chroma), exponent)


def step_size(index: int) -> float:
    """Quantization step of an index: 64 to an octave."""
    return 2.0 ** (index / 64 - 8)


def colours(channels: int) -> Tuple[int, ...]:
    """Planes of a picture with 1..4 channels: 0 luma, 1 and 2 chroma, 3 alpha."""
    return {1: (0,), 2: (0, 3), 3: (0, 1, 2), 4: (0, 1, 2, 3)}[channels]


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


@dataclass(frozen=True)
class SynthesisNetwork:
    """A convolutional network on 2x2 blocks of the rebuilt planes, in units of the step; its output is added.

    Attributes:
        kernels: 3x3 kernels float32 (3, 3, in, out), from 12 channels (4 positions x 3 colours) back to 12.
        biases: float32 (out,) of each layer.
        conditioning: float32 (2, out) of each layer but the last: what the step and its square add before the ReLU.
    """

    kernels: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    conditioning: Sequence[np.ndarray]

    def macs_per_pixel(self) -> float:
        """Multiply-adds of one pixel."""
        return sum(kernel.size for kernel in self.kernels) / 4

    @property
    def reach(self) -> int:
        """Pixels around a block of 2x2 on which its correction depends."""
        return 2 * len(self.kernels)

    def __call__(self, planes: np.ndarray, step_feature: int) -> np.ndarray:
        """The correction: planes float32 (3, H, W) in steps -> the same. Borders are mirrored at the picture's edge."""
        height, width = planes.shape[1:]
        reach = len(self.kernels)
        even = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
        blocks = even.reshape(3, even.shape[1] // 2, 2, even.shape[2] // 2, 2).transpose(1, 3, 2, 4, 0)
        blocks = blocks.reshape(blocks.shape[0], blocks.shape[1], 12).astype(np.float32)
        padded = np.pad(blocks, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
        out = np.empty_like(blocks)
        for top in range(0, len(blocks), ROWS_PER_STRIP):
            strip = padded[top : top + ROWS_PER_STRIP + 2 * reach]
            out[top : top + ROWS_PER_STRIP] = self._strip(strip, step_feature)
        whole = out.reshape(out.shape[0], out.shape[1], 2, 2, 3).transpose(4, 0, 2, 1, 3)
        return whole.reshape(3, even.shape[1], even.shape[2])[:, :height, :width]

    def _strip(self, strip: np.ndarray, step_feature: int) -> np.ndarray:
        offset = np.float32((step_feature - 64) / 32)
        condition = np.array([offset, offset * offset], np.float32)
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases)):
            rows, columns = strip.shape[0] - 2, strip.shape[1] - 2
            taps = [strip[dy : dy + rows, dx : dx + columns] for dy in range(3) for dx in range(3)]
            patches = np.concatenate(taps, axis=2).reshape(rows * columns, -1)
            strip = (patches @ kernel.reshape(-1, kernel.shape[3]) + bias).reshape(rows, columns, -1)
            if index < len(self.kernels) - 1:
                strip = np.maximum(strip + condition @ self.conditioning[index], 0)
        return strip


def correction(planes: np.ndarray, spec: WaveletSpec, network: SynthesisNetwork) -> np.ndarray:
    """What the synthesis network adds to planes (C, H, W) in steps at full strength: float32 (1 or 3, H, W)."""
    if len(planes) >= 3:
        return network(planes[:3], spec.step_feature)
    grey = np.concatenate([planes[:1], np.zeros((2, *planes.shape[1:]), np.float32)])
    return network(grey, spec.step_feature)[:1]


@dataclass
class CorrectionFit:
    """Sums over any number of parts of a picture, from which the least-squares strengths and their error follow.

    Attributes:
        missing: squared, of luma, chroma and alpha, in squared steps.
        products: of what is missing and the correction, for luma and chroma.
        powers: of the correction.
    """

    missing: List[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    products: List[float] = field(default_factory=lambda: [0.0, 0.0])
    powers: List[float] = field(default_factory=lambda: [0.0, 0.0])

    def add(self, target: np.ndarray, planes: np.ndarray, corrections: np.ndarray) -> None:
        """A part: planes (C, H, W) in steps that are wanted, those that there are, the correction of the first."""
        missing = target - planes
        colours = len(corrections)
        for kind, where in enumerate((slice(0, 1), slice(1, colours), slice(colours, None))):
            self.missing[kind] += float((missing[where] ** 2).sum())
        for kind, where in enumerate((slice(0, 1), slice(1, colours))):
            change = corrections[where].astype(np.float64)
            self.products[kind] += float((change * missing[where]).sum())
            self.powers[kind] += float((change**2).sum())

    def __add__(self, other: "CorrectionFit") -> "CorrectionFit":
        pairs = ((self.missing, other.missing), (self.products, other.products), (self.powers, other.powers))
        return CorrectionFit(*([a + b for a, b in zip(*pair)] for pair in pairs))

    def strengths(self) -> Tuple[int, int]:
        """The best for luma and for chroma, in 1/STRENGTH_UNIT."""
        luma, chroma = (
            min(max(round(STRENGTH_UNIT * product / power), 0), 255) if power > 0 else 0
            for product, power in zip(self.products, self.powers)
        )
        return luma, chroma

    def error(self, strengths: Tuple[int, int]) -> float:
        """What is still missing under these strengths, summed, in squared steps."""
        total = sum(self.missing)
        for strength, product, power in zip(strengths, self.products, self.powers):
            factor = strength / STRENGTH_UNIT
            total += factor * factor * power - 2 * factor * product
        return total


def finish(plane: np.ndarray, spec: WaveletSpec, network: SynthesisNetwork, unit: int) -> np.ndarray:
    """Integer planes (C, H, W) in 1/unit steps -> colours float32 (H, W, C), 1.0 white, not clipped."""
    planes = plane.astype(np.float32) / np.float32(unit)
    if any(spec.strengths):
        planes = corrected(planes, correction(planes, spec, network), spec)
    return from_planes(planes * np.float32(spec.step))


def corrected(planes: np.ndarray, change: np.ndarray, spec: WaveletSpec) -> np.ndarray:
    """Planes (C, H, W) and the full correction of the first of them -> planes corrected as strongly as `spec` says."""
    luma, chroma = (np.float32(strength / STRENGTH_UNIT) for strength in spec.strengths)
    out = planes.copy()
    out[:1] += luma * change[:1]
    out[1 : len(change)] += chroma * change[1:]
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
