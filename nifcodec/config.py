"""What an encoder is asked to do: one frozen `EncodeConfig`, handed down unchanged.

Each option is described once, where it is a field of a dataclass: default, help, range. The command line's flags and
the checks follow from that, here and for the options that only one family of fields has.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Dict, Optional, Sequence, Tuple, Type

from nifcodec.errors import ConfigError

TRANSFERS = ("auto", "log", "linear", "pq")
DEFAULT_QUALITY = 60.0
TARGETS = ("quality", "bpp", "target_size", "psnr")
# What a picture's training may be continued with in other ways than it was begun.
DEVICE_OPTIONS = ("device", "replicas", "executable_cache", "checkpoint", "resume")
WATCH_OPTIONS = ("tensorboard", "eval_every")


@dataclass(frozen=True)
class Described:
    """What an option says of itself, in the metadata of its dataclass field.

    Attributes:
        help: for people.
        kind: Integral, Real or str; bool of a switch.
        limits: least and largest value of a number.
        choices: values of a name.
        metavar: what the help calls the value.
        flags: of the command line, where they are not the option's name.
        group: heading of the command line's help; "" is the first one.
    """

    help: str
    kind: Any
    limits: Optional[Tuple[float, float]] = None
    choices: Tuple[str, ...] = ()
    metavar: Optional[str] = None
    flags: Tuple[str, ...] = ()
    group: str = ""


def number(
    default: Any,
    help: str,
    kind: Any,
    low: float,
    high: float,
    metavar: str,
    flags: Sequence[str] = (),
    group: str = "",
) -> Any:
    """A dataclass field that is a number from `low` to `high`; None is allowed where it is the default."""
    described = Described(help, kind, (low, high), metavar=metavar, flags=tuple(flags), group=group)
    return field(default=default, metadata={"option": described})


def name(default: Optional[str], help: str, choices: Sequence[str], group: str = "") -> Any:
    """A dataclass field that is one of several names; None is allowed where it is the default."""
    return field(default=default, metadata={"option": Described(help, str, choices=tuple(choices), group=group)})


def text(default: Optional[str], help: str, metavar: str, group: str = "") -> Any:
    """A dataclass field that is any text, such as a path."""
    return field(default=default, metadata={"option": Described(help, str, metavar=metavar, group=group)})


def switch(default: Optional[bool], help: str, flags: Sequence[str] = (), group: str = "") -> Any:
    """A dataclass field that is on or off. Its flag gives the value that is not the default."""
    return field(default=default, metadata={"option": Described(help, bool, flags=tuple(flags), group=group)})


def described(kind: Type[Any]) -> Dict[str, Described]:
    """The described options of a dataclass, by name, in their order."""
    return {part.name: part.metadata["option"] for part in fields(kind) if "option" in part.metadata}


def default_of(kind: Type[Any], option: str) -> Any:
    """The default of an option of a dataclass."""
    return next(part.default for part in fields(kind) if part.name == option)


def given(options: Any, names: Sequence[str]) -> Tuple[str, ...]:
    """Those of the names whose options are not at their default."""
    return tuple(option for option in names if getattr(options, option) != default_of(type(options), option))


def check(options: Any) -> None:
    """Raises ConfigError for an option of a dataclass that is outside of what its description allows."""
    for option, about in described(type(options)).items():
        value = getattr(options, option)
        if value is None and default_of(type(options), option) is None:
            continue
        if about.limits is not None:
            _check_number(option, value, about)
        elif about.choices:
            _check_one_of(option, value, about.choices)
        elif about.kind is bool:
            _check_one_of(option, value, (False, True))
        elif not isinstance(value, str):
            raise ConfigError(f"{option} is {value!r}, which is no text")


def _check_number(option: str, value: Any, about: Described) -> None:
    assert about.limits is not None
    low, high = about.limits
    if not isinstance(value, about.kind) or isinstance(value, bool):
        word = "whole number" if about.kind is Integral else "number"
        raise ConfigError(f"{option} is {value!r}, which is no {word}: give one from {low} to {high}")
    if not low <= value <= high:
        raise ConfigError(f"{option} is {value}, outside of {low} to {high}")


def _check_one_of(option: str, value: Any, allowed: Tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{option} is {value!r}, which is not one of {', '.join(map(str, allowed))}")


_DEVICE = "where it trains (docs/devices.md, docs/ipu.md)"
_WATCH = "watching it train (docs/watching.md)"


@dataclass(frozen=True)
class EncodeConfig:
    """What every family of fields understands. None means "follows from the others".

    At most one of `quality`, `bpp`, `target_size` and `psnr` may be given; none means `DEFAULT_QUALITY`.

    Attributes:
        field: name of the family of the field.
        options: what only this family has, an object of its options' dataclass; None means its defaults.
        quality: 0 (smallest) to 100 (best).
        bpp: bits per pixel of the whole file, > 0.
        target_size: bytes of the whole file, > 0.
        psnr: PSNR in dB of the decoded picture, over RGB; of a float picture, on its log values.
        effort: 1 (fastest) to 9.
        steps: training steps (`wavelet`: rounds) in place of what effort asks for.
        seed: seed of everything random; the same seed gives the same file on the same machine.
        device: "cpu", "gpu", "ipu", or "auto": a GPU where TensorFlow finds one, else the CPU.
        replicas: copies of the network that share each batch, or the picture's tiles; None means one, or, for the MLP
            fields, with TF_CONFIG what the cluster has.
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
    quality: Optional[float] = number(
        None, f"0 coarsest to 100 finest (default {DEFAULT_QUALITY:.0f})", Real, 0, 100, "Q", ("-q", "--quality")
    )
    bpp: Optional[float] = number(None, "bits per pixel of the whole file", Real, 1e-6, 64, "B")
    target_size: Optional[int] = number(None, "size of the whole file in bytes", Integral, 1, 2**31, "BYTES")
    psnr: Optional[float] = number(
        None, "RGB PSNR of the decoded picture; of a float one, on its log values", Real, 5, 80, "DB"
    )
    effort: int = number(5, "1 fastest to 9 (default 5)", Integral, 1, 9, "E", ("-e", "--effort"))
    seed: int = number(0, "seed of everything random (default 0)", Integral, 0, 2**31 - 1, "N")
    strip: bool = switch(False, "drop EXIF and XMP; the ICC profile always stays")
    transfer: str = name(
        "auto", "curve between the light of a float picture and the field (default auto: log)", TRANSFERS
    )
    sanitize: bool = switch(False, "replace NaN by 0 and infinities by the largest finite value")
    steps: Optional[int] = number(None, "training steps (default: from the effort)", Integral, 1, 10_000_000, "N")
    device: str = name("auto", "default: a GPU if there is one, else CPU", ("auto", "cpu", "gpu", "ipu"), _DEVICE)
    replicas: Optional[int] = number(
        None, "networks that share each batch, or the tiles (default 1)", Integral, 1, 4096, "N", group=_DEVICE
    )
    executable_cache: Optional[str] = text(None, "folder of an IPU's compiled programs", "DIR", _DEVICE)
    checkpoint: Optional[str] = text(None, "HDF5 file that keeps the state of the training", "FILE", _DEVICE)
    resume: bool = switch(False, "go on from the checkpoint where there is one", group=_DEVICE)
    tensorboard: Optional[str] = text(None, "log for TensorBoard: a run a picture, in folders of DIR", "DIR", _WATCH)
    eval_every: Optional[int] = number(
        None,
        "steps or rounds between evaluations (default: as many as it can)",
        Integral,
        1,
        10_000_000,
        "N",
        group=_WATCH,
    )
    options: Optional[Any] = None

    def __post_init__(self) -> None:
        targets = [target for target in TARGETS if getattr(self, target) is not None]
        if len(targets) > 1:
            raise ConfigError(f"{' and '.join(targets)} exclude each other: give one of them")
        check(self)
        if self.eval_every is not None and self.tensorboard is None:
            raise ConfigError("eval_every needs a log for its results: give --tensorboard DIR")
        if self.executable_cache is not None and self.device != "ipu":
            raise ConfigError("executable_cache is of an IPU: give --device ipu, or leave it out")
        if self.resume and self.checkpoint is None:
            raise ConfigError("resume needs the checkpoint to go on from: give --checkpoint FILE")

    @property
    def placed(self) -> Tuple[str, ...]:
        """Names of the options that say where and how training runs, where they are given."""
        return given(self, DEVICE_OPTIONS)
