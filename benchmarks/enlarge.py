"""Pictures above their native size: halved, coded, decoded at the size they had, and compared with what they were.

Beside the detail network stand the field's Lanczos kernel, and the resamplings of Pillow of the picture decoded at its
native size. A strip shows parts of pictures side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Dict, List, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw

import nifcodec
from benchmarks.rd import Picture
from benchmarks.report import table
from nifcodec.errors import ConfigError
from nifcodec.picture.metrics import ms_ssim, psnr

HALVINGS = {
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
RESAMPLINGS = {"Pillow bicubic": Image.Resampling.BICUBIC, "Pillow Lanczos": Image.Resampling.LANCZOS}
NETWORK, KERNEL = "network", "Lanczos kernel"
SIDE, GAP = 176, 6  # of a part of a strip and between two of them, in pixels of the strip


@dataclass(frozen=True)
class Setting:
    """How a picture is made small and coded."""

    scale: float
    quality: float
    halving: str


def run(
    pictures: Sequence[Picture], scales: Sequence[float], qualities: Sequence[float], halvings: Sequence[str]
) -> str:
    """The table: means over pictures and halvings.

    Raises ConfigError, before anything is measured, for a picture that is too small for one of the scales.
    """
    for picture in pictures:
        for scale in scales:
            try:
                _sides(picture.pixels, _factor(scale))
            except ConfigError as error:
                raise ConfigError(f"{picture.name}: {error}") from None
    names = [NETWORK, KERNEL, *RESAMPLINGS]
    lines = []
    for scale in scales:
        for quality in qualities:
            found = [
                _measured(picture.pixels, Setting(scale, quality, halving))
                for picture in pictures
                for halving in halvings
            ]
            means = {name: np.mean([each[name] for each in found], axis=0) for name in names}
            gain = means[NETWORK][0] - means[KERNEL][0]
            cells = [f"{means[name][0]:.2f} / {means[name][1]:.4f}" for name in names]
            lines.append([f"x{scale:g}", f"{quality:g}", *cells, f"{gain:+.2f} dB"])
            print("  ".join(lines[-1]), flush=True)
    return table(["scale", "quality", *names, "network over kernel"], lines)


def strip(parts: Sequence[Tuple[Picture, Tuple[int, int]]], scale: float, quality: float) -> Image.Image:
    """Parts of pictures, one a row: original, Lanczos kernel, network; each halved by area and coded before.

    Args:
        parts: pictures, and the left and top edge of what is shown, in their pixels.
    """
    width, height = 3 * (SIDE + GAP) - GAP, len(parts) * (SIDE + GAP) - GAP
    sheet = Image.new("RGB", (width, height + 16), (255, 255, 255))
    for row, (picture, (left, top)) in enumerate(parts):
        original, versions = enlarged(picture.pixels, Setting(scale, quality, "area"))
        for column, pixels in enumerate((original, versions[KERNEL], versions[NETWORK])):
            part = Image.fromarray(pixels[top : top + SIDE, left : left + SIDE])
            sheet.paste(part, (column * (SIDE + GAP), 16 + row * (SIDE + GAP)))
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(("original", KERNEL, f"detail network, x{scale:g}")):
        draw.text((column * (SIDE + GAP) + 2, 2), name, (0, 0, 0))
    return sheet


def enlarged(pixels: np.ndarray, setting: Setting) -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
    """A picture (H, W, 3), cropped so that it can be made small, and what its small one is enlarged to, by name."""
    factor = _factor(setting.scale)
    height, width = _sides(pixels, factor)
    original = pixels[:height, :width]
    size = int(width / factor), int(height / factor)
    small = np.asarray(Image.fromarray(original).resize(size, HALVINGS[setting.halving]))
    data = nifcodec.encode(small, nifcodec.EncodeConfig(quality=setting.quality, effort=1))
    versions = {
        NETWORK: nifcodec.decode(data, size=(width, height)),
        KERNEL: nifcodec.decode(data, size=(width, height), interpolation="lanczos"),
    }
    native = Image.fromarray(nifcodec.decode(data))
    for name, kernel in RESAMPLINGS.items():
        versions[name] = np.asarray(native.resize((width, height), kernel))
    return original, versions


def _factor(scale: float) -> Fraction:
    return Fraction(scale).limit_denominator(8)


def _sides(pixels: np.ndarray, factor: Fraction) -> Tuple[int, int]:
    """Height and width of what is left of a picture so that it can be made smaller by a factor. Raises ConfigError."""
    height, width = (side // factor.numerator * factor.numerator for side in pixels.shape[:2])
    if min(height, width) == 0:
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise ConfigError(f"{size} pixels are too few for scale {float(factor):g}: leave it out of --scales")
    return height, width


def _measured(pixels: np.ndarray, setting: Setting) -> Dict[str, List[float]]:
    """PSNR over RGB and MS-SSIM of each way to enlarge."""
    original, versions = enlarged(pixels, setting)
    return {name: [psnr(original, found), ms_ssim(original, found)] for name, found in versions.items()}
