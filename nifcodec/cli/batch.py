"""`nifcodec batch`: many pictures, and the status of a manifest. Loads neither NumPy nor Pillow before it runs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from nifcodec.cli.options import add_encode_options, given_options
from nifcodec.cli.values import whole
from nifcodec.config import WATCH
from nifcodec.errors import ConfigError, InterruptedEncodeError, TargetMissedError
from nifcodec.fields import families
from nifcodec.files import say

if TYPE_CHECKING:
    from nifcodec.batch.tasks import Row

STATUS = "status"
# What is of one picture.
NOT_OF_MANY = ("checkpoint", "checkpoint_every", "resume")

USAGE = """nifcodec batch IN... --out DIR --manifest FILE.jsonl [options of encode] [options]
       nifcodec batch status FILE.jsonl [--json]"""


def add_batch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `batch`. What is not given of an encode is not in its namespace: EncodeConfig knows."""
    command = commands.add_parser(
        "batch",
        help="folders of pictures to .nif, on all cores or a cluster",
        usage=USAGE,
        description="Encodes many pictures, and writes down what came of each. The same command again goes on.",
        argument_default=argparse.SUPPRESS,
    )
    command.set_defaults(run=_batch)
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="IN",
        help="picture, folder, pattern such as 'a/**/*.png', URL of one of these, or - for a list on standard input",
    )
    options = {
        name: option
        for name, option in families.all_options().items()
        if option.group != WATCH and name not in NOT_OF_MANY
    }
    add_encode_options(command, options, lambda: _add_own(command))


def _add_own(command: argparse.ArgumentParser) -> None:
    files = command.add_argument_group("outputs and manifest")
    files.add_argument("--out", default=None, metavar="DIR", help="folder or URL of the outputs; made where missing")
    files.add_argument(
        "--manifest", default=None, metavar="FILE", help="JSON lines, one an input: what came of it; added to"
    )
    files.add_argument(
        "--existing",
        default="skip",
        choices=("skip", "replace", "fail"),
        help="outputs that are there: skip those that the manifest has for the same input and options, and make its "
        "others anew; replace all; or fail where skip would make one anew (default: skip)",
    )
    files.add_argument(
        "--retry-failed", default=False, action="store_true", help="try again what failed in an earlier run"
    )
    files.add_argument("--json", default=False, action="store_true", help="rows on standard output")
    files.add_argument("--quiet", default=False, action="store_true", help="print errors only")
    work = command.add_argument_group("workers")
    work.add_argument("--workers", default=None, type=int, metavar="N", help="processes (default: one for each core)")
    work.add_argument(
        "--executor", default=None, metavar="dask://HOST:PORT", help="a Dask scheduler, in place of processes"
    )
    work.add_argument(
        "--retries", default=2, type=int, metavar="N", help="attempts beyond the first, where one may help (default: 2)"
    )
    work.add_argument("--time-limit", default=None, type=float, metavar="S", help="seconds of one picture at most")
    work.add_argument(
        "--memory-limit",
        default=None,
        type=whole,
        metavar="BYTES",
        help="memory of one picture in a process at most, as 800M or 4G",
    )


def _batch(arguments: argparse.Namespace) -> int:
    if arguments.inputs[0] == STATUS:
        return _status(arguments)
    for name, value in (("out", "DIR"), ("manifest", "FILE.jsonl")):
        if getattr(arguments, name) is None:
            raise ConfigError(f"--{name} is missing: give --{name} {value}")
    for name, low in (("workers", 1), ("retries", 0), ("time_limit", 1e-3), ("memory_limit", 1)):
        value = getattr(arguments, name)
        if value is not None and not low <= value < float("inf"):
            raise ConfigError(f"--{name.replace('_', '-')} is {value}: give at least {low}")
    options = given_options(arguments)
    families.configure(**options)  # refuses what does not go together, before any work
    from nifcodec.batch import driver
    from nifcodec.batch.progress import BatchLine, summary
    from nifcodec.batch.tasks import FAILED
    from nifcodec.cli.console import Interrupt

    batch = driver.Batch(
        tuple(arguments.inputs),
        arguments.out,
        arguments.manifest,
        options,
        arguments.workers,
        arguments.executor,
        arguments.existing,
        arguments.retry_failed,
        arguments.retries,
        arguments.time_limit,
        arguments.memory_limit,
    )
    line = BatchLine("batch")

    def report(row: "Row") -> None:
        if arguments.json:
            print(row.to_json(), flush=True)
        if row.status == FAILED or (row.warnings and row.error is None and not arguments.quiet):
            line.clear()
        if row.status == FAILED:
            say(f"nifcodec: {row.complaint}\n")
        elif row.error is None and not arguments.quiet:
            for warning in row.warnings:
                named = warning if row.source in warning else f"{row.source}: {warning}"
                say(f"nifcodec: warning: {named}\n")

    def show(tally: Any) -> None:
        if not arguments.quiet:
            line(tally)

    doing = "the pictures in work are finished; Ctrl-C again leaves them. The same command goes on"
    with Interrupt(arguments.quiet, doing) as interrupt:
        try:
            tally = driver.run(batch, report, show, interrupt)
        finally:
            line.clear()
        if not arguments.quiet:
            say(f"batch: {summary(tally)}; rows in {arguments.manifest}\n")
        if interrupt.requested and tally.settled < tally.total:
            return InterruptedEncodeError.exit_code
    if tally.failed or tally.failed_before:
        return 1
    return TargetMissedError.exit_code if tally.missed else 0


def _status(arguments: argparse.Namespace) -> int:
    """What a manifest says of each input; with --json its last word on each, as a line."""
    if len(arguments.inputs) != 2:
        raise ConfigError("status is of one manifest: give one, as batch status FILE.jsonl")
    from nifcodec.batch import manifest
    from nifcodec.batch.report import status
    from nifcodec.errors import NifError

    path = arguments.inputs[1]
    merged = manifest.load(path)
    if not merged.known:
        raise NifError(f"there are no rows in {path}")
    if arguments.json:
        for row in merged.rows():
            print(row.to_json())
    else:
        print(status(merged))
    sys.stdout.flush()
    return 0
