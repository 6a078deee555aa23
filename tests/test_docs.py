"""The documentation tells the truth where a test can see it: JSON keys, and links between the pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Dict, List, Set

import numpy as np
import pytest
from PIL import Image

from nifcodec.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
COMMANDS = {"e": "encode", "i": "info", "v": "verify"}


def documented_keys() -> Dict[str, Set[str]]:
    """The keys that the table in docs/cli.md gives each command."""
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    table = text.split("| key | command |")[1].split("\n\n")[0]
    keys: Dict[str, Set[str]] = {name: set() for name in COMMANDS.values()}
    for line in table.splitlines()[2:]:
        names, commands = line.split("|")[1:3]
        for letter in commands.split():
            keys[COMMANDS[letter]].update(re.findall("`(.*?)`", names))
    return keys


def test_the_json_keys_are_those_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save("a.png")
    runs = (["encode", "a.png", "-e", "1", "--json"], ["info", "a.nif", "--json"], ["verify", "a.nif", "--json"])
    found = {}
    for run in runs:
        assert main(run) == 0
        found[run[0]] = set(json.loads(capsys.readouterr().out))
    assert found == documented_keys()


def named_places(page: Path) -> List[str]:
    """Paths in backticks, one for each name in braces."""
    found = []
    for text in re.findall(r"`([\w.*/{},-]+)`", page.read_text(encoding="utf-8")):
        if "/" in text or text.endswith(".py"):
            head, names, tail = (re.match(r"(.*)\{(.*)\}(.*)$", text) or re.match("()(.*)()$", text)).groups()  # type: ignore[union-attr]
            found += [head + name + tail for name in names.split(",")]
    return found


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/terms.md"])
def test_places_exist(page: str) -> None:
    package, places = ROOT / "nifcodec", named_places(ROOT / page)
    assert len(places) > 20
    # docs/terms.md gives whole paths in the package.
    find = package.rglob if page == "CONTRIBUTING.md" else package.glob
    assert [place for place in places if not any(find(place)) and not any(ROOT.glob(place))] == []


def anchors(page: Path) -> List[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
