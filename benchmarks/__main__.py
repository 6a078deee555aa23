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
from typing import List, Mapping, Optional, Sequence, Tuple

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
from benchmarks.options import parser_of
from benchmarks.rows import Row, average_curve, codec_names, counted
from nifcodec.errors import ConfigError, MissingDependencyError, NifError

# The first measures nothing, and the second says itself what it measures.
OF_NO_BACK_END = ("bd", "speed")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run a command; returns the exit code (0, 1 something failed, 2 usage, 130 interrupted)."""
    options = parser_of(__doc__ or "").parse_args(arguments)
    command = ["python", "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)]
    try:
        note = None if options.command in OF_NO_BACK_END else machine.without_native()
        if note is not None:
            print(f"benchmarks: {note}", file=sys.stderr)
        return RUNS[options.command](options, command)
    except NifError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nbenchmarks: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130


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


RUNS = {
    "rd": _run_rd,
    "cost": _run_cost,
    "bd": _run_bd,
    "efforts": _run_efforts,
    "kinds": _run_kinds,
    "watching": _run_watching,
    "large": _run_large,
    "enlarge": _run_enlarge,
    "speed": _run_speed,
    "batch": _run_batch,
    "original": _run_original,
}

if __name__ == "__main__":
    sys.exit(main())
