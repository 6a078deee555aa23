"""The field `wavelet`: coefficients on a multiresolution lattice, a small synthesis network, and a smooth interpolant.

f(u, v) is the picture that the integer inverse transform and the synthesis network give at the pixel centres, read
between them with a Lanczos kernel of three lobes. At the pixel centres the kernel is 1 at one sample and 0 at all
others, so the native render is the decoded picture itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from nifcodec.errors import LimitError, MalformedError

FAMILY_ID = 3
STEP_INDICES = 769  # steps 2^(i / 64 - 8): 1/256 to 16 on colours of 0..1 for the indices from 0
FINEST_INDEX = -256  # the step 2^-12, for pictures of more than 8 bits
HEAD_BYTES = 4
HASH_BYTES = 8
STRENGTH_UNIT = 32
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
    """

    step_index: int
    prior: bytes
    strengths: Tuple[int, int] = (0, 0)

    def pack(self) -> bytes:
        """The description: i16 step index, u8 strength for luma and for chroma, 8 bytes of the prior's SHA-256."""
        return struct.pack("<hBB", self.step_index, *self.strengths) + self.prior

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
    if len(description) != HEAD_BYTES + HASH_BYTES:
        raise MalformedError("wavelet description", f"has {len(description)} bytes, not {HEAD_BYTES + HASH_BYTES}")
    index, luma, chroma = struct.unpack("<hBB", description[:HEAD_BYTES])
    if not FINEST_INDEX <= index < STEP_INDICES:
        raise LimitError(f"step index {index} is outside of {FINEST_INDEX} to {STEP_INDICES - 1}")
    return WaveletSpec(index, description[HEAD_BYTES:], (luma, chroma))


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
        conditioning: float32 (2, out) of each layer but the last: what the step and its square add after the ReLU.
    """

    kernels: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    conditioning: Sequence[np.ndarray]

    def macs_per_pixel(self) -> float:
        """Multiply-adds of one pixel."""
        return sum(kernel.size for kernel in self.kernels) / 4

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
                strip = np.maximum(strip, 0) + condition @ self.conditioning[index]
        return strip


def correction(planes: np.ndarray, spec: WaveletSpec, network: SynthesisNetwork) -> np.ndarray:
    """What the synthesis network adds to planes (C, H, W) in steps at full strength: float32 (1 or 3, H, W)."""
    if len(planes) >= 3:
        return network(planes[:3], spec.step_feature)
    grey = np.concatenate([planes[:1], np.zeros((2, *planes.shape[1:]), np.float32)])
    return network(grey, spec.step_feature)[:1]


def best_strengths(target: np.ndarray, planes: np.ndarray, corrections: np.ndarray) -> Tuple[int, int]:
    """Least-squares strengths for luma and chroma, from planes (C, H, W) in steps: what is wanted and what there is."""
    found = [0, 0]
    for part, where in enumerate((slice(0, 1), slice(1, 3))):
        change = corrections[where].astype(np.float64)
        power = float((change**2).sum())
        if power > 0:
            missing = target[where][: len(change)] - planes[where][: len(change)]
            strength = float((change * missing).sum()) / power
            found[part] = min(max(round(STRENGTH_UNIT * strength), 0), 255)
    return found[0], found[1]


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


def sample(picture: np.ndarray, us: np.ndarray, vs: np.ndarray) -> np.ndarray:
    """The interpolant: float32 (len(vs), len(us), C) of a picture (H, W, C) at any real coordinates."""
    rows = _weights(vs, picture.shape[0])
    columns = _weights(us, picture.shape[1])
    lines = np.zeros((len(vs), *picture.shape[1:]), np.float32)
    for index, weight in zip(*rows):
        lines += weight[:, None, None] * picture[index]
    out = np.zeros((len(vs), len(us), picture.shape[2]), np.float32)
    for index, weight in zip(*columns):
        out += weight[None, :, None] * lines[:, index]
    return out


def _weights(positions: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Indices and Lanczos weights (2 * LANCZOS_LOBES, len(positions)); samples beyond the edge repeat the edge."""
    centre = np.asarray(positions, np.float64) * count - 0.5
    nearest = np.rint(centre)
    centre = np.where(np.abs(centre - nearest) < 1e-6, nearest, centre)
    first = np.floor(centre).astype(np.int64) - LANCZOS_LOBES + 1
    index = first[None, :] + np.arange(2 * LANCZOS_LOBES)[:, None]
    distance = centre[None, :] - index
    weight = np.sinc(distance) * np.sinc(distance / LANCZOS_LOBES) * (np.abs(distance) < LANCZOS_LOBES)
    weight /= weight.sum(axis=0)
    return np.clip(index, 0, count - 1), weight.astype(np.float32)
