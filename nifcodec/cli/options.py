"""The options of `nifcodec encode`, derived from the dataclasses that describe them. Loads neither NumPy nor Pillow."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Dict, List

from nifcodec.cli.values import whole
from nifcodec.config import BESIDE_THE_RESULT, FIELD, GOAL, INTERPOLATIONS, PICTURE, TARGETS
from nifcodec.fields import families
from nifcodec.options import Option

MOST_SHOWN = 10_000  # a range that goes beyond is no help


def add_encode(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", run: Callable[[argparse.Namespace], int]
) -> None:
    """The command `encode`, which calls `run`. What is not given is not in its namespace: EncodeConfig knows."""
    command = commands.add_parser(
        "encode",
        help="pictures to .nif",
        description="Fits a field to each picture and writes it as .nif, beside the picture unless told otherwise.",
        argument_default=argparse.SUPPRESS,
    )
    command.set_defaults(run=run)
    command.add_argument("inputs", nargs="+", metavar="IN", help="picture, or - for standard input")
    add_encode_options(
        command, families.all_options(), lambda: _add_output(command.add_argument_group("output")), _add_input
    )


def add_encode_options(
    command: argparse.ArgumentParser,
    options: Dict[str, Option],
    add_own: Callable[[], None],
    add_input: Callable[[Any], None] = lambda group: None,
) -> None:
    """The options of an encode, by name, under their headings.

    Args:
        add_own: adds what the command has beside them.
        add_input: adds to a group what the command has of its pictures beside them.
    """
    for heading in _headings(options):
        if heading == FIELD:  # what everybody needs stands above it
            add_own()
        group = command.add_argument_group(heading)
        target = group.add_mutually_exclusive_group() if heading == GOAL else group
        for name, option in options.items():
            if option.group == heading:
                add_option(target if name in TARGETS else group, name, option)
        if heading == PICTURE:
            add_input(group)


def given_options(arguments: argparse.Namespace) -> Dict[str, Any]:
    """The options of an encode that were given, by name."""
    return {name: vars(arguments)[name] for name in families.all_options() if name in arguments}


def add_outputs(where: Any, output: str) -> None:
    """Where the outputs go; `output` is the help on one."""
    names = where.add_mutually_exclusive_group()
    names.add_argument("-o", "--output", metavar="OUT", default=None, help=f"{output}; a name ending in / is a folder")
    names.add_argument("--out-dir", metavar="DIR", default=None, help="folder of the outputs; made where missing")
    where.add_argument("-f", "--force", action="store_true", default=False, help="replace an existing output")
    where.add_argument("--preserve", action="store_true", default=False, help="give the output the times of its input")


def add_interpolation(command: argparse.ArgumentParser) -> None:
    """The option of what reads pictures above their native size."""
    command.add_argument(
        "--interpolation",
        choices=INTERPOLATIONS,
        default=INTERPOLATIONS[0],
        help="between pixels: what the file says, which may be a network, or the Lanczos kernel (default: auto)",
    )


def add_max_pixels(where: Any, of: str) -> None:
    """The limit that encode and decode share."""
    about = f"limit of the {of}, as 200M (default: 2^27)"
    where.add_argument("--max-pixels", type=whole, metavar="N", default=None, help=about)


def _add_output(group: Any) -> None:
    add_outputs(group, "FILE.nif, or - for standard output")
    group.add_argument(
        "--no-measure", dest="measure", action="store_false", default=True, help="do not measure what was written"
    )
    group.add_argument("--json", action="store_true", default=False, help="one JSON object a picture on stdout")
    loudness = group.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", default=False, help="print errors only")
    loudness.add_argument("-v", "--verbose", action="store_true", default=False, help="print the bytes of each part")


def _add_input(group: Any) -> None:
    for name in ("icc", "exif", "xmp"):
        word = {"icc": "ICC profile"}.get(name, name.upper())
        group.add_argument(f"--{name}", metavar="FILE", default=None, help=f"{word} in place of the picture's own")
    add_max_pixels(group, "picture")
    group.add_argument(
        "--allow-truncated",
        action="store_true",
        default=False,
        help="read what there is of a cut picture",
    )


def _headings(options: Dict[str, Option]) -> List[str]:
    """The groups of the options: what the file depends on first, then where it trains and who watches."""
    found = dict.fromkeys(option.group for option in options.values())
    beside = [name for name in BESIDE_THE_RESULT if name in found]
    return [*(name for name in found if name not in BESIDE_THE_RESULT), *beside]


def add_option(where: Any, name: str, option: Option) -> None:
    """One described option as an argument."""
    flags = option.flags or (f"--{name.replace('_', '-')}",)
    if option.kind is bool:
        action = "store_false" if flags[0].startswith("--no-") else "store_true"
        where.add_argument(*flags, dest=name, action=action, help=option.help)
    elif option.choices:
        where.add_argument(*flags, dest=name, choices=option.choices, help=_help(option))
    else:
        kind = whole if option.kind is int else option.kind
        where.add_argument(*flags, dest=name, type=kind, metavar=option.metavar or "N", help=_help(option))


def _help(option: Option) -> str:
    """What the option is, its range where that helps, and its default."""
    notes = []
    if option.limits is not None and option.limits[1] <= MOST_SHOWN:
        notes.append("{:g} to {:g}".format(*option.limits))
    default = option.unset if option.default is None else option.default
    if default != "":
        notes.append(f"default: {default}")
    return f"{option.help} ({'; '.join(notes)})" if notes else option.help
