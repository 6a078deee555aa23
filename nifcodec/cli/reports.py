"""What the commands print of a file: words for people, JSON for programs."""

from __future__ import annotations

import json
import math
from typing import Any, Dict

COLOUR_MEASURES = ("psnr_luma", "psnr_l", "psnr_ab")  # of BT.601 luma, and of CIE Lab


def print_json(row: Dict[str, Any]) -> None:
    """One line. JSON has no infinity: the PSNR of equal pictures is null, beside "identical": true."""
    plain = {name: None if value == math.inf else value for name, value in row.items()}
    if "psnr_rgb" in row:
        measured = row["psnr_log"] if row["psnr_rgb"] is None else row["psnr_rgb"]
        plain["identical"] = None if measured is None else measured == math.inf
    print(json.dumps(plain), flush=True)


def size_of(row: Dict[str, Any]) -> str:
    """Pixels, bytes and bits per pixel."""
    return f"{row['width']}x{row['height']}, {row['bytes']} bytes, {row['bpp']:.3f} bpp"


def measures(row: Dict[str, Any]) -> str:
    """What was measured, if anything."""
    if row["psnr_rgb"] is None and row["psnr_log"] is None:
        return "not measured"
    if row["psnr_rgb"] is None:
        return f"log {_decibels(row['psnr_log'])}, PU21 {_decibels(row['psnr_pu21'])}"
    words = [_decibels(row["psnr_rgb"]), f"MS-SSIM {row['ms_ssim']:.4f}"]
    words[1:1] = [
        f"{name} {_decibels(row[key])}" for name, key in zip(("luma", "L", "AB"), COLOUR_MEASURES) if key in row
    ]
    return ", ".join(words)


def parts(sizes: Dict[str, int]) -> str:
    """The bytes of each part."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def _decibels(psnr: float) -> str:
    return "identical" if psnr == math.inf else f"PSNR {psnr:.2f} dB"
