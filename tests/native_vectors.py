"""The golden files' streams, part by part, as the native decoder is given them.

`dump` writes one for C programs that know neither Python nor the container: `native_input.h` reads it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import List, NamedTuple, Sequence

import numpy as np
from make_golden import FOLDER

from nifcodec import container
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.coding.bitstream import CHECK_BYTES, decode_lattice, decode_low
from nifcodec.fields.wavelet.coding.wavefront import Conditions
from nifcodec.fields.wavelet.description import FAMILY_ID, unpack_description
from nifcodec.fields.wavelet.lattice import UNIT, Lattice, Planes
from nifcodec.fields.wavelet.planes import plane_kinds
from nifcodec.fields.wavelet.tiling import Tiling, unpack_tiles


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
    coarser: Sequence[Planes]
    flags: np.ndarray
    stream: bytes


@lru_cache(maxsize=1)
def golden_parts() -> List[Part]:
    """Of the untiled golden files, and of the roots and tiles of the others."""
    found = []
    for path in sorted(FOLDER.glob("*.nif")):
        file = container.unpack(path.read_bytes())
        if file.family != FAMILY_ID:
            continue
        spec = unpack_description(file.description)
        conditions = Conditions(priors.find(spec.prior).context, spec.step_feature, spec.dependent)
        size = (file.width, file.height, plane_kinds(file.channels))

        def add(data: bytes, lattice: Lattice, low: np.ndarray, coarser: Sequence[Planes] = ()) -> None:
            count = lattice.levels * len(lattice.bands)
            start = (count + 7) // 8
            bits = np.unpackbits(np.frombuffer(data[:start], np.uint8))[:count]
            flags = bits.reshape(lattice.levels, len(lattice.bands)).astype(bool)
            stream = data[start + sum(CHECK_BYTES[: lattice.levels]) :]
            found.append(
                Part(path.stem, lattice, conditions.step_feature, spec.dependent, low, coarser, flags, stream)
            )

        if not spec.tile_exponent:
            lattice = Lattice(*size)
            low, rest = decode_low(file.payload, lattice)
            add(rest, lattice, low * UNIT)
            continue
        tiling = Tiling(*size, 1 << spec.tile_exponent)
        root, *tiles = unpack_tiles(file.payload, 1 + tiling.count)
        low, rest = decode_low(root, tiling.root)
        add(rest, tiling.root, low * UNIT)
        plane, levels = decode_lattice(root, tiling.root, conditions)
        for number, data in enumerate(tiles):
            tile = tiling.tile(number)
            add(data, tile.lattice, tile.low(plane), tile.coarser(levels))
    return found
