"""Options that only the coordinate networks `fourier` and `siren` have. This module loads neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from nifcodec.config import DEVICE, MOST_STEPS, EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.fields.mlp.description import FIXED_POINT, MAX_DIMENSION, MAX_FEATURES, MAX_LAYERS, MAX_WIDTH
from nifcodec.options import check, given, option

# Headings of the command line's help.
NETWORK = "fields fourier and siren"
FOURIER = "field fourier"
SIREN = "field siren"

STORED = (1 / FIXED_POINT, (2**16 - 1) / FIXED_POINT)  # least and largest number that a description holds
MOST_SAMPLES = 2**22  # a step
PRECISIONS = ("float32", "float16")
IPU_OPTIONS = ("stochastic_rounding", "partials")
ENCODING_OPTIONS = {"powers": {"dimension", "sigma"}, "gaussian": {"features", "feature_scale"}}


@dataclass(frozen=True)
class MlpOptions:
    """What both coordinate networks understand; None means "follows from the target, or from the field".

    Attributes:
        width, layers: units and number of hidden layers.
        colour: space of the network's output, "rgb", "ycocg" or "yuv".
        batch_size: samples a step.
        sampling: "pixels" (one sample a pixel) or "random" (sub-pixel positions, bilinear).
        loss: "mse" or "huber" (with `huber_delta`).
        learning_rate: peak of the cosine schedule.
        report_every: steps between two reports, which progress, Ctrl-C and checkpoints wait for; None means about as
            many as take a second.
        gradient_accumulation: micro-batches that a replica takes a step, at least; more where memory needs it.
        precision: of products and activations, "float32" or "float16"; weights and Adam's moments are float32.
        stochastic_rounding: of float16 on an IPU; None means with float16.
        partials: of an IPU's products, "float16" or "float32"; None means `precision`.
    """

    width: Optional[int] = option(
        int, None, "units of a hidden layer", NETWORK, limits=(1, MAX_WIDTH), unset="from the target"
    )
    layers: Optional[int] = option(int, None, "hidden layers", NETWORK, limits=(1, MAX_LAYERS), unset="from the target")
    colour: str = option(str, "ycocg", "space of the network's output", NETWORK, choices=("rgb", "ycocg", "yuv"))
    batch_size: int = option(int, 4096, "samples a step", NETWORK, limits=(1, MOST_SAMPLES))
    sampling: str = option(
        str, "pixels", "one sample a pixel, or random positions", NETWORK, choices=("pixels", "random")
    )
    loss: str = option(str, "mse", "squared error, or Huber's", NETWORK, choices=("mse", "huber"))
    huber_delta: float = option(
        float, 0.001, "error from which on Huber's loss is linear", NETWORK, limits=(1e-6, 10), metavar="D"
    )
    learning_rate: Optional[float] = option(
        float, None, "peak of the cosine schedule", NETWORK, limits=(1e-7, 1), unset="from the field", metavar="R"
    )
    report_every: Optional[int] = option(
        int,
        None,
        "steps that progress, Ctrl-C and checkpoints wait for",
        NETWORK,
        limits=(1, MOST_STEPS),
        unset="a second",
    )
    gradient_accumulation: int = option(
        int, 1, "least micro-batches of a replica's step", DEVICE, limits=(1, MOST_SAMPLES), metavar="K"
    )
    precision: str = option(str, "float32", "of products and activations", DEVICE, choices=PRECISIONS)
    stochastic_rounding: Optional[bool] = option(
        bool, None, "round float16 on an IPU to nearest", DEVICE, flags=("--no-stochastic-rounding",)
    )
    partials: Optional[str] = option(
        str, None, "of an IPU's products", DEVICE, choices=PRECISIONS, unset="that of --precision"
    )

    def __post_init__(self) -> None:
        check(self)

    def check_with(self, config: EncodeConfig) -> None:
        """Raises ConfigError for options that do not go together with the others."""
        for name in IPU_OPTIONS:
            if config.device != "ipu" and getattr(self, name) is not None:
                raise ConfigError(f"{name} is of an IPU: give --device ipu, or leave it out")


@dataclass(frozen=True)
class FourierOptions(MlpOptions):
    """Options of `fourier`.

    Attributes:
        encoding: of positions, "powers" (NeRF), "gaussian" (Fourier features) or "none".
        dimension, sigma: number and base of the powers; None takes as many as the picture's sides need.
        features, feature_scale: number and standard deviation (cycles per picture) of Gaussian features.
    """

    encoding: str = option(str, "powers", "of positions", FOURIER, choices=("powers", "gaussian", "none"))
    dimension: Optional[int] = option(
        int, None, "number of powers", FOURIER, limits=(1, MAX_DIMENSION), unset="from the picture's sides"
    )
    sigma: float = option(float, 2.0, "base of the powers", FOURIER, limits=STORED, metavar="S")
    features: Optional[int] = option(
        int, None, "number of Gaussian features", FOURIER, limits=(1, MAX_FEATURES), unset="32"
    )
    feature_scale: float = option(
        float, 10.0, "their spread in cycles per picture", FOURIER, limits=STORED, metavar="S"
    )

    def check_with(self, config: EncodeConfig) -> None:
        super().check_with(config)
        for encoding, names in ENCODING_OPTIONS.items():
            foreign = [name for name in given(self) if name in names]
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

    omega: float = option(float, 30.0, "frequency factor of the sines", SIREN, limits=STORED, metavar="W")
    half_sine: bool = option(bool, False, "compute the sine of siren in float16", DEVICE)


OPTIONS = {"fourier": FourierOptions, "siren": SirenOptions}
