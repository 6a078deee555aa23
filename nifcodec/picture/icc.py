"""Small ICC profiles of what other formats say of their colours by numbers: a gamma, primaries, or code points.

Profiles are of a matrix and curves (ICC.1:2022, sections 7 to 10). Code points (ITU-T H.273) go into the tag "cicp"
too, so that they can be read from the profile again.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from nifcodec.picture.transfer import C1, C2, C3, M1, M2

Chromaticities = Sequence[float]  # x and y of red, green, blue and white

D65 = (0.3127, 0.3290)
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
D50_XYZ = (0.9642, 1.0, 0.8249)  # of the profile connection space
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# H.273, table 2.
PRIMARIES: Dict[int, Chromaticities] = {
    1: REC709,
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65),
}
SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
REC709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
# H.273, table 3: parameters of a curve, from the sample to light; one is a gamma.
CURVES: Dict[int, Sequence[float]] = {
    **dict.fromkeys((1, 6, 14, 15), REC709_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
    13: SRGB,
}
PQ, HLG = 16, 18
SAMPLES = 256  # of a curve that has no parameters
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073  # ITU-R BT.2100
TAG_TABLE = 128


class CodePoints(NamedTuple):
    """What H.273 calls a picture's colours."""

    primaries: int
    transfer: int
    matrix: int
    full_range: int


def of_numbers(grey: bool, gamma: Sequence[float], primaries: Chromaticities = REC709) -> bytes:
    """A profile.

    Args:
        grey: of grey pictures, else of RGB.
        gamma: one exponent from samples to light, or five parameters of a curve: `SRGB` is an example.

    Raises ValueError for primaries that span no triangle.
    """
    return _profile(grey, _parametric(gamma), primaries, None)


def of_code_points(grey: bool, points: CodePoints) -> bytes:
    """A profile that has the code points too. Raises ValueError for those that are not known."""
    if points.primaries not in PRIMARIES or points.matrix != 0 or points.full_range != 1:
        raise ValueError(f"code points {'/'.join(map(str, points))}")
    sampled: Dict[int, Callable[[np.ndarray], np.ndarray]] = {PQ: _pq, HLG: _hlg}
    if points.transfer in CURVES:
        curve = _parametric(CURVES[points.transfer])
    elif points.transfer in sampled:
        light = sampled[points.transfer](np.linspace(0, 1, SAMPLES))
        curve = b"curv" + struct.pack(">II", 0, SAMPLES) + np.rint(65535 * light).astype(">u2").tobytes()
    else:
        raise ValueError(f"transfer {points.transfer}")
    return _profile(grey, curve, PRIMARIES[points.primaries], points)


def code_points(icc: bytes) -> Optional[CodePoints]:
    """The code points in a profile, None where there are none."""
    try:
        (count,) = struct.unpack_from(">I", icc, TAG_TABLE)
        for entry in range(TAG_TABLE + 4, min(TAG_TABLE + 4 + 12 * count, len(icc)), 12):
            signature, offset, size = struct.unpack_from(">4sII", icc, entry)
            if signature == b"cicp" and size >= 12:
                return CodePoints(*struct.unpack_from(">4B", icc, offset + 8))
    except struct.error:
        return None
    return None


def _pq(codes: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: 1 is 10000 cd/m2."""
    root = codes ** (1 / M2)
    return np.asarray((np.maximum(root - C1, 0.0) / (C2 - C3 * root)) ** (1 / M1))


def _hlg(codes: np.ndarray) -> np.ndarray:
    """The scene light of ITU-R BT.2100, 1 the largest."""
    return np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - HLG_C) / HLG_A) + HLG_B) / 12)


def _parametric(parameters: Sequence[float]) -> bytes:
    kind = 0 if len(parameters) == 1 else 3
    return b"para" + struct.pack(">IHH", 0, kind, 0) + _fixed(parameters)


def _profile(grey: bool, curve: bytes, primaries: Chromaticities, points: Optional[CodePoints]) -> bytes:
    columns, adaptation = _to_d50(primaries)
    tags: List[Tuple[Sequence[bytes], bytes]] = [
        ((b"desc",), _text("nifcodec")),
        ((b"cprt",), _text("CC0")),
        ((b"wtpt",), _xyz(D50_XYZ)),
        ((b"chad",), b"sf32\0\0\0\0" + _fixed(adaptation.ravel())),
    ]
    if grey:
        tags.append(((b"kTRC",), curve))
    else:
        tags += [((name,), _xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T)]
        tags.append(((b"rTRC", b"gTRC", b"bTRC"), curve))
    if points is not None:
        tags.append(((b"cicp",), b"cicp\0\0\0\0" + bytes(points)))
    names = [name for group, _ in tags for name in group]
    offset = TAG_TABLE + 4 + 12 * len(names)
    table, body = struct.pack(">I", len(names)), b""
    for group, content in tags:
        table += b"".join(struct.pack(">4sII", name, offset + len(body), len(content)) for name in group)
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">IIII4s4s", offset + len(body), 0, 0x04400000, 0x6D6E7472, b"GRAY" if grey else b"RGB ", b"XYZ "
    )
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(D50_XYZ)
    return head.ljust(TAG_TABLE, b"\0") + table + body


def _to_d50(primaries: Chromaticities) -> Tuple[np.ndarray, np.ndarray]:
    """The XYZ of red, green and blue as columns, adapted to D50, and the adaptation. Raises ValueError."""
    values = np.asarray(primaries, np.float64).reshape(4, 2)
    if not np.isfinite(values).all() or (values[:, 1] <= 0).any():
        raise ValueError("chromaticities without luminance")
    xyz = np.stack([values[:, 0] / values[:, 1], np.ones(4), (1 - values.sum(axis=1)) / values[:, 1]])
    colours, white = xyz[:, :3], xyz[:, 3]
    if abs(np.linalg.det(colours)) < 1e-6:
        raise ValueError("primaries on one line")
    columns = colours * np.linalg.solve(colours, white)
    cones = (BRADFORD @ np.array(D50_XYZ)) / (BRADFORD @ white)
    adaptation = np.linalg.solve(BRADFORD, cones[:, np.newaxis] * BRADFORD)
    if np.abs(adaptation @ columns).max() > 100:
        raise ValueError("primaries beyond what a profile holds")
    return adaptation @ columns, adaptation


def _fixed(values: Any) -> bytes:
    """s15Fixed16Number each."""
    return np.rint(np.asarray(values, np.float64) * 65536).astype(">i4").tobytes()


def _xyz(values: Any) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _text(text: str) -> bytes:
    """multiLocalizedUnicodeType with one record, English."""
    content = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(content), 28) + content
