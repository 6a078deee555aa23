"""Options that only the coordinate networks `fourier` and `siren` have. This module loads neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Optional

from nifcodec.config import EncodeConfig, check, given, name, number, switch
from nifcodec.errors import ConfigError
from nifcodec.fields.mlp.description import FIXED_POINT, MAX_DIMENSION, MAX_FEATURES, MAX_LAYERS, MAX_WIDTH

LEAST, LARGEST = 1 / FIXED_POINT, (2**16 - 1) / FIXED_POINT  # as a description stores them
ENCODING_OPTIONS = {"powers": ("dimension", "sigma"), "gaussian": ("features", "feature_scale")}
IPU_OPTIONS = ("stochastic_rounding", "partials")
# What a training may be continued with in other ways than it was begun, beside `config.DEVICE_OPTIONS`.
PLACEMENT_OPTIONS = ("gradient_accumulation", "precision", "half_sine", *IPU_OPTIONS)

_FIELD = "the network and its training, of fourier and siren"
_DEVICE = "where it trains (docs/devices.md, docs/ipu.md)"
_PRECISIONS = ("float32", "float16")


@dataclass(frozen=True)
class MlpOptions:
    """What both coordinate networks understand; None means "follows from the target, or from the field".

    Attributes:
        width, layers: units and number of hidden layers.
        colour: space of the network's output, "rgb", "ycocg" or "yuv".
        loss: "mse" or "huber" (with `huber_delta`).
        sampling: "pixels" (one sample a pixel) or "random" (sub-pixel positions, bilinear).
        batch_size: samples a step.
        learning_rate: peak of the cosine schedule.
        gradient_accumulation: micro-batches that a replica takes a step, at least; more where memory needs it.
        precision: of products and activations, "float32" or "float16"; weights and Adam's moments are float32.
        stochastic_rounding: of float16 on an IPU; None means with float16.
        partials: of an IPU's products, "float16" or "float32"; None means `precision`.
    """

    width: Optional[int] = number(
        None, "units of a hidden layer (default: from the target)", Integral, 1, MAX_WIDTH, "N", group=_FIELD
    )
    layers: Optional[int] = number(
        None, "hidden layers (default: from the target)", Integral, 1, MAX_LAYERS, "N", group=_FIELD
    )
    colour: str = name("ycocg", "space of the network's output", ("rgb", "ycocg", "yuv"), _FIELD)
    batch_size: int = number(4096, "samples a step", Integral, 1, 2**22, "N", group=_FIELD)
    sampling: str = name("pixels", "one sample a pixel, or random positions", ("pixels", "random"), _FIELD)
    loss: str = name("mse", "squared error, or Huber's", ("mse", "huber"), _FIELD)
    huber_delta: float = number(0.001, "where Huber's loss becomes linear", Real, 1e-6, 10, "D", group=_FIELD)
    learning_rate: Optional[float] = number(None, "peak of the cosine schedule", Real, 1e-7, 1, "R", group=_FIELD)
    gradient_accumulation: int = number(
        1, "micro-batches a replica and step, at least (default 1)", Integral, 1, 2**22, "K", group=_DEVICE
    )
    precision: str = name("float32", "of products and activations", _PRECISIONS, _DEVICE)
    stochastic_rounding: Optional[bool] = switch(
        None, "of float16 on an IPU", ("--no-stochastic-rounding",), group=_DEVICE
    )
    partials: Optional[str] = name(None, "of an IPU's products (default: --precision)", _PRECISIONS, _DEVICE)

    def __post_init__(self) -> None:
        check(self)

    def check_with(self, config: EncodeConfig) -> None:
        """Raises ConfigError for options that do not go together with the others."""
        if config.device != "ipu":
            for option in IPU_OPTIONS:
                if getattr(self, option) is not None:
                    raise ConfigError(f"{option} is of an IPU: give --device ipu, or leave it out")


@dataclass(frozen=True)
class FourierOptions(MlpOptions):
    """Options of `fourier`.

    Attributes:
        encoding: of positions, "powers" (NeRF), "gaussian" (Fourier features) or "none".
        dimension, sigma: number and base of the powers.
        features, feature_scale: number and standard deviation (cycles per picture) of Gaussian features.
    """

    encoding: str = name("powers", "of positions, for fourier", ("powers", "gaussian", "none"), _FIELD)
    dimension: Optional[int] = number(None, "number of powers", Integral, 1, MAX_DIMENSION, "N", group=_FIELD)
    sigma: float = number(2.0, "base of the powers", Real, LEAST, LARGEST, "S", group=_FIELD)
    features: Optional[int] = number(None, "number of Gaussian features", Integral, 1, MAX_FEATURES, "N", group=_FIELD)
    feature_scale: float = number(10.0, "their spread in cycles per picture", Real, LEAST, LARGEST, "S", group=_FIELD)

    def check_with(self, config: EncodeConfig) -> None:
        super().check_with(config)
        for encoding, options in ENCODING_OPTIONS.items():
            foreign = given(self, options)
            if encoding != self.encoding and foreign:
                raise ConfigError(
                    f"the encoding {self.encoding} has no {' or '.join(foreign)}: give --encoding {encoding}"
                )


@dataclass(frozen=True)
class SirenOptions(MlpOptions):
    """Options of `siren`.

    Attributes:
        omega: frequency factor (Sitzmann et al. 2020, section 3.2).
        half_sine: compute the sine in float16.
    """

    omega: float = number(30.0, "frequency factor of siren", Real, LEAST, LARGEST, "W", group=_FIELD)
    half_sine: bool = switch(False, "the sine of siren in float16", group=_DEVICE)


OPTIONS = {"fourier": FourierOptions, "siren": SirenOptions}
