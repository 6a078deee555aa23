"""What a prior is trained on: contexts with their coefficients, and rebuilt planes with the planes they came from.

A picture is visited several times: mirrored or not, cropped to another phase of the lattice, at another step. It is
quantized as the encoder does it, under an earlier prior, or by a dead zone where there is none yet; its levels are
rebuilt in the decoder's integers, so that the networks see what they will see when a file is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import PIL.Image

from nifcodec.errors import ConfigError, ImageError
from nifcodec.fields.training_run import pictures_of
from nifcodec.fields.wavelet.coding.bitstream import used_bands
from nifcodec.fields.wavelet.coding.context_model import GROUPS, Key
from nifcodec.fields.wavelet.coding.neighbours import WAVEFRONT_LAG, LevelFeatures, feature_columns
from nifcodec.fields.wavelet.coding.wavefront import Conditions, level_feature
from nifcodec.fields.wavelet.description import INDICES_PER_OCTAVE, WaveletDescription
from nifcodec.fields.wavelet.lattice import UNIT, BandValues, Lattice
from nifcodec.fields.wavelet.lifting import analyse_levels
from nifcodec.fields.wavelet.planes import plane_ids, to_planes
from nifcodec.fields.wavelet.priors import Prior
from nifcodec.fields.wavelet.search.coding import Coding
from nifcodec.fields.wavelet.search.rdoq import quantize_bands
from nifcodec.fields.wavelet.search.trellis import requantize_bands
from nifcodec.picture.colour import to_rgb
from nifcodec.picture.read import read_image
from nifcodec.picture.write import FORMATS

# Of each network: features, values in half steps, kinds of quantizer.
Samples = Dict[Key, List[Tuple[np.ndarray, np.ndarray, np.ndarray]]]

MIDDLE_STEP = 0.17  # of coefficients of pictures in 0..1: a photograph at about 0.5 bit a pixel
LARGE = 400_000  # pixels from which a picture counts as large: it is visited more often, in crops
VISITS, LARGE_VISITS, CROP, PATCH = 4, 12, 576, 96
SHRUNK, SMALLEST = 0.4, 0.55  # share of the visits that see the picture reduced, and the least factor of it
PATCHES = 4  # of a visit
PHASE = 8  # pixels, by up to which a crop begins later: another phase of the lattice's first levels
PER_LEVEL = 1500  # coefficients of a pass that a level of a picture gives on average
FRONT_SHARE = 0.25  # least share of a level's fronts that is looked at: neighbours in one are nearly the same sample
DEAD_ZONES = (0.56, 0.68)
WEIGHTS = (0.06, 0.15)  # of a bit, in squared steps, about what the encoder takes
DEPENDENT_SHARE = 0.5  # of the visits under a prior, quantized dependently
DEPENDENT_WEIGHTS = (0.04, 0.1)  # the same there, where steps are wider


@dataclass
class Patches:
    """Rebuilt and original planes in steps, float16 (PATCH, PATCH, 3) each, and step features."""

    rebuilt: List[np.ndarray]
    originals: List[np.ndarray]
    features: List[int]


def split(folders: Sequence[str], holdout: Sequence[int], limit: "int | None") -> Tuple[List[str], List[str]]:
    """Sorted pictures of the folders -> (for training, held out): every `holdout[i]`-th of folder i is held out.

    Raises ConfigError for a folder that is named kodak, does not exist or has fewer than two pictures.
    """
    training: List[str] = []
    held_out: List[str] = []
    for folder, every in zip(folders, holdout):
        paths = pictures_of(folder, FORMATS)[:limit]
        if len(paths) < 2:
            raise ConfigError(
                f"{folder} has {len(paths)} pictures: at least one to train and one to hold out are needed"
            )
        held_out += paths[::every]
        training += [path for index, path in enumerate(paths) if index % every]
    return training, held_out


def _load(path: str, rng: np.random.Generator) -> Tuple[np.ndarray, bool]:
    """A random crop of a picture's RGB, reduced and mirrored by chance, and whether the picture is large.

    A reduced picture is as sharp as one of a better camera. Raises ImageError if the picture is too small.
    """
    rgb = to_rgb(read_image(path).pixels)
    if min(rgb.shape[:2]) < PATCH + PHASE:
        raise ImageError(f"{path} is smaller than {PATCH + PHASE} pixels: leave it out")
    large = rgb.shape[0] * rgb.shape[1] >= LARGE
    if rng.random() < SHRUNK:
        factor = max(rng.uniform(SMALLEST, 1.0), (PATCH + PHASE) / min(rgb.shape[:2]))
        size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
        rgb = np.asarray(PIL.Image.fromarray(rgb).resize(size, PIL.Image.Resampling.LANCZOS))
    height, width = (min(side - PHASE, CROP) if large else side - PHASE for side in rgb.shape[:2])
    y, x = int(rng.integers(0, rgb.shape[0] - height + 1)), int(rng.integers(0, rgb.shape[1] - width + 1))
    rgb = rgb[y : y + height, x : x + width]
    return (rgb[:, ::-1] if rng.random() < 0.5 else rgb), large


def _random_step(rng: np.random.Generator) -> WaveletDescription:
    """Steps: two thirds within the usual range of about 2.5 octaves, the others within 5."""
    octaves = rng.uniform(-3, 2) if rng.random() < 0.35 else rng.uniform(-1.2, 1.4)
    return WaveletDescription(round(INDICES_PER_OCTAVE * (np.log2(MIDDLE_STEP) + octaves + 8)), b"")


def _visit(
    path: str, seed: Sequence[int], number: int, prior: Optional[Prior], samples: Samples, patches: Patches
) -> bool:
    """Add what one visit of a picture gives; whether the picture has another visit to come.

    Args:
        seed: the run's seed and the picture's place.
        number: of the visit, from 0.
        prior: under which the picture is quantized.
    """
    rng = np.random.default_rng([*seed, number])
    rgb, large = _load(path, rng)
    lattice = Lattice(rgb.shape[1], rgb.shape[0], plane_ids(3))
    planes = to_planes(rgb.astype(np.float32) / np.float32(255))
    low, details = analyse_levels(planes, lattice.levels)
    spec = _random_step(rng)
    step = spec.step
    scaled = [{band: values / step for band, values in bands.items()} for bands in lattice.by_band(details)]
    dependent = prior is not None and rng.random() < DEPENDENT_SHARE
    kinds: List[BandValues] = [{band: np.zeros(values.shape, np.int8) for band, values in b.items()} for b in scaled]
    if prior is None:
        levels = [{band: _dead_zone(values, rng.uniform(*DEAD_ZONES)) for band, values in b.items()} for b in scaled]
    else:
        coding = Coding.of_root(lattice, Conditions(prior.context, spec.step_feature), low / step)
        quantized = quantize_bands(coding, scaled, rng.uniform(*WEIGHTS))
        if dependent:
            lagrangian = rng.uniform(*DEPENDENT_WEIGHTS)
            quantized = requantize_bands(coding.quantized_by(dependent=True), scaled, lagrangian, quantized)
            # What is not coded has no quantizer, and is no sample.
            coded = used_bands(lattice, quantized.levels)
            kinds = [{b: c[2] for b, c in bands.items() if b in coded[i]} for i, bands in enumerate(quantized.contexts)]
        levels = quantized.levels
    plane = np.rint(low / step).astype(np.int64) * UNIT
    for level in range(lattice.levels - 1, -1, -1):
        _level_samples(lattice, level, levels, kinds[level], plane, spec.step_feature, rng, samples)
        plane = lattice.rebuild(plane, levels[level], level)
    for _ in range(PATCHES):
        y, x = (2 * int(rng.integers(0, (side - PATCH) // 2 + 1)) for side in rgb.shape[:2])
        patch = np.s_[:, y : y + PATCH, x : x + PATCH]
        patches.rebuilt.append(np.moveaxis(plane[patch] / UNIT, 0, -1).astype(np.float16))
        patches.originals.append(np.moveaxis(planes[patch] / step, 0, -1).astype(np.float16))
        patches.features.append(spec.step_feature)
    return number + 1 < (LARGE_VISITS if large else VISITS)


def _dead_zone(values: np.ndarray, threshold: float) -> np.ndarray:
    """Half steps. A magnitude is rounded up from `threshold` on: 0.5 is plain rounding."""
    return (2 * np.sign(values) * np.floor(np.abs(values) + 1 - threshold)).astype(np.int32)


def _level_samples(
    lattice: Lattice,
    level: int,
    levels: Sequence[BandValues],
    kinds: BandValues,
    plane: np.ndarray,
    step_feature: int,
    rng: np.random.Generator,
    samples: Samples,
) -> None:
    coarser = levels[level + 1] if level + 1 < len(levels) else {}
    coarsest = levels[level + 2] if level + 2 < len(levels) else {}
    height, width = lattice.sizes[level + 1]
    low = dict(enumerate(plane))
    features = LevelFeatures((height, width), lattice.bands, low, coarser, coarsest)
    features.set_all(levels[level])
    share = min(1.0, PER_LEVEL * 2 / (height * width))
    shown = max(share, FRONT_SHARE) if features.fronts > 40 else 1.0
    for front in np.flatnonzero(rng.random(features.fronts) < shown).tolist():
        for odd in (0, 1):
            vectors = features.gather(front, bool(odd), step_feature, level_feature(level))
            for index, band in enumerate(lattice.bands):
                y, plane_of_band = front - WAVEFRONT_LAG * index, levels[level][band]
                if band not in kinds or not 0 <= y < plane_of_band.shape[0]:
                    continue
                values = plane_of_band[y, odd::2]
                # Nearly all fine chroma coefficients are zero: fewer of them say the same.
                chosen = rng.random(len(values)) < share / shown * (0.3 if band.is_chroma and level < 2 else 1.0)
                if not chosen.any():
                    continue
                columns = feature_columns(band, bool(odd), features.near_length)
                sample = vectors[index, : len(values)][chosen][:, columns].astype(np.int8)
                key = (band.plane, band.orientation, min(level, GROUPS - 1), odd)
                kind = kinds[band][y, odd::2][chosen].astype(np.int8)
                samples.setdefault(key, []).append((sample, values[chosen].astype(np.int16), kind))


def gather(
    paths: Sequence[str], seed: int, prior: Optional[Prior], report: Callable[[int, int], None]
) -> Tuple[Samples, Patches]:
    """Every visit of every picture. A picture's samples depend on the seed and its place in `paths`."""
    samples: Samples = {}
    patches = Patches([], [], [])
    for index, path in enumerate(paths):
        number = 0
        while _visit(path, (seed, index), number, prior, samples, patches):
            number += 1
        report(index + 1, len(paths))
    return samples, patches
