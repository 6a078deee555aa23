"""The parts of `nifcodec batch`: inputs, stores, manifest, the work on one input, the command."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from conftest import PIXELS, rows
from PIL import Image

import nifcodec
from nifcodec import encoder
from nifcodec.batch import convert as work
from nifcodec.batch import inputs, manifest, stores
from nifcodec.batch.convert import convert
from nifcodec.batch.inputs import Source
from nifcodec.batch.progress import BatchLine, Tally, readable, summary
from nifcodec.batch.report import status
from nifcodec.batch.tasks import DONE, FAILED, SKIPPED, WRITING, Row, Task, digest_of
from nifcodec.cli.main import main
from nifcodec.errors import ConfigError, NifError, OutputError, OutputExistsError
from nifcodec.fields.families import configure
from nifcodec.files import TEMPORARY
from nifcodec.picture.read import read_image

OPTIONS = {"effort": 1}


def row(source: str = "/in/a.png", status: str = DONE, run: str = "1", attempt: int = 1, **more: Any) -> Row:
    about = {"settings": {}, "version": "1", "host": "h", **more}
    return Row(source, "/out/a.nif", status, run, attempt, **about)


# Inputs


def tree(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def below(arguments: "List[str]") -> "List[str]":
    return [source.below for source in inputs.expand(arguments).sources]


def test_a_folder_stands_for_its_pictures(tmp_path: Path) -> None:
    tree(tmp_path, "b.JPG", "deep/er/a.png", "x.exr", "notes.txt", "old.nif", ".hidden.png", ".trash/a.png", "v.mpg")
    found = inputs.expand([str(tmp_path)])
    assert [source.below for source in found.sources] == ["b.JPG", "x.exr", "deep/er/a.png"]
    assert found.left_out == 4  # the text, the film, and what is hidden
    assert all(os.path.isabs(source.path) for source in found.sources)


def test_patterns_keep_the_tree_below_their_fixed_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "in/a/1.png", "in/b/1.png", "in/b/notes.txt", "in/b/1.nif")
    assert below(["in/*/1.png"]) == ["a/1.png", "b/1.png"]
    assert below([str(tmp_path / "in" / "**")]) == ["a/1.png", "b/1.png", "b/notes.txt"]
    with pytest.raises(ConfigError, match="no file matches"):
        inputs.expand(["in/*.jpg"])


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    tree(tmp_path, "holiday [1].png", "holiday 1.png")
    assert below([str(tmp_path / "holiday [1].png")]) == ["holiday [1].png"]


def test_an_input_is_taken_once_and_may_be_missing(tmp_path: Path) -> None:
    tree(tmp_path, "a.png")
    found = inputs.expand([str(tmp_path), str(tmp_path / "a.png"), str(tmp_path / "gone.png")])
    assert [source.below for source in found.sources] == ["a.png", "gone.png"]


@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    names = [b"in/a*.png", b"in/b/c.png", b"/elsewhere/d.png"]
    names += [b"in/\xff\xfe.png"] if sys.platform.startswith("linux") else []
    stream = io.TextIOWrapper(io.BytesIO(end.join([*names, b""])))
    monkeypatch.setattr(sys, "stdin", stream)
    assert below(["-"]) == ["in/a*.png", "in/b/c.png", "d.png", "in/\udcff\udcfe.png"][: len(names)]


def outputs(*below: str, known: "Any" = ()) -> "List[str]":
    found = inputs.outputs([Source("/in/" + name, name) for name in below], "/out", known)
    return [name.replace(os.sep, "/") for name in found]


def test_outputs_keep_an_ending_where_they_must() -> None:
    assert outputs("a.png", "b.tar.png", "d/a.png") == ["/out/a.nif", "/out/b.tar.nif", "/out/d/a.nif"]
    assert outputs("a.png", "a.jpg", "b.png") == ["/out/a.png.nif", "/out/a.jpg.nif", "/out/b.nif"]
    # A file that comes later takes no name away.
    known = {("/in/a.png", os.path.join("/out", "a.nif"))}
    assert outputs("a.png", "a.jpg", known=known) == ["/out/a.nif", "/out/a.jpg.nif"]
    with pytest.raises(ConfigError, match="would both become"):
        inputs.outputs([Source("/x/a.png", "a.png"), Source("/y/a.png", "a.png")], "/out", ())


# Stores


def local(folder: Path) -> str:
    return str(folder / "a.nif")


def in_memory(folder: Path) -> str:
    pytest.importorskip("fsspec")
    return f"memory://{folder}/a.nif"


def by_transaction(folder: Path) -> str:
    """A store of fsspec's that has no writing of objects as wholes."""
    pytest.importorskip("fsspec")
    return f"local://{folder}/deep/a.nif"


@pytest.mark.parametrize("place", [local, in_memory, by_transaction])
def test_the_first_writer_wins(tmp_path: Path, place: Any) -> None:
    path = place(tmp_path)
    stores.publish(path, b"first", replace=False)
    with pytest.raises(OutputExistsError, match="--existing replace"):
        stores.publish(path, b"second", replace=False)
    assert stores.read(path) == b"first"
    stores.publish(path, b"third", replace=True)
    assert stores.read(path) == b"third"
    assert stores.exists(path)
    folder = path.rsplit("/", 1)[0]
    assert [name.rsplit("/", 1)[1] for name, _ in stores.below(folder)] == ["a.nif"]
    assert stores.existing(folder, [path, path + "x"]) == {path}


@pytest.mark.parametrize("place", [local, in_memory])
def test_of_many_writers_one_wins(tmp_path: Path, place: Any) -> None:
    path = place(tmp_path)
    won: List[int] = []

    def write(index: int) -> None:
        try:
            stores.publish(path, bytes([index]) * 1000, replace=False)
            won.append(index)
        except OutputExistsError:
            pass

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert stores.read(path) == bytes(won) * 1000


def test_a_store_that_nobody_knows() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(ConfigError, match="no URL that can be opened"):
        stores.read("nonsense://a/b.png")


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    stray = tmp_path / "deep" / f"{TEMPORARY}abc"
    stray.write_bytes(b"half")
    stores.prepare(str(tmp_path), [str(tmp_path / "deep" / "a.nif")])
    assert not stray.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write to the folder"):
        stores.prepare(str(tmp_path), [])


# Manifest


def test_rows_and_lines() -> None:
    odd = row("/in/\udcff\n.png", warnings=("a", "b"), psnr=30.5)
    line = odd.to_json()
    assert "\n" not in line
    assert Row.from_json(line) == odd
    assert Row.from_json(json.dumps({**json.loads(line), "of a later version": 1})) == odd
    for damaged in (line[:-5], "{}", "7", "", b"\xff\xff"):
        assert Row.from_json(damaged) is None


def test_a_line_that_was_cut_off_costs_no_other(tmp_path: Path) -> None:
    path = str(tmp_path / "rows.jsonl")
    manifest.append(path, [row("/in/a.png"), row("/in/b.png")])
    with open(path, "rb+") as file:
        file.truncate(os.path.getsize(path) - 9)
    manifest.append(path, [row("/in/c.png")])
    merged = manifest.load(path)
    assert [found.source for found in merged.rows()] == ["/in/a.png", "/in/c.png"]
    assert merged.damaged == 1


def test_another_file_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear all,\n")
    with pytest.raises(ConfigError, match="is no manifest"):
        manifest.load(str(tmp_path / "letter.txt"))


def test_the_last_word_is_that_of_the_last_attempt_of_the_last_run() -> None:
    first = row(run="1", status=FAILED, attempt=1)
    second = row(run="1", status=DONE, attempt=2)
    begun = row(run="2", status=WRITING)
    for order in ([first, second, begun], [begun, second, first], [second, begun, first]):
        (known,) = manifest.merge(order).values()
        assert (known.latest, known.kept) == (begun, begun)
    (known,) = manifest.merge([second, row(run="3", status=FAILED)]).values()
    assert (known.latest.status, known.kept) == (FAILED, second)
    (known,) = manifest.merge([first]).values()
    assert (known.latest, known.kept) == (first, None)


def test_workers_that_see_the_folder_write_in_it(tmp_path: Path) -> None:
    path = str(tmp_path / "rows.jsonl")
    ours = manifest.Manifest(path, "1")
    assert manifest.journal_of(manifest.journal(path), "2") is None
    name = manifest.journal_of(manifest.journal(path), "1")
    assert name is not None
    manifest.append(name, [row("/in/a.png", run="1")])
    ours.add(row("/in/b.png", run="1"))
    assert {found.source for found in manifest.load(path).rows()} == {"/in/a.png", "/in/b.png"}
    theirs = manifest.Manifest(path, "2")
    ours.close(whole=True)
    assert not os.path.exists(name)
    assert os.path.isdir(manifest.journal(path))
    theirs.close(whole=True)
    assert os.listdir(tmp_path) == ["rows.jsonl"]


# The work on one input


@pytest.fixture
def task(folder: Path) -> Task:
    return Task(str(folder / "a.png"), str(folder / "out" / "a.nif"), "1", OPTIONS)


def test_one_input(task: Task) -> None:
    made = convert(pickle.loads(pickle.dumps(task)))
    data = Path(task.output).read_bytes()
    assert data == encoder.encode(read_image(task.source), configure(effort=1))
    assert (made.status, made.bytes, made.output_digest) == (DONE, len(data), digest_of(data))
    assert (made.digest, made.size) == (digest_of(Path(task.source).read_bytes()), os.path.getsize(task.source))
    assert made.settings == {"effort": 1, "field": "wavelet"}
    assert made.psnr == pytest.approx(
        encoder.encode_image(read_image(task.source), configure(effort=1)).report.psnr_rgb
    )
    assert made.prior == nifcodec.inspect(data).settings["prior"]
    assert made.seconds > 0
    assert made.ended.endswith("Z")


def test_again_and_again(task: Task) -> None:
    made = convert(task)
    stamp = os.stat(task.output).st_mtime_ns
    # Twice by accident: the same bytes are there.
    assert convert(task).status == DONE
    known = replace(task, run="2", latest=made, kept=made, existed=True)
    assert convert(known).status == SKIPPED
    # Killed behind the output's name: the row is written without the work.
    begun = replace(made, status=WRITING)
    adopted = convert(replace(known, latest=begun, kept=begun))
    assert (adopted.status, adopted.run, adopted.psnr) == (DONE, "2", made.psnr)
    assert os.stat(task.output).st_mtime_ns == stamp


@pytest.mark.parametrize("change", ["source", "settings", "output"])
def test_what_does_not_hold_any_more_is_made_anew(task: Task, change: str) -> None:
    made = convert(task)
    known = replace(task, run="2", latest=made, kept=made, existed=True)
    if change == "source":
        Image.fromarray(PIXELS[::-1]).save(task.source)
    if change == "settings":
        known = replace(known, options={"effort": 1, "quality": 20.0})
    if change == "output":
        Path(task.output).write_bytes(Path(task.output).read_bytes()[:-1])
    refused = convert(replace(known, existing="fail"))
    assert (refused.status, refused.cause) == (FAILED, "OutputExistsError")
    again = convert(known)
    assert again.status == DONE
    assert again.output_digest == digest_of(Path(task.output).read_bytes())


def test_an_output_of_unknown_origin_stays(task: Task) -> None:
    Path(task.output).parent.mkdir()
    Path(task.output).write_bytes(b"somebody's")
    for existing in ("skip", "fail"):
        for existed in (True, False):  # before the run, or since it began
            refused = convert(replace(task, existing=existing, existed=existed))
            assert (refused.cause, refused.transient) == ("OutputExistsError", False)
            assert "--existing replace" in str(refused.error)
    assert Path(task.output).read_bytes() == b"somebody's"
    assert convert(replace(task, existing="replace", existed=True)).status == DONE


@pytest.mark.parametrize(
    ("of", "existing", "replaced"),
    [("1", "skip", True), ("1", "fail", False), ("2", "skip", False), ("3", "skip", False)],
)
def test_an_output_that_an_earlier_run_leaves_meanwhile_is_made_anew(
    task: Task, folder: Path, of: str, existing: str, replaced: bool
) -> None:
    """Of a worker that went on: its row came after the later run was planned. Later runs and failures say nothing."""
    path = str(folder / "rows.jsonl")
    manifest.Manifest(path, "2")
    kinds = ((WRITING, of), (FAILED, "1"))
    there = [replace(row(task.source, status, run=run), output=task.output) for status, run in kinds]
    manifest.append(os.path.join(manifest.journal(path), f"{of}-host-7.jsonl"), [*there, row("/in/other.png", run="1")])
    Path(task.output).parent.mkdir()
    Path(task.output).write_bytes(b"the earlier run's")
    found = convert(replace(task, run="2", existing=existing, journal=manifest.journal(path)))
    assert (found.status == DONE) is replaced
    assert found.cause == (None if replaced else "OutputExistsError")
    assert (Path(task.output).read_bytes() == b"the earlier run's") is not replaced


def test_an_input_that_failed_is_left_out_until_it_is_another(task: Task) -> None:
    Path(task.source).write_bytes(b"no picture")
    failed = convert(task)
    assert (failed.status, failed.cause, failed.transient) == (FAILED, "ImageError", False)
    assert "a.png" in str(failed.error)
    known = replace(task, run="2", latest=failed)
    left_out = convert(known)
    assert (left_out.status, left_out.error) == (SKIPPED, failed.error)
    assert convert(replace(known, retry_failed=True)).status == FAILED
    Image.fromarray(PIXELS).save(task.source)
    assert convert(known).status == DONE


def test_an_input_that_is_gone(task: Task) -> None:
    gone = convert(replace(task, source="/nowhere/a.png"))
    assert (gone.status, gone.cause, gone.digest) == (FAILED, "FileNotFoundError", None)
    assert gone.error == "cannot read /nowhere/a.png: No such file or directory"


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (OSError("the network is away"), True),
        (MemoryError(), True),
        (OutputError("cannot write"), True),
        (FileNotFoundError("gone"), False),
        (PermissionError("no"), False),
        (ValueError("a bug"), False),
        (NifError("something else"), False),
    ],
)
def test_what_is_tried_again(
    task: Task, monkeypatch: pytest.MonkeyPatch, error: BaseException, transient: bool
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(work, "_encode", fail)
    failed = convert(task)
    assert (failed.status, failed.transient, failed.cause) == (FAILED, transient, type(error).__name__)
    assert not Path(task.output).exists()


def test_a_picture_that_does_not_fit_into_memory_is_tried_again(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", load)
    assert convert(task).transient


@pytest.mark.parametrize("in_main_thread", [True, False])
def test_a_limit_of_time(task: Task, picture: Path, in_main_thread: bool) -> None:
    task = replace(task, source=str(picture), options={"effort": 5, "steps": 1000}, seconds=0.05)
    found: List[Row] = []
    if in_main_thread:
        found.append(convert(task))
    else:
        thread = threading.Thread(target=lambda: found.append(convert(task)))
        thread.start()
        thread.join()
    assert (found[0].cause, found[0].transient) == ("TimeLimitError", False)
    assert "--time-limit" in str(found[0].error)


def test_warnings_are_in_the_row_of_their_picture(task: Task, folder: Path) -> None:
    Image.fromarray(PIXELS).save("two.gif", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])])
    tasks = [task, replace(task, source=str(folder / "two.gif"), output=str(folder / "two.nif"))]
    found: "dict[str, Row]" = {}

    def one(task: Task) -> None:
        found[task.source] = convert(task)

    threads = [threading.Thread(target=one, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[tasks[0].source].warnings == ()
    assert "frames" in found[tasks[1].source].warnings[0]


def test_equal_pictures_have_no_psnr(task: Task) -> None:
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(task.source)
    made = convert(task)
    assert (made.status, made.psnr, made.identical) == (DONE, None, True)
    assert "Infinity" not in made.to_json()


# The command


@pytest.mark.parametrize("option", ["--icc", "--exif", "--xmp", "--max-pixels", "--allow-truncated"])
def test_options_of_one_picture_are_none_of_many(folder: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["batch", "a.png", "--out", "out", "--manifest", "rows.jsonl", option, "1"])
    assert f"unrecognized arguments: {option}" in capsys.readouterr().err


def test_the_command_and_its_status(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.png").write_bytes(b"no picture")
    run = ["batch", "a.png", "broken.png", "--out", "out", "--manifest", "rows.jsonl", "-e", "1", "--workers", "1"]
    assert main([*run, "--json"]) == 1
    captured = capsys.readouterr()
    assert {(Path(line["source"]).name, line["status"]) for line in rows(captured.out)} == {
        ("a.png", DONE),
        ("broken.png", FAILED),
    }
    assert "broken.png is not a picture" in captured.err
    assert "batch: 1 done, 1 failed" in captured.err
    assert main(["batch", "status", "rows.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "2 inputs: 1 done, 1 failed, 0 unfinished" in said
    assert "1 ImageError" in said
    assert main(["batch", "status", "rows.jsonl", "--json"]) == 0
    assert len(rows(capsys.readouterr().out)) == 2
    assert main([*run, "--quiet"]) == 1
    assert capsys.readouterr().err == ""


def test_a_missed_target_is_exit_5_where_nothing_failed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also when the same command finds the file there; a failure goes before it."""
    run = ["batch", "a.png", "--out", "out", "--manifest", "rows.jsonl", "-e", "1", "--workers", "1", "--psnr"]
    for already in ("1 done", "0 done, 1 there already"):
        assert main([*run, "80"]) == 5
        said = capsys.readouterr().err
        assert already in said and "; target missed by 1; rows in" in said
    assert main(["batch", "status", "rows.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "  target    missed by 1\n  warnings  of 1\n    1 x 80.0 dB were asked for" in said
    Path("broken.png").write_bytes(b"no picture")
    assert main(["batch", "broken.png", *run[1:], "80"]) == 1
    assert main([*run, "20"]) == 0


def test_status_counts_what_warnings_say() -> None:
    said = {"/in/a.png": ("/in/a.png has 2 frames", "dim"), "/in/b.png": ("/in/b.png has 2 frames",), "/in/c.png": ()}
    merged = manifest.Merged(manifest.merge(row(name, warnings=texts) for name, texts in said.items()), 0)
    lines = status(merged).splitlines()
    assert lines[lines.index("  warnings  of 2") :] == ["  warnings  of 2", "    2 x has 2 frames", "    1 x dim"]
    many = manifest.Merged(manifest.merge([row(warnings=tuple(f"{index}" for index in range(12)))]), 0)
    assert [line for line in status(many).splitlines() if " x " in line] == [f"    1 x {index}" for index in range(10)]
    assert status(many).endswith("    and 2 more")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["a.png"], "--out is missing"),
        (["a.png", "--out", "o"], "--manifest is missing"),
        (["a.png", "--out", "o", "--manifest", "m", "--workers", "0"], "--workers is 0"),
        (["a.png", "--out", "o", "--manifest", "m", "--retries", "-1"], "--retries is -1"),
        (["a.png", "--out", "o", "--manifest", "m", "--time-limit", "nan"], "--time-limit is nan"),
        (["a.png", "--out", "o", "--manifest", "m", "--executor", "ray://x:1"], "dask://HOST:PORT"),
        (["a.png", "--out", "o", "--manifest", "m", "--executor", "dask://x:1", "--workers", "1"], "give one of them"),
        (["a.png", "--out", "o", "--manifest", "m", "--executor", "dask://x:1", "--memory-limit", "1G"], "dask worker"),
        (["a.png", "--out", "o", "--manifest", "s3://b/m"], "a file of this machine"),
        (["a.png", "--out", "o", "--manifest", "a.png"], "is no manifest"),
        (["*.jpg", "--out", "o", "--manifest", "m"], "no file matches"),
        (["a.png", "--out", "o", "--manifest", "m", "--width", "7"], "has no width"),
        (["status", "a", "b"], "status is of one manifest"),
    ],
)
def test_usage(folder: Path, capsys: pytest.CaptureFixture[str], argv: "List[str]", said: str) -> None:
    assert main(["batch", *argv]) == 2
    assert said in capsys.readouterr().err
    assert "o" not in os.listdir(folder) or os.listdir("o") == []
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_the_status_of_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", "status", "none.jsonl"]) == 1
    assert "there are no rows" in capsys.readouterr().err


def test_progress() -> None:
    tally = Tally(10)
    line = BatchLine("batch")
    assert line.describe(tally) == "0/10"
    for each in (row(size=2_000_000, bytes=300_000), row(status=FAILED), row(status=SKIPPED)):
        tally.add(each)
    said = line.describe(tally)
    assert said.startswith("3/10  1 failed  2 MB -> 300 kB  ")
    assert said.endswith(" left")
    assert summary(tally).startswith("1 done, 1 there already, 1 failed, 7 not begun in 0:00; 2 MB -> 300 kB")
    assert [readable(size) for size in (0, 999, 1000, 999_600, 12_345_678)] == [
        "0 B",
        "999 B",
        "1 kB",
        "1 MB",
        "12.3 MB",
    ]
