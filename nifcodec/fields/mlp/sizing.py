"""Which network a picture gets: its width and depth from the bits that it may take, its encoding from the sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional, Tuple

from nifcodec.errors import ConfigError, CorruptFileError
from nifcodec.fields.mlp.description import FIXED_POINT, MAX_DIMENSION, MAX_WIDTH, MlpDescription
from nifcodec.fields.mlp.options import OPTIONS, FourierOptions, MlpOptions, SirenOptions

BITS_PER_PARAMETER = 6.0  # what the tuned quantizer spends on a weight, measured on photographs


def choose_size(
    spec: MlpDescription, bits: float, width: Optional[int] = None, layers: Optional[int] = None
) -> MlpDescription:
    """`spec` with the width and depth whose parameters take about `bits` bits; a given width or depth is kept.

    Depth grows slowly with the budget: shallow networks win at low rates, where each layer is narrow.
    """
    wanted = max(bits / BITS_PER_PARAMETER, 1.0)
    if layers is None:
        layers = 4 if width is not None or wanted < 20_000 else 6
    if width is not None:
        return replace(spec, width=width, layers=layers)
    low, high = 4, MAX_WIDTH
    while high - low > 1:
        middle = (low + high) // 2
        if replace(spec, width=middle, layers=layers).parameter_count() > wanted:
            high = middle
        else:
            low = middle
    return replace(spec, width=low, layers=layers)


def design(
    family: str, channels: int, size: Tuple[int, int], bits: float, options: Optional[MlpOptions] = None, seed: int = 0
) -> MlpDescription:
    """The description of a network for a picture of `size` (height, width) and a file of about `bits` bits.

    Args:
        options: of the family; what is None there follows from the picture and the budget.
        seed: of Gaussian features.

    Raises:
        ConfigError: an option outside of its range.
    """
    wanted = OPTIONS[family]() if options is None else options
    spec = MlpDescription(family, channels, 1, 1, "none", colour=wanted.colour if channels >= 3 else "rgb")
    if isinstance(wanted, SirenOptions):
        spec = replace(spec, omega=_on_grid(wanted.omega))
    elif isinstance(wanted, FourierOptions):
        spec = _with_encoding(spec, wanted, max(size), seed)
    try:
        spec.validate()
        spec = choose_size(spec, bits, wanted.width, wanted.layers)
        spec.validate()
    except CorruptFileError as error:
        raise ConfigError(f"this network cannot be stored: {error}") from None
    return spec


def _with_encoding(spec: MlpDescription, options: FourierOptions, side: int, seed: int) -> MlpDescription:
    if options.encoding == "powers":
        sigma = _on_grid(options.sigma)
        dimension = _dimension(side, sigma) if options.dimension is None else options.dimension
        return replace(spec, encoding="powers", sigma=sigma, dimension=dimension)
    if options.encoding == "gaussian":
        features = 32 if options.features is None else options.features
        scale = _on_grid(options.feature_scale)
        return replace(spec, encoding="gaussian", scale=scale, seed=seed, features=features)
    return spec


def _on_grid(value: float) -> float:
    return round(value * FIXED_POINT) / FIXED_POINT


def _dimension(side: int, sigma: float) -> int:
    """Powers up to half of the Nyquist frequency of `side` pixels over 2 units; ReLU makes the harmonics above."""
    dimension = 1
    while dimension < MAX_DIMENSION and sigma > 1 and sigma**dimension <= 1.6 * side / 2:
        dimension += 1
    return dimension
