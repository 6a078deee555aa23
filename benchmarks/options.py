"""What `python -m benchmarks` can be asked for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import bdtable, efforts, enlarge, speed, watching
from benchmarks.codecs import DEFAULT_CODECS

CODECS_HELP = """\
codecs, separated by commas: NAME[:OPTION...][@[PARAMETER=]SETTING/SETTING...]
  nif[:FIELD][:eN][:NAME=VALUE...]  effort N; NAME any option of encode. PARAMETER: quality, bpp, psnr, target_size
  jpeg[:420|:444]   webp[:m4|:m6][:sharp]   avif[:sN][:420|:444][:psnr]   settings are qualities
  jpeg2000                                                                settings are bits per pixel
  none              only the peers
for example  nif:fourier:e3@20/40/60,nif:siren:steps=500@bpp=0.2/0.5,jpeg,avif:s4:psnr@8/30/55
"""


def parser_of(description: str) -> argparse.ArgumentParser:
    """The parser, which names the command that is asked for as `command`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=description)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = argparse.ArgumentParser(add_help=False)
    runs.add_argument(
        "-o", "--output", type=Path, default=Path("benchmark-results"), metavar="DIR",
        help="results, and what is needed to go on after an interruption (default: %(default)s)",
    )  # fmt: skip
    runs.add_argument("--seed", type=int, default=0, help="of the nif codecs (default: %(default)s)")
    runs.add_argument("--fresh", action="store_true", help="measure anew what DIR already holds")
    runs.add_argument("--keep-files", action="store_true", help="keep the coded files under DIR/files")
    shared = argparse.ArgumentParser(add_help=False, parents=[runs])
    shared.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="measured as RGB, 8 bits, no alpha")
    shared.add_argument("--codecs", help=f"see below (default: {DEFAULT_CODECS}, those that Pillow has)")
    shared.add_argument(
        "--peers", type=Path, action="append", default=[], metavar="FILE",
        help="published or earlier results: TSV, CSV, or CompressAI's JSON; may be repeated",
    )  # fmt: skip
    shared.add_argument("--peer-codecs", metavar="NAME,NAME", help="only these of the peers")
    lambdas = argparse.ArgumentParser(add_help=False)
    lambdas.add_argument("--lambdas", default="0.0004,0.001,0.004", metavar="L,L", help="(default: %(default)s)")
    style = {"epilog": CODECS_HELP, "formatter_class": argparse.RawDescriptionHelpFormatter}
    sweep = commands.add_parser("rd", help="rate-distortion sweep: table, plot, JSON, CSV", parents=[shared], **style)  # type: ignore[arg-type]
    sweep.add_argument("--anchor", help="codec that BD-rates refer to (default: jpeg where measured, else the first)")
    about = "mean of 1000 (MSE + lambda bpp), best setting per picture"
    cost = commands.add_parser("cost", help=about, parents=[shared, lambdas], **style)  # type: ignore[arg-type]
    cost.add_argument("--json", action="store_true", help="print JSON in place of the table")
    about = "BD-rates and interpolated cost from stored rows; measures nothing"
    stored = commands.add_parser("bd", help=about, parents=[lambdas], description=about)
    stored.add_argument(
        "tables", nargs="*", type=Path, default=list(bdtable.STORED), metavar="FILE",
        help="rows, as for --peers (default: those in benchmarks/stored)",
    )  # fmt: skip
    stored.add_argument("--codecs", metavar="NAME,NAME", help="that get a column (default: all whose name is nif...)")
    stored.add_argument("--images", metavar="NAME,NAME", help="(default: those that all of --codecs have)")
    stored.add_argument("--plot", type=Path, metavar="PATH", help="also draw PATH.png and PATH.svg")
    effort = commands.add_parser("efforts", help="seconds and cost of each effort", parents=[runs, lambdas])
    effort.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="measured as RGB, 8 bits, no alpha")
    effort.add_argument("--efforts", type=int, nargs="+", default=[1, 3, 5, 7, 9], metavar="E", help="(1 3 5 7 9)")
    effort.add_argument(
        "--qualities", default="/".join(efforts.QUALITIES), metavar="Q/Q", help="that are tried (default: %(default)s)"
    )
    kind = commands.add_parser("kinds", help="bytes at equal PSNR on drawn pictures of several kinds", parents=[runs])
    kind.add_argument("pictures", nargs="*", type=Path, metavar="PICTURE", help="more of them, beside the drawn ones")
    kind.add_argument("-e", "--effort", type=int, default=5, metavar="E", help="of nifcodec (default: %(default)s)")
    kind.add_argument("--fields", nargs="+", default=["wavelet"], metavar="FIELD", help="(default: wavelet)")
    _add_measurements(commands, runs)
    return parser


def _add_measurements(commands: Any, runs: argparse.ArgumentParser) -> None:
    """What is measured of nifcodec beside rates and distortions."""
    watch = commands.add_parser("watching", help="training speed with and without an evaluation beside it")
    watch.add_argument("picture", type=Path, metavar="PICTURE")
    watch.add_argument("--fields", nargs="+", choices=sorted(watching.STEPS), default=["siren", "wavelet"])
    watch.add_argument("--steps", type=int, metavar="N", help="of training, or rounds (default: by the field)")
    watch.add_argument("--turns", type=int, default=3, metavar="N", help="encodes of each kind (default: %(default)s)")
    watch.add_argument("--eval-every", type=int, metavar="N", help="as of nifcodec encode")
    big = commands.add_parser("large", help="time and memory of a large picture, and the error at its tiles' borders")
    big.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="that the large one is made of")
    big.add_argument("--megapixels", type=float, default=100.0, metavar="N", help="(default: %(default)s)")
    big.add_argument("-q", "--quality", type=float, default=40.0, metavar="Q", help="(default: %(default)s)")
    big.add_argument("-e", "--effort", type=int, default=1, metavar="E", help="(default: %(default)s)")
    big.add_argument("--seed", type=int, default=0, help="of the noise and the encode (default: %(default)s)")
    above = commands.add_parser("enlarge", help="halve, encode, decode at the size it had: network, kernels")
    above.add_argument("pictures", nargs="+", metavar="PICTURE", help="with --strip PICTURE@X,Y of what is shown")
    above.add_argument("--scales", type=float, nargs="+", default=[2.0, 1.5, 4.0], metavar="S", help="(2 1.5 4)")
    above.add_argument("--qualities", type=float, nargs="+", default=[40.0, 60.0, 85.0, 95.0], metavar="Q")
    above.add_argument("--halvings", nargs="+", choices=sorted(enlarge.HALVINGS), default=["area", "bicubic"])
    above.add_argument("--strip", type=Path, metavar="FILE", help="show parts side by side, at the first scale")
    about = "the original example beside nifcodec, trained on as many samples"
    fast = commands.add_parser("speed", help="seconds in NumPy, natively, and of AVIF, on one thread and on all cores")
    fast.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    fast.add_argument(
        "--megapixels",
        type=float,
        metavar="N",
        help="measure one of this size instead, made of PICTURE",
    )
    fast.add_argument("-q", "--quality", type=float, default=60.0, metavar="Q", help="(default: %(default)s)")
    fast.add_argument("--efforts", type=int, nargs="+", default=[1, 5], metavar="E", help="(default: 1 5)")
    fast.add_argument(
        "--back-ends", nargs="+", choices=speed.BACK_ENDS, default=list(speed.BACK_ENDS), help="(default: all)"
    )
    many = commands.add_parser("batch", help="pictures a second of nifcodec batch, by the number of workers")
    many.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    many.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N", help="(default: 1 2)")
    many.add_argument("--copies", type=int, default=24, metavar="N", help="of each picture (default: %(default)s)")
    many.add_argument("-e", "--effort", type=int, default=1, metavar="E", help="(default: %(default)s)")
    original = commands.add_parser("original", help=about, parents=[runs], description=about + ", defect by defect")
    original.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="measured as RGB, 8 bits, no alpha")
    original.add_argument("--samples", type=int, default=1_000_000, metavar="N", help="(default: %(default)s)")
    original.add_argument(
        "-e", "--effort", type=int, default=1, metavar="E", help="of the wavelet field (default: %(default)s)"
    )
    original.add_argument(
        "--only", metavar="JOB,JOB",
        help="all, or some of perfect, original, ycocg, true-ycocg, fourier, fourier-4096, siren-4096, wavelet-small "
        "and wavelet-large (default: perfect,original,fourier)",
    )  # fmt: skip
