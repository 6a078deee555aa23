"""`encode` and `decode` of one file. `main` loads this module late, so that `--help` needs no NumPy or Pillow."""

from __future__ import annotations

import argparse
import os
import time
import warnings
from dataclasses import asdict, replace
from typing import Optional

from PIL import Image as PillowImage

from nifcodec import decoder
from nifcodec.cli.console import Interrupt
from nifcodec.cli.reports import measures, parts, print_json, size_of
from nifcodec.config import EncodeConfig
from nifcodec.container import FLOAT_DEPTH, NifFile, read_header
from nifcodec.errors import ConfigError, NifError, OutputError
from nifcodec.fields.progress_line import ProgressLine
from nifcodec.files import STREAM, check_input, check_output, check_place, is_device, read_bytes, say, write_bytes
from nifcodec.picture import flatten, formats, metadata
from nifcodec.picture.image import Image
from nifcodec.picture.read import read_image
from nifcodec.picture.window import DEFAULT_MAX_PIXELS, choose_window
from nifcodec.picture.write import FORMATS, encode_picture, format_of

METADATA = ("icc", "exif", "xmp")


def encode_file(
    source: str, target: str, config: EncodeConfig, arguments: argparse.Namespace, interrupt: Interrupt
) -> Optional[str]:
    """Reads a picture, trains, writes the `.nif`, reports what the written bytes decode to.

    Returns what is to be said of a target that was missed, or None.
    """
    started = time.monotonic()
    # Even with -f, which is where a picture would be lost to a slip.
    ending = os.path.splitext(target)[1].lower()
    if ending != ".nif" and (ending in FORMATS or ending in PillowImage.registered_extensions()):
        raise ConfigError(f"{target} has the ending of a picture, and encode writes .nif files: give -o FILE.nif")
    check_input(source)
    given = _given_metadata(arguments)
    make_folder(arguments.out_dir)
    check_output(target, arguments.force, source)
    check_place(target)
    if config.tensorboard is not None:
        config = replace(config, tensorboard=os.path.join(config.tensorboard, _run_name(target)))
    from nifcodec import encoder

    image = read_image(source, arguments.allow_truncated, max_pixels(arguments))
    image = _with_metadata(image, given)
    line = None if arguments.quiet else ProgressLine(os.path.basename(source))
    try:
        encoded = encoder.encode_image(image, config, line, interrupt, arguments.measure)
    finally:
        if line:
            line.clear()
    write_bytes(target, encoded.data, arguments.force)
    _preserve(source, target, arguments.preserve)
    report = {**asdict(encoded.report), "seconds": time.monotonic() - started}
    if arguments.json:
        print_json({"file": target, "source": source, "orientation": image.orientation, **report})
    elif not arguments.quiet:
        trained = f"{report['field']}, {report['steps']} steps, {report['seconds']:.1f} s"
        turned = "" if image.orientation == 1 else f", turned upright from orientation {image.orientation}"
        say(f"{target}: {size_of(report)}, {measures(report)}, {trained}{turned}\n")
        if arguments.verbose:
            say(f"  {parts(report['parts'])}\n")
            if report["device"] is not None:
                say(f"  trained on {report['device']}\n")
    return encoded.missed


def decode_file(source: str, target: str, arguments: argparse.Namespace) -> None:
    """Reads a `.nif`, renders what was asked for, writes the picture. What cannot be written is refused before."""
    started = time.monotonic()
    check_nif(source)
    make_folder(arguments.out_dir)
    check_output(target, arguments.force, source)
    format = format_of(target, arguments.format)
    named = FORMATS.get(os.path.splitext(target)[1].lower(), format)
    if named != format:
        warnings.warn(f"{target} becomes {format}, as --format says, under the ending of {named}", stacklevel=2)
    data = read_bytes(source)
    header = read_header(data)
    if (target == STREAM or is_device(target)) and arguments.format is None and header.depth == FLOAT_DEPTH:
        format = "EXR"
    _check_writable(header, format, arguments)
    check_place(target)
    limits = arguments.scale, arguments.size, arguments.crop, max_pixels(arguments)
    image = decoder.decode_image(data, *limits, arguments.threads, arguments.interpolation, arguments.fit)
    if arguments.background is not None:
        image = flatten.over_background(image, arguments.background)
    elif arguments.opaque:
        image = flatten.without_alpha(image)
    write_bytes(target, encode_picture(image, format, arguments.quality), arguments.force)
    _preserve(source, target, arguments.preserve)
    if not arguments.quiet and target != STREAM:
        used = formats.has_loss(format, arguments.quality)
        quality = "" if used is None else f", {format} of quality {used:g}"
        say(f"{target}: {image.width}x{image.height}{quality}, {time.monotonic() - started:.1f} s\n")


def ending_of(source: str) -> str:
    """The ending of the picture that a `.nif` becomes where none was asked for: ".exr" of a float one, else ".png"."""
    try:
        depth = read_header(read_bytes(source)).depth if source != STREAM and not is_device(source) else 0
    except NifError:  # which decoding will meet again, and report
        depth = 0
    return ".exr" if depth == FLOAT_DEPTH else ".png"


def check_nif(source: str) -> None:
    """Names an input that is missing or no `.nif`, before its output is looked at."""
    check_input(source)
    if source != STREAM and os.path.isfile(source):
        read_header(read_bytes(source))


def max_pixels(arguments: argparse.Namespace) -> int:
    """The limit of both commands."""
    return DEFAULT_MAX_PIXELS if arguments.max_pixels is None else int(arguments.max_pixels)


def make_folder(folder: Optional[str]) -> None:
    """Makes the folder of outputs. Raises OutputError."""
    if folder is not None:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from None


def _check_writable(header: NifFile, format: str, arguments: argparse.Namespace) -> None:
    """Refuses a format that cannot hold what is going to be decoded."""
    source, limit = (header.width, header.height), max_pixels(arguments)
    window = choose_window(source, arguments.scale, arguments.size, arguments.crop, limit, fit=arguments.fit)
    channels = header.channels
    if arguments.background is not None:
        channels = flatten.channels_over(channels, flatten.colour_of(arguments.background))
    elif arguments.opaque:
        channels = flatten.channels_without_alpha(channels)
    opaque = header.constants.is_opaque(header.channels, header.depth)
    formats.check(format, (window.columns, window.rows), channels, header.depth, opaque, arguments.quality)


def _given_metadata(arguments: argparse.Namespace) -> "dict[str, bytes]":
    """What stands in place of the picture's own metadata, by kind. Raises NifError, ConfigError for another kind."""
    given = {}
    for kind in METADATA:
        path = getattr(arguments, kind)
        if path is not None:
            given[kind] = read_bytes(path)
            metadata.check(kind, given[kind], f"--{kind} {path}")
    return given


def _with_metadata(image: Image, given: "dict[str, bytes]") -> Image:
    """The picture with metadata of files in place of its own. Raises ConfigError for a profile of other colours."""
    icc, exif, xmp = (given.get(name, getattr(image, name)) for name in METADATA)
    image = replace(image, icc=icc, exif=metadata.upright_exif(exif), xmp=metadata.upright_xmp(xmp))
    if image.icc and not metadata.fitting_profile(image.icc, image.channels):
        raise ConfigError(f"the profile of --icc is not of the picture's {image.channels} channels: give another one")
    return image


def _preserve(source: str, target: str, asked: bool) -> None:
    """Gives the output the times of its input, where both have some."""
    if not asked or STREAM in (source, target) or is_device(source) or is_device(target):
        return
    times = os.stat(source)
    try:
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    except OSError as error:
        warnings.warn(f"{target} does not keep the time of {source}: {error.strerror or error}", stacklevel=3)


def _run_name(target: str) -> str:
    """The folder of one encode among those of a log: of the output and the time, so that runs can be compared."""
    name = "stream" if target == STREAM else os.path.splitext(os.path.basename(target))[0]
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
