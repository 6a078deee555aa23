"""Writes the golden files, their digests and their pictures anew: `python -m tests.make_golden [NAME...]`.

Those of all fields, of some, `pyramid`, say, or single files. To be run after a change of format or prior, before a
release; `fourier` and `siren` need TensorFlow. Files of a released format are never written anew: they are decoded
forever.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Collection, Dict, List, Tuple
from unittest import mock

import numpy as np

from nifcodec import container, decoder, encoder
from nifcodec.config import EncodeConfig
from nifcodec.container import FLAT, NifFile
from nifcodec.exact.alpha_map import unpack as unpack_alpha
from nifcodec.exact.parts import ExactParts
from nifcodec.fields import families
from nifcodec.fields.families import configure
from nifcodec.fields.mlp.decode import MlpRender
from nifcodec.fields.parts import CodedPart, pack_parts, unpack_parts
from nifcodec.fields.pyramid import description as pyramid
from nifcodec.fields.pyramid import priors as pyramid_priors
from nifcodec.fields.pyramid.bitstream import decode_part, encode_part
from nifcodec.fields.pyramid.decode import PyramidRender
from nifcodec.fields.pyramid.grids import GROUPS, Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.laplacians import VALUE_LIMIT
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.tiling import at_level
from nifcodec.fields.pyramid.weights import QuantizedWeights
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.bitstream import decode_bands, decode_lattice
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.decode import TiledPlanes
from nifcodec.fields.wavelet.description import FAMILY_ID, unpack_description
from nifcodec.fields.wavelet.lattice import BandValues, Lattice
from nifcodec.fields.wavelet.planes import plane_ids
from nifcodec.fields.wavelet.tiling import TILE_LEVELS, Tiling
from nifcodec.picture.image import Image

FOLDER = Path(__file__).resolve().parent / "golden"
EXACT = "exact"
DIGESTS, PICTURES, DOUBLED = FOLDER / "digests.json", FOLDER / "pictures.npz", FOLDER / "doubled.npz"

LAYOUTS = {1: "grey", 2: "grey-alpha", 3: "rgb", 4: "rgba"}
DEPTHS = {8: np.uint8, 16: np.uint16, 32: np.float32}
SIZES = ((24, 16), (17, 9), (20, 12), (7, 19))  # width and height, by number of channels
MLP = {"field": "fourier", "width": 16, "layers": 2, "steps": 300, "batch_size": 512, "quality": 20}
PYRAMID = {"field": "pyramid", "steps": 40}
SMALL_TILES = {"largest_whole": 0, "tile_exponent": 7}
# By number of channels: each encoding, with a network that has no skip connection, one that joins the encoding to a
# layer of full width, and one that makes room for it.
FOURIER = (
    {"encoding": "none", "layers": 1},
    {"encoding": "powers", "dimension": 3, "layers": 2},
    {"encoding": "gaussian", "features": 6, "feature_scale": 1.5, "layers": 3},
    {"encoding": "powers", "dimension": 2, "sigma": 3.0, "layers": 4},
)
COLOURS, TRANSFERS = ("rgb", "ycocg", "yuv"), ("log", "linear", "pq")

Sources = Dict[str, Tuple[Image, EncodeConfig]]


def sources() -> Sources:
    """Picture and options of each file."""
    return {**pictures(), **every_layout(), **odd_ones(), **exact_ones(), **detailed()}


def pictures() -> Sources:
    """Files of some kB.

    `rgb` is wide enough for a linear algebra library to share a row among threads; `escapes` has noise, whose low bits
    are sent raw, and dots on black, which no context expects.
    """
    y, x = np.mgrid[0:48, 0:160] / 48.0
    random = np.random.default_rng(0)
    coloured = np.stack([shade(y, x) * (0.9 - 0.15 * channel) for channel in range(4)], axis=-1)
    textured = np.clip(255 * coloured + random.normal(0, 8, coloured.shape), 0, 255).astype(np.uint8)
    alpha = np.where(np.hypot(x[:31, :37] - 0.4, y[:31, :37] - 0.3) < 0.28, 255, 60 * y[:31, :37])
    dots = np.zeros((40, 32, 3), np.uint8)
    dots[:, 24:] = random.integers(0, 256, (40, 8, 3))
    dots[5::10, 3:24:7] = (255, 255, 0)
    rgba = np.concatenate([textured[:31, :37, :3], alpha[..., None].astype(np.uint8)], axis=-1)
    found = {
        "rgb": (textured[..., :3], 70),
        "grey": (textured[:33, :47, :1], 75),
        "rgba": (rgba, 80),
        "escapes": (dots, 100),
    }
    return {name: (Image(pixels), configure(quality=quality, effort=1)) for name, (pixels, quality) in found.items()}


def shade(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Waves and an edge, 0 to 1."""
    waves: np.ndarray = 0.5 + 0.3 * np.sin(5 * x + 3 * y) + 0.2 * (x + 0.7 * y > 1.6)
    return waves


def scene(width: int, height: int, channels: int, bits: int) -> Image:
    """The same scene at any size, in any layout; of 32 bits light of -0.1 to 8, alpha premultiplied."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height) * 2.0
    values = np.stack([shade(y, x) * (0.9 - 0.2 * channel) for channel in range(channels)], axis=-1)
    if channels in (2, 4):
        # Nothing and full are exact, beside the field: alpha lies between on one side.
        values[..., -1] = np.where(x < 0.8, np.clip(3.5 - 4 * np.hypot(x - 0.8, y - 0.5), 0, 1), x < 1.3)
    if bits < 32:
        return Image(np.rint(values * (2**bits - 1)).astype(DEPTHS[bits]))
    light = np.concatenate([9 * values[..., :3] ** 4 - 0.1, values[..., 3:]], axis=-1)
    if channels in (2, 4):
        light[..., -1:] = values[..., -1:]
        light[..., :-1] *= light[..., -1:]
    return Image(light.astype(np.float32))


def every_layout() -> Sources:
    """A file for each field, depth and layout of channels."""
    found = {}
    for row, bits in enumerate(DEPTHS):
        for channels, name in LAYOUTS.items():
            image = scene(*SIZES[channels - 1], channels, bits)
            transfer = TRANSFERS[(row + channels) % 3] if bits == 32 else "auto"
            colour = COLOURS[row] if channels > 2 else "rgb"
            fourier = {**FOURIER[channels - 1], "colour": colour, "transfer": transfer}
            siren = {"field": "siren", "omega": 8.0, "learning_rate": 5e-4, "seed": 1}
            configs = {
                "wavelet": configure(quality=70 if bits == 8 else 92, effort=1, transfer=transfer),
                "pyramid": configure(quality=70 if bits == 8 else 92, transfer=transfer, **PYRAMID),
                "fourier": configure(**{**MLP, **fourier}),
                "siren": configure(**{**MLP, **siren, "colour": colour, "transfer": transfer}),
            }
            for field, config in configs.items():
                found[f"{field}-{bits}-{name}"] = (image, config)
    return found


def odd_ones() -> Sources:
    """Sizes of one pixel, tiles, dependent quantization, metadata, and the example of FORMAT.md."""
    fast, pixel = configure(quality=70, effort=1), scene(1, 1, 3, 8)
    note = b"<x:xmpmeta>" + 20 * b" golden " + b"</x:xmpmeta>"
    return {
        "wavelet-pixel": (pixel, fast),
        "fourier-pixel": (pixel, configure(**{**MLP, "encoding": "powers", "dimension": 1, "width": 4})),
        "pyramid-pixel": (pixel, configure(quality=70, **PYRAMID)),
        "pyramid-tiles": (scene(134, 131, 1, 8), configure(quality=30, **PYRAMID, **SMALL_TILES)),
        "pyramid-tiles-row": (scene(268, 5, 4, 8), configure(quality=60, **PYRAMID, **SMALL_TILES)),
        "siren-pixel": (pixel, configure(**{**MLP, "field": "siren", "width": 4, "layers": 1})),
        "row": (scene(40, 1, 4, 8), fast),
        "column": (scene(1, 23, 1, 16), fast),
        "tiles": (scene(264, 136, 1, 8), configure(quality=15, effort=1, **SMALL_TILES)),
        "tiles-dependent": (scene(140, 20, 3, 8), configure(quality=70, effort=2, **SMALL_TILES)),
        "dependent": (scene(41, 26, 4, 8), replace(fast, quality=60, effort=2)),
        "dependent-fine": (scene(18, 21, 2, 16), replace(fast, quality=95, effort=2)),
        "example": (scene(9, 3, 1, 8), replace(fast, quality=70, effort=2)),
        "fine": (scene(20, 13, 3, 8), replace(fast, quality=3)),
        "fine-tiles": (scene(134, 5, 1, 8), configure(quality=3, effort=2, **SMALL_TILES)),
        "tiles-row": (scene(530, 5, 3, 8), configure(quality=80, effort=1, **SMALL_TILES)),
        "metadata": (replace(scene(8, 8, 1, 8), icc=b"profile", exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0", xmp=note), fast),
    }


def exact_ones() -> Sources:
    """Constant channels and maps of alpha, alone and together."""
    fast = configure(quality=70, effort=1)
    flat = np.empty((5, 300, 4), np.float32)
    flat[:] = (0.25, -1.5, 7.0, 1.0)
    opaque, two, one, edges, alone = (
        scene(*size, 4, 8).pixels for size in ((40, 9), (20, 12), (19, 18), (33, 18), (19, 9))
    )
    opaque[..., 3], two[..., 1], two[..., 3], one[..., :2] = 255, 200, 128, (255, 3)
    edges[..., 3] = np.where(edges[..., 3] > 99, 255, 0)
    light = scene(9, 13, 4, 32).pixels
    light[..., :3] = (0.0, 2.5, 0.0)
    alone[..., :3] = 0
    found = {"flat": flat, "flat-16": np.full((3, 4, 2), 65535, np.uint16), "opaque": opaque, "two-colours": two}
    found.update({"one-colour": one, "edges": edges, "alpha-alone": alone, "alpha-alone-light": light})
    found["noise"] = np.full((17, 21, 2), 9, np.uint8)
    found["noise"][..., 1] = np.random.default_rng(1).choice(np.array([0, 7, 255], np.uint8), (17, 21))
    return {f"exact-{name}": (Image(pixels), fast) for name, pixels in found.items()}


def all_in_the_field(image: Image, config: EncodeConfig) -> bytes:
    """The file of a picture of which the field holds constants too, as an encoder makes none."""
    with mock.patch.object(encoder, "separate", lambda pixels: (ExactParts(), pixels)):
        return encoder.encode(image, config)


def detailed() -> Sources:
    """Files that are decoded at scale 2 too, by the detail network that they name."""
    fine = configure(quality=88, effort=1)
    return {
        "detail-rgb": (scene(29, 18, 3, 8), fine),
        "detail-rgba": (scene(19, 14, 4, 8), replace(fine, quality=50)),
        "detail-16-grey": (scene(17, 9, 1, 16), replace(fine, quality=97)),
        "detail-32-grey-alpha": (scene(12, 11, 2, 32), replace(fine, transfer="pq")),
        "detail-pixel": (scene(1, 1, 3, 8), fine),
        "detail-tiles": (scene(134, 3, 3, 8), configure(quality=80, effort=1, **SMALL_TILES)),
        "pyramid-detail": (scene(24, 16, 3, 8), configure(quality=70, **PYRAMID)),
    }


def extreme_pyramid() -> bytes:
    """A file as no training makes one: raw low bits, escapes, the largest latents, inputs that are clipped.

    Its synthesis is nearly nothing, so that the picture stays within what can be compared.
    """
    random, size = np.random.RandomState(0), (13, 20)
    tensors, prior = layout(3), pyramid_priors.named()
    start, steps, integers = prior.weights(0, tensors), {}, np.zeros(tensors.count, np.int32)
    for name, part in tensors.parts.items():
        in_integers = name.startswith(("entropy", "features"))
        steps[name] = 8 if in_integers else 14
        if in_integers:
            part.of(integers)[...] = random.randint(-5, 6, part.shape)
        elif name.startswith("synthesis"):
            part.of(integers)[...] = np.rint(part.of(start) * -(2.0**14))
    for group in range(GROUPS):
        tensors.parts[f"entropy {group} last bias"].of(integers)[1] = 200
    weights = QuantizedWeights(tensors, start, steps, integers)
    latents = {grid: np.rint(random.laplace(0, 4, grid.size(*size))).astype(np.int32) for grid in all_grids()}
    latents[Grid(0)][5, 7:9] = VALUE_LIMIT, -VALUE_LIMIT
    latents[Grid(3)][0, 0] = 3000
    network = IntegerNetwork.of(tensors, weights.weights())
    payload = pack_parts([CodedPart(weights.pack()), encode_part(network, latents, {})])
    description = pyramid.PyramidDescription(prior.hash, 0).pack()
    return container.pack(NifFile(size[1], size[0], 3, 8, pyramid.FAMILY_ID, description, payload))


def digests(data: bytes) -> Dict[str, str]:
    """SHA-256 of a file's integers, of a wavelet's native plane, and of a map of alpha (tests/golden/README.md)."""
    whole = container.unpack(data)
    file, found = whole.of_field, {}
    if whole.alpha_map:
        alpha = unpack_alpha(whole.alpha_map, whole.height, whole.width)
        found["alpha"] = digest([alpha.states((0, whole.height), (0, whole.width))], "<i4")
    if file.family == FLAT:
        return {"integers": digest([], "<i4"), **found}
    if file.family == pyramid.FAMILY_ID:
        return {"integers": digest(pyramid_integers(file), "<i4"), **found}
    if file.family != FAMILY_ID:
        network = MlpRender(file).weights()
        return {"integers": digest([np.array(network.steps), *network.symbols], "<i4"), **found}
    plane, levels = wavelet_integers(file)
    return {
        "integers": digest([values for bands in levels for values in bands.values()], "<i4"),
        "plane": digest([plane], "<i8"),
        **found,
    }


def wavelet_integers(file: NifFile) -> Tuple[np.ndarray, List[BandValues]]:
    """Native plane, int64 (planes, rows, columns), and all bands of each level, the finest first."""
    spec = unpack_description(file.description)
    conditions = Conditions(priors.find(spec.prior).context, spec.step_feature, spec.dependent)
    size = (file.width, file.height, plane_ids(file.channels))
    if not spec.tile_exponent:
        lattice = Lattice(*size)
        plane, levels = decode_lattice(file.payload, lattice, conditions)
        return plane, [filled(lattice, level, bands) for level, bands in enumerate(levels)]
    tiling = Tiling(*size, 1 << spec.tile_exponent)
    root, *tiles = unpack_parts(file.payload, 1 + tiling.count)
    low, coarse = decode_lattice(root, tiling.root, conditions)
    whole = [filled(tiling.whole, level, {}) for level in range(TILE_LEVELS)]
    for number, payload in enumerate(tiles):
        tile = tiling.tile(number)
        _, levels = decode_bands(payload, tile.lattice, conditions, tile.low(low), tile.coarser(coarse))
        for level, bands in enumerate(levels):
            top, left = tile.rows[0] >> (level + 1), tile.columns[0] >> (level + 1)
            for band, values in bands.items():
                whole[level][band][top : top + values.shape[0], left : left + values.shape[1]] = values
    whole += [filled(tiling.root, level, bands) for level, bands in enumerate(coarse)]
    plane = TiledPlanes([root, *tiles], tiling, conditions, 0)((0, file.height), (0, file.width))
    return plane, whole


def pyramid_integers(file: NifFile) -> List[np.ndarray]:
    """Step indices and integers of the weights, and the latents of all grids, in coding order."""
    field = PyramidRender(file)
    weights, tiling = field.weights(), field.tiling
    network = IntegerNetwork.of(layout(file.channels), weights.weights())
    _, root, *tiles = unpack_parts(file.payload, 2 + tiling.count)
    coarse = decode_part(network, root, tiling.root.shapes, {})
    grids = {grid: np.zeros(grid.size(file.height, file.width), np.int32) for grid in reversed(all_grids())}
    grids.update(coarse)
    for number, data in enumerate(tiles):
        tile = tiling.tile(number)
        for grid, values in decode_part(network, data, tile.shapes, tile.of(coarse)).items():
            rows, columns = (slice(*at_level(span, grid.level)) for span in (tile.rows, tile.columns))
            grids[grid][rows, columns] = values
    return [np.array(list(weights.steps.values())), weights.integers, *grids.values()]


def filled(lattice: Lattice, level: int, bands: BandValues) -> BandValues:
    """The bands of a level in their order, zeros where one is not coded."""
    return {band: bands.get(band, np.zeros(lattice.shape(level, band), np.int32)) for band in lattice.bands}


def digest(arrays: List[np.ndarray], dtype: str) -> str:
    """SHA-256 of integers, array after array."""
    return hashlib.sha256(b"".join(values.astype(dtype).tobytes() for values in arrays)).hexdigest()


def main(wanted: Collection[str]) -> None:
    """Writes the files of these fields or names, "exact" for those of `exact_ones`; others stay as they are."""
    FOLDER.mkdir(exist_ok=True)
    made = {
        name: partial(all_in_the_field if name.endswith("-pixel") else encoder.encode, *source)
        for name, source in sources().items()
        if name in wanted or (EXACT if name.startswith(EXACT) else source[1].field) in wanted
    }
    if "pyramid" in wanted:
        made["pyramid-extremes"] = extreme_pyramid
    found: Dict[str, Dict[str, str]] = {}
    decoded: Dict[str, np.ndarray] = {}
    doubled: Dict[str, np.ndarray] = {}
    if set(wanted) != {*families.names(), EXACT}:
        found = json.loads(DIGESTS.read_text(encoding="utf-8"))
        for arrays, path in ((decoded, PICTURES), (doubled, DOUBLED)):
            if path.exists():
                with np.load(path) as stored:
                    arrays.update(stored)
    for name, make in made.items():
        data = make()
        (FOLDER / f"{name}.nif").write_bytes(data)
        found[name] = digests(data)
        decoded[name] = decoder.decode(data)
        if name in detailed():
            doubled[name] = decoder.decode(data, scale=2)
        print(f"{name}: {len(data)} bytes")
    DIGESTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(PICTURES, **decoded)
    np.savez_compressed(DOUBLED, **doubled)


if __name__ == "__main__":
    main(sys.argv[1:] or [*families.names(), EXACT])
