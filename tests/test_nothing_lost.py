"""Nothing is lost: whatever fails, and whenever, there is a whole file or none, and the input is as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, List, Optional, Tuple

import numpy as np
import pytest

import nifcodec
from nifcodec import files
from nifcodec.cli.main import main
from nifcodec.errors import OutputError, OutputExistsError
from nifcodec.fields.families import configure
from nifcodec.picture.image import from_array
from nifcodec.picture.read import read_image
from nifcodec.picture.write import write_image

resource = pytest.importorskip("resource")

# Buffered as Python is by itself: what is left in a buffer at the end is an exit code of its own.
HERE = {**os.environ, "PYTHONPATH": str(Path(nifcodec.__file__).parents[1]), "PYTHONUNBUFFERED": ""}
NIFCODEC = [sys.executable, "-m", "nifcodec"]
PIXELS = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)
# The process kills itself when it comes to the call that is named.
KILLED = """
import os, signal, sys
from nifcodec.cli.main import main
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[1], kill)
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a picture, a.png, and what it becomes, a.bin."""
    monkeypatch.chdir(tmp_path)
    write_image(from_array(PIXELS), "a.png")
    Path("a.bin").write_bytes(nifcodec.encode(PIXELS, configure(effort=1)))
    return tmp_path


def run(*arguments: str, **options: Any) -> Tuple[int, str]:
    """Exit code, and what was said on standard error; there is never a traceback."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": HERE, **options}
    done = subprocess.run([*NIFCODEC, *arguments], check=False, **options)
    said = (done.stderr or b"").decode()
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    return done.returncode, said


def contents(folder: Path) -> "dict[str, bytes]":
    return {path.name: path.read_bytes() for path in folder.iterdir()}


ENCODE = ["encode", "a.png", "-o", "out.nif", "-e", "1", "--quiet"]
DECODE = ["decode", "a.bin", "-o", "out.png", "--quiet"]
# The calls of a write in their order, and whether the file is there when a process dies in them. Without -f the file
# gets its name by a link, with it by a replacement.
FREE = (("listdir", False), ("fsync", False), ("fchmod", False), ("link", False), ("unlink", True))
TAKEN = (("fsync", False), ("replace", False), ("unlink", True))


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
@pytest.mark.parametrize(("command", "old"), [(ENCODE, None), (DECODE, None), (DECODE, b"old")])
def test_killed_at_any_stage(work: Path, command: List[str], old: Optional[bytes]) -> None:
    assert main(command) == 0
    target = Path(command[3])
    whole = target.read_bytes()
    target.unlink()
    before = contents(work)
    for stage, there in TAKEN if old else FREE:
        if old:
            target.write_bytes(old)
        arguments = [*command, "-f"] if old else command
        died = subprocess.run([sys.executable, "-c", KILLED, stage, *arguments], env=HERE, check=False)
        assert died.returncode == -signal.SIGKILL, stage
        after = contents(work)
        assert after.pop(target.name, None) == (whole if there else old), stage
        assert {name: data for name, data in after.items() if not name.startswith(files.TEMPORARY)} == before
        # The next one that writes here removes what the killed one left.
        assert main([*command, "-f"]) == 0
        assert contents(work) == {**before, target.name: whole}
        target.unlink()


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))


@pytest.mark.parametrize("command", [ENCODE, DECODE])
def test_no_room(work: Path, command: List[str]) -> None:
    before = contents(work)
    code, said = run(*command, preexec_fn=limit_files)
    assert code == 1
    assert f"cannot write {command[3]}: " in said
    assert contents(work) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_a_part_on_standard_output_is_an_error_without_a_buffer_too(work: Path) -> None:
    for command in (ENCODE, DECODE):
        for buffering in ("", "1"):
            with open("out.part", "wb") as part:
                line = [*command[:3], "-", *command[4:]]
                given = {"env": {**HERE, "PYTHONUNBUFFERED": buffering}, "preexec_fn": limit_files, "stdout": part}
                code, said = run(*line, **given)
            assert (code, "cannot write standard output: " in said) == (1, True)
    Path("out.part").unlink()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_devices(work: Path) -> None:
    before = contents(work)
    for command in (ENCODE, DECODE):
        code, said = run(*command[:3], "/dev/full", *command[4:], *(["--format", "png"] if command is DECODE else []))
        assert (code, "cannot write /dev/full: " in said) == (1, True)
        with open("/dev/full", "wb") as full:
            code, said = run(*command[:3], "-", *command[4:], stdout=full)
        assert (code, "cannot write standard output: " in said) == (1, True)
    with open("/dev/full", "wb") as full:
        assert run("info", "a.bin", stdout=full)[0] == 1
        assert run("info", "a.bin", "--json", stdout=full)[0] == 1
        # What cannot be said does not stop what is to be done.
        assert run("decode", "a.bin", "-o", "out.png", stderr=full)[0] == 0
        assert run("decode", "a.bin", "-o", "out.png", stderr=full)[0] == 4
        speak = "from nifcodec.files import say; say('once\\n'); say('twice\\n')"
        assert subprocess.run([sys.executable, "-c", speak], env=HERE, stderr=full, check=False).returncode == 0
    Path("out.png").unlink()
    assert contents(work) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("redirection", "code", "word"),
    [(">&-", 1, "standard output is closed"), ("<&- >o.png", 1, "standard input is closed"), ("<. >o.png", 1, "read")],
)
def test_closed_streams(work: Path, redirection: str, code: int, word: str) -> None:
    source = "a.bin" if ">&-" in redirection else "-"
    line = f"'{sys.executable}' -m nifcodec decode {source} -o - {redirection}"
    done = subprocess.run(["sh", "-c", line], env=HERE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == code
    assert word in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_closed_pipes(work: Path) -> None:
    before = contents(work)
    for command in (["decode", "a.bin", "-o", "-"], ["encode", "a.png", "-e", "1", "-o", "-"], ["info", "a.bin"]):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            assert run(*command, stdout=writing)[0] == 1
        finally:
            os.close(writing)
    assert contents(work) == before


def test_places_that_cannot_be_written_to(work: Path) -> None:
    shut = work / "shut"
    shut.mkdir()
    places = ["/proc/out"] if Path("/proc").exists() else []
    if os.geteuid():  # root may write anywhere
        shut.chmod(0o500)
        places.append("shut/out")
    for place in places:
        for command in (ENCODE, DECODE):
            code, said = run(*command[:3], place + command[3][3:], *command[4:])
            assert code == 1
            assert f"cannot write {place}" in said
    assert not list(shut.iterdir())


RACE = """
import sys, time
from pathlib import Path
from nifcodec import files
from nifcodec.errors import OutputExistsError
number, force = int(sys.argv[1]), sys.argv[2] == "force"
check, files.check_output = files.check_output, lambda *_: None
print("ready", flush=True)
sys.stdin.read()
won = 0
for turn in range(40):
    try:
        files.write_bytes("out" if force else f"out{turn}", bytes([number]) * 200000, force)
        won += 1
    except OutputExistsError:
        pass
print(won)
"""


@pytest.mark.parametrize("force", ["force", "careful"])
def test_several_processes_that_write_one_output(work: Path, force: str) -> None:
    """All see a free name at first: without -f one of them gets it, and with -f there is always some whole file."""
    options: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": HERE, "universal_newlines": True}
    writers = [subprocess.Popen([sys.executable, "-c", RACE, str(number), force], **options) for number in range(1, 4)]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if Path("out").exists():
            data = Path("out").read_bytes()
            assert (len(data), len(set(data))) == (200000, 1)
            seen += 1
    won = [int(writer.stdout.read()) for writer in writers if writer.stdout is not None]
    for writer in writers:
        assert writer.wait() == 0
        assert writer.stdout is not None
        writer.stdout.close()
    assert (sum(won) == 40 and not seen) if force == "careful" else (won == [40] * 3 and seen)
    for path in work.glob("out*"):
        data = path.read_bytes()
        assert (len(data), len(set(data))) == (200000, 1)
    assert not list(work.glob(files.TEMPORARY + "*"))


def test_a_file_system_without_links(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    files.write_bytes("out", b"first")
    with pytest.raises(OutputExistsError):
        files.write_bytes("out", b"second")
    assert Path("out").read_bytes() == b"first"
    assert not list(work.glob(files.TEMPORARY + "*"))


def test_a_temporary_file_in_use_stays(work: Path) -> None:
    pytest.importorskip("fcntl")
    descriptor, path = files._open_temporary(str(work))
    stray = work / (files.TEMPORARY + "stray")
    stray.write_bytes(b"half")
    os.symlink("a.png", str(work / (files.TEMPORARY + "link")))
    os.mkfifo(str(work / (files.TEMPORARY + "fifo")))
    files.write_bytes("out", b"data")
    os.close(descriptor)
    assert os.path.exists(path)
    assert not stray.exists()
    assert (work / "a.png").exists()


def test_no_place_for_the_file_that_openexr_needs(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("OpenEXR")
    light = from_array(np.ones((4, 4, 3), np.float32))
    write_image(light, "a.exr")
    monkeypatch.setattr("tempfile.tempdir", str(work / "missing"))
    with pytest.raises(OutputError, match="TMPDIR"):
        write_image(light, "b.exr")
    with pytest.raises(OutputError, match="TMPDIR"):
        read_image("a.exr")
    assert not Path("b.exr").exists()
