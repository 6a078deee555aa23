"""The picture formats that are written: their endings, what they can hold, and what must be installed for them.

`check` answers before there is a picture, so that nobody waits for one that cannot be written.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from PIL import Image as PillowImage

from nifcodec.errors import ConfigError, MissingDependencyError
from nifcodec.files import STREAM, PathLike
from nifcodec.picture.linear_light import load

FLOAT_DEPTH = 32


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: Pillow's, "EXR", "HDR" or "PGM".
        endings: of its files.
        alpha, light, deep: it has transparency, linear light in floats, integers of 16 bits.
        colours: it has colours; grey stays grey in all formats but PPM and those of `as_colour`.
        as_colour: grey is written as colour.
        side: most pixels of a side.
        quality: what lossy files are written with by default; None for those that have no quality. 0 means that files
            are lossless unless a quality is given.
        options: of Pillow's `save`, for files without loss where there are such, else for all.
        exact_alpha: more of them, that keep alpha without loss where it would have one.
        plugin: (module, package) that brings the format to a Pillow that lacks it.
    """

    name: str
    endings: Tuple[str, ...]
    alpha: bool = True
    light: bool = False
    deep: bool = False
    colours: bool = True
    as_colour: bool = False
    side: int = 2**31 - 1
    quality: Optional[int] = None
    options: Optional[Mapping[str, Any]] = None
    exact_alpha: Optional[Mapping[str, Any]] = None
    plugin: Optional[Tuple[str, str]] = None


TABLE = (
    Format("PNG", (".png",), deep=True),
    # 95 is the highest quality that Pillow's documentation recommends; 65500 is libjpeg's limit.
    Format("JPEG", (".jpg", ".jpeg"), alpha=False, side=65500, quality=95, options={"subsampling": 0}),
    Format("WEBP", (".webp",), as_colour=True, side=16383, quality=0, options={"lossless": True}),
    Format(
        "AVIF",
        (".avif",),
        as_colour=True,
        side=65536,
        quality=90,
        options={"subsampling": "4:4:4"},
        exact_alpha={"advanced": {"alpha:lossless": "1"}},  # of libaom, which not every libavif has
        plugin=("pillow_avif", "pillow-avif-plugin"),
    ),
    Format("JXL", (".jxl",), quality=0, options={"lossless": True}, plugin=("pillow_jxl", "pillow-jxl-plugin")),
    Format("TIFF", (".tif", ".tiff"), light=True, deep=True, options={"compression": "tiff_deflate"}),
    Format("BMP", (".bmp",), alpha=False),
    Format("PPM", (".ppm", ".pnm"), alpha=False, deep=True, as_colour=True),
    Format("PGM", (".pgm",), alpha=False, deep=True, colours=False),
    Format("JPEG2000", (".jp2",)),
    Format("EXR", (".exr",), light=True),
    Format("HDR", (".hdr",), alpha=False, light=True),
)
FORMATS: Dict[str, str] = {ending: format.name for format in TABLE for ending in format.endings}


def named(name: str) -> Format:
    """The format of a name that `format_of` gives."""
    return next(format for format in TABLE if format.name == name)


def format_of(target: PathLike, format: Optional[str] = None) -> str:
    """Name of the format that `write_image` would write: Pillow's, "EXR", "HDR" or "PGM".

    Raises ConfigError for others.
    """
    suffix = os.path.splitext(os.fspath(target))[1].lower()
    if format is None:
        if target == STREAM or (os.path.exists(target) and not os.path.isfile(target)):
            return "PNG"
        if suffix not in FORMATS:
            raise ConfigError(
                f"{suffix or 'a name without ending'} names no picture format: use {', '.join(FORMATS)} or --format"
            )
        return FORMATS[suffix]
    name = FORMATS.get("." + format.lower().lstrip("."), format.upper())
    if name not in FORMATS.values():
        raise ConfigError(f"{format} is no format to write: use one of {', '.join(sorted(set(FORMATS.values())))}")
    return name


def check(
    name: str, size: Tuple[int, int], channels: int, depth: int, opaque: bool = False, quality: Optional[float] = None
) -> None:
    """Refuses what cannot be written.

    Args:
        name: as `format_of` gives it.
        size: width and height.
        channels: of the picture, 1 to 4.
        depth: bits a channel: 8, 16, or 32 of a float.
        opaque: its alpha, if it has one, is full everywhere.
        quality: that is asked for.

    Raises ConfigError, MissingDependencyError.
    """
    format = named(name)
    float_picture = depth == FLOAT_DEPTH
    if format.light and name != "TIFF" and not float_picture:
        raise ConfigError(f"{name} holds linear light, and the picture has {depth} bits: write PNG or TIFF")
    if not format.alpha and channels in (2, 4) and not opaque:
        others = "EXR or TIFF, or PNG or WebP to be looked at" if float_picture else "PNG, WebP or TIFF"
        raise ConfigError(
            f"{name} has no transparency and the picture has: write {others}, or flatten it by --background COLOUR, "
            "or leave its alpha out by --opaque"
        )
    if not format.colours and channels >= 3:
        raise ConfigError(f"{name} holds grey and the picture has colours: write PPM, by the ending .ppm")
    if max(size) > format.side:
        raise ConfigError(
            f"{name} holds {format.side} pixels a side, and the picture has {size[0]}x{size[1]}: write PNG or TIFF, or "
            "give --scale, --size or --crop"
        )
    if quality is not None and format.quality is None:
        lossy = ", ".join(format.name for format in TABLE if format.quality is not None)
        raise ConfigError(f"{name} is written without loss and has no quality: leave it out, or write one of {lossy}")
    _check_installed(format, channels, depth)


def _check_installed(format: Format, channels: int, depth: int) -> None:
    if format.name == "EXR":
        load("OpenEXR", "OpenEXR")
    elif format.name == "HDR":
        load("imagecodecs", "Radiance HDR")
    elif format.name == "TIFF" and (depth == FLOAT_DEPTH or (depth > 8 and channels > 1)):
        load("tifffile", "a TIFF of 16 bits or floats and several channels")
        load("imagecodecs", "a TIFF of 16 bits or floats and several channels")
    elif format.name == "PNG" and depth == 16 and channels > 1:
        load("imagecodecs", "a PNG of 16 bits and several channels")
    elif format.plugin is not None:
        _load_plugin(format)


def _load_plugin(format: Format) -> None:
    """Pillow's own support where it has it, else that of the plugin."""
    assert format.plugin is not None
    module, package = format.plugin
    PillowImage.init()
    if format.name not in PillowImage.SAVE:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    if format.name not in PillowImage.SAVE:
        raise MissingDependencyError(f"this Pillow does not write {format.name}: pip install {package}")


def has_loss(name: str, quality: Optional[float]) -> Optional[float]:
    """The quality that a file is written with, 0 to 100; None for one without loss."""
    usual = named(name).quality
    return quality if quality is not None else usual or None


def save_options(name: str, quality: Optional[float]) -> Dict[str, Any]:
    """Options of Pillow's `save`."""
    format, used = named(name), has_loss(name, quality)
    if used is None:
        return dict(format.options or {})
    # Options of a format that can do without loss are for files without.
    return {**(format.options or {} if format.quality else {}), "quality": round(used)}
