"""What `pip` puts into share/: complete, made of the parser, and run as desktops, shells and ImageMagick run it."""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Set
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from nifcodec import EncodeConfig, encode
from nifcodec.cli import main as command_line
from nifcodec.cli.values import PICTURES
from nifcodec.desktop import generated
from nifcodec.picture import formats
from nifcodec.pillow_plugin import ENDING, MIME

ROOT = Path(__file__).resolve().parents[1]
MIME_XML, THUMBNAILER, DELEGATES = (
    ROOT / "nifcodec" / "desktop" / name for name in ("nifcodec.xml", "nifcodec.thumbnailer", "delegates.xml")
)
NAMESPACE = {"": "http://www.freedesktop.org/standards/shared-mime-info"}
MODELS = (b"NetImmerse File Format, Version 4.0.0.2\n", b"Gamebryo File Format, Version 20.0.0.5\n")
posix = pytest.mark.skipif(os.name != "posix", reason="desktops and shells of Unix")


def commands() -> Dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    found = generated.parsers(command_line._parser()).items()
    return {name.partition(" ")[2]: parser for name, parser in found if " " in name}


def flags(parser: argparse.ArgumentParser) -> Set[str]:
    shown = (action for action in parser._actions if action.help != argparse.SUPPRESS)
    return {flag for action in shown for flag in action.option_strings}


@pytest.fixture(scope="module")
def files() -> Dict[str, str]:
    return generated.files("0", "a codec")


def nif_file(path: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.write_bytes(encode(pixels, EncodeConfig(effort=1)))
    return path


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nifcodec` is found by a shell."""
    script = tmp_path / "bin" / "nifcodec"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nifcodec "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_an_installation_has_every_documented_file(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="70.1")
    install = [sys.executable, "setup.py", "-q", "install_data", "--install-dir", str(tmp_path)]
    subprocess.run(install, cwd=ROOT, check=True, env={**os.environ, "NIFCODEC_NATIVE": "0"}, capture_output=True)
    installed = {path.relative_to(tmp_path / "share").as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    page = (ROOT / "docs" / "desktop.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([^`]*)`", page.split("| what |")[1].split("\n\n")[0])) - {
        MIME,
        ENDING,
        "man nifcodec",
    }
    if sys.version_info < (3, 9):
        documented.remove(generated.COMPLETIONS["fish"])
    assert installed == documented
    assert (tmp_path / "share" / generated.COMPLETIONS["bash"]).read_text() == generated.completion("bash")


def test_the_man_page_has_the_options_of_the_parser(files: Dict[str, str]) -> None:
    sections = files[generated.MAN_PAGE].split(".SS \\fBnifcodec ")[1:]
    described = {}
    for section in sections:
        name, _, text = section.partition("\n.SH ")[0].replace("\\-", "-").partition("\\fR")
        described[name] = {
            flag for line in re.findall(r"^\.TP\n(.*)$", text, re.M) for flag in re.findall(r"B(-[\w-]+)", line)
        }
    assert described == {name: flags(parser) - {"-h", "--help"} for name, parser in commands().items()}
    assert "\\-\\-version" in files[generated.MAN_PAGE]


def test_the_man_page_has_every_help_and_exit_code(files: Dict[str, str]) -> None:
    page = files[generated.MAN_PAGE].replace("\\-", "-").replace("\\\\", "\\")
    formatter = argparse.HelpFormatter("nifcodec")
    for parser in commands().values():
        helps = [formatter._expand_help(action) for action in parser._actions if action.help and action.dest != "help"]
        assert [text for text in helps if text not in page] == []
    codes = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").split("| exit code |")[1].split("\n\n")[0]
    exits = page.split(".SH EXIT STATUS")[1]
    assert [code for code in re.findall(r"^\| (\d+) \|", codes, re.M) if not re.search(rf"\b{code} [a-z]", exits)] == []


def test_no_line_of_the_man_page_is_lost(files: Dict[str, str]) -> None:
    """roff drops a line whose first word is `.nif`."""
    requests = {line.split()[0] for line in files[generated.MAN_PAGE].splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".B", ".TP", ".RS", ".RE"}
    assert re.search(r"^\\&\.nif", files[generated.MAN_PAGE], re.M)


def test_the_shells_window_does_not_change_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    narrow = generated.man_page("0", "a codec")
    monkeypatch.setenv("COLUMNS", "200")
    assert generated.man_page("0", "a codec") == narrow


def test_completions_name_every_option(files: Dict[str, str]) -> None:
    for shell, path in generated.COMPLETIONS.items():
        if path not in files:
            assert (shell, sys.version_info < (3, 9)) == ("fish", True)
            continue
        for name, parser in commands().items():
            assert name in files[path]
            for flag in flags(parser):
                spelled = {"fish": "-l " if flag.startswith("--") else "-s "}.get(shell, "")
                assert f"{spelled}{flag.lstrip('-') if spelled else flag}" in files[path].replace("'", ""), (
                    shell,
                    name,
                    flag,
                )


def completed(script: Path, *words: str) -> List[str]:
    """What bash offers for the last word."""
    ask = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_nifcodec; printf "%s\\n" "${COMPREPLY[@]}"'
    run = ["bash", "--norc", "-c", ask, str(script), "nifcodec", *words]
    return subprocess.run(run, cwd=script.parent, stdout=subprocess.PIPE, check=True, text=True).stdout.split()


@posix
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes(files: Dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(files[generated.COMPLETIONS["bash"]])
    (tmp_path / "folder").mkdir()
    (tmp_path / "photo.nif").touch()
    everything = sorted(["completion", "folder", "photo.nif"])
    assert set(completed(script, "")) == {name for name in commands() if " " not in name}
    for name, parser in commands().items():
        assert set(completed(script, *name.split(), "-")) == flags(parser)
    assert completed(script, "encode", "--field", "wav") == ["wavelet"]
    assert completed(script, "decode", "ph") == ["photo.nif"]
    assert completed(script, "decode", "photo.nif", "fol") == ["folder"]
    assert sorted(completed(script, "decode", "photo.nif", "-o", "")) == everything
    assert completed(script, "decode", "photo.nif", "--out-dir", "") == ["folder"]
    assert completed(script, "decode", "photo.nif", "--scale", "") == []
    assert completed(script, "decode", "photo.nif", "--format", "j") == ["jpg", "jxl", "jp2"]


def test_the_formats_that_complete_are_those_that_are_written() -> None:
    assert {formats.FORMATS[f".{name}"] for name in PICTURES} == set(formats.FORMATS.values())


@posix
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_scripts_of_their_shell(files: Dict[str, str], shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None or generated.COMPLETIONS[shell] not in files:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "completion"
    script.write_text(files[generated.COMPLETIONS[shell]])
    subprocess.run([shell, "-n", str(script)], check=True)


def types() -> Dict[str, ElementTree.Element]:
    found = ElementTree.parse(MIME_XML).getroot().findall("mime-type", NAMESPACE)
    return {kind.attrib["type"]: kind for kind in found}


def signatures(kind: ElementTree.Element) -> List[bytes]:
    """The bytes at the start of a file of a type."""
    matches = kind.findall("magic/match", NAMESPACE)
    assert {(match.attrib["type"], match.attrib["offset"]) for match in matches} == {("string", "0")}
    return [match.attrib["value"].encode().decode("unicode_escape").encode("latin-1") for match in matches]


def test_the_type_goes_by_the_signature() -> None:
    kinds = types()
    ours, theirs = kinds.pop(MIME), kinds.popitem()[1]
    data = encode(np.zeros((2, 2), np.uint8), EncodeConfig(effort=1))
    assert data[:8] in signatures(ours)
    for model in MODELS:
        assert any(map(model.startswith, signatures(theirs))) and not any(map(model.startswith, signatures(ours)))
    # Equal weights make the signature decide between the two; 50 is that of whoever names none.
    globs = [glob.attrib for kind in (ours, theirs) for glob in kind.findall("glob", NAMESPACE)]
    assert globs[0] == globs[1] and globs[0]["pattern"] == f"*{ENDING}" and int(globs[0]["weight"]) < 50


@posix
@pytest.mark.skipif(
    not all(map(shutil.which, ("gio", "update-mime-database"))), reason="no GIO and shared-mime-info here"
)
def test_gio_knows_pictures_from_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "share" / "mime" / "packages"
    packages.mkdir(parents=True)
    shutil.copy(MIME_XML, packages)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    subprocess.run(["update-mime-database", str(packages.parent)], check=True)
    nif_file(tmp_path / "picture.nif", 9, 9)
    shutil.copy(tmp_path / "picture.nif", tmp_path / "without_ending")
    for number, model in enumerate(MODELS):
        (tmp_path / f"model{number}.nif").write_bytes(model + bytes(range(32)))

    def type_of(name: str) -> str:
        ask = ["gio", "info", "-a", "standard::content-type", str(tmp_path / name)]
        shown = subprocess.run(ask, stdout=subprocess.PIPE, check=True, text=True).stdout
        return re.findall(r"standard::content-type: (\S+)", shown)[0]

    assert type_of("picture.nif") == type_of("without_ending") == MIME
    assert type_of("model0.nif") == type_of("model1.nif") == "model/x-netimmerse"


@posix
@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(("size", "thumbnail"), [((40, 20), (32, 16)), ((5, 200), (1, 32)), ((9, 7), (9, 7))])
def test_the_thumbnailer_runs(tmp_path: Path, size: "tuple[int, int]", thumbnail: "tuple[int, int]") -> None:
    entries = configparser.ConfigParser(interpolation=None)
    entries.optionxform = str  # type: ignore[assignment]
    entries.read(THUMBNAILER)
    entry = entries["Thumbnailer Entry"]
    assert MIME in entry["MimeType"].split(";")
    assert shutil.which(entry["TryExec"])
    source, target = nif_file(tmp_path / "it's $(a) picture", *size), tmp_path / "out put.png"
    replaced = {"%i": str(source), "%o": str(target), "%s": "32", "%u": source.as_uri()}
    words = [replaced.get(word, word) for word in shlex.split(entry["Exec"])]
    assert not any("%" in word for word in words)
    # Tumbler makes the file, and reads it through what it has open.
    with open(target, "w+b") as opened:
        subprocess.run(words, check=True, cwd=tmp_path)
        with Image.open(opened) as picture:
            assert (picture.format, picture.size) == ("PNG", thumbnail)


@posix
@pytest.mark.usefixtures("command")
def test_the_delegates_run(tmp_path: Path) -> None:
    delegates = {tuple(sorted(one.attrib)): one.attrib for one in ElementTree.parse(DELEGATES).getroot()}
    reads, writes = delegates[("command", "decode")], delegates[("command", "decode", "encode")]
    assert (reads["decode"], writes["decode"], writes["encode"]) == ("nif", "png", "nif")
    # ImageMagick gives files without an ending, and links that lead nowhere yet.
    picture, nif, back = tmp_path / "a b", tmp_path / "c d", tmp_path / "e"
    Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save(picture, "PNG")
    for command, source, target in ((writes["command"], picture, nif), (reads["command"], nif, back)):
        target.symlink_to(tmp_path / f"{target.name}-not-there")
        line = command.replace("%i", str(source)).replace("%o", str(target))
        subprocess.run(["sh", "-c", line], check=True)
    with Image.open(back) as decoded:
        assert (decoded.format, decoded.size) == ("PNG", (16, 12))


@posix
@pytest.mark.usefixtures("command")
def test_imagemagick_reads_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = next(filter(None, map(shutil.which, ("magick", "convert"))), None)
    if (
        program is None
        or b"ImageMagick" not in subprocess.run([program, "-version"], check=False, capture_output=True).stdout
    ):
        pytest.skip("no ImageMagick here")
    monkeypatch.setenv("MAGICK_CONFIGURE_PATH", str(DELEGATES.parent))
    source, smaller, back = nif_file(tmp_path / "it's.nif", 40, 20), tmp_path / "b.nif", tmp_path / "c.png"
    subprocess.run([program, str(source), "-resize", "50%", str(smaller)], check=True)
    subprocess.run([program, str(smaller), str(back)], check=True)
    with Image.open(back) as decoded:
        assert decoded.size == (20, 10)
