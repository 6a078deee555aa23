"""Values of options: text to numbers. What is wrong is an ArgumentTypeError, a sentence with what to give."""

from __future__ import annotations

import argparse
from typing import Tuple

PICTURES = ("png", "jpg", "webp", "avif", "jxl", "tiff", "bmp", "ppm", "pgm", "jp2", "exr", "hdr")  # endings to write
SUFFIXES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def whole(text: str) -> int:
    """A whole number, or any number with k, M, G or T behind it, which stand for 10^3 to 10^12."""
    number, suffix = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    try:
        return round(float(number) * SUFFIXES[suffix]) if suffix else int(number)
    except (ValueError, KeyError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no whole number: give one, or a number with k, M, G or T behind it, as 1.5M"
        ) from None


def quality(text: str) -> float:
    """0 to 100."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number: give one from 0 to 100") from None
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} lies outside of 0 to 100")
    return value


def size(text: str) -> Tuple[int, int]:
    """Width and height of WxH."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not WxH: give width and height in pixels; a 0 keeps the aspect ratio, as in 512x0"
        ) from None
    return width, height


def crop(text: str) -> Tuple[int, int, int, int]:
    """Left, top, width and height of X,Y,W,H."""
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not X,Y,W,H: give left, top, width and height in pixels, as 10,20,300,200"
        ) from None
    return left, top, width, height
