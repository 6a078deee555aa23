"""Options that describe themselves: each is a field of a frozen dataclass, with its kind, default, help and range.

`EncodeConfig` and the options of every family are such dataclasses. Their checks, the flags of the command line and its
help follow from the descriptions. This module loads neither NumPy nor Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Dict, Optional, Tuple, Type

from nifcodec.errors import ConfigError

# What a value of a kind may be; NumPy's scalars are such numbers too.
NUMBERS: Dict[type, Tuple[Any, str]] = {int: (Integral, "whole number"), float: (Real, "number")}


@dataclass(frozen=True)
class Option:
    """The description of one option.

    Attributes:
        kind: int, float, str or bool.
        default: the value where none is given; None is allowed as a value only where it is the default.
        help: what it is, for people.
        group: heading under which the command line's help lists it.
        limits: least and largest value of a number.
        choices: values of a name; empty of any other text.
        unset: what the default None stands for, for the help.
        metavar: what the help calls the value.
        flags: of the command line, where they are not made of the option's name. That of a switch gives True, or False
            where it begins with "--no-".
    """

    kind: type
    default: Any
    help: str
    group: str
    limits: Optional[Tuple[float, float]] = None
    choices: Tuple[str, ...] = ()
    unset: str = ""
    metavar: Optional[str] = None
    flags: Tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> None:
        """Raises ConfigError for a value that the option called `name` does not allow."""
        if value is None and self.default is None:
            return
        if self.limits is not None:
            self._check_number(name, value, *self.limits)
        elif self.choices or self.kind is bool:
            choices = self.choices or (False, True)
            if value not in choices:
                raise ConfigError(f"{name} is {value!r}, which is not one of {', '.join(map(str, choices))}")
        elif not isinstance(value, str):
            raise ConfigError(f"{name} is {value!r}, which is no text")

    def _check_number(self, name: str, value: Any, low: float, high: float) -> None:
        number, word = NUMBERS[self.kind]
        if not isinstance(value, number) or isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}, which is no {word}: give one from {low} to {high}")
        if not low <= value <= high:
            raise ConfigError(f"{name} is {value}, outside of {low} to {high}")


def option(kind: type, default: Any, help: str, group: str, **about: Any) -> Any:
    """A dataclass field with its description; the arguments are those of `Option`."""
    return field(default=default, metadata={"option": Option(kind, default, help, group, **about)})


def described(kind: Type[Any]) -> Dict[str, Option]:
    """The options of a dataclass by name, in their order."""
    return {part.name: part.metadata["option"] for part in fields(kind) if "option" in part.metadata}


def check(options: Any) -> None:
    """Raises ConfigError for a value that its option does not allow. options: an object of such a dataclass."""
    for name, about in described(type(options)).items():
        about.check(name, getattr(options, name))


def given(options: Any) -> Dict[str, Option]:
    """The options of an object that are not at their default, by name."""
    return {name: about for name, about in described(type(options)).items() if getattr(options, name) != about.default}
