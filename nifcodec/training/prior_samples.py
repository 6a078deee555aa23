"""What a prior is trained on: contexts with their coefficients, and rebuilt planes with the planes they came from.

A picture is quantized as the closed form of the wavelet field does it, at random steps and dead zones, and its levels
are rebuilt in the decoder's integers, so that the networks see what they will see when a file is read.
"""

from __future__ import annotations

import os
from typing import Callable, Dict, Iterator, List, Sequence, Tuple

import numpy as np

from nifcodec.coding.compand import UNIT
from nifcodec.coding.neighbours import CONSTANTS, LAG, Band, LevelFeatures, feature_columns
from nifcodec.colour import to_rgb
from nifcodec.errors import ConfigError, ImageError
from nifcodec.fields.lifting import analyse_levels, synthesise_plane
from nifcodec.image import FORMATS, read_image

__all__ = ["BANDS", "CONSTANTS", "Key", "contexts", "filter_patches", "split", "step_feature"]

BANDS = [Band(colour, orientation) for colour in range(3) for orientation in range(3)]
GROUPS = 3  # levels from the third on share their networks
Key = Tuple[int, int, int, int]  # colour, orientation, level group, odd columns
Found = Dict[Key, List[Tuple[np.ndarray, np.ndarray]]]

# Rows: luma, red against blue, green against both; orthonormal once each is divided by its norm.
OPPONENT = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
OPPONENT /= np.sqrt((OPPONENT**2).sum(axis=1, keepdims=True))

MIDDLE_STEP = 0.17  # of coefficients of pictures in 0..1: a photograph at about 0.5 bit a pixel
LARGE = 400_000  # pixels from which a picture counts as large: it gives more samples, and a crop bounds the memory
CONTEXT_CROP, FILTER_CROP, PATCH = 576, 448, 96
PER_LEVEL = 1400  # coefficients of a pass that a level of a picture gives on average
ROW_SHARE = 0.1  # at least this share of a level's rows is looked at: neighbours in one row are nearly the same sample


def step_feature(step: float) -> int:
    """What the networks are told of a quantization step: 24 units an octave, 0..127."""
    return int(np.clip(np.rint(64 + 24 * np.log2(step / MIDDLE_STEP)), 0, 127))


def split(folders: Sequence[str], holdout: Sequence[int], limit: "int | None") -> Tuple[List[str], List[str]]:
    """Sorted pictures of the folders -> (for training, held out): every `holdout[i]`-th of folder i is held out.

    Raises ConfigError for a folder that is named kodak, does not exist or has fewer than two pictures.
    """
    training: List[str] = []
    held_out: List[str] = []
    for folder, every in zip(folders, holdout):
        if "kodak" in os.path.realpath(folder).lower().split(os.sep):
            raise ConfigError(f"{folder}: the Kodak images measure the codec and must not train it: leave them out")
        if not os.path.isdir(folder):
            raise ConfigError(f"{folder} is no folder: name folders of pictures")
        names = sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in FORMATS)
        paths = [os.path.join(folder, name) for name in names][:limit]
        if len(paths) < 2:
            raise ConfigError(
                f"{folder} has {len(paths)} pictures: at least one to train and one to hold out are needed"
            )
        held_out += paths[::every]
        training += [path for index, path in enumerate(paths) if index % every]
    return training, held_out


def opponent_planes(rgb: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> float64 (3, H, W): opponent colours about mid-grey."""
    return np.ascontiguousarray(np.moveaxis((rgb.astype(np.float64) / 255 - 0.5) @ OPPONENT.T, -1, 0))


def _load(path: str, crop: int, rng: np.random.Generator) -> Tuple[np.ndarray, bool]:
    """A picture's RGB, cropped at random where it is large, and whether it is. Raises ImageError below a patch."""
    rgb = to_rgb(read_image(path).pixels)
    if min(rgb.shape[:2]) < PATCH:
        raise ImageError(f"{path} is smaller than {PATCH}x{PATCH}: leave it out")
    large = rgb.shape[0] * rgb.shape[1] >= LARGE
    if large:
        y, x = (int(rng.integers(0, max(1, side - crop + 1))) for side in rgb.shape[:2])
        rgb = rgb[y : y + crop, x : x + crop]
    return rgb, large


def _random_step(rng: np.random.Generator, low: float, high: float) -> float:
    """Steps: two thirds within the usual range of about 2.5 octaves, the others between `low` and `high`."""
    wide = rng.random() < 0.35
    return MIDDLE_STEP * 2.0 ** (rng.uniform(low, high) if wide else rng.uniform(-1.2, 1.4))


class Analysed:
    """A picture's coefficients; `sizes` are the (H, W) of each level's low-pass plane, finest first."""

    def __init__(self, rgb: np.ndarray) -> None:
        self.planes = opponent_planes(rgb)
        height, width = rgb.shape[:2]
        self.sizes: List[Tuple[int, int]] = []
        while max(height, width) > 8:
            height, width = (height + 1) // 2, (width + 1) // 2
            self.sizes.append((height, width))
        self.low, self.details = analyse_levels(self.planes, len(self.sizes))

    def quantize(
        self, step: float, threshold: float
    ) -> Tuple[List[Dict[Band, np.ndarray]], List[np.ndarray], np.ndarray]:
        """Integers of each level, its low-pass plane and the final planes, both in 1/UNIT steps.

        A magnitude is rounded up from `threshold` on: 0.5 is plain rounding, more is a dead zone.
        """

        def integers(values: np.ndarray, limit: float) -> np.ndarray:
            return (np.sign(values) * np.floor(np.abs(values) / step + 1 - limit)).astype(np.int64)

        symbols = [
            {band: integers(level[band.orientation][band.colour], threshold) for band in BANDS}
            for level in self.details
        ]
        plane = integers(self.low, 0.5) * UNIT
        lows: List[np.ndarray] = []
        for level in reversed(symbols):
            lows.append(plane)
            horizontal, vertical, diagonal = (
                np.stack([level[Band(colour, orientation)] for colour in range(3)]) * UNIT for orientation in range(3)
            )
            plane = synthesise_plane(plane, (horizontal, vertical, diagonal))
        return symbols, lows[::-1], plane


def _picture_contexts(path: str, rng: np.random.Generator, found: Found) -> None:
    rgb, large = _load(path, CONTEXT_CROP, rng)
    picture = Analysed(rgb)
    for _ in range(3 if large else 1):
        step = _random_step(rng, -3, 2)
        symbols, lows, _ = picture.quantize(step, rng.uniform(0.56, 0.68))
        for level, planes in enumerate(symbols):
            coarser = symbols[level + 1] if level + 1 < len(symbols) else {}
            coarsest = symbols[level + 2] if level + 2 < len(symbols) else {}
            low = {colour: lows[level][colour] for colour in range(3)}
            features = LevelFeatures(picture.sizes[level], BANDS, low, coarser, coarsest)
            features.set_all(planes)
            height, width = picture.sizes[level]
            share = min(1.0, PER_LEVEL * (2 if large else 1) * 2 / (height * width))
            rows = max(share, ROW_SHARE) if features.rows > 40 else 1.0
            for row in np.flatnonzero(rng.random(features.rows) < rows):
                _row_contexts(features, planes, int(row), level, step, share / rows, rng, found)


def _row_contexts(
    features: LevelFeatures,
    planes: Dict[Band, np.ndarray],
    row: int,
    level: int,
    step: float,
    share: float,
    rng: np.random.Generator,
    found: Found,
) -> None:
    for odd in (0, 1):
        vectors = features.gather(row, bool(odd), step_feature(step), min(level, 6) * 20)
        for index, band in enumerate(BANDS):
            y, plane = row - LAG * index, planes[band]
            if not 0 <= y < plane.shape[0]:
                continue
            values = plane[y, odd::2]
            # Nearly all fine chroma coefficients are zero: fewer of them say the same.
            chosen = rng.random(len(values)) < share * (0.3 if band.is_chroma and level < 2 else 1.0)
            if not chosen.any():
                continue
            columns = feature_columns(band, bool(odd), features.near_length)
            sample = vectors[index, : len(values)][chosen][:, columns].astype(np.int8)
            key = (band.colour, band.orientation, min(level, GROUPS - 1), odd)
            found.setdefault(key, []).append((sample, values[chosen].astype(np.int16)))


def contexts(
    paths: Sequence[str], seed: int, report: Callable[[int, int], None]
) -> Iterator[Tuple[Key, np.ndarray, np.ndarray]]:
    """Samples of each network: its key, features int8 (samples, features), coefficients int16 (samples,).

    A picture's samples depend on the seed and its place in `paths`. The memory of a network's samples is released
    when the next one's are asked for.
    """
    found: Found = {}
    for index, path in enumerate(paths):
        _picture_contexts(path, np.random.default_rng([seed, index]), found)
        report(index + 1, len(paths))
    for key in sorted(found):
        parts = found.pop(key)
        yield key, np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def filter_patches(
    paths: Sequence[str], seed: int, report: Callable[[int, int], None]
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rebuilt and original planes in steps, float32 (N, PATCH, PATCH, 3), shuffled, and step features float32 (N,)."""
    rebuilt, originals, steps = [], [], []
    for index, path in enumerate(paths):
        rng = np.random.default_rng([seed, 1, index])
        crops = 6
        while crops:
            rgb, large = _load(path, FILTER_CROP, rng)
            picture = Analysed(rgb)
            for _ in range(3):
                step = _random_step(rng, -2.5, 1.8)
                _, _, planes = picture.quantize(step, rng.uniform(0.56, 0.68))
                for _ in range(4):
                    y, x = (2 * int(rng.integers(0, (side - PATCH) // 2 + 1)) for side in rgb.shape[:2])
                    patch = np.s_[:, y : y + PATCH, x : x + PATCH]
                    rebuilt.append(np.moveaxis(planes[patch] / UNIT, 0, -1).astype(np.float32))
                    originals.append(np.moveaxis(picture.planes[patch] / step, 0, -1).astype(np.float32))
                    steps.append(step_feature(step))
            crops = crops - 1 if large else 0
        report(index + 1, len(paths))
    order = np.random.default_rng([seed, 2]).permutation(len(steps))
    gathered = []
    for parts in (rebuilt, originals):
        gathered.append(np.stack([parts[i] for i in order]))
        parts.clear()
    return gathered[0], gathered[1], np.array(steps, np.float32)[order]
