"""Command line: `python -m benchmarks rd` sweeps codecs, `... cost` prints one number a codec and lambda,
`... bd` compares stored rows by BD-rate and interpolated cost, `... efforts` time and gain of each effort,
`... kinds` where nifcodec wins and loses by the kind of picture,
`... speed` seconds in NumPy, natively, and of AVIF,
`... batch` pictures a second by the number of workers,
`... watching` training speed with and without --tensorboard, `... large` time and memory of a large picture,
`... enlarge` pictures above their native size,
`... original` the example that the MLP fields come from, and what its defects cost.
All measure the package in the checkout that they are run in: install that by `pip install -e '.[bench]'`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from benchmarks import (
    batch,
    bdtable,
    drawings,
    efforts,
    enlarge,
    kinds,
    kodak,
    large,
    machine,
    peers,
    plot,
    rd,
    report,
    speed,
    watching,
)
from benchmarks.codecs import DEFAULT_CODECS, Codec, parse_codecs
from benchmarks.rows import Row, average_curve, codec_names, counted
from nifcodec.errors import ConfigError, MissingDependencyError, NifError

# The first measures nothing, and the second says itself what it measures.
OF_NO_BACK_END = ("bd", "speed")
CODECS_HELP = """\
codecs, separated by commas: NAME[:OPTION...][@[PARAMETER=]SETTING/SETTING...]
  nif[:FIELD][:eN][:NAME=VALUE...]  effort N; NAME any option of encode. PARAMETER: quality, bpp, psnr, target_size
  jpeg[:420|:444]   webp[:m4|:m6][:sharp]   avif[:sN][:420|:444][:psnr]   settings are qualities
  jpeg2000                                                                settings are bits per pixel
  none              only the peers
for example  nif:fourier:e3@20/40/60,nif:siren:steps=500@bpp=0.2/0.5,jpeg,avif:s4:psnr@8/30/55
"""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run a command; returns the exit code (0, 1 something failed, 2 usage, 130 interrupted)."""
    options = _parser().parse_args(arguments)
    command = ["python", "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)]
    try:
        note = None if options.command in OF_NO_BACK_END else machine.without_native()
        if note is not None:
            print(f"benchmarks: {note}", file=sys.stderr)
        return int(options.run(options, command))
    except NifError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nbenchmarks: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
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
    sweep.set_defaults(run=_run_rd)
    about = "mean of 1000 (MSE + lambda bpp), best setting per picture"
    cost = commands.add_parser("cost", help=about, parents=[shared, lambdas], **style)  # type: ignore[arg-type]
    cost.add_argument("--json", action="store_true", help="print JSON in place of the table")
    cost.set_defaults(run=_run_cost)
    about = "BD-rates and interpolated cost from stored rows; measures nothing"
    stored = commands.add_parser("bd", help=about, parents=[lambdas], description=about)
    stored.add_argument(
        "tables", nargs="*", type=Path, default=list(bdtable.STORED), metavar="FILE",
        help="rows, as for --peers (default: those in benchmarks/stored)",
    )  # fmt: skip
    stored.add_argument("--codecs", metavar="NAME,NAME", help="that get a column (default: all whose name is nif...)")
    stored.add_argument("--images", metavar="NAME,NAME", help="(default: those that all of --codecs have)")
    stored.add_argument("--plot", type=Path, metavar="PATH", help="also draw PATH.png and PATH.svg")
    stored.set_defaults(run=_run_bd)
    effort = commands.add_parser("efforts", help="seconds and cost of each effort", parents=[runs, lambdas])
    effort.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="measured as RGB, 8 bits, no alpha")
    effort.add_argument("--efforts", type=int, nargs="+", default=[1, 3, 5, 7, 9], metavar="E", help="(1 3 5 7 9)")
    effort.add_argument(
        "--qualities", default="/".join(efforts.QUALITIES), metavar="Q/Q", help="that are tried (default: %(default)s)"
    )
    effort.set_defaults(run=_run_efforts)
    kind = commands.add_parser("kinds", help="bytes at equal PSNR on drawn pictures of several kinds", parents=[runs])
    kind.add_argument("pictures", nargs="*", type=Path, metavar="PICTURE", help="more of them, beside the drawn ones")
    kind.add_argument("-e", "--effort", type=int, default=5, metavar="E", help="of nifcodec (default: %(default)s)")
    kind.add_argument("--fields", nargs="+", default=["wavelet"], metavar="FIELD", help="(default: wavelet)")
    kind.set_defaults(run=_run_kinds)
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
    watch.set_defaults(run=_run_watching)
    big = commands.add_parser("large", help="time and memory of a large picture, and the error at its tiles' borders")
    big.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="that the large one is made of")
    big.add_argument("--megapixels", type=float, default=100.0, metavar="N", help="(default: %(default)s)")
    big.add_argument("-q", "--quality", type=float, default=40.0, metavar="Q", help="(default: %(default)s)")
    big.add_argument("-e", "--effort", type=int, default=1, metavar="E", help="(default: %(default)s)")
    big.add_argument("--seed", type=int, default=0, help="of the noise and the encode (default: %(default)s)")
    big.set_defaults(run=_run_large)
    above = commands.add_parser("enlarge", help="halve, encode, decode at the size it had: network, kernels")
    above.add_argument("pictures", nargs="+", metavar="PICTURE", help="with --strip PICTURE@X,Y of what is shown")
    above.add_argument("--scales", type=float, nargs="+", default=[2.0, 1.5, 4.0], metavar="S", help="(2 1.5 4)")
    above.add_argument("--qualities", type=float, nargs="+", default=[40.0, 60.0, 85.0, 95.0], metavar="Q")
    above.add_argument("--halvings", nargs="+", choices=sorted(enlarge.HALVINGS), default=["area", "bicubic"])
    above.add_argument("--strip", type=Path, metavar="FILE", help="show parts side by side, at the first scale")
    above.set_defaults(run=_run_enlarge)
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
    fast.set_defaults(run=_run_speed)
    many = commands.add_parser("batch", help="pictures a second of nifcodec batch, by the number of workers")
    many.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    many.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N", help="(default: 1 2)")
    many.add_argument("--copies", type=int, default=24, metavar="N", help="of each picture (default: %(default)s)")
    many.add_argument("-e", "--effort", type=int, default=1, metavar="E", help="(default: %(default)s)")
    many.set_defaults(run=_run_batch)
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
    original.set_defaults(run=_run_original)


def _run_rd(options: argparse.Namespace, command: List[str]) -> int:
    codecs = _codecs(options)
    names = [codec.name for codec in codecs]
    others = _peers(options, names)
    pictures = rd.read_pictures(options.pictures)
    images = [picture.name for picture in pictures]
    others = peers.comparable(others, images)
    available = list(dict.fromkeys([*names, *(row.codec for row in others)]))
    if not available:
        raise ConfigError("there is nothing to report: give codecs, or peers that cover the pictures")
    anchor = options.anchor or ("jpeg" if "jpeg" in names else available[0])
    if anchor not in available:
        raise ConfigError(f"the anchor {anchor} is not among {', '.join(available)}")
    rows, failures = _sweep(pictures, codecs, options)
    record = machine.record(command, options.seed)
    text = report.write(options.output, rows, others, codecs=codecs, images=images, anchor=anchor, record=record)
    print(text)
    measured = [average_curve(rows, name, images) for name in names]
    curves = [report.mean_curve(others, name, images) for name in available if name not in names]
    title = images[0] if len(images) == 1 else f"mean of {counted(len(images), 'picture')}"
    try:
        plot.draw(measured, [curve for curve in curves if len(curve.bpp)], title, options.output / "rd")
    except MissingDependencyError as error:
        print(f"benchmarks: no plot: {error}", file=sys.stderr)
    print(f"benchmarks: results are in {options.output}", file=sys.stderr)
    return _exit_code(failures)


def _run_cost(options: argparse.Namespace, command: List[str]) -> int:
    multipliers = _multipliers(options)
    codecs = _codecs(options)
    names = [codec.name for codec in codecs]
    others = _peers(options, names)
    pictures = rd.read_pictures(options.pictures)
    images = [picture.name for picture in pictures]
    rows, failures = _sweep(pictures, codecs, options)
    costs, incomplete = kodak.mean_costs([*rows, *others], images, multipliers)
    _name_incomplete(incomplete, len(images))
    if options.json:
        document = {**machine.record(command, options.seed), "pictures": images, "lambdas": multipliers}
        print(report.json_text({**document, "costs": [asdict(item) for item in costs]}), end="")
    else:
        number = counted(len(images), "picture")
        print(f"Mean of 1000 (MSE + lambda bpp) over {number}, each at its best setting; less is better.\n")
        print(kodak.markdown(costs, names, multipliers))
    return _exit_code(failures)


def _run_bd(options: argparse.Namespace, command: List[str]) -> int:
    multipliers = _multipliers(options)
    rows = peers.load(options.tables)
    names = [name for name in codec_names(rows) if name.startswith("nif")]
    codecs = names if options.codecs is None else options.codecs.split(",")
    images = bdtable.pictures_of(rows, codecs, None if options.images is None else options.images.split(","))
    table, left_out = bdtable.markdown(rows, codecs, images, multipliers)
    _name_incomplete(left_out, len(images))
    print(f"{counted(len(images), 'picture')}: {', '.join(images)}.")
    print("%: BD-rate of the mean curves. J: mean of the least on each picture's interpolated curve.\n")
    print(table)
    if options.plot is not None:
        ours, others = bdtable.curves(rows, codecs, images)
        plot.draw(ours, others, f"mean of {counted(len(images), 'picture')}", options.plot)
    return 0


def _run_efforts(options: argparse.Namespace, command: List[str]) -> int:
    multipliers = _multipliers(options)
    codecs = efforts.codecs(options.efforts, options.qualities.split("/"), options.seed)
    pictures = rd.read_pictures(options.pictures)
    rows, failures = _sweep(pictures, codecs, options)
    costs, incomplete = kodak.mean_costs(rows, [picture.name for picture in pictures], multipliers)
    _name_incomplete(incomplete, len(pictures))
    if costs:
        print(
            f"Mean over {counted(len(pictures), 'picture')}, each at its best of the qualities {options.qualities}.\n"
        )
        print(efforts.markdown(costs, multipliers))
    return _exit_code(failures)


def _run_kinds(options: argparse.Namespace, command: List[str]) -> int:
    codecs = kinds.codecs(options.fields, options.effort, options.seed)
    drawn = [rd.Picture(name, pixels) for name, pixels in drawings.render().items()]
    pictures = [*drawn, *rd.read_pictures(options.pictures)]
    rows, failures = _sweep(pictures, codecs, options)
    lossless = {picture.name: kinds.lossless_sizes(picture.pixels) for picture in pictures}
    names = [codec.name for codec in codecs]
    print(f"Bytes of {' / '.join(names)} at equal PSNR.\n")
    print(kinds.markdown(rows, names, lossless))
    return _exit_code(failures)


def _run_watching(options: argparse.Namespace, command: List[str]) -> int:
    print(watching.run(options.picture, options.fields, options.steps, options.turns, options.eval_every))
    return 0


def _run_large(options: argparse.Namespace, command: List[str]) -> int:
    sources = [picture.pixels for picture in rd.read_pictures(options.pictures)]
    print(large.run(sources, options.megapixels, options.quality, options.effort, options.seed))
    return 0


def _run_speed(options: argparse.Namespace, command: List[str]) -> int:
    pictures = rd.read_pictures(options.pictures)
    if set(options.back_ends) == {"avif"}:
        raise ConfigError("AVIF alone has nothing to be compared with: give numpy or native too")
    if options.megapixels is not None:
        made = large.make_picture([picture.pixels for picture in pictures], options.megapixels, 0)
        pictures = [rd.Picture("copies", made)]
    for picture in pictures:
        print(speed.run(picture.pixels, picture.name, options.quality, options.efforts, options.back_ends))
    return 0


def _run_enlarge(options: argparse.Namespace, command: List[str]) -> int:
    if options.strip is None:
        pictures = rd.read_pictures([Path(path) for path in options.pictures])
        print(enlarge.run(pictures, options.scales, options.qualities, options.halvings))
        return 0
    parts = []
    for argument in options.pictures:
        path, _, corner = argument.partition("@")
        try:
            left, top = (int(value) for value in (corner or "0,0").split(","))
        except ValueError:
            raise ConfigError(f"{argument} is not PICTURE@X,Y") from None
        drawn = drawings.DRAWINGS.get(path)
        picture = rd.read_picture(Path(path)) if drawn is None else rd.Picture(path, np.asarray(drawn()))
        parts.append((picture, (left, top)))
    enlarge.strip(parts, options.scales[0], options.qualities[0]).save(options.strip)
    return 0


def _run_batch(options: argparse.Namespace, command: List[str]) -> int:
    sources = [picture.pixels for picture in rd.read_pictures(options.pictures)]
    print(batch.run(sources, options.workers, options.copies, options.effort))
    return 0


def _run_original(options: argparse.Namespace, command: List[str]) -> int:
    # Here, since it loads TensorFlow.
    from benchmarks import comparison
    from benchmarks.original import Settings

    if options.samples < 1:
        raise ConfigError(f"--samples is {options.samples}: give 1 or more")
    names = comparison.chosen_jobs(options.only or ",".join(comparison.QUICK_JOBS))
    parts = []
    for picture in rd.read_pictures(options.pictures):
        task = comparison.Task(picture, Settings(), options.samples, options.effort, options.seed)
        parts += comparison.run(task, names, options.output, options.fresh)
    print(comparison.write(options.output, parts, machine.record(command, options.seed)), end="")
    return 0


def _multipliers(options: argparse.Namespace) -> List[float]:
    try:
        return [float(value) for value in options.lambdas.split(",")]
    except ValueError:
        raise ConfigError(f"--lambdas is {options.lambdas!r}: give numbers separated by commas") from None


def _name_incomplete(incomplete: Mapping[str, int], pictures: int) -> None:
    if incomplete:
        listed = ", ".join(f"{codec} ({count})" for codec, count in incomplete.items())
        print(f"benchmarks: left out, not measured on all {pictures} pictures: {listed}", file=sys.stderr)


def _codecs(options: argparse.Namespace) -> List[Codec]:
    if options.codecs is not None:
        return parse_codecs(options.codecs, options.seed)
    found: List[Codec] = []
    for name in DEFAULT_CODECS.split(","):
        try:
            found += parse_codecs(name, options.seed)
        except MissingDependencyError as error:
            print(f"benchmarks: {name} left out: {error}", file=sys.stderr)
    return found


def _sweep(
    pictures: Sequence[rd.Picture], codecs: Sequence[Codec], options: argparse.Namespace
) -> Tuple[List[Row], int]:
    return rd.sweep(
        pictures, codecs, options.output, seed=options.seed, fresh=options.fresh, keep_files=options.keep_files
    )


def _peers(options: argparse.Namespace, measured: Sequence[str]) -> List[Row]:
    only = None if options.peer_codecs is None else options.peer_codecs.split(",")
    return peers.load(options.peers, only, measured)


def _exit_code(failures: int) -> int:
    if failures:
        print(f"benchmarks: {counted(failures, 'measurement')} failed; the same command tries again", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
