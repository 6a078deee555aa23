"""Random drawings: text, lines and shapes, whose edges a photograph does not have."""

from __future__ import annotations

import string
from typing import Tuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

SIDE = 256  # pixels
FINE = 4  # drawn so many times larger and reduced, where edges are to be smooth
LETTERS = string.ascii_letters + string.digits + "     .,;:-()"


def drawing(random: np.random.Generator) -> np.ndarray:
    """A drawing of up to forty things, uint8 (SIDE, SIDE, 3). Half of them have smooth edges, half whole pixels."""
    scale = FINE if random.random() < 0.5 else 1
    side = SIDE * scale
    picture = PIL.Image.new("RGB", (side, side), _paper(random))
    draw = PIL.ImageDraw.Draw(picture)
    for _ in range(int(random.integers(4, 40))):
        _THINGS[int(random.integers(len(_THINGS)))](random, draw, scale)
    return np.asarray(picture.resize((SIDE, SIDE), PIL.Image.Resampling.BOX))


def _paper(random: np.random.Generator) -> Tuple[int, int, int]:
    return (255, 255, 255) if random.random() < 0.4 else _colour(random)


def _colour(random: np.random.Generator) -> Tuple[int, int, int]:
    """Half of them grey."""
    if random.random() < 0.5:
        value = int(random.choice([0, 0, 20, 255, int(random.integers(256))]))
        return value, value, value
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue


def _place(random: np.random.Generator, scale: int) -> Tuple[int, int]:
    x, y = random.integers(-SIDE // 8, SIDE, 2).tolist()
    return scale * x, scale * y


def _text(random: np.random.Generator, draw: PIL.ImageDraw.ImageDraw, scale: int) -> None:
    font = PIL.ImageFont.load_default(scale * int(random.integers(9, 30)))
    colour, (x, y) = _colour(random), _place(random, scale)
    lines = ("".join(random.choice(list(LETTERS), 40)) for _ in range(int(random.integers(1, 6))))
    draw.multiline_text((x, y), "\n".join(lines), colour, font)


def _line(random: np.random.Generator, draw: PIL.ImageDraw.ImageDraw, scale: int) -> None:
    width = int(random.integers(scale, 5 * scale + 1))
    draw.line((_place(random, scale), _place(random, scale)), _colour(random), width)


def _grid(random: np.random.Generator, draw: PIL.ImageDraw.ImageDraw, scale: int) -> None:
    (x, y), colour = _place(random, scale), _colour(random)
    gap, width, side = scale * int(random.integers(3, 16)), scale * int(random.integers(1, 3)), scale * SIDE // 3
    for offset in range(0, side, gap):
        draw.line((x + offset, y, x + offset, y + side), colour, width)


def _box(random: np.random.Generator, draw: PIL.ImageDraw.ImageDraw, scale: int) -> None:
    (x, y), (width, height) = _place(random, scale), random.integers(4, SIDE // 2, 2).tolist()
    shape = draw.rectangle if random.random() < 0.5 else draw.ellipse
    shape((x, y, x + scale * width, y + scale * height), _colour(random))


_THINGS = (_text, _text, _line, _line, _grid, _box)
