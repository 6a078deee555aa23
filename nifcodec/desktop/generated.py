"""Makes of the parser what the shells and `man` know about the program: completions, and a man page.

setup.py calls it while the package is built, so that an option is described once. shtab and argparse-manpage are needed
for that, and neither NumPy nor Pillow.
"""

from __future__ import annotations

import argparse
import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List

# Where each shell looks, below share/. fish is known to shtab on newer Pythons than 3.8 only.
COMPLETIONS = {
    "bash": "bash-completion/completions/nifcodec",
    "zsh": "zsh/site-functions/_nifcodec",
    "fish": "fish/vendor_completions.d/nifcodec.fish",
}
MAN_PAGE = "man/man1/nifcodec.1"
# What the first word of a value's name says.
FILES = ("FILE", "IN", "OUT", "ORIGINAL", "MANIFEST")
FOLDERS = ("DIR", "FOLDER")
UNWRAPPED = 100_000  # columns: the shell's window has no say in how a page is broken into lines
EXIT_CODES = re.compile(r"^Exit codes: (.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)


def files(version: str, description: str) -> Dict[str, str]:
    """The text of each file by its path below share/.

    Args:
        version: of the package.
        description: of the package, one line.

    Raises:
        ImportError: shtab or argparse-manpage is not installed.
    """
    import shtab

    shells = [shell for shell in COMPLETIONS if shell in shtab.SUPPORTED_SHELLS]
    return {**{COMPLETIONS[shell]: completion(shell) for shell in shells}, MAN_PAGE: man_page(version, description)}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line, whose formatter breaks no lines."""
    from nifcodec.cli import main

    made = main._parser()
    for part in parsers(made).values():
        part.formatter_class = partial(argparse.HelpFormatter, width=UNWRAPPED)  # type: ignore[assignment]
    return made


def parsers(parser: argparse.ArgumentParser, name: str = "nifcodec") -> Dict[str, argparse.ArgumentParser]:
    """A parser and those of its commands, and theirs, by what calls them."""
    found = {name: parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                found.update(parsers(command, f"{name} {word}"))
    return found


def completion(shell: str) -> str:
    """The completion of one shell; paths complete where a value is one, and formats, which have other names too."""
    import shtab

    from nifcodec.cli.values import PICTURES

    made = parser()
    for action in (action for part in parsers(made).values() for action in part._actions):
        if action.dest == "format":
            action.choices = PICTURES
        kind = value_of(action)
        if kind is not None:
            action.complete = {FILES: shtab.FILE, FOLDERS: shtab.DIRECTORY}[kind]  # type: ignore[attr-defined]
    text = str(shtab.complete(made, shell))
    # To zsh, shtab describes "one or more" such that the second is not completed.
    return text.replace('"(*):', '"*:') if shell == "zsh" else text


def value_of(action: argparse.Action) -> Any:
    """FILES or FOLDERS where an argument takes such paths, else None."""
    if action.nargs == 0 or action.choices:
        return None
    word = re.split(r"\W", str(action.metavar or action.dest))[0].upper()
    return next((kind for kind in (FOLDERS, FILES) if word in kind), None if action.option_strings else FILES)


def man_page(version: str, description: str) -> str:
    """The page in roff, for section 1."""
    from argparse_manpage.manpage import Manpage

    from nifcodec.cli import main

    data = {"project_name": "nifcodec", "version": version, "description": description, "manual_title": "User Commands"}
    page = Manpage(parser(), data, format="single-commands-section")
    codes = EXIT_CODES.search(inspect.getdoc(main) or "")
    if codes:
        page.add_section("exit status", ">", " ".join(codes[1].split()))
    return "\n".join(_as_text(str(page).splitlines())) + "\n"


def _as_text(lines: List[str]) -> "Iterator[str]":
    """Keeps `.nif` at the start of a line from being taken for a request of roff, which argparse-manpage does not."""
    for line in lines:
        yield r"\&" + line if re.match(r"\.[a-z]|'", line) else line


def write(share: Path, version: str, description: str) -> "List[Path]":
    """Writes them below a folder; the paths."""
    written = []
    for name, text in files(version, description).items():
        written.append(share / name)
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        written[-1].write_text(text, encoding="utf-8")
    return written
