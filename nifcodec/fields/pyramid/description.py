"""The field `pyramid`: latent grids of 1/1 to 1/64 of the picture, doubled up to it, and a small network behind them.

f(u, v) is what the network makes at the pixel centres, read between them with a Lanczos kernel of three lobes, and
above the native size from a lattice that a detail network doubles. Latents, networks and upsampling filters are fitted
to the one picture (Ladune et al. 2024, "Cool-chic"; Kim et al. 2023, "C3").
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Optional

from nifcodec.entropy.varint import write_varint
from nifcodec.errors import LimitError, UnsupportedVersionError
from nifcodec.fields.detail.reference import DetailReference, unpack_reference
from nifcodec.fields.parts import ancillary_fields, unpack_fields
from nifcodec.fields.pyramid.tiling import TILE_EXPONENTS

FAMILY_ID = 4
HASH_BYTES = 8
BYTES = 2 + HASH_BYTES


@dataclass(frozen=True)
class PyramidDescription:
    """What the header says of the field.

    Attributes:
        prior: first bytes of the hash of the prior that its weights are differences from.
        start: which of the prior's weights these are.
        tile_exponent: log2 of the side of its tiles in pixels, one of TILE_EXPONENTS; 0 where the picture is one part.
        detail: what is between its pixels; None where no network is named.
    """

    prior: bytes
    start: int
    tile_exponent: int = 0
    detail: Optional[DetailReference] = None

    def pack(self) -> bytes:
        """Its bytes.

        A varint, the size of the rest; u8 log2 of a tile's side, or 0; u8 start; prior (8 bytes). Then what names the
        detail network.
        """
        fields = struct.pack(f"<BB{HASH_BYTES}s", self.tile_exponent, self.start, self.prior)
        return write_varint(len(fields)) + fields + (b"" if self.detail is None else self.detail.pack())


def unpack_description(data: bytes) -> PyramidDescription:
    """Reads a description; of the bytes behind its own, those for later versions are passed over.

    Raises:
        TruncatedError, MalformedError, LimitError: a value that the format does not allow.
        UnsupportedVersionError: it has more fields than this version knows.
    """
    fields = unpack_fields(data, "pyramid", BYTES)
    if len(fields) > BYTES:
        raise UnsupportedVersionError(
            "the file needs a newer nifcodec: its pyramid field has settings unknown to this one"
        )
    exponent, chosen, prior = struct.unpack(f"<BB{HASH_BYTES}s", fields)
    if exponent and exponent not in TILE_EXPONENTS:
        raise LimitError(f"tiles of 2^{exponent} pixels a side are outside of the limits")
    return PyramidDescription(prior, chosen, exponent, unpack_reference(ancillary_fields(data)))
