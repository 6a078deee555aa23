"""The codecs that can be measured: nifcodec's fields through its public API, and the formats that Pillow writes.

A codec is asked for as NAME[:OPTION...][@[PARAMETER=]SETTING/SETTING...], several separated by commas:
`jpeg`, `avif:s4:psnr@20/40/60`, `nif:siren:e3`, `nif:fourier:e5:width=128@bpp=0.1/0.2/0.4`.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

import nifcodec
from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError, MissingDependencyError
from nifcodec.fields import families

NIF_QUALITIES = ("20", "40", "60", "80")


class Codec(ABC):
    """Codes uint8 RGB pictures (H, W, 3) at a setting, which is a string as the user wrote it.

    Attributes:
        name: as asked for, without the settings.
        settings: the grid to sweep.
        extension: of its files, with the dot.
        version: of what does the work; rows of another version are not reused.
        description: one line for the report.
    """

    name: str
    settings: Tuple[str, ...]
    extension: str
    version: str
    description: str

    @abstractmethod
    def warm_up(self) -> None:
        """Load what the first encode would load, so that no picture's seconds contain it."""

    @abstractmethod
    def encode(self, pixels: np.ndarray, setting: str, progress: Optional[Callable[[Any], None]] = None) -> bytes:
        """The whole file. `progress` is handed to encoders that take minutes."""

    @abstractmethod
    def decode(self, data: bytes) -> np.ndarray:
        """Pixels, uint8 (H, W, 3)."""


@dataclass
class NifCodec(Codec):
    """A field of nifcodec, encoded and decoded by the installed package."""

    name: str
    settings: Tuple[str, ...]
    config: EncodeConfig
    parameter: str = "quality"
    extension: str = ".nif"

    def __post_init__(self) -> None:
        self.version = nifcodec.__version__
        self.description = f"nifcodec {self.version}, field {self.config.field}, effort {self.config.effort}"
        for setting in self.settings:
            self._configured(setting)

    def warm_up(self) -> None:
        # At the default quality: a target in bits per pixel would ask this small picture for too small a file.
        nifcodec.encode(np.zeros((16, 16, 3), np.uint8), replace(self.config, steps=1))

    def encode(self, pixels: np.ndarray, setting: str, progress: Optional[Callable[[Any], None]] = None) -> bytes:
        return nifcodec.encode(pixels, self._configured(setting), progress=progress)

    def decode(self, data: bytes) -> np.ndarray:
        return nifcodec.decode(data)

    def _configured(self, setting: str) -> EncodeConfig:
        options: Dict[str, Any] = {self.parameter: _typed(setting.rpartition("=")[2])}
        return replace(self.config, **options)


@dataclass(frozen=True)
class PillowFormat:
    """How one of Pillow's formats is swept.

    Attributes:
        plugin: Pillow's name of the format.
        feature: what `PIL.features.check` must find.
        extension: of its files.
        settings: the default grid.
        defaults: options of `Image.save` at every setting.
        options: what an option in the codec's name adds to them.
        quality: options of `Image.save` for a setting.
    """

    plugin: str
    feature: str
    extension: str
    settings: Tuple[str, ...]
    defaults: Mapping[str, Any]
    options: Mapping[str, Mapping[str, Any]]
    quality: Callable[[float], Mapping[str, Any]]


def _quality(value: float) -> Mapping[str, Any]:
    return {"quality": int(value)}


def _bits_per_pixel(value: float) -> Mapping[str, Any]:
    return {"quality_layers": [24 / value]}


_SUBSAMPLINGS = {"420": {"subsampling": "4:2:0"}, "444": {"subsampling": "4:4:4"}}

FORMATS: Mapping[str, PillowFormat] = {
    "jpeg": PillowFormat(
        "JPEG", "jpg", ".jpg", ("5", "10", "20", "35", "50", "70", "85", "91"),
        {"subsampling": "4:2:0", "optimize": True}, _SUBSAMPLINGS, _quality,
    ),
    "webp": PillowFormat(
        "WEBP", "webp", ".webp", ("0", "5", "15", "35", "60", "80", "88", "92"),
        {"method": 6}, {"m4": {"method": 4}, "m6": {"method": 6}, "sharp": {"use_sharp_yuv": True}}, _quality,
    ),
    "avif": PillowFormat(
        "AVIF", "avif", ".avif", ("0", "10", "22", "32", "45", "58", "72", "86"),
        {"speed": 6, "subsampling": "4:4:4", "max_threads": 1},
        {**_SUBSAMPLINGS, "psnr": {"advanced": {"tune": "psnr"}}, **{f"s{n}": {"speed": n} for n in range(11)}},
        _quality,
    ),
    "jpeg2000": PillowFormat(
        "JPEG2000", "jpg_2000", ".j2k", ("0.05", "0.1", "0.2", "0.4", "0.7", "1.0", "1.5", "2.2"),
        {"quality_mode": "rates", "irreversible": True, "mct": 1, "no_jp2": True}, {}, _bits_per_pixel,
    ),
}  # fmt: skip


@dataclass
class PillowCodec(Codec):
    """One of `FORMATS`."""

    name: str
    settings: Tuple[str, ...]
    format: PillowFormat
    save_options: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.extension = self.format.extension
        library = features.version(self.format.feature)
        self.version = f"Pillow {pillow_version}" + (f", {self.format.feature} {library}" if library else "")
        options = ", ".join(f"{key} {value}" for key, value in self.save_options.items())
        self.description = f"{self.format.plugin} by {self.version} ({options})"

    def warm_up(self) -> None:
        self.decode(self.encode(np.zeros((16, 16, 3), np.uint8), self.settings[-1]))

    def encode(self, pixels: np.ndarray, setting: str, progress: Optional[Callable[[Any], None]] = None) -> bytes:
        buffer = io.BytesIO()
        options = {**self.save_options, **self.format.quality(float(setting))}
        Image.fromarray(pixels).save(buffer, self.format.plugin, **options)
        return buffer.getvalue()

    def decode(self, data: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"))


DEFAULT_CODECS = "nif:fourier,nif:siren,jpeg,webp,avif,jpeg2000"


def parse_codecs(text: str, seed: int = 0) -> List[Codec]:
    """The codecs of a comma-separated list (see the module); "none" gives none.

    Raises:
        ConfigError: an unknown name, option or setting, or a codec named twice.
        MissingDependencyError: a format that the installed Pillow cannot write.
    """
    codecs = [_parse(item.strip(), seed) for item in text.split(",") if item.strip() not in ("", "none")]
    names = [codec.name for codec in codecs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{', '.join(twice)} is given twice: join the settings of one codec with /")
    return codecs


def _parse(text: str, seed: int) -> Codec:
    name, _, grid = text.partition("@")
    family, *options = name.split(":")
    parameter, _, listed = grid.rpartition("=")
    settings = tuple(listed.split("/")) if listed else ()
    for setting in settings:
        if not isinstance(_typed(setting), (int, float)):
            raise ConfigError(f"{setting!r} in {text!r} is no number: settings are numbers joined with /")
    if family == "nif":
        return _parse_nif(name, options, parameter or "quality", settings or NIF_QUALITIES, seed)
    if parameter:
        raise ConfigError(f"{text!r}: only nif codecs are swept over a named parameter")
    return _parse_pillow(name, family, options, settings)


def _parse_nif(name: str, options: Sequence[str], parameter: str, settings: Tuple[str, ...], seed: int) -> Codec:
    if parameter not in ("quality", "bpp", "psnr", "target_size"):
        raise ConfigError(f"{parameter!r} cannot be swept: quality, bpp, psnr and target_size can")
    values: Dict[str, Any] = {"seed": seed}
    known = {key: about for key, about in families.all_options().items() if key not in ("field", "seed")}
    for option in options[1:]:
        key, equals, value = option.partition("=")
        if not equals and key[:1] == "e" and key[1:].isdigit():
            values["effort"] = int(key[1:])
        elif equals and key in known:
            values[key] = _typed(value)
            if isinstance(values[key], str) and known[key].kind is not str:
                raise ConfigError(f"{option!r} in {name!r}: {key} is a number")
        else:
            raise ConfigError(f"{option!r} in {name!r} is no option: give e1 to e9, or NAME=VALUE of an encode")
    if options:
        values["field"] = options[0]
    named = settings if parameter == "quality" else tuple(f"{parameter}={setting}" for setting in settings)
    return NifCodec(name, named, families.configure(**values), parameter)


def _parse_pillow(name: str, family: str, options: Sequence[str], settings: Tuple[str, ...]) -> Codec:
    if family not in FORMATS:
        raise ConfigError(f"{family!r} is no codec: there are nif, {', '.join(FORMATS)}")
    chosen = FORMATS[family]
    if not features.check(chosen.feature):
        raise MissingDependencyError(
            f"Pillow {pillow_version} writes no {family}: upgrade it with pip install -U pillow"
        )
    save_options = dict(chosen.defaults)
    for option in options:
        if option not in chosen.options:
            raise ConfigError(
                f"{option!r} in {name!r} is no option of {family}: there are {', '.join(chosen.options) or 'none'}"
            )
        save_options.update(chosen.options[option])
    return PillowCodec(name, settings or chosen.settings, chosen, save_options)


def _typed(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
