"""The golden files' streams, part by part, as the native decoder is given them; and drawn streams of latents.

`write` writes them for native_fuzz.c, which knows neither Python nor the container.
"""

from __future__ import annotations

import sys
from functools import lru_cache, partial
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

import fuzz
import numpy as np
from make_golden import FOLDER

from nifcodec import container
from nifcodec.errors import CorruptFileError
from nifcodec.fields.parts import unpack_parts
from nifcodec.fields.pyramid.bitstream import encode_part
from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, GROUPS, NEIGHBOURS, Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.laplacians import frequencies
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.scan import Scan
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.bitstream import CHECK_BYTES, decode_lattice, decode_low
from nifcodec.fields.wavelet.coding.companding import COMPAND_TABLE
from nifcodec.fields.wavelet.coding.context_model import ContextModel
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import FAMILY_ID, WaveletDescription, unpack_description
from nifcodec.fields.wavelet.lattice import UNIT, BandValues, Lattice
from nifcodec.fields.wavelet.planes import plane_ids
from nifcodec.fields.wavelet.tiling import Tiling


class Part(NamedTuple):
    """The bands of a lattice as a file holds them, and what they are decoded under.

    Attributes:
        name: of the file.
        low: the coarsest low-pass planes, int64 (planes, rows, columns) in 1/UNIT steps.
        coarser: integers of up to two levels beyond the coarsest.
        flags: bool (levels, bands), which bands the stream holds.
    """

    name: str
    lattice: Lattice
    step_feature: int
    dependent: bool
    low: np.ndarray
    coarser: Sequence[BandValues]
    flags: np.ndarray
    stream: bytes


def part_of(
    name: str,
    step_feature: int,
    dependent: bool,
    data: bytes,
    lattice: Lattice,
    low: np.ndarray,
    coarser: Sequence[BandValues] = (),
) -> Part:
    """That of a bands payload, which may be cut; the checks of its levels are left out."""
    count = lattice.levels * len(lattice.bands)
    start, checks = (count + 7) // 8, sum(CHECK_BYTES[: lattice.levels])
    bits = np.unpackbits(np.frombuffer(data[:start].ljust(start, b"\0"), np.uint8))[:count]
    flags = bits.reshape(lattice.levels, len(lattice.bands)).astype(bool)
    return Part(name, lattice, step_feature, dependent, low, coarser, flags, data[start + checks :])


@lru_cache(maxsize=1)
def golden_parts() -> List[Part]:
    """Of the untiled golden files, and of the roots and tiles of the others."""
    found: List[Part] = []
    for path in sorted(FOLDER.glob("*.nif")):
        file = container.unpack(path.read_bytes()).of_field
        if file.family != FAMILY_ID:
            continue
        spec = unpack_description(file.description)
        conditions = Conditions(priors.find(spec.prior).context, spec.step_feature, spec.dependent)
        size = (file.width, file.height, plane_ids(file.channels))
        add = partial(part_of, path.stem, spec.step_feature, spec.dependent)
        if not spec.tile_exponent:
            lattice = Lattice(*size)
            low, rest = decode_low(file.payload, lattice)
            found.append(add(rest, lattice, low * UNIT))
            continue
        tiling = Tiling(*size, 1 << spec.tile_exponent)
        root, *tiles = unpack_parts(file.payload, 1 + tiling.count)
        low, rest = decode_low(root, tiling.root)
        found.append(add(rest, tiling.root, low * UNIT))
        plane, levels = decode_lattice(root, tiling.root, conditions)
        for number, data in enumerate(tiles):
            tile = tiling.tile(number)
            found.append(add(data, tile.lattice, tile.low(plane), tile.coarser(levels)))
    return found


def corpus_parts() -> Iterator[Part]:
    """Of the inputs of `fuzz.read_lattice` in the corpus, where their low-pass planes can be read."""
    for path in sorted(fuzz.CORPUS.glob("lattice-*.fuzz")):
        layout, data = path.read_bytes()[1], path.read_bytes()[2:]
        lattice = Lattice(*fuzz.SIZES[layout % 8], plane_ids(1 + layout // 8 % 4))
        try:
            low, rest = decode_low(data, lattice)
        except CorruptFileError:
            continue
        step = WaveletDescription(fuzz.STEP_INDEX, b"").step_feature
        part = part_of(path.stem, step, False, rest, lattice, low * UNIT)
        if fits(part):
            yield part


def model_bytes(model: ContextModel) -> bytes:
    """A model for C: units of the layers, counts, weights, biases, tables and companding, tables of latents."""
    networks = [model.networks[key] for key in sorted(model.networks)]
    hidden = [model.networks[(plane, 0, 0, 0)].w2.shape for plane in range(3)]
    weights, biases = (
        np.concatenate([getattr(network, name).ravel() for network in networks for name in names]).astype(kind)
        for names, kind in ((("w1", "w2", "w3", "skip"), "<i2"), (("b1", "b2", "b3"), "<i4"))
    )
    counts = np.array([weights.size, biases.size], "<i4")
    tables, companding = model.frequencies.astype("<u4"), COMPAND_TABLE.astype("<i1")
    laplacians = frequencies().astype("<u4")
    arrays = (np.array(hidden, "<u1"), counts, weights, biases, tables, companding, laplacians)
    return b"".join(array.tobytes() for array in arrays)


def part_bytes(part: Part, finest: int = 0, further: int = 0) -> bytes:
    """A part for C.

    Args:
        finest: the level to end with.
        further: what is done besides decoding it, flags as in native_fuzz.c.
    """
    lattice = part.lattice
    layout = [[0], [0, 3], [0, 1, 2], [0, 1, 2, 3]].index(lattice.plane_ids)
    what = layout | part.dependent << 2 | bool(part.coarser) << 3 | further
    head = np.array([what, lattice.levels, finest, lattice.first, part.step_feature], "<u1").tobytes()
    head += np.array(lattice.sizes[0], "<i2").tobytes() + np.packbits(part.flags.ravel()).tobytes()
    head += part.low.astype("<i4").tobytes()
    for planes in part.coarser:
        for band in lattice.bands:
            values = planes.get(band, np.zeros((0, 0), np.int32))
            head += np.array(values.shape, "<u1").tobytes() + values.astype("<i2").tobytes()
    head += bytes(2 * len(lattice.bands) * (2 - len(part.coarser))) if part.coarser else b""
    return head + part.stream


class LatentPart(NamedTuple):
    """A pyramid's latents as a stream, and what they are decoded under; sides are 1 to 64."""

    network: IntegerNetwork  # the same for all groups
    size: Tuple[int, int]
    stream: bytes

    def pack(self) -> bytes:
        """For C; it codes what it decodes again."""
        network = self.network.groups[0]
        arrays = [*(array for layer in network.layers for array in layer), network.linear, NEIGHBOURS]
        head = b"\x90" + np.array([side - 1 for side in self.size], "<u1").tobytes()
        head += b"".join(array.astype("<i4").tobytes() for array in arrays)
        for level in FEATURED_LEVELS:
            for array in self.network.features[level]:
                numbers = array.astype("<i4").ravel()
                head += numbers.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        return head + self.stream

    def decode(self) -> Dict[Grid, np.ndarray]:
        """By NumPy, coarsest first, whether or not the stream is the one of its latents."""
        scan, found = Scan(self.network), {}
        decoder = scan.decoder(self.stream)
        for grid in reversed(all_grids()):
            featured = not grid.hyper and grid.level in FEATURED_LEVELS
            found[grid] = decoder.get(*grid.size(*self.size), 0, scan.features(grid.level, found) if featured else None)
        return found


def latent_parts() -> Iterator[LatentPart]:
    """Drawn ones: whole, cut and changed."""
    random, named = np.random.RandomState(11), layout(3)
    for number, size in enumerate([(1, 1), (1, 64), (64, 1), (3, 2), (21, 33), (64, 64)]):
        weights = named.initial(number) + random.normal(0, 0.1, named.count).astype(np.float32)
        named.parts["entropy 0 last bias"].of(weights)[...] = random.normal(0, 3, 2)
        for group in range(1, GROUPS):
            weights[named.entropy(group)] = weights[named.entropy(0)]
        network = IntegerNetwork.of(named, weights, native=False)
        spread = 10.0 ** random.uniform(-1, 3)
        values = {grid: np.rint(random.laplace(0, spread, grid.size(*size))) for grid in all_grids()}
        stream = encode_part(network, {grid: each.astype(np.int32) for grid, each in values.items()}, {}).data
        yield LatentPart(network, size, stream)
        changed = bytearray(stream[: random.randint(1, len(stream) + 1)])
        changed[random.randint(len(changed))] ^= 1 << random.randint(8)
        yield LatentPart(network, size, bytes(changed))


def fits(part: Part) -> bool:
    """Whether `part_bytes` can hold it: its numbers have few bytes there."""
    values = [array for planes in part.coarser for array in planes.values()]
    small = all(np.abs(array).max(initial=0) < 1 << 15 and max(array.shape) < 128 for array in values)
    return small and int(np.abs(part.low).max(initial=0)) < 1 << 31 and int(np.prod(part.lattice.sizes[0])) <= 1 << 15


def write(folder: Path) -> None:
    """The model and inputs of native_fuzz.c: `model`, and in `inputs` a file for each part."""
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    (folder / "model").write_bytes(model_bytes(priors.named().context))
    for number, part in enumerate([*filter(fits, golden_parts()), *corpus_parts()]):
        data = part_bytes(part, number % 2 * min(1, part.lattice.levels), 16 << number % 3)
        (folder / "inputs" / f"{part.name}-{number}").write_bytes(data)
    for number, latents in enumerate(latent_parts()):
        (folder / "inputs" / f"latents-{number}").write_bytes(latents.pack())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
