"""What an encoder is asked to do: one frozen `EncodeConfig`, handed down unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Dict, Optional, Tuple

from nifcodec.errors import ConfigError
from nifcodec.fields.spec import FIXED_POINT, MAX_DIMENSION, MAX_FEATURES, MAX_LAYERS, MAX_WIDTH

FIELDS = ("wavelet", "fourier", "siren")
TRANSFERS = ("auto", "log", "linear", "pq")
DEFAULT_QUALITY = 60.0
# fmt: off
MLP_OPTIONS = (
    "width", "layers", "encoding", "dimension", "sigma", "features", "feature_scale", "omega", "colour", "loss",
    "huber_delta", "sampling", "batch_size", "learning_rate", "gradient_accumulation", "half_sine",
    "stochastic_rounding", "partials",
)
# Those of one MLP field, and those of one encoding of it.
FIELD_OPTIONS = {
    "fourier": ("encoding", "dimension", "sigma", "features", "feature_scale"),
    "siren": ("omega", "half_sine"),
}
ENCODING_OPTIONS = {"powers": ("dimension", "sigma"), "gaussian": ("features", "feature_scale")}
# What a picture's training may be continued with in other ways than it was begun.
DEVICE_OPTIONS = (
    "device", "replicas", "gradient_accumulation", "precision", "half_sine", "stochastic_rounding", "partials",
    "executable_cache", "checkpoint", "resume",
)
WATCH_OPTIONS = ("tensorboard", "eval_every")
FIXED = (Real, 1 / FIXED_POINT, (2**16 - 1) / FIXED_POINT)  # as a description stores them
RANGES: Dict[str, Tuple[Any, float, float]] = {
    "quality": (Real, 0, 100), "bpp": (Real, 1e-6, 64), "target_size": (Integral, 1, 2**31), "psnr": (Real, 5, 80),
    "effort": (Integral, 1, 9), "seed": (Integral, 0, 2**31 - 1), "steps": (Integral, 1, 10_000_000),
    "width": (Integral, 1, MAX_WIDTH), "layers": (Integral, 1, MAX_LAYERS),
    "dimension": (Integral, 1, MAX_DIMENSION), "sigma": FIXED, "features": (Integral, 1, MAX_FEATURES),
    "feature_scale": FIXED, "omega": FIXED, "batch_size": (Integral, 1, 2**22), "huber_delta": (Real, 1e-6, 10),
    "learning_rate": (Real, 1e-7, 1), "replicas": (Integral, 1, 4096), "gradient_accumulation": (Integral, 1, 2**22),
    "eval_every": (Integral, 1, 10_000_000),
}

# fmt: on


@dataclass(frozen=True)
class EncodeConfig:
    """Options of one encode; None means "follows from the others".

    At most one of `quality`, `bpp`, `target_size` and `psnr` may be given; none means `DEFAULT_QUALITY`.

    Attributes:
        field: family of the field, one of `FIELDS`.
        quality: 0 (smallest) to 100 (best).
        bpp: bits per pixel of the whole file, > 0.
        target_size: bytes of the whole file, > 0.
        psnr: PSNR in dB of the decoded picture, over RGB; of a float picture, on its log values.
        effort: 1 (fastest) to 9.
        seed: seed of everything random; the same seed gives the same file on the same machine.
        steps: training steps (`wavelet`: rounds) in place of what effort asks for.
        width, layers: units and number of hidden layers. These and all of `MLP_OPTIONS` are of the MLP fields.
        encoding: "powers" (NeRF), "gaussian" (Fourier features) or "none"; `fourier` only.
        dimension, sigma: number and base of the powers.
        features, feature_scale: number and standard deviation (cycles per picture) of Gaussian features.
        omega: frequency factor of `siren` (Sitzmann et al. 2020, section 3.2).
        colour: space of the network's output, "rgb", "ycocg" or "yuv".
        loss: "mse" or "huber" (with `huber_delta`).
        sampling: "pixels" (one sample a pixel) or "random" (sub-pixel positions, bilinear).
        batch_size: samples a step.
        learning_rate: peak of the cosine schedule.
        device: "cpu", "gpu", "ipu", or "auto": a GPU where TensorFlow finds one, else the CPU.
        replicas: copies of the network that share each batch, or the picture's tiles; None means one, or, for the MLP
            fields, with TF_CONFIG what the cluster has.
        gradient_accumulation: micro-batches that a replica takes a step, at least; more where memory needs it.
        precision: of products and activations, "float32" or (MLP fields) "float16"; weights and Adam's moments are
            float32.
        half_sine: compute the sine of `siren` in float16.
        stochastic_rounding: of float16 on an IPU; None means with float16.
        partials: of an IPU's products, "float16" or "float32"; None means `precision`.
        executable_cache: folder of an IPU's compiled programs.
        checkpoint: HDF5 file that the state of the training is written to every few seconds.
        resume: go on from the checkpoint where there is one.
        tensorboard: folder that the training of this picture is logged to, for TensorBoard.
        eval_every: steps (`wavelet`: rounds) between two evaluations for it, at least; None means as many as the
            process that makes them is quick enough for.
        strip: drop EXIF and XMP (the ICC profile always stays).
        transfer: curve between the light of a float picture and what is coded: "log", "linear", "pq", or "auto" (log).
        sanitize: replace NaN and infinities of a float picture, which are an error otherwise.
    """

    field: str = "wavelet"
    quality: Optional[float] = None
    bpp: Optional[float] = None
    target_size: Optional[int] = None
    psnr: Optional[float] = None
    effort: int = 5
    seed: int = 0
    steps: Optional[int] = None
    width: Optional[int] = None
    layers: Optional[int] = None
    encoding: str = "powers"
    dimension: Optional[int] = None
    sigma: float = 2.0
    features: Optional[int] = None
    feature_scale: float = 10.0
    omega: float = 30.0
    colour: str = "ycocg"
    loss: str = "mse"
    huber_delta: float = 0.001
    sampling: str = "pixels"
    batch_size: int = 4096
    learning_rate: Optional[float] = None
    device: str = "auto"
    replicas: Optional[int] = None
    gradient_accumulation: int = 1
    precision: str = "float32"
    half_sine: bool = False
    stochastic_rounding: Optional[bool] = None
    partials: Optional[str] = None
    executable_cache: Optional[str] = None
    checkpoint: Optional[str] = None
    resume: bool = False
    tensorboard: Optional[str] = None
    eval_every: Optional[int] = None
    strip: bool = False
    transfer: str = "auto"
    sanitize: bool = False

    def __post_init__(self) -> None:
        targets = [name for name in ("quality", "bpp", "target_size", "psnr") if getattr(self, name) is not None]
        if len(targets) > 1:
            raise ConfigError(f"{' and '.join(targets)} exclude each other: give one of them")
        _one_of("field", self.field, FIELDS)
        _one_of("encoding", self.encoding, ("powers", "gaussian", "none"))
        _one_of("colour", self.colour, ("rgb", "ycocg", "yuv"))
        _one_of("loss", self.loss, ("mse", "huber"))
        _one_of("sampling", self.sampling, ("pixels", "random"))
        _one_of("device", self.device, ("auto", "cpu", "gpu", "ipu"))
        _one_of("precision", self.precision, ("float32", "float16"))
        _one_of("transfer", self.transfer, TRANSFERS)
        for name in ("half_sine", "resume", "strip", "sanitize"):
            _one_of(name, getattr(self, name), (False, True))
        for name, (kind, low, high) in RANGES.items():
            self._check_range(name, kind, low, high)
        if self.eval_every is not None and self.tensorboard is None:
            raise ConfigError("eval_every needs a log for its results: give --tensorboard DIR")
        self._check_network()
        self._check_device()

    @property
    def placed(self) -> "tuple[str, ...]":
        """Names of the options that say where and how training runs, where they are given."""
        return self._given(DEVICE_OPTIONS)

    def _given(self, names: "tuple[str, ...]") -> "tuple[str, ...]":
        return tuple(name for name in names if getattr(self, name) != getattr(type(self), name))

    def _check_range(self, name: str, kind: Any, low: float, high: float) -> None:
        value = getattr(self, name)
        if value is None and getattr(type(self), name) is None:
            return
        if not isinstance(value, kind) or isinstance(value, bool):
            number = "whole number" if kind is Integral else "number"
            raise ConfigError(f"{name} is {value!r}, which is no {number}: give one from {low} to {high}")
        if not low <= value <= high:
            raise ConfigError(f"{name} is {value}, outside of {low} to {high}")

    def _check_network(self) -> None:
        if self.field == "wavelet":
            self._check_wavelet()
            return
        for field, names in FIELD_OPTIONS.items():
            foreign = self._given(names)
            if field != self.field and foreign:
                raise ConfigError(f"the field {self.field} has no {' or '.join(foreign)}: give --field {field}")
        for encoding, names in ENCODING_OPTIONS.items():
            foreign = self._given(names)
            if encoding != self.encoding and foreign:
                raise ConfigError(
                    f"the encoding {self.encoding} has no {' or '.join(foreign)}: give --encoding {encoding}"
                )

    def _check_wavelet(self) -> None:
        foreign = self._given(MLP_OPTIONS)
        if foreign:
            raise ConfigError(f"the field wavelet has no {' or '.join(foreign)}: give --field fourier or siren")
        if self.precision != "float32":
            raise ConfigError(
                "the field wavelet is trained in float32 alone: its network sees small differences between planes of "
                "many steps, which float16 rounds away: leave precision out"
            )
        if self.effort == 1 and self.steps is None and self.placed:
            raise ConfigError(
                f"-e 1 does not train the field wavelet, so that {' and '.join(self.placed)} would do nothing: give "
                "a higher effort"
            )

    def _check_device(self) -> None:
        if self.partials is not None:
            _one_of("partials", self.partials, ("float32", "float16"))
        if self.device != "ipu":
            for name in ("stochastic_rounding", "partials", "executable_cache"):
                if getattr(self, name) is not None:
                    raise ConfigError(f"{name} is of an IPU: give --device ipu, or leave it out")
        if self.resume and self.checkpoint is None:
            raise ConfigError("resume needs the checkpoint to go on from: give --checkpoint FILE")


def _one_of(name: str, value: Any, allowed: "tuple[Any, ...]") -> None:
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}, which is not one of {', '.join(map(str, allowed))}")
