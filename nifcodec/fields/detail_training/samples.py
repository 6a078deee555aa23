"""What a detail network is trained on: halved pictures as this codec decodes them, and the pictures themselves.

A picture is visited several times: mirrored and turned, reduced or not, halved by one of several kernels, since nobody
knows what a camera did, and coded at another quality. Some visits see drawings in place of photographs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import PIL.Image

from nifcodec.config import EncodeConfig
from nifcodec.container import NifFile, pack
from nifcodec.fields import families
from nifcodec.fields.detail_training.drawings import drawing
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import CodedField, Goal
from nifcodec.fields.wavelet.description import unpack_description
from nifcodec.picture.colour import to_rgb
from nifcodec.picture.read import read_image
from nifcodec.picture.signal import to_signal

KERNELS = (PIL.Image.Resampling.BOX, PIL.Image.Resampling.BICUBIC, PIL.Image.Resampling.LANCZOS)
QUALITIES = (40.0, 60.0, 85.0, 95.0)  # of what is held out
PATCH = 44  # samples a side of a patch before it is doubled
PATCHES = 8  # of a visit
VISITS, LARGE_VISITS = 4, 20
LARGE = 400_000  # pixels from which a picture counts as large: it is visited more often
CROP = 512  # pixels a side of what a visit sees at most
SHRUNK, SMALLEST = 0.4, 0.5  # share of the visits that see the picture reduced, and the least factor of it
DRAWINGS = 0.1  # drawings for each visit of a photograph
FINE_SHARE, FINE = 0.35, 80.0  # share of the visits at qualities from FINE on; the others are spread over all of them
COARSEST = 15.0  # quality


class Pair(NamedTuple):
    """A picture and its half as it was decoded.

    Attributes:
        decoded: float32 (H, W, 3), 1.0 white, not rounded to 8 bits.
        original: uint8 (2 H, 2 W, 3).
        log_step: log2 of the quantization step.
    """

    decoded: np.ndarray
    original: np.ndarray
    log_step: float


def visits(paths: Sequence[str], seed: int) -> List[Tuple[str, int]]:
    """The visits of all pictures in a random order: path, or "" for a drawing, and seed of the visit."""
    random = np.random.default_rng(seed)
    found: List[str] = []
    for path in paths:
        with PIL.Image.open(path) as picture:
            found += [path] * (LARGE_VISITS if picture.width * picture.height >= LARGE else VISITS)
    found += [""] * round(DRAWINGS * len(found))
    return [(found[index], int(random.integers(1 << 31))) for index in random.permutation(len(found))]


def patches(path: str, seed: int) -> Iterator[Pair]:
    """Patches of a visit: PATCH samples a side."""
    random = np.random.default_rng(seed)
    original = _turned(random, _crop(random, to_rgb(read_image(path).pixels)) if path else drawing(random))
    quality = random.uniform(FINE if random.random() < FINE_SHARE else COARSEST, 100)
    decoded, log_step = decode_half(original, KERNELS[int(random.integers(len(KERNELS)))], quality)
    for _ in range(PATCHES):
        top, left = (int(random.integers(side - PATCH + 1)) for side in decoded.shape[:2])
        inside = decoded[top : top + PATCH, left : left + PATCH]
        yield Pair(inside, original[2 * top : 2 * (top + PATCH), 2 * left : 2 * (left + PATCH)], log_step)


def held_out(path: str) -> Iterator[Pair]:
    """The middle of a picture at QUALITIES, halved by area and by the bicubic kernel."""
    rgb = to_rgb(read_image(path).pixels)
    height, width = (min(side, CROP) // 2 * 2 for side in rgb.shape[:2])
    top, left = ((side - part) // 2 for side, part in zip(rgb.shape[:2], (height, width)))
    original = rgb[top : top + height, left : left + width]
    for quality in QUALITIES:
        for kernel in KERNELS[:2]:
            decoded, log_step = decode_half(original, kernel, quality)
            yield Pair(decoded, original, log_step)


def decode_half(original: np.ndarray, kernel: "PIL.Image.Resampling", quality: float) -> Tuple[np.ndarray, float]:
    """A picture of even sides, halved, coded and decoded: float32 samples, and log2 of the step."""
    height, width = (side // 2 for side in original.shape[:2])
    half = np.asarray(PIL.Image.fromarray(original).resize((width, height), kernel))
    signal, family = to_signal(half, 8, "auto"), families.named("wavelet")
    head = NifFile(width, height, 3, 8, family.number, b"", b"")

    def packed(coded: CodedField) -> bytes:
        return pack(replace(head, description=coded.description, payload=coded.payload, index=coded.index))

    config = families.complete(EncodeConfig(field="wavelet", quality=quality, effort=1))
    goal = Goal.of(config, signal.pixels, packed, lambda data: 0.0)  # nothing is measured for a quality
    coded = family.encode(signal, goal, config, Hooks())
    file = replace(head, description=coded.description, payload=coded.payload, index=coded.index)
    us, vs = ((np.arange(side) + 0.5) / side for side in (width, height))
    return family.open(file).samples()(us, vs), float(np.log2(unpack_description(file.description).step))


def _crop(random: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """A random part of a picture, of even sides, reduced by chance: as sharp as one of a better camera."""
    if random.random() < SHRUNK:
        factor = max(random.uniform(SMALLEST, 1.0), 2.5 * PATCH / min(rgb.shape[:2]))
        size = round(rgb.shape[1] * factor), round(rgb.shape[0] * factor)
        rgb = np.asarray(PIL.Image.fromarray(rgb).resize(size, PIL.Image.Resampling.LANCZOS))
    sides = [min(side, CROP) // 2 * 2 for side in rgb.shape[:2]]
    top, left = (int(random.integers(whole - side + 1)) for whole, side in zip(rgb.shape[:2], sides))
    return rgb[top : top + sides[0], left : left + sides[1]]


def _turned(random: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """One of the eight ways a picture can lie."""
    turned = np.rot90(rgb, int(random.integers(4)))
    return np.ascontiguousarray(turned[:, ::-1] if random.integers(2) else turned)
