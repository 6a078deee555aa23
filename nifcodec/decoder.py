"""The backward chain: `.nif` -> container -> integers -> field -> samples -> picture, at any size.

Never imports TensorFlow. `FAMILIES` is the one place where the kinds of field meet.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isqrt
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import numpy as np

from nifcodec import container, metrics, priors, wavelet_decoder
from nifcodec.coding.tensors import decode_tensors
from nifcodec.colour import colour_count
from nifcodec.container import NifFile
from nifcodec.errors import UnsupportedVersionError
from nifcodec.fields import mlp, wavelet
from nifcodec.fields import spec as mlp_spec
from nifcodec.fields.quantize import QuantizedMlp
from nifcodec.geometry import DEFAULT_MAX_PIXELS, Window, choose_window
from nifcodec.image import SAMPLES, Image
from nifcodec.transfer import Transfer

BAND_SAMPLES = 2**20  # samples rendered at a time: 16 MiB of float32 at four channels

Render = Callable[
    [np.ndarray, np.ndarray], np.ndarray
]  # (us, vs) -> float32 (len(vs), len(us), channels), 1.0 is white


@dataclass(frozen=True)
class Description:
    """What the header says of a field: enough for `info`, without decoding a weight.

    Attributes:
        parameters: numbers that the payload holds.
        macs_per_pixel: multiply-adds of one sample.
        settings: everything else, by name.
    """

    parameters: int
    macs_per_pixel: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """A kind of field: its name, how its description reads, and how a file becomes something to sample.

    Attributes:
        reductions: how often a file's picture can be halved by decoding less of it.
        open: makes the field of a file, its picture halved so often.
    """

    name: str
    describe: Callable[[NifFile], Description]
    reductions: Callable[[NifFile], int]
    open: Callable[[NifFile, int], Render]


@dataclass(frozen=True)
class FileInfo:
    """What `inspect` tells of a file.

    Attributes:
        width, height, channels, depth: of the picture; depth in bits a channel, 8 or 16 of an integer or 32 of a float.
        transfer: of a float picture: kind, low, high and scale; empty for integers.
        field: name of the family.
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


def decode(
    data: bytes,
    scale: Optional[float] = None,
    size: Optional[Tuple[int, int]] = None,
    crop: Optional[Tuple[int, int, int, int]] = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> np.ndarray:
    """The picture of a `.nif`: (H, W, C), C as in the file (1 grey, 2 grey+alpha, 3 RGB, 4 RGBA).

    uint8 or uint16 for a picture of 8 or 16 bits a channel; for a float one float32 linear light, premultiplied.

    Args:
        data: the bytes of the file.
        scale: factor of width and height, rounded half up, at least 1 pixel.
        size: (width, height) of the output; a 0 keeps the aspect ratio.
        crop: (left, top, width, height) in pixels of the stored picture; scale and size apply to it.
        max_pixels: limit of the output.

    Raises:
        CorruptFileError: no `.nif`, a damaged one, or one above a limit; its subclass says which.
        ConfigError: options that do not fit each other or the picture.
    """
    return decode_image(data, scale, size, crop, max_pixels).pixels


def decode_image(
    data: bytes,
    scale: Optional[float] = None,
    size: Optional[Tuple[int, int]] = None,
    crop: Optional[Tuple[int, int, int, int]] = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Image:
    """`decode`, with the metadata of the file."""
    file = container.unpack(data)
    window = choose_window((file.width, file.height), scale, size, crop, max_pixels)
    family = _family(file)
    # What a field gives of a float picture are codes: only their light can be averaged.
    reduction = min(window.halvings(), family.reductions(file)) if file.transfer is None else 0
    field = family.open(file, reduction)
    pixels = render(field, window, file.channels, reduction, file.depth, file.transfer)
    return Image(pixels, file.icc, file.exif, file.xmp)


def render(
    field: Render,
    window: Window,
    channels: int,
    reduction: int = 0,
    depth: int = 8,
    transfer: Optional[Transfer] = None,
) -> np.ndarray:
    """Samples a field over a window: (rows, columns, channels), uint8, uint16 or float32 as `depth` says.

    Where an output pixel covers more than one of the source, it is the mean of samples spread evenly over it, so that
    a reduction does not alias; of a float picture, the mean of its light. Memory beyond the result does not depend on
    the window.

    Args:
        reduction: how often the field is halved already.
    """
    across, down = window.subsamples(reduction)
    us, vs = window.us(across), window.vs(down)
    pixels = np.empty((window.rows, window.columns, channels), dtype=SAMPLES[depth])
    # Nearly square, so that they touch few tiles of a field that has tiles.
    columns = min(window.columns, max(1, isqrt(BAND_SAMPLES // (across * down))))
    rows = max(1, BAND_SAMPLES // (columns * across * down))
    for top in range(0, window.rows, rows):
        for left in range(0, window.columns, columns):
            tile = pixels[top : top + rows, left : left + columns]
            height, width = tile.shape[:2]
            samples = field(
                us[left * across : (left + width) * across],
                vs[top * down : (top + height) * down],
            )
            if transfer is not None:
                samples = to_light(samples, transfer)
            if across * down > 1:
                samples = samples if transfer is not None else np.clip(samples, 0.0, 1.0)
                samples = samples.reshape(height, down, width, across, channels).mean(axis=(1, 3))
            tile[:] = samples if transfer is not None else to_integers(samples, depth)
    return pixels


def to_integers(values: np.ndarray, depth: int = 8) -> np.ndarray:
    """Picture values, 1.0 white -> uint8 or uint16, clipped, halves up."""
    return np.floor(np.clip(values, 0.0, 1.0) * (2.0**depth - 1) + 0.5).astype(SAMPLES[depth])


def to_light(values: np.ndarray, transfer: Transfer) -> np.ndarray:
    """What a field gives, (..., C) -> float32 linear light; alpha, the last of 2 or 4, has no curve and is clipped."""
    colours = colour_count(values)
    return np.concatenate([transfer.to_values(values[..., :colours]), np.clip(values[..., colours:], 0, 1)], axis=-1)


def inspect(data: bytes) -> FileInfo:
    """What a file holds, from its header: checks the container, not the weights. Raises CorruptFileError."""
    file = container.unpack(data)
    family = _family(file)
    description = family.describe(file)
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
    )


def _family(file: NifFile) -> Family:
    if file.family not in FAMILIES:
        raise UnsupportedVersionError(
            f"the file holds a field of kind {file.family}, which this version does not know: update nifcodec"
        )
    return FAMILIES[file.family]


def _describe_mlp(file: NifFile) -> Description:
    spec = mlp_spec.unpack(file.family, file.channels, file.description)
    used = {name: value for name, value in asdict(spec).items() if value not in (0, 0.0)}
    settings = {name: value for name, value in used.items() if name not in ("family", "channels")}
    return Description(spec.parameter_count(), spec.macs_per_pixel(), settings)


def open_mlp(file: NifFile) -> QuantizedMlp:
    """The coordinate network of an unpacked file. Raises CorruptFileError."""
    spec = mlp_spec.unpack(file.family, file.channels, file.description)
    return QuantizedMlp.from_payload(spec, decode_tensors(file.payload, QuantizedMlp.payload_shapes(spec)))


def _open_mlp(file: NifFile, _reduction: int) -> Render:
    return mlp_renderer(open_mlp(file))


def mlp_renderer(quantized: QuantizedMlp) -> Render:
    """The network as stored, ready to be sampled."""
    return mlp.Network(quantized.spec, quantized.dequantize())


def _describe_wavelet(file: NifFile) -> Description:
    spec = wavelet.unpack(file.description)
    prior = priors.find(spec.prior)
    settings: Dict[str, Any] = {"step": spec.step, "prior": spec.prior.hex()}
    settings["levels"], settings["tiles"] = wavelet_decoder.levels_and_tiles(file)
    macs = prior.context.macs_per_pixel(wavelet.colours(file.channels)) + prior.synthesis.macs_per_pixel()
    return Description(file.width * file.height * file.channels, macs, settings)


FAMILIES: Mapping[int, Family] = {
    **{number: Family(name, _describe_mlp, lambda _: 0, _open_mlp) for name, number in mlp_spec.FAMILY_IDS.items()},
    wavelet.FAMILY_ID: Family("wavelet", _describe_wavelet, wavelet_decoder.reductions, wavelet_decoder.open_wavelet),
}
