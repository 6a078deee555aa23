"""The native library is found, left out or asked for as `NIFCODEC_NATIVE` says."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from nifcodec.cli.main import main
from nifcodec.errors import MissingDependencyError
from nifcodec.native import library


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    library.load.cache_clear()
    yield
    library.load.cache_clear()


def test_zero_leaves_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    assert library.load() is None
    assert library.backend() == "numpy"


def test_what_was_not_built_is_missed_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NAME", "_not_there.so")
    monkeypatch.delenv(library.SWITCH, raising=False)
    assert library.backend() == "numpy"
    library.load.cache_clear()
    monkeypatch.setenv(library.SWITCH, "1")
    with pytest.raises(MissingDependencyError, match="was not built"):
        library.load()


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--version", 1)])
def test_a_missed_library_is_no_traceback(
    option: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(library, "NAME", "_not_there.so")
    monkeypatch.setenv(library.SWITCH, "1")
    with pytest.raises(SystemExit) as stopped:
        main([option])
    assert stopped.value.code == code
    assert ("was not built" in capsys.readouterr().err) == (code == 1)


def test_another_interface_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if library.load() is None:
        pytest.skip("the native library was not built")
    monkeypatch.setattr(library, "ABI", library.ABI + 1)
    with pytest.raises(OSError, match="interface"):
        library.open_library(Path(library.__file__).with_name(library.NAME))


def test_the_interface_is_that_of_the_header() -> None:
    header = (Path(library.__file__).parent / "nifcodec.h").read_text(encoding="utf-8")
    assert f"#define NIF_ABI {library.ABI} " in header
