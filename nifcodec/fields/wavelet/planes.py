"""Colours of a picture <-> the opponent planes that the lattice holds."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np

from nifcodec.fields.wavelet.description import WaveletDescription
from nifcodec.fields.wavelet.lattice import UNIT
from nifcodec.fields.wavelet.restoration import RestorationFilter
from nifcodec.native.filters import Rectangle

# Orthonormal opponent colours: rows are the sum, red against blue, and both against green.
OPPONENT = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]) / np.sqrt([[3.0], [2.0], [6.0]])


def plane_ids(channels: int) -> Tuple[int, ...]:
    """Planes of a picture with 1..4 channels: 0 luma, 1 and 2 chroma, 3 alpha."""
    return {1: (0,), 2: (0, 3), 3: (0, 1, 2), 4: (0, 1, 2, 3)}[channels]


def filtered_planes(planes: int) -> int:
    """How many of a picture's planes the restoration filter corrects: 3 of a colour picture, 1 of a grey one."""
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


def finish(
    plane: np.ndarray,
    spec: WaveletDescription,
    restoration: Optional[RestorationFilter],
    unit: int,
    at: Rectangle,
) -> np.ndarray:
    """Integer planes (C, H, W) in 1/unit steps -> colours float32 (rows, columns, C), 1.0 white, not clipped.

    Args:
        restoration: of one correction, already mixed; None leaves it out.
        at: rectangle wanted, its top and left even; around it, the planes have what the filter reaches.
    """
    planes = in_steps(plane, unit)
    if restoration is not None:
        planes = corrected(planes, restoration(planes[: filtered_planes(len(planes))], spec.step_feature)[0])
    top, left, rows, columns = at
    return from_planes(planes[:, top : top + rows, left : left + columns] * np.float32(spec.step))


def in_steps(plane: np.ndarray, unit: int = UNIT) -> np.ndarray:
    """Integers in 1/unit steps -> steps, float32."""
    steps: np.ndarray = plane.astype(np.float32) / np.float32(unit)
    return steps


def corrected(planes: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Planes (C, H, W) and the correction of the first of them -> the corrected planes."""
    out = planes.copy()
    out[: len(change)] += change
    return out
