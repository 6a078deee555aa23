"""A second reader of `.nif` files, written from FORMAT.md alone: slow, obvious, and without any part of nifcodec.

It holds FORMAT.md to its word: what it decodes is what somebody else would decode who has nothing but that page and the
prior's file. Names and order follow the page. NumPy holds arrays and multiplies them; symbols are decoded with Python's
integers, one at a time. It reads pictures at their own size and at twice that,
and those of some thousand pixels in seconds.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional

import numpy as np

from .container import Fetch, read_head, read_header, read_metadata, read_payload, to_samples
from .context import COMPANDING
from .conventions import MissingPrior, NewerVersion, Refused, require
from .detail import double, read_detail
from .entropy import Stream, cumulated, frequencies_of_table, range_encoded, read_tensors
from .exact import read_alpha_map
from .lattice import Pass
from .mlp import read_network
from .prior import read_prior
from .pyramid import Pyramid, read_pyramid
from .pyramid import read_region as read_region_of_pyramid
from .wavelet import Span, Wavelet, colours, read_region, read_wavelet

__all__ = [
    "COMPANDING",
    "MissingPrior",
    "NewerVersion",
    "Pass",
    "Picture",
    "Refused",
    "Stream",
    "cumulated",
    "frequencies_of_table",
    "range_encoded",
    "read",
    "read_crop",
    "read_doubled",
    "read_prior",
    "read_tensors",
]


class Picture(NamedTuple):
    """What a file holds."""

    integers: List[np.ndarray]
    """Of families 1 and 2 the step indices, then each tensor; of family 3 the values in half steps of all bands in
    their order, from level 0 on; of family 4 as of 1 and 2, then the latents of each grid in coding order."""
    planes: List[np.ndarray]
    """Of family 3 the planes after level 0, in 1/64 of the step."""
    samples: np.ndarray
    """(rows, columns, channels): uint8, uint16 or, of depth code 2, float32."""
    alpha: Optional[np.ndarray]
    """The states of alpha where the file has a map: (rows, columns)."""
    metadata: Dict[str, bytes]
    """ICC profile `c`, EXIF `e` and XMP packet `x`, as far as they are there."""
    wavelet: Optional[Wavelet]
    """Of family 3 all that was decoded."""
    pyramid: Optional[Pyramid]
    """Of family 4."""


def read_doubled(data: bytes) -> np.ndarray:
    """The samples of a wavelet or a pyramid at scale 2, through the detail network that the file names."""
    fetch = of_bytes(data)
    head = read_head(fetch)
    header = read_header(head.chunks["H"])
    payload, detail = read_payload(head, fetch), read_detail(header)
    require(detail is not None, "no detail network is named, or it is not here")
    assert detail is not None
    if header.family == 4:
        field = read_pyramid(header, head, payload).colours()
    else:
        field = colours(read_wavelet(header, head, payload))
    return to_samples(double(field, detail), header)


def read(data: bytes, watch: Optional[Callable[[Pass], None]] = None) -> Picture:
    """A whole file.

    Args:
        watch: is given each pass of the bands.
    """
    fetch = of_bytes(data)
    head = read_head(fetch)
    payload = read_payload(head, fetch)
    header = read_header(head.chunks["H"])
    metadata = {kind: read_metadata(content) for kind, content in head.chunks.items() if kind in "cex"}
    alpha = read_alpha_map(head.chunks["A"], header.height, header.width) if "A" in head.chunks else None
    if header.family == 0:
        require(not payload and "i" not in head.chunks, "payload without a field")
        nothing = np.zeros((header.height, header.width, 0))
        return Picture([], [], to_samples(nothing, header, alpha), alpha, metadata, None, None)
    if header.family < 3:
        integers, field = read_network(header, payload)
        return Picture(integers, [], to_samples(field, header, alpha), alpha, metadata, None, None)
    if header.family == 4:
        pyramid = read_pyramid(header, head, payload)
        integers = [pyramid.step_indices, *pyramid.integers, *pyramid.grids.values()]
        return Picture(integers, [], to_samples(pyramid.colours(), header, alpha), alpha, metadata, None, pyramid)
    wavelet = read_wavelet(header, head, payload, watch)
    integers = [values for bands in wavelet.levels for values in bands.values()]
    samples = to_samples(colours(wavelet), header, alpha)
    return Picture(integers, list(wavelet.planes.values()), samples, alpha, metadata, wavelet, None)


def read_crop(fetch: Fetch, rows: Span, columns: Span) -> np.ndarray:
    """Samples of a part of a wavelet or a pyramid, from only the bytes that it needs; the file has an index.

    Args:
        fetch: from an offset in the file and a length to so many bytes, fewer where the file ends before.
        rows, columns: from, to.
    """
    head = read_head(fetch)
    header = read_header(head.chunks["H"])
    require(header.family >= 3, "a part is read of families 3 and 4 alone")
    require(0 <= rows[0] < rows[1] <= header.height and 0 <= columns[0] < columns[1] <= header.width, "rectangle")
    alpha = None
    if "A" in head.chunks:
        alpha = read_alpha_map(head.chunks["A"], header.height, header.width)[slice(*rows), slice(*columns)]
    region = read_region if header.family == 3 else read_region_of_pyramid
    return to_samples(region(header, head, fetch, rows, columns), header, alpha)


def of_bytes(data: bytes) -> Fetch:
    """A file that is there."""
    return lambda offset, length: data[offset : offset + length]
