"""The one table of families. A family's module is imported when it is first asked for."""

from __future__ import annotations

import importlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Type

from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError, UnsupportedVersionError
from nifcodec.fields.lattice_options import LatticeOptions
from nifcodec.options import Option, described

if TYPE_CHECKING:
    from nifcodec.fields.family import Family


class Row(NamedTuple):
    """A family's name and number, and the package that has its `family.FAMILIES` and `options.OPTIONS`, by name."""

    name: str
    number: int
    package: str


FLAT = 0  # the number of no field: all channels are constant
AUTO = "auto"  # the field that is chosen by effort and picture
DRAWINGS_FROM, PHOTOGRAPHS_FROM = 3, 6  # efforts from which a pyramid is tried for it (`contest`)

TABLE = (
    Row("wavelet", 3, "nifcodec.fields.wavelet"),
    Row("pyramid", 4, "nifcodec.fields.pyramid"),
    Row("fourier", 1, "nifcodec.fields.mlp"),
    Row("siren", 2, "nifcodec.fields.mlp"),
)


def names() -> List[str]:
    """Names of the families; the first is that of `auto` at low efforts."""
    return [row.name for row in TABLE]


def named(name: str) -> "Family":
    """The family of this name. Raises ConfigError where there is none."""
    family: "Family" = importlib.import_module(f"{_row(name).package}.family").FAMILIES[name]
    return family


def numbered(number: int) -> "Family":
    """The family of a file, "none" too. Raises UnsupportedVersionError where this version does not know it."""
    if number == FLAT:
        flat: "Family" = importlib.import_module("nifcodec.fields.flat").FAMILY
        return flat
    for row in TABLE:
        if row.number == number:
            return named(row.name)
    raise UnsupportedVersionError(
        f"the file holds a field of kind {number}, which this version does not know: update nifcodec"
    )


def options_of(name: str) -> Type[Any]:
    """The dataclass of a family's own options, without loading the family. Raises ConfigError."""
    if name == AUTO:
        return LatticeOptions
    kind: Type[Any] = importlib.import_module(f"{_row(name).package}.options").OPTIONS[name]
    return kind


def all_options() -> Dict[str, Option]:
    """The options of an encode by name: those of every family first, then those that only some have."""
    found = described(EncodeConfig)
    found["field"] = replace(found["field"], choices=(AUTO, *names()))
    for name in names():
        found.update(described(options_of(name)))
    return found


def complete(config: EncodeConfig) -> EncodeConfig:
    """The configuration with its family's options, by default where none are given, and its family where that is sure.

    Raises ConfigError: no such family, options of another one, or options that do not go together.
    """
    config = _settled(config)
    kind = options_of(config.field)
    options = kind() if config.options is None else config.options
    if type(options) is not kind:
        raise ConfigError(f"the field {config.field} takes {kind.__name__}, not {type(options).__name__}")
    options.check_with(config)
    return replace(config, options=options)


def configure(**settings: Any) -> EncodeConfig:
    """An `EncodeConfig` from options by name, those of every family beside those that only the field's family has.

    Raises ConfigError: an option that the field does not have, or one outside of its range.
    """
    kind = options_of(settings.get("field", EncodeConfig.field))
    own = {name: settings.pop(name) for name in described(kind) if name in settings}
    _refuse_foreign(settings)
    return complete(EncodeConfig(**settings, options=kind(**own)))


def _settled(config: EncodeConfig) -> EncodeConfig:
    """The field `auto` is `wavelet` below an effort, and the family that options are of."""
    if config.field != AUTO:
        return config
    for name in names():
        if type(config.options) is options_of(name):
            return replace(config, field=name)
    if config.effort >= DRAWINGS_FROM or not isinstance(config.options, (LatticeOptions, type(None))):
        return config
    name = names()[0]
    return replace(config, field=name, options=options_of(name)(**asdict(config.options or LatticeOptions())))


def _refuse_foreign(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for settings that are not options of every family."""
    foreign = [name for name in settings if name not in described(EncodeConfig)]
    if foreign:
        field = settings.get("field", EncodeConfig.field)
        homes = [name for name in names() if set(foreign) <= set(described(options_of(name)))]
        advice = f"give --field {' or '.join(homes)}" if homes else "leave it out"
        raise ConfigError(f"the field {field} has no {' or '.join(foreign)}: {advice}")


def _row(name: str) -> Row:
    for row in TABLE:
        if row.name == name:
            return row
    raise ConfigError(f"field is {name!r}, which is not one of {', '.join((AUTO, *names()))}")
