"""What each command does with one file. `main` loads this module late, so that `--help` needs no NumPy or Pillow."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import warnings
from dataclasses import asdict, replace
from typing import Any, Dict, Optional

from PIL import Image as PillowImage

from nifcodec import container, decoder
from nifcodec.cli.console import Interrupt
from nifcodec.config import EncodeConfig
from nifcodec.container import FLOAT_DEPTH, read_header
from nifcodec.errors import ConfigError, NifError, OutputError, OutputExistsError
from nifcodec.fields import families
from nifcodec.fields.progress_line import ProgressLine
from nifcodec.files import STREAM, check_input, check_output, read_bytes, say, write_bytes
from nifcodec.native.library import backend
from nifcodec.picture import metrics
from nifcodec.picture.image import finite
from nifcodec.picture.read import read_image
from nifcodec.picture.window import DEFAULT_MAX_PIXELS
from nifcodec.picture.write import FORMATS, encode_picture, format_of

METADATA = "nif_metadata.txt"
KERAS_ENDINGS = (".h5", ".hdf5")
COLOUR_MEASURES = ("psnr_luma", "psnr_l", "psnr_ab")  # of BT.601 luma, and of CIE Lab


def encode_file(
    source: str, target: str, config: EncodeConfig, arguments: argparse.Namespace, interrupt: Interrupt
) -> None:
    """Reads a picture, trains, writes the `.nif`, reports what the written bytes decode to."""
    # Even with -f, which is where a picture would be lost to a slip.
    ending = os.path.splitext(target)[1].lower()
    if ending != ".nif" and (ending in FORMATS or ending in PillowImage.registered_extensions()):
        raise ConfigError(f"{target} has the ending of a picture, and encode writes .nif files: give -o FILE.nif")
    check_input(source)
    _make_folder(arguments.out_dir)
    check_output(target, arguments.force, source)
    if config.tensorboard is not None:
        config = replace(config, tensorboard=os.path.join(config.tensorboard, _run_name(target)))
    from nifcodec import encoder

    image = read_image(source)
    line = None if arguments.quiet else ProgressLine(os.path.basename(source))
    try:
        encoded = encoder.encode_image(image, config, line, interrupt)
    finally:
        if line:
            line.clear()
    write_bytes(target, encoded.data, arguments.force)
    report = asdict(encoded.report)
    if arguments.json:
        _print_json({"file": target, "source": source, "orientation": image.orientation, **report})
    elif not arguments.quiet:
        trained = f"{report['field']}, {report['steps']} steps, {report['seconds']:.1f} s"
        turned = "" if image.orientation == 1 else f", turned upright from orientation {image.orientation}"
        say(f"{target}: {_size_of(report)}, {_measures(report)}, {trained}{turned}\n")
        if arguments.verbose:
            say(f"  {_parts(report['parts'])}\n")
            if report["device"] is not None:
                say(f"  trained on {report['device']}\n")


def decode_file(source: str, target: str, arguments: argparse.Namespace) -> None:
    """Reads a `.nif`, renders what was asked for, writes the picture."""
    _check_nif(source)
    _make_folder(arguments.out_dir)
    check_output(target, arguments.force, source)
    format = format_of(target, arguments.format)
    named = FORMATS.get(os.path.splitext(target)[1].lower(), format)
    if named != format:
        warnings.warn(f"{target} becomes {format}, as --format says, under the ending of {named}", stacklevel=2)
    started = time.monotonic()
    image = decoder.decode_image(
        read_bytes(source),
        arguments.scale,
        arguments.size,
        arguments.crop,
        _max_pixels(arguments),
        arguments.threads,
        arguments.interpolation,
        fit=arguments.fit,
    )
    if target == STREAM and arguments.format is None and image.depth == FLOAT_DEPTH:
        format = "EXR"
    write_bytes(target, encode_picture(image, format), arguments.force)
    if not arguments.quiet and target != STREAM:
        say(f"{target}: {image.width}x{image.height}, {time.monotonic() - started:.1f} s\n")


def ending_of(source: str) -> str:
    """The ending of the picture that a `.nif` becomes where none was asked for: ".exr" of a float one, else ".png"."""
    try:
        depth = read_header(read_bytes(source)).depth if source != STREAM else 0
    except NifError:  # which decoding will meet again, and report
        depth = 0
    return ".exr" if depth == FLOAT_DEPTH else ".png"


def _check_nif(source: str) -> None:
    """Names an input that is missing or no `.nif`, before its output is looked at."""
    check_input(source)
    if source != STREAM and os.path.isfile(source):
        read_header(read_bytes(source))


def print_info(source: str, as_json: bool, verbose: bool) -> None:
    """Prints what the header says."""
    info = asdict(decoder.inspect(read_bytes(source)))
    if as_json:
        _print_json({"file": source, **info})
        return
    kind = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}[info["channels"]]
    print(f"{source}: {_size_of(info)}, {kind}, {info['depth']} bits a channel")
    if info["transfer"]:
        print("  light     {kind}, {low:.6g} to {high:.6g}, scale {scale:.6g}".format(**info["transfer"]))
    settings = ", ".join(f"{name} {value}" for name, value in info["settings"].items())
    print(f"  field     {info['field']}: {settings}")
    print(f"  cost      {info['parameters']} parameters, {info['macs_per_pixel']:.0f} multiply-adds a pixel")
    print(f"  bytes     {_parts(info['parts'])}")
    kept = ", ".join(f"{name.upper()} {size} bytes" for name, size in info["metadata"].items() if size)
    print(f"  metadata  {kept or 'none'}")
    if verbose:
        print(f"  back end  {backend()}")


def verify_file(source: str, arguments: argparse.Namespace) -> None:
    """Checks and decodes a whole file; measures it against the original where one is given."""
    if source == STREAM == arguments.against:
        raise ConfigError("the .nif and --against are both standard input: give a file for one of them")
    data = read_bytes(source)
    original = finite(read_image(arguments.against).pixels, sanitize=True) if arguments.against else None
    started = time.monotonic()
    info = asdict(decoder.inspect(data))
    limits = {"max_pixels": _max_pixels(arguments), "threads": arguments.threads}
    pixels = decoder.decode(data, arguments.scale, interpolation=arguments.interpolation, **limits)
    report: Dict[str, Any] = {**info, "seconds": time.monotonic() - started, "steps": None}
    report.update(dict.fromkeys(("psnr_rgb", *COLOUR_MEASURES, "ms_ssim", "psnr_log", "psnr_pu21")))
    if original is not None:
        report.update(metrics.measure(original, pixels))
        if report["psnr_rgb"] is not None:
            measured = metrics.psnr_luma(original, pixels), *metrics.psnr_lab(original, pixels)
            report.update(zip(COLOUR_MEASURES, measured))
    if arguments.json:
        _print_json({"file": source, "against": arguments.against, **report})
        return
    print(f"{source}: intact, {_size_of(report)}, {info['field']}, decoded in {report['seconds']:.1f} s ({backend()})")
    if original is not None:
        print(f"  against {arguments.against}: {_measures(report)}")


def export_keras(source: str, target: str, force: bool) -> None:
    """Writes the network of a `.nif` as a Keras model, and `nif_metadata.txt` beside it."""
    _check_nif(source)
    if target != STREAM and os.path.splitext(target)[1].lower() not in KERAS_ENDINGS:
        raise ConfigError(f"Keras opens the model, an H5 file, by {' or '.join(KERAS_ENDINGS)} alone: rename {target}")
    described = os.path.join(os.path.dirname(target), METADATA)
    check_output(target, force, source)
    try:
        check_output(described, force, source)
    except OutputExistsError as error:
        raise OutputExistsError(f"{error}, or export to another folder: readers of the model know that name") from None
    file = container.unpack(read_bytes(source))
    field = families.numbered(file.family).open(file)
    from nifcodec.fields.mlp.decode import MlpRender

    if not isinstance(field, MlpRender):
        raise ConfigError(f"{source} is not a coordinate network: encode it with --field fourier or siren")
    network = field.weights()
    from nifcodec.fields.mlp.training import keras_export

    model = keras_export.keras_model(network.spec, network.dequantize(), file.width, file.height)
    text = keras_export.metadata(network.spec, file.width, file.height, source, target, sys.argv)
    write_bytes(target, keras_export.keras_bytes(model), force)
    write_bytes(described, text.encode(), force)


def _run_name(target: str) -> str:
    """The folder of one encode among those of a log: of the output and the time, so that runs can be compared."""
    name = "stream" if target == STREAM else os.path.splitext(os.path.basename(target))[0]
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _make_folder(folder: Optional[str]) -> None:
    if folder is not None:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from None


def _max_pixels(arguments: argparse.Namespace) -> int:
    return DEFAULT_MAX_PIXELS if arguments.max_pixels is None else int(arguments.max_pixels)


def _print_json(row: Dict[str, Any]) -> None:
    """One line. JSON has no infinity: the PSNR of equal pictures is null, beside "identical": true."""
    plain = {name: None if value == math.inf else value for name, value in row.items()}
    if "psnr_rgb" in row:
        measured = row["psnr_log"] if row["psnr_rgb"] is None else row["psnr_rgb"]
        plain["identical"] = None if measured is None else measured == math.inf
    print(json.dumps(plain), flush=True)


def _size_of(row: Dict[str, Any]) -> str:
    return f"{row['width']}x{row['height']}, {row['bytes']} bytes, {row['bpp']:.3f} bpp"


def _measures(row: Dict[str, Any]) -> str:
    if row["psnr_rgb"] is None:
        return f"log {_decibels(row['psnr_log'])}, PU21 {_decibels(row['psnr_pu21'])}"
    words = [_decibels(row["psnr_rgb"]), f"MS-SSIM {row['ms_ssim']:.4f}"]
    words[1:1] = [
        f"{name} {_decibels(row[key])}" for name, key in zip(("luma", "L", "AB"), COLOUR_MEASURES) if key in row
    ]
    return ", ".join(words)


def _decibels(psnr: float) -> str:
    return "identical" if psnr == math.inf else f"PSNR {psnr:.2f} dB"


def _parts(parts: Dict[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in parts.items())
