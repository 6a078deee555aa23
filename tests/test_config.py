"""Options: each is described once, and what is asked for is checked and belongs to the field."""

from __future__ import annotations

import argparse
from typing import Any, Dict, Tuple

import pytest

from nifcodec import EncodeConfig, FourierOptions, SirenOptions, WaveletOptions
from nifcodec.cli.main import main
from nifcodec.cli.options import add_encode, given_options
from nifcodec.errors import ConfigError
from nifcodec.fields import families
from nifcodec.fields.lattice_options import LatticeOptions
from nifcodec.options import Option, described

KINDS = (EncodeConfig, *(families.options_of(name) for name in families.names()))


def options() -> Dict[str, Option]:
    return families.all_options()


def given(*arguments: str) -> Dict[str, Any]:
    """What the command line takes from `encode a.png` with these arguments."""
    parser = argparse.ArgumentParser()
    add_encode(parser.add_subparsers(), lambda arguments: 0)
    return given_options(parser.parse_args(["encode", "a.png", *arguments]))


def test_an_option_of_several_families_is_described_in_one_way() -> None:
    found: Dict[str, Option] = {}
    for kind in KINDS:
        for name, about in described(kind).items():
            assert found.setdefault(name, about) == about, name


def test_every_part_of_a_configuration_is_described() -> None:
    for kind in KINDS:
        assert set(kind.__dataclass_fields__) - set(described(kind)) <= {"options"}


@pytest.mark.parametrize("name", options())
def test_every_option_has_a_flag_that_reaches_it(name: str) -> None:
    about = options()[name]
    flag = (about.flags or (f"--{name.replace('_', '-')}",))[-1]
    if about.kind is bool:
        assert given(flag) == {name: not flag.startswith("--no-")}
        return
    value = about.choices[-1] if about.choices else "9" if about.limits else "text"
    assert given(flag, value) == {name: about.kind(value)}


def test_nothing_given_is_the_configuration_of_the_defaults() -> None:
    assert given() == {}
    assert families.configure() == families.complete(EncodeConfig()) == EncodeConfig(options=LatticeOptions())
    assert families.configure(effort=2) == EncodeConfig(effort=2, field="wavelet", options=WaveletOptions())
    assert families.complete(EncodeConfig(effort=9, options=WaveletOptions())).field == "wavelet"


@pytest.mark.parametrize(("name", "about"), options().items())
def test_the_default_and_the_ends_of_the_range_are_allowed(name: str, about: Option) -> None:
    about.check(name, about.default)
    for value in about.limits or about.choices:
        about.check(name, about.kind(value))


def test_the_help_has_ranges_and_defaults_and_what_is_asked_for_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["encode", "--help"])
    text = capsys.readouterr().out
    words = " ".join(text.split())
    for line in ("fastest to most careful (1 to 9; default: 5)", "(0 to 100; default: 60)", "(default: auto)"):
        assert line in words
    headings = [line[:-1] for line in text.splitlines() if line.endswith(":") and line[0] not in " -"]
    expected = ["quality or size, and effort", "picture", "output", "field", "fields wavelet and pyramid"]
    assert headings[headings.index(expected[0]) :][:5] == expected
    assert headings[-2].startswith("where it trains")
    assert headings[-1].startswith("watching")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EncodeConfig(field="jpeg"), "field is 'jpeg', which is not one of auto, wavelet, pyramid, fourier, siren"),
        (EncodeConfig(field="siren", options=FourierOptions()), "field siren takes SirenOptions, not FourierOptions"),
        (EncodeConfig(field="wavelet", options=SirenOptions()), "field wavelet takes WaveletOptions, not SirenOptions"),
        (EncodeConfig(effort=1, replicas=2), "-e 1 does not train the field wavelet, so that replicas would"),
        (EncodeConfig(field="siren", options=SirenOptions(partials="float16")), "partials is of an IPU"),
    ],
)
def test_options_that_do_not_go_together_are_refused(config: EncodeConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        families.complete(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 8}, "the field auto has no width: give --field fourier or siren"),
        ({"precision": "float16"}, "the field auto has no precision: give --field fourier or siren"),
        ({"omega": 3.0}, "the field auto has no omega: give --field siren"),
        (
            {"field": "siren", "tile_exponent": 8},
            "the field siren has no tile_exponent: give --field wavelet or pyramid",
        ),
        ({"omega": 3.0, "sigma": 3.0}, "the field auto has no omega or sigma: leave it out"),
        ({"colour": 3, "field": "siren"}, "colour is 3, which is not one of rgb, ycocg, yuv"),
        ({"checkpoint": 3}, "checkpoint is 3, which is no text"),
    ],
)
def test_settings_by_name_are_refused_with_advice(settings: Dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        families.configure(**settings)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"device": "cpu"}, {"checkpoint": "a.h5", "resume": True}, True),
        ({}, {"tensorboard": "log", "eval_every": 5}, True),
        ({"field": "siren"}, {"field": "siren", "precision": "float16", "gradient_accumulation": 2}, True),
        ({}, {"seed": 1}, False),
        ({"field": "siren"}, {"field": "siren", "omega": 20.0}, False),
        ({"field": "siren"}, {"field": "fourier"}, False),
    ],
)
def test_where_it_trains_and_who_watches_are_no_part_of_the_result(
    first: Dict[str, Any], second: Dict[str, Any], same: bool
) -> None:
    results: Tuple[Any, ...] = tuple(families.configure(**settings).of_the_result() for settings in (first, second))
    assert (results[0] == results[1]) is same


@pytest.mark.parametrize("row", families.TABLE, ids=lambda row: row.name)
def test_the_table_says_of_a_family_what_the_family_says(row: families.Row) -> None:
    family = families.named(row.name)
    assert (family.name, family.number, family.options) == (row.name, row.number, families.options_of(row.name))
