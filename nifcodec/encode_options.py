"""The options of `nifcodec encode`. Like `cli`, it loads neither NumPy nor Pillow."""

from __future__ import annotations

import argparse
from typing import Callable

from nifcodec.config import DEFAULT_QUALITY, FIELDS, TRANSFERS, EncodeConfig


def add_encode(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", run: Callable[[argparse.Namespace], int]
) -> None:
    """The command `encode`, which calls `run`. What is not given is not in its namespace: EncodeConfig knows."""
    command = commands.add_parser(
        "encode",
        help="pictures to .nif",
        description="Trains a field on each picture and writes it as .nif, beside the picture unless told otherwise.",
        argument_default=argparse.SUPPRESS,
    )
    command.set_defaults(run=run)
    add_paths(command, "picture, or - for standard input", "FILE.nif, or - for standard output")
    target = command.add_mutually_exclusive_group()
    target.add_argument(
        "-q", "--quality", type=float, metavar="Q", help=f"0 coarsest to 100 finest (default {DEFAULT_QUALITY:.0f})"
    )
    target.add_argument("--bpp", type=float, metavar="B", help="bits per pixel of the whole file")
    target.add_argument("--target-size", type=int, metavar="BYTES", help="bytes of the whole file")
    target.add_argument(
        "--psnr", type=float, metavar="DB", help="RGB PSNR of the decoded picture; of a float one, on its log values"
    )
    command.add_argument("-e", "--effort", type=int, metavar="E", help="1 fastest to 9 (default 5)")
    command.add_argument("--seed", type=int, metavar="N", help="seed of everything random (default 0)")
    command.add_argument("--strip", action="store_true", help="drop EXIF and XMP; the ICC profile always stays")
    command.add_argument(
        "--transfer",
        choices=TRANSFERS,
        help="curve between the light of a float picture and the field (default auto: log)",
    )
    command.add_argument(
        "--sanitize", action="store_true", help="replace NaN by 0 and infinities by the largest finite value"
    )
    _add_reporting(command)
    _add_network(command)
    _add_devices(command)
    watching = command.add_argument_group("watching it train (docs/watching.md)")
    watching.add_argument(
        "--tensorboard", metavar="DIR", help="log for TensorBoard: a run a picture, in folders of DIR"
    )
    watching.add_argument(
        "--eval-every", type=int, metavar="N", help="steps or rounds between evaluations (default: as many as it can)"
    )


def _add_network(command: argparse.ArgumentParser) -> None:
    network = command.add_argument_group("the field and its training")
    network.add_argument("--field", choices=FIELDS, help=f"kind of field (default {EncodeConfig.field})")
    network.add_argument("--width", type=int, metavar="N", help="units of a hidden layer (default: from the target)")
    network.add_argument("--layers", type=int, metavar="N", help="hidden layers (default: from the target)")
    network.add_argument("--encoding", choices=("powers", "gaussian", "none"), help="of positions, for fourier")
    network.add_argument("--dimension", type=int, metavar="N", help="number of powers")
    network.add_argument("--sigma", type=float, metavar="S", help="base of the powers")
    network.add_argument("--features", type=int, metavar="N", help="number of Gaussian features")
    network.add_argument("--feature-scale", type=float, metavar="S", help="their spread in cycles per picture")
    network.add_argument("--omega", type=float, metavar="W", help="frequency factor of siren")
    network.add_argument("--colour", choices=("rgb", "ycocg", "yuv"), help="space of the network's output")
    network.add_argument("--steps", type=int, metavar="N", help="training steps (default: from the effort)")
    network.add_argument("--batch-size", type=int, metavar="N", help="samples a step")
    network.add_argument("--sampling", choices=("pixels", "random"), help="one sample a pixel, or random positions")
    network.add_argument("--loss", choices=("mse", "huber"))
    network.add_argument("--huber-delta", type=float, metavar="D")
    network.add_argument("--learning-rate", type=float, metavar="R", help="peak of the cosine schedule")


def _add_devices(command: argparse.ArgumentParser) -> None:
    device = command.add_argument_group("where it trains (docs/devices.md, docs/ipu.md)")
    device.add_argument(
        "--device", choices=("auto", "cpu", "gpu", "ipu"), help="default: a GPU if there is one, else CPU"
    )
    device.add_argument(
        "--replicas", type=int, metavar="N", help="networks that share each batch, or the tiles (default 1)"
    )
    device.add_argument(
        "--gradient-accumulation", type=int, metavar="K", help="micro-batches a replica and step, at least (default 1)"
    )
    device.add_argument("--precision", choices=("float32", "float16"), help="of products and activations")
    device.add_argument("--half-sine", action="store_true", help="the sine of siren in float16")
    device.add_argument(
        "--no-stochastic-rounding", dest="stochastic_rounding", action="store_false", help="of float16 on an IPU"
    )
    device.add_argument(
        "--partials", choices=("float32", "float16"), help="of an IPU's products (default: --precision)"
    )
    device.add_argument("--executable-cache", metavar="DIR", help="folder of an IPU's compiled programs")
    device.add_argument("--checkpoint", metavar="FILE", help="HDF5 file that keeps the state of the training")
    device.add_argument("--resume", action="store_true", help="go on from the checkpoint where there is one")


def add_paths(command: argparse.ArgumentParser, inputs: str, output: str) -> None:
    """Inputs, and where the outputs go, with help on what they are."""
    command.add_argument("inputs", nargs="+", metavar="IN", help=inputs)
    where = command.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", metavar="OUT", default=None, help=output)
    where.add_argument("--out-dir", metavar="DIR", default=None, help="folder of the outputs; made where missing")
    command.add_argument("-f", "--force", action="store_true", default=False, help="replace an existing output")


def _add_reporting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", default=False, help="one JSON object a picture on stdout")
    loudness = command.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", default=False, help="print errors only")
    loudness.add_argument("-v", "--verbose", action="store_true", default=False, help="print the bytes of each part")
