"""`info`, `verify` and `export` of one file. `main` loads this late, so that `--help` needs no NumPy or Pillow."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import asdict
from typing import Any, Dict

from nifcodec import container, decoder
from nifcodec.cli.conversions import check_nif, max_pixels
from nifcodec.cli.reports import COLOUR_MEASURES, measures, parts, print_json, size_of
from nifcodec.errors import ConfigError, OutputExistsError
from nifcodec.fields import families
from nifcodec.files import STREAM, check_output, read_bytes, write_bytes
from nifcodec.native.library import backend
from nifcodec.picture import metrics
from nifcodec.picture.image import finite
from nifcodec.picture.read import read_image

METADATA = "nif_metadata.txt"
KERAS_ENDINGS = (".h5", ".hdf5")


def print_info(source: str, as_json: bool, verbose: bool) -> None:
    """Prints what the header says."""
    info = asdict(decoder.inspect(read_bytes(source)))
    if as_json:
        print_json({"file": source, **info})
        return
    kind = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}[info["channels"]]
    print(f"{source}: {size_of(info)}, {kind}, {info['depth']} bits a channel")
    if info["constants"]:
        values = ", ".join("-" if value is None else f"{value:g}" for value in info["constants"])
        print(f"  constant  {values}")
    if info["transfer"]:
        print("  light     {kind}, {low:.6g} to {high:.6g}, scale {scale:.6g}".format(**info["transfer"]))
    settings = ", ".join(f"{name} {value}" for name, value in info["settings"].items())
    print(f"  field     {info['field']}: {settings}")
    print(f"  cost      {info['parameters']} parameters, {info['macs_per_pixel']:.0f} multiply-adds a pixel")
    print(f"  bytes     {parts(info['parts'])}")
    kept = ", ".join(f"{name.upper()} {size} bytes" for name, size in info["metadata"].items() if size)
    print(f"  metadata  {kept or 'none'}")
    if verbose:
        print(f"  back end  {backend()}")


def verify_file(source: str, arguments: argparse.Namespace) -> None:
    """Checks and decodes a whole file; measures it against the original where one is given."""
    if source == STREAM == arguments.against:
        raise ConfigError("the .nif and --against are both standard input: give a file for one of them")
    data = read_bytes(source)
    original = None
    if arguments.against is not None:
        image = read_image(arguments.against, allow_truncated=True, max_pixels=max_pixels(arguments))
        original = finite(image.pixels, sanitize=True)
    started = time.monotonic()
    info = asdict(decoder.inspect(data))
    limits = {"max_pixels": max_pixels(arguments), "threads": arguments.threads}
    pixels = decoder.decode(data, arguments.scale, interpolation=arguments.interpolation, **limits)
    report: Dict[str, Any] = {**info, "seconds": time.monotonic() - started, "steps": None}
    report.update(dict.fromkeys(("psnr_rgb", *COLOUR_MEASURES, "ms_ssim", "psnr_log", "psnr_pu21")))
    if original is not None:
        report.update(metrics.measure(original, pixels))
        if report["psnr_rgb"] is not None:
            measured = metrics.psnr_luma(original, pixels), *metrics.psnr_lab(original, pixels)
            report.update(zip(COLOUR_MEASURES, measured))
    if arguments.json:
        print_json({"file": source, "against": arguments.against, **report})
        return
    print(f"{source}: intact, {size_of(report)}, {info['field']}, decoded in {report['seconds']:.1f} s ({backend()})")
    if original is not None:
        print(f"  against {arguments.against}: {measures(report)}")


def export_keras(source: str, target: str, force: bool) -> None:
    """Writes the network of a `.nif` as a Keras model, and `nif_metadata.txt` beside it."""
    check_nif(source)
    if target != STREAM and os.path.splitext(target)[1].lower() not in KERAS_ENDINGS:
        raise ConfigError(f"Keras opens the model, an H5 file, by {' or '.join(KERAS_ENDINGS)} alone: rename {target}")
    described = os.path.join(os.path.dirname(target), METADATA)
    check_output(target, force, source)
    try:
        check_output(described, force, source)
    except OutputExistsError as error:
        raise OutputExistsError(f"{error}, or export to another folder: readers of the model know that name") from None
    file = container.unpack(read_bytes(source))
    field = families.numbered(file.family).open(file.of_field)
    from nifcodec.fields.mlp.decode import MlpRender

    if not isinstance(field, MlpRender):
        raise ConfigError(f"{source} is not a coordinate network: encode it with --field fourier or siren")
    network = field.weights()
    from nifcodec.fields.mlp.training import keras_export

    model = keras_export.keras_model(network.spec, network.dequantize(), file.width, file.height)
    text = keras_export.metadata(network.spec, file.width, file.height, source, target, sys.argv)
    write_bytes(target, keras_export.keras_bytes(model), force)
    write_bytes(described, text.encode(), force)
