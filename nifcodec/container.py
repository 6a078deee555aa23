"""What the chunks of a `.nif` file hold: header, metadata, alpha map, index and payload (FORMAT.md, "Container").

Reading validates before it allocates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple

from nifcodec.chunks import (
    ALPHA,
    HEADER,
    INDEX,
    MAJOR,
    METADATA,
    MINOR,
    SIGNATURE,
    WEIGHTS,
    Chunk,
    chunks_of,
    packed,
)
from nifcodec.entropy.varint import read_varint, write_varint
from nifcodec.entropy.zstd import compress, decompress
from nifcodec.errors import LimitError, MalformedError, TruncatedError, UnsupportedVersionError
from nifcodec.exact.constants import LARGEST as MOST_CONSTANTS
from nifcodec.exact.constants import NONE as NO_CONSTANTS
from nifcodec.exact.constants import Constants
from nifcodec.exact.constants import unpack as unpack_constants
from nifcodec.picture.bombs import LARGEST_METADATA
from nifcodec.picture.transfer import BYTES as TRANSFER_BYTES
from nifcodec.picture.transfer import Transfer
from nifcodec.picture.transfer import unpack as unpack_transfer

STORED, ZSTANDARD = 0, 1
DEPTH_CODES = {8: 0, 16: 1, 32: 2}
FLOAT_DEPTH = 32
HAS_CONSTANTS = 8  # beside the channels
FLAT = 0  # the family where all channels are constant


@dataclass(frozen=True)
class Limits:
    """What a reader accepts.

    Attributes:
        side: pixels of width and of height. 2^17 is twice what JPEG can hold.
        pixels: width times height. 2^29 pixels are 1.5 GiB of 8-bit RGB, the most that is sensible to hold at once.
        description: bytes of the field's description, which is parsed before its own limits are known. 2^16.
        metadata: bytes of each unpacked ICC profile, EXIF and XMP. 2^24: the largest printer profiles have a few MiB.
    """

    side: int = 1 << 17
    pixels: int = 1 << 29
    description: int = 1 << 16
    metadata: int = LARGEST_METADATA


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class NifFile:
    """Contents of a file.

    Attributes:
        width, height: of the picture, in pixels, 1 or more.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; alpha is straight.
        depth: bits a channel: 8 and 16 are integers, 32 is float.
        family: kind of field: 1 fourier, 2 siren, 3 wavelet, 4 pyramid; 0 where all channels are constant.
        description: what the family needs to know besides its weights, packed by the family.
        payload: the coded weights.
        icc, exif, xmp: metadata as it stands in picture files, b"" where there is none.
        transfer: of a float picture, from what the field gives to linear light; None for integers.
        index: where the parts of the payload lie, packed by the family; b"" where there is none.
        constants: channels that have one value everywhere.
        alpha_map: where alpha is 0 or full, as `exact.alpha_map` packs it; b"" where there is none.
    """

    width: int
    height: int
    channels: int
    depth: int
    family: int
    description: bytes
    payload: bytes
    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    transfer: Optional[Transfer] = None
    index: bytes = b""
    constants: Constants = NO_CONSTANTS
    alpha_map: bytes = b""

    @property
    def of_field(self) -> "NifFile":
        """The file as its family sees it: a picture of the channels that the field has."""
        channels = len(self.constants.field_channels(self.channels))
        return replace(self, channels=channels, constants=NO_CONSTANTS, alpha_map=b"")


def pack(file: NifFile) -> bytes:
    """The bytes of a file.

    Raises:
        LimitError: the picture or a part is above `DEFAULT_LIMITS`, so that no reader would take the file.
        ValueError: a value that the format does not have.
    """
    return Packer(file)(file.family, file.description, file.payload, file.index)


class Packer:
    """Makes files of one picture, whose metadata is compressed once.

    Args:
        picture: its family, description and payload are not looked at.

    Raises:
        LimitError, ValueError: as `pack`.
    """

    def __init__(self, picture: NifFile) -> None:
        known = 1 <= picture.channels <= 4 and picture.depth in DEPTH_CODES and min(picture.width, picture.height) >= 1
        if not known or (picture.depth == FLOAT_DEPTH) != (picture.transfer is not None):
            raise ValueError(
                f"the format has no picture of {picture.width} x {picture.height} pixels, {picture.channels} channels "
                f"of {picture.depth} bits"
            )
        self._picture = picture
        _check_limits(picture, DEFAULT_LIMITS)
        self._metadata = b"".join(
            packed(letter, _pack_metadata(getattr(picture, name)))
            for letter, name in METADATA.items()
            if getattr(picture, name)
        )

    def __call__(self, family: int, description: bytes, payload: bytes, index: bytes = b"") -> bytes:
        """The bytes of the file with this field. Raises LimitError, ValueError."""
        picture = self._picture
        field_channels = picture.of_field.channels
        if not 0 <= family <= 255 or (family == FLAT) != (field_channels == 0):
            raise ValueError(f"the format has no family {family} of {field_channels} channels")
        _check_limits(replace(picture, description=description), DEFAULT_LIMITS)
        kind = picture.channels | (HAS_CONSTANTS if picture.constants else 0) | DEPTH_CODES[picture.depth] << 4
        curve = picture.transfer.pack() if picture.transfer is not None else b""
        curve += picture.constants.pack(picture.depth) if picture.constants else b""
        size = write_varint(picture.width) + write_varint(picture.height)
        head = packed(HEADER, size + bytes([kind, family]) + curve + description)
        alpha = packed(ALPHA, picture.alpha_map) if picture.alpha_map else b""
        parts = packed(INDEX, index) if index else b""
        start = SIGNATURE + bytes([MAJOR, MINOR])
        return b"".join([start, head, alpha, self._metadata, parts, packed(WEIGHTS, payload)])


def unpack(data: bytes, limits: Limits = DEFAULT_LIMITS) -> NifFile:
    """The contents of a file, with every checksum verified.

    Raises:
        TypeError: `data` is no bytes: the name of a file, say.
        NotANifError, UnsupportedVersionError, TruncatedError, ChecksumError, LimitError, MalformedError: by cause.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"the bytes of a .nif are needed, not {type(data).__name__}: read the file first")
    chunks = list(chunks_of(bytes(data)))
    file = replace(_read(chunks, limits), payload=bytes(chunks[-1].data))
    if file.family == FLAT and (file.payload or file.index):
        raise MalformedError("payload", "is there, and the picture has no field", chunks[-1].offset)
    return file


def read_header(data: bytes, limits: Limits = DEFAULT_LIMITS) -> NifFile:
    """As `unpack`, but the payload is neither needed nor checked and comes back empty.

    Args:
        data: a file, or as much of its beginning as reaches the first byte of the `W` chunk.
    """
    return _read(list(chunks_of(data, weights=False)), limits)


def part_sizes(data: bytes) -> Dict[str, int]:
    """Bytes of a file by part, which sum to its length.

    "weights" is the payload, "metadata" the ancillary chunks with their framing, "header" everything else, the index
    and the map of alpha too.
    """
    chunks = list(chunks_of(data))
    weights = len(chunks[-1].data)
    metadata = sum(chunk.size for chunk in chunks if chunk.kind.islower() and chunk.kind != INDEX)
    return {"header": len(data) - weights - metadata, "weights": weights, "metadata": metadata}


def _pack_metadata(raw: bytes) -> bytes:
    smaller = compress(raw)
    method, content = (ZSTANDARD, smaller) if len(smaller) < len(raw) else (STORED, raw)
    return bytes([method]) + write_varint(len(raw)) + content


def _read(chunks: List[Chunk], limits: Limits) -> NifFile:
    header = _unpack_header(chunks[0], limits)
    metadata = {chunk.kind: _unpack_metadata(chunk, limits) for chunk in chunks if chunk.kind in METADATA}
    alpha, index = (next((bytes(chunk.data) for chunk in chunks if chunk.kind == kind), b"") for kind in (ALPHA, INDEX))
    if any(chunk.kind == ALPHA for chunk in chunks) and (not alpha or header.channels not in (2, 4)):
        raise MalformedError("alpha map", "is empty, or of a picture without alpha")
    icc, exif, xmp = (metadata.get(letter, b"") for letter in METADATA)
    return replace(header, icc=icc, exif=exif, xmp=xmp, index=index, alpha_map=alpha)


def _unpack_header(chunk: Chunk, limits: Limits) -> NifFile:
    width, offset = _varint(chunk, 0, "width")
    height, offset = _varint(chunk, offset, "height")
    if width == 0 or height == 0:
        raise MalformedError("size", f"is {width} x {height} pixels", chunk.offset)
    if len(chunk.data) < offset + 2:
        raise MalformedError("header", "ends before the kind of field", chunk.offset + offset)
    kind, family = chunk.data[offset], chunk.data[offset + 1]
    channels = kind & 7
    if not 1 <= channels <= 4:
        raise MalformedError("channels", f"are {channels}, not 1 to 4", chunk.offset + offset)
    depth = next((bits for bits, code in DEPTH_CODES.items() if code == kind >> 4), None)
    if depth is None:
        raise UnsupportedVersionError(f"the file needs a newer nifcodec: its bit depth has the code {kind >> 4}")
    offset += 2
    curve = None
    if depth == FLOAT_DEPTH:
        if len(chunk.data) < offset + TRANSFER_BYTES:
            raise MalformedError("transfer", "is cut short by the end of its chunk", chunk.offset + offset)
        curve = unpack_transfer(bytes(chunk.data[offset : offset + TRANSFER_BYTES]))
        offset += TRANSFER_BYTES
    constants = NO_CONSTANTS
    if kind & HAS_CONSTANTS:
        try:
            constants, length = unpack_constants(bytes(chunk.data[offset : offset + MOST_CONSTANTS]), channels, depth)
        except TruncatedError:  # of a chunk that is whole
            raise MalformedError("constants", "are cut short by the end of the chunk", chunk.offset + offset) from None
        offset += length
    if (family == FLAT) != (not constants.field_channels(channels)):
        raise MalformedError("family", f"is {family}, which does not go with the constant channels", chunk.offset)
    # A slice of at most one byte too many, so that an oversized description is refused before it is copied.
    description = bytes(chunk.data[offset:][: limits.description + 1])
    file = NifFile(width, height, channels, depth, family, description, b"", transfer=curve, constants=constants)
    if family == FLAT and description:
        raise MalformedError("description", "is there, and the picture has no field", chunk.offset + offset)
    _check_limits(file, limits)
    return file


def _unpack_metadata(chunk: Chunk, limits: Limits) -> bytes:
    name = METADATA[chunk.kind]
    if not chunk.data:
        raise MalformedError(name, "has no method", chunk.offset)
    method = chunk.data[0]
    size, start = _varint(chunk, 1, f"length of {name}")
    content = chunk.data[start:]
    if size == 0:
        raise MalformedError(name, "is empty", chunk.offset)
    if size > limits.metadata:
        raise LimitError(f"the {name} data has {size} bytes, the limit is {limits.metadata}")
    if method == STORED and len(content) == size:
        return bytes(content)
    if method == STORED:
        raise MalformedError(name, f"has {len(content)} bytes in place of {size}", chunk.offset)
    if method == ZSTANDARD:
        return decompress(bytes(content), size, name)
    raise MalformedError(name, f"has the method {method}, which is not defined", chunk.offset)


def _varint(chunk: Chunk, offset: int, field: str) -> Tuple[int, int]:
    try:
        return read_varint(chunk.data, offset, field)
    except TruncatedError:  # the checksum was right: nothing was cut off, the chunk was written wrong
        raise MalformedError(field, "is cut short by the end of its chunk", chunk.offset + offset) from None


def _check_limits(file: NifFile, limits: Limits) -> None:
    side, pixels = max(file.width, file.height), file.width * file.height
    if side > limits.side or pixels > limits.pixels:
        raise LimitError(
            f"a picture of {file.width} x {file.height} pixels is above the limits of {limits.side} pixels a side and "
            f"{limits.pixels} together"
        )
    if len(file.description) > limits.description:
        raise LimitError(f"the field's description has more than {limits.description} bytes")
    for name in METADATA.values():
        size = len(getattr(file, name))
        if size > limits.metadata:
            raise LimitError(f"the {name} data has {size} bytes, the limit is {limits.metadata}: strip it")
