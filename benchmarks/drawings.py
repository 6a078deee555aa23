"""Pictures that are no photographs, drawn by script: the same on every run of one version of Pillow."""

from __future__ import annotations

from typing import Callable, Dict, Mapping, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = Tuple[int, int, int]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
TEXT = "the field of a picture is fitted once and read at any size by those who hold its file and nothing else"
FINE = 4  # drawn so many times larger and reduced, where edges are to be smooth


def _canvas(width: int, height: int, colour: Colour = WHITE) -> "Tuple[Image.Image, ImageDraw.ImageDraw]":
    picture = Image.new("RGB", (width, height), colour)
    return picture, ImageDraw.Draw(picture)


def _sentence(random: np.random.Generator, words: int) -> str:
    return " ".join(random.choice(TEXT.split()) for _ in range(words)).capitalize() + "."


def _reduced(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // FINE, picture.height // FINE), Image.Resampling.BOX)


def screenshot() -> Image.Image:
    """A window with title bar, menu, list, text and a button on a plain desktop, 480x320."""
    random = np.random.default_rng(1)
    picture, draw = _canvas(480, 320, (43, 87, 122))
    font, small = ImageFont.load_default(12), ImageFont.load_default(10)
    draw.rounded_rectangle((14, 12, 465, 296), 6, (246, 246, 246), (90, 90, 90))
    draw.rounded_rectangle((14, 12, 465, 36), 6, (222, 221, 218), (90, 90, 90))
    draw.text((200, 17), "Notes - draft 3", (40, 40, 40), font)
    for index, colour in enumerate(((237, 106, 94), (245, 191, 79), (98, 197, 84))):
        draw.ellipse((24 + 18 * index, 19, 35 + 18 * index, 30), colour)
    for index, name in enumerate(("File", "Edit", "View", "Insert", "Help")):
        draw.text((24 + 44 * index, 40), name, (30, 30, 30), font)
    draw.rectangle((15, 58, 130, 295), (235, 237, 240))
    for index in range(10):
        top = 64 + 22 * index
        if index == 3:
            draw.rectangle((15, top - 3, 130, top + 16), (53, 132, 228))
        draw.text((24, top), _sentence(random, 3)[:-1], WHITE if index == 3 else (50, 50, 50), small)
    for line in range(12):
        draw.text((142, 66 + 16 * line), _sentence(random, 9)[:52], BLACK, font)
    draw.rounded_rectangle((370, 266, 450, 288), 4, (53, 132, 228))
    draw.text((392, 270), "Save", WHITE, font)
    draw.rectangle((0, 304, 479, 319), (30, 30, 30))
    draw.text((430, 306), "12:47", WHITE, small)
    return picture


def line_drawing() -> Image.Image:
    """Thin dark curves and hatching on white, smooth edges, 400x300."""
    random = np.random.default_rng(2)
    picture, draw = _canvas(400 * FINE, 300 * FINE)
    for _ in range(14):
        x, y = random.uniform(0, 1600), random.uniform(0, 1200)
        angles = np.linspace(0, 2 * np.pi, 200)
        waves = 1 + 0.25 * np.sin(random.integers(2, 7) * angles + random.uniform(0, 6))
        radius = random.uniform(100, 320) * waves
        points = zip((x + radius * np.cos(angles)).tolist(), (y + radius * np.sin(angles)).tolist())
        draw.line(list(points), (20, 20, 30), int(random.integers(4, 9)), "curve")
    for offset in range(0, 360, 24):
        draw.line((1000 + offset, 780, 860 + offset, 1100), (20, 20, 30), 4)
    return _reduced(picture)


def flat() -> Image.Image:
    """Large shapes of nine plain colours with smooth edges, as on a poster, 400x300."""
    random = np.random.default_rng(3)
    palette = [tuple(int(value) for value in random.integers(30, 240, 3)) for _ in range(9)]
    picture, draw = _canvas(400 * FINE, 300 * FINE, palette[0])
    for index in range(18):
        x, y, size = random.uniform(0, 1600), random.uniform(0, 1200), random.uniform(120, 420)
        colour = palette[1 + index % 8]
        if index % 3 == 0:
            draw.ellipse((x - size, y - size, x + size, y + size), colour)
        else:
            draw.regular_polygon((x, y, size), 3 + index % 4, int(random.integers(0, 360)), colour)
    return _reduced(picture)


def chart() -> Image.Image:
    """Three noisy curves over a grid, with axes, a legend and text, smooth edges, 480x320."""
    random = np.random.default_rng(4)
    lines, draw = _canvas(480 * FINE, 320 * FINE)
    left, top, right, bottom = 50 * FINE, 36 * FINE, 460 * FINE, 280 * FINE
    for step in range(7):
        y = top + (bottom - top) * step // 6
        draw.line((left, y, right, y), (220, 220, 220), FINE)
    x = np.linspace(left, right, 60)
    colours = ((0, 114, 178), (213, 94, 0), (0, 158, 115))
    for index, colour in enumerate(colours):
        y = bottom - (bottom - top) * (0.2 + 0.2 * index + np.cumsum(random.normal(0.004, 0.02, 60)))
        draw.line(list(zip(x.tolist(), y.tolist())), colour, 2 * FINE, "curve")
    draw.line((left, top, left, bottom, right, bottom), (60, 60, 60), FINE)
    picture = _reduced(lines)
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(14), ImageFont.load_default(10)
    draw.text((150, 10), "Rate by quality, three codecs", BLACK, font)
    for step in range(7):
        draw.text((24, 274 - 40.6 * step), f"{10 * step}", (60, 60, 60), small)
        draw.text((46 + 66 * step, 284), f"{20 + 5 * step}", (60, 60, 60), small)
    draw.text((210, 302), "quality (dB)", BLACK, small)
    for index, colour in enumerate(colours):
        draw.line((64, 52 + 14 * index, 84, 52 + 14 * index), colour, 2)
        draw.text((90, 46 + 14 * index), ("first", "second", "third")[index], BLACK, small)
    return picture


def gradient() -> Image.Image:
    """Three slow ramps and a soft light, rounded to 8 bits without noise, 400x300."""
    y, x = np.mgrid[0:300, 0:400] / 400.0
    light = np.exp(-((x - 0.6) ** 2 + (y - 0.25) ** 2) / 0.08)
    planes = [60 + 90 * x + 70 * light, 90 + 60 * y + 60 * light, 150 - 50 * x * y + 40 * light]
    return Image.fromarray(np.rint(np.stack(planes, axis=-1)).astype(np.uint8))


def dithered() -> Image.Image:
    """A shaded ball in black and white dots (Floyd and Steinberg), 320x240."""
    y, x = np.mgrid[0:240, 0:320] / 240.0
    height = np.sqrt(np.clip(0.16 - (x - 0.66) ** 2 - (y - 0.5) ** 2, 0, None))
    ball = np.clip(0.15 + 1.6 * (0.5 * height - 0.35 * (x - 0.66) - 0.45 * (y - 0.5)), 0, 1)
    shade = np.where(height > 0, ball, 0.3 + 0.5 * y)
    return Image.fromarray((255 * shade).astype(np.uint8)).convert("1").convert("RGB")


def icon() -> Image.Image:
    """A potion in twelve colours, pixel by pixel, 64x64."""
    random = np.random.default_rng(5)
    picture, draw = _canvas(64, 64, (34, 32, 52))
    draw.ellipse((14, 22, 49, 57), (155, 173, 183), BLACK)
    draw.rectangle((26, 8, 37, 26), (155, 173, 183), BLACK)
    draw.rectangle((24, 6, 39, 10), (143, 86, 59), BLACK)
    draw.rectangle((27, 20, 36, 30), (155, 173, 183))
    draw.pieslice((17, 25, 46, 54), -10, 190, (172, 50, 50))
    draw.line((17, 37, 46, 37), (217, 87, 99))
    for _ in range(22):
        px, py = (int(value) for value in random.integers((20, 39), (44, 52)))
        draw.point((px, py), ((223, 113, 38), (251, 242, 54), (217, 87, 99))[px % 3])
    draw.line((20, 32, 23, 28), WHITE)
    draw.line((20, 33, 20, 36), (203, 219, 252))
    for px, py in random.integers(0, 64, (24, 2)).tolist():
        if not (12 < px < 52 and 4 < py < 60):
            draw.point((px, py), (95, 205, 228))
    return picture


DRAWINGS: Mapping[str, Callable[[], Image.Image]] = {
    "screenshot": screenshot,
    "line drawing": line_drawing,
    "flat": flat,
    "chart": chart,
    "gradient": gradient,
    "dithered": dithered,
    "icon": icon,
}


def render() -> Dict[str, np.ndarray]:
    """uint8 RGB (H, W, 3) of each drawing, by name."""
    return {name: np.asarray(draw()) for name, draw in DRAWINGS.items()}
