"""The backward chain: `.nif` -> container -> integers -> field -> samples -> picture, at any size.

Never imports TensorFlow.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from nifcodec import container
from nifcodec.config import INTERPOLATIONS, EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.exact.parts import ExactParts
from nifcodec.fields import families
from nifcodec.fields.rendering import render
from nifcodec.options import described
from nifcodec.picture import metrics
from nifcodec.picture.image import Image
from nifcodec.picture.window import DEFAULT_MAX_PIXELS, choose_window
from nifcodec.threads import at_most


@dataclass(frozen=True)
class FileInfo:
    """What `inspect` tells of a file.

    Attributes:
        width, height, channels, depth: of the picture; depth in bits a channel, 8 or 16 of an integer or 32 of a float.
        transfer: of a float picture: kind, low, high and scale; empty for integers.
        constants: the value of each channel that has one alone, None of the others; empty where there is no such one.
        field: name of the family; "none" where all channels are constant.
        bytes: of the whole file; `parts` says where they are ("header", "weights", "metadata") and sums to it.
        bpp: 8 x bytes / pixels.
        parameters, macs_per_pixel, settings: of the field.
        metadata: bytes of "icc", "exif" and "xmp" as they come out.
    """

    width: int
    height: int
    channels: int
    depth: int
    field: str
    bytes: int
    bpp: float
    parts: Dict[str, int]
    parameters: int
    macs_per_pixel: float
    settings: Dict[str, Any]
    metadata: Dict[str, int]
    transfer: Dict[str, Any]
    constants: List[Optional[float]]


def decode(
    data: bytes,
    scale: Optional[float] = None,
    size: Optional[Tuple[int, int]] = None,
    crop: Optional[Tuple[int, int, int, int]] = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: Optional[int] = None,
    interpolation: str = INTERPOLATIONS[0],
    fit: Optional[Tuple[int, int]] = None,
) -> np.ndarray:
    """The picture of a `.nif`: (H, W, C), C as in the file (1 grey, 2 grey+alpha, 3 RGB, 4 RGBA).

    uint8 or uint16 for a picture of 8 or 16 bits a channel; for a float one float32 linear light, premultiplied.

    Args:
        data: the bytes of the file.
        scale: factor of width and height, rounded half up, at least 1 pixel.
        size: (width, height) of the output; a 0 keeps the aspect ratio.
        crop: (left, top, width, height) in pixels of the stored picture; scale, size and fit apply to it.
        max_pixels: limit of the output.
        threads: at most, which change nothing but the time; None means one for each core.
        interpolation: above the native size, of fields on a lattice: "auto", the detail network that the file names, or
            a Lanczos kernel where it names none that is known; "lanczos", the kernel.
        fit: (width, height) that the output stays within; it keeps the aspect ratio and is never enlarged.

    Raises:
        CorruptFileError: no `.nif`, a damaged one, or one above a limit; its subclass says which.
        ConfigError: options that do not fit each other or the picture.
    """
    return decode_image(data, scale, size, crop, max_pixels, threads, interpolation, fit).pixels


def decode_image(
    data: bytes,
    scale: Optional[float] = None,
    size: Optional[Tuple[int, int]] = None,
    crop: Optional[Tuple[int, int, int, int]] = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: Optional[int] = None,
    interpolation: str = INTERPOLATIONS[0],
    fit: Optional[Tuple[int, int]] = None,
) -> Image:
    """`decode`, with the metadata of the file."""
    described(EncodeConfig)["threads"].check("threads", threads)
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(f"interpolation is {interpolation!r}: give {' or '.join(INTERPOLATIONS)}")
    file = container.unpack(data)
    window = choose_window((file.width, file.height), scale, size, crop, max_pixels, fit=fit)
    exact = ExactParts.read(file.constants, file.alpha_map, file.height, file.width)
    of_field = file.of_field
    field = families.numbered(file.family).open(of_field)
    # What a field gives of a float picture are codes: only their light can be averaged.
    reduction = min(window.halvings(), field.reductions) if file.transfer is None else 0
    with at_most(threads):
        samples = field.samples(reduction, window if interpolation == INTERPOLATIONS[0] else None)
        pixels = render(samples, window, of_field.channels, reduction, file.depth, file.transfer)
        pixels = exact.put_back(pixels, file.channels, window)
    return Image(pixels, file.icc, file.exif, file.xmp)


def inspect(data: bytes) -> FileInfo:
    """What a file holds, from its header: checks the container, not the weights. Raises CorruptFileError."""
    file = container.unpack(data)
    family = families.numbered(file.family)
    description = family.describe(file.of_field)
    return FileInfo(
        file.width,
        file.height,
        file.channels,
        file.depth,
        family.name,
        len(data),
        metrics.bits_per_pixel(len(data), file.width, file.height),
        container.part_sizes(data),
        description.parameters,
        description.macs_per_pixel,
        dict(description.settings),
        {"icc": len(file.icc), "exif": len(file.exif), "xmp": len(file.xmp)},
        {} if file.transfer is None else asdict(file.transfer),
        list(file.constants.values),
    )
