"""The field `wavelet`: coefficients on a multiresolution lattice, a small restoration filter, and a smooth interpolant.

f(u, v) is the picture that the integer inverse transform and the restoration filter give at the pixel centres, read
between them with a Lanczos kernel of three lobes. At the pixel centres the kernel is 1 at one sample and 0 at all
others, so the native render is the decoded picture itself. A reduced picture is a low-pass plane, read in the same way;
an enlarged one is read from a lattice that a detail network doubles.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Optional

from nifcodec.entropy.varint import write_varint
from nifcodec.errors import LimitError, MalformedError, UnsupportedVersionError
from nifcodec.fields.detail.reference import DetailReference, unpack_reference
from nifcodec.fields.parts import ancillary_fields, unpack_fields
from nifcodec.fields.wavelet.restoration import Mixture

FAMILY_ID = 3
INDICES_PER_OCTAVE = 64  # step indices by which the step doubles
COARSEST_INDEX = 768  # steps 2^(i / 64 - 8): 1/256 to 16 on colours of 0..1 for the indices from 0
FINEST_INDEX = -256  # the step 2^-12, for pictures of more than 8 bits
HASH_BYTES = 8
HEAD_BYTES = 4 + HASH_BYTES
TILE_EXPONENTS = range(7, 12)  # log2 of a tile's side
DEPENDENT, FINE = 0x80, 0x40  # flags in the byte of the tile exponent


@dataclass(frozen=True)
class WaveletDescription:
    """What the header says of the field.

    Attributes:
        step_index: of the quantization step, INDICES_PER_OCTAVE to an octave.
        prior: first bytes of the hash of the prior it was coded with.
        mixture: weights of the restoration filter's corrections, for luma and for chroma, each -127..127 in
            1/WEIGHT_UNIT. The encoder takes the best ones for the picture.
        tile_exponent: log2 of the side of its tiles in pixels, one of TILE_EXPONENTS; 0 where the picture is one
            lattice.
        dependent: whether quantization is dependent (coding.dependent_quantization).
        fine: whether the picture is synthesised with FINE_BITS more bits than the planes that contexts see.
        detail: what is between its pixels; None where no network is named.
    """

    step_index: int
    prior: bytes
    mixture: Mixture = ((), ())
    tile_exponent: int = 0
    dependent: bool = False
    fine: bool = False
    detail: Optional[DetailReference] = None

    def pack(self) -> bytes:
        """Its bytes.

        A varint, the size of the rest; i16 step index; u8 log2 of a tile's side, or 0, and two flags; prior (8 bytes);
        u8 number of corrections; i8 weights for luma and for chroma. Then what names the detail network.
        """
        luma, chroma = self.mixture
        flags = DEPENDENT * self.dependent | FINE * self.fine
        head = struct.pack("<hB", self.step_index, self.tile_exponent | flags) + self.prior
        fields = head + struct.pack(f"B{len(luma)}b{len(chroma)}b", len(luma), *luma, *chroma)
        return write_varint(len(fields)) + fields + (b"" if self.detail is None else self.detail.pack())

    @property
    def step(self) -> float:
        """Quantization step on colours of 0..1."""
        return step_size(self.step_index)

    @property
    def step_feature(self) -> int:
        """The step as an input of the networks, 0..127: 24 an octave, 64 at 0.17."""
        return min(max((3 * self.step_index - 529) // 8, 0), 127)


def unpack_description(data: bytes) -> WaveletDescription:
    """Reads a description; of the bytes behind its own, those for later versions are passed over.

    Raises:
        TruncatedError, MalformedError, LimitError: a value that the format does not allow.
        UnsupportedVersionError: it has more fields than this version knows.
    """
    fields = unpack_fields(data, "wavelet", HEAD_BYTES)
    size = len(fields)
    index, flagged, prior, corrections = struct.unpack_from(f"<hB{HASH_BYTES}sB", fields)
    known = HEAD_BYTES + 2 * corrections
    if size < known:
        raise MalformedError("wavelet description", f"has {size} bytes in place of {known}")
    if size > known:
        raise UnsupportedVersionError(
            "the file needs a newer nifcodec: its wavelet field has settings unknown to this one"
        )
    if not FINEST_INDEX <= index <= COARSEST_INDEX:
        raise LimitError(f"step index {index} is outside of {FINEST_INDEX} to {COARSEST_INDEX}")
    exponent = flagged & ~(DEPENDENT | FINE)
    if exponent and exponent not in TILE_EXPONENTS:
        raise LimitError(f"tiles of 2^{exponent} pixels a side are outside of the limits")
    weights = struct.unpack_from(f"<{2 * corrections}b", fields, HEAD_BYTES)
    mixture = weights[:corrections], weights[corrections:]
    detail = unpack_reference(ancillary_fields(data))
    flags = bool(flagged & DEPENDENT), bool(flagged & FINE)
    return WaveletDescription(index, prior, mixture, exponent, *flags, detail)


def step_size(index: int) -> float:
    """Quantization step of an index."""
    return 2.0 ** (index / INDICES_PER_OCTAVE - 8)
