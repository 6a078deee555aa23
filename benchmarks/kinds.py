"""Where nifcodec wins and loses by the kind of picture: bytes at equal PSNR beside WebP, AVIF and lossless files."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Dict, List, Sequence

import numpy as np
from PIL import Image, features

from benchmarks.bdrate import front
from benchmarks.codecs import Codec, parse_codecs
from benchmarks.report import table
from benchmarks.rows import Row

LEVELS = (30.0, 35.0, 40.0, 45.0)
SETTINGS = {
    "nif": "0/10/20/30/40/50/60/70/80/90/100",
    "webp:m6": "0/5/15/30/45/60/75/85/92/96/100",
    "avif:s4:444:psnr": "0/10/25/40/55/70/80/90/97",
}
HEADINGS = ("picture", "pixels", "PNG", "WebP lossless", *(f"{level:.0f} dB" for level in LEVELS), "lossless from")


@dataclass(frozen=True)
class Points:
    """A codec on one picture: the files that no other one beats, by rising size and PSNR."""

    sizes: np.ndarray
    psnr: np.ndarray

    def bytes_at(self, level: float) -> float:
        """Bytes that give a PSNR, linear in their logarithm between two files; NaN above what the codec reaches.

        Below its smallest file that file's bytes: no smaller one is to be had.
        """
        if not len(self.psnr) or level > self.psnr[-1]:
            return math.nan
        return float(np.exp(np.interp(level, self.psnr, np.log(self.sizes))))

    def psnr_at(self, size: float) -> float:
        """The inverse; -infinity below the smallest file, infinity above the largest."""
        if not len(self.sizes) or size < self.sizes[0]:
            return -math.inf
        return math.inf if size > self.sizes[-1] else float(np.interp(np.log(size), np.log(self.sizes), self.psnr))


def codecs(fields: Sequence[str], effort: int, seed: int) -> List[Codec]:
    """Fields of nifcodec, then WebP, and AVIF where Pillow has it. Raises ConfigError, MissingDependencyError."""
    ours = [f"nif:{field}:e{effort}@{SETTINGS['nif']}" for field in fields]
    theirs = ["webp:m6"]
    if features.check("avif"):
        theirs.append("avif:s4:444:psnr")
    return parse_codecs(",".join([*ours, *(f"{name}@{SETTINGS[name]}" for name in theirs)]), seed)


def lossless_sizes(pixels: np.ndarray) -> Dict[str, int]:
    """Bytes of uint8 RGB (H, W, 3) as PNG, with a palette where that serves, and as lossless WebP."""
    picture = Image.fromarray(pixels)
    forms = [picture]
    if picture.getcolors(256):
        colours, indices = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
        paletted = Image.fromarray(indices.reshape(pixels.shape[:2]).astype(np.uint8))
        paletted.putpalette(colours.tobytes())
        forms.append(paletted)
    png = min(_size(form, format="PNG", optimize=True) for form in forms)
    return {"PNG": png, "WebP": _size(picture, format="WEBP", lossless=True, method=6, quality=100)}


def _size(picture: Image.Image, **options: object) -> int:
    buffer = io.BytesIO()
    picture.save(buffer, **options)  # type: ignore[arg-type]
    return len(buffer.getvalue())


def points(rows: Sequence[Row], codec: str, image: str) -> Points:
    """What was measured of a codec on a picture. A file without any error counts as one of infinite PSNR: left out."""
    own = [row for row in rows if row.codec == codec and row.image == image]
    sizes, psnr = front(np.array([row.bytes for row in own]), np.array([row.psnr_rgb for row in own]))
    return Points(sizes, psnr)


def markdown(rows: Sequence[Row], names: Sequence[str], lossless: Dict[str, Dict[str, int]]) -> str:
    """The table, a line a picture: bytes of all codecs at each level, the fewest in bold.

    Args:
        names: of the codecs; lossless files are compared with the first one.
        lossless: of each picture, bytes by format.
    """
    lines: List[List[str]] = []
    for image, sizes in lossless.items():
        each = [points(rows, name, image) for name in names]
        shape = next((f"{row.width}x{row.height}" for row in rows if row.image == image), "-")
        cells = [_beside([codec.bytes_at(level) for codec in each]) for level in LEVELS]
        from_here = each[0].psnr_at(min(sizes.values()))
        crossing = {-math.inf: "always", math.inf: "never"}.get(from_here, f"{from_here:.1f} dB")
        lines.append([image, shape, str(sizes["PNG"]), str(sizes["WebP"]), *cells, crossing])
    return table(HEADINGS, lines)


def _beside(sizes: Sequence[float]) -> str:
    known = [size for size in sizes if not math.isnan(size)]
    texts = ["-" if math.isnan(s) else f"**{s:.0f}**" if s == min(known) else f"{s:.0f}" for s in sizes]
    return " / ".join(texts)
