"""The options of `nifcodec encode`, derived from the dataclasses that describe them. Loads neither NumPy nor Pillow."""

from __future__ import annotations

import argparse
from numbers import Integral
from typing import Any, Callable, Dict, Optional

from nifcodec.config import TARGETS, Described, EncodeConfig, described
from nifcodec.fields import families

_FIELD = "the field and its training"


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
    add_paths(command, "picture, or - for standard input", "FILE.nif, or - for standard output")
    _add_reporting(command)
    field = command.add_argument_group(_FIELD)
    field.add_argument("--field", choices=families.names(), help=f"kind of field (default {EncodeConfig.field})")
    groups: Dict[str, Any] = {"": command, _FIELD: field}
    target = command.add_mutually_exclusive_group()
    for name, about in encode_options().items():
        if name in TARGETS:
            _add(target, name, about)
            continue
        if about.group not in groups:
            groups[about.group] = command.add_argument_group(about.group)
        _add(groups[about.group], name, about)


def encode_options() -> Dict[str, Described]:
    """All options of an encode: those of every family first, then those of one family."""
    found = described(EncodeConfig)
    for name in families.names():
        found.update({option: about for option, about in described(families.options_of(name)).items()})
    return found


def given_options(arguments: argparse.Namespace) -> Dict[str, Any]:
    """The options of an encode that were given, by name."""
    names = {"field", *encode_options()}
    return {name: value for name, value in vars(arguments).items() if name in names}


def _add(where: Any, name: str, about: Described) -> None:
    flags = about.flags or (f"--{name.replace('_', '-')}",)
    if about.kind is bool:
        off = flags[0].startswith("--no-")
        where.add_argument(*flags, dest=name, action="store_false" if off else "store_true", help=about.help)
    elif about.choices:
        where.add_argument(*flags, dest=name, choices=about.choices, help=about.help)
    else:
        kind: Optional[Callable[[str], Any]] = None
        if about.limits is not None:
            kind = int if about.kind is Integral else float
        where.add_argument(
            *flags, dest=name, metavar=about.metavar, help=about.help, **({"type": kind} if kind else {})
        )


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
