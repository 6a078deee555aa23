"""The original example beside nifcodec at an equal number of training samples, with and without its defects."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence

import numpy as np

import nifcodec
from benchmarks.original import NO_DEFECTS, Defects, Field, Settings, own_measures, perfect_render
from benchmarks.rd import Picture, append_journal, make_folder
from benchmarks.report import json_text, number, table
from benchmarks.rows import UNKNOWN
from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.fields.hooks import Progress
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.options import FourierOptions, MlpOptions, SirenOptions
from nifcodec.fields.mlp.sizing import design
from nifcodec.fields.progress_line import ProgressLine
from nifcodec.fields.rendering import to_integers
from nifcodec.files import write_bytes
from nifcodec.picture import metrics

JOURNAL = "original.jsonl"
VARIANTS = {
    "as it is": Defects(),
    "grid put right": Defects(grid=False),
    "colour order put right": Defects(order=False),
    "Lab put right": Defects(lab=False),
    "all but the grid put right": Defects(order=False, lab=False),
    "all put right": NO_DEFECTS,
}
HEADINGS = ("", "samples", "batch", "parameters", "bytes", "bpp", "its PSNR RGB", "its PSNR L", "true PSNR RGB")
NOTES = """\
`samples` counts what was trained on, repeated ones again. `bytes` of the original are its weights in float32, of ours
the file. `its` PSNRs are the original's measures, with the defects that a line does not put right; `true` is that of
the picture in 8 bits, over RGB. Only the colour matrix takes another training, and the grid another rendering. A field
without error is what a network of the original would give that had learnt every one of its samples exactly."""


@dataclass(frozen=True)
class Line:
    """A line of the table; what does not apply is 0 or NaN.

    Attributes:
        picture, name: what was measured.
        samples, batch: trained on in all, and in a step.
        parameters: of the network.
        bytes: of our file, or of the original's weights in float32.
        bpp: 8 * bytes / pixels.
        own_rgb, own_lightness: dB, by the original's measures with the line's defects.
        psnr_rgb: dB, of the picture clipped and rounded to 8 bits, over RGB.
    """

    picture: str
    name: str
    samples: int
    batch: int
    parameters: int
    bytes: int
    bpp: float
    own_rgb: float
    own_lightness: float
    psnr_rgb: float


@dataclass(frozen=True)
class Part:
    """What one job measured: its name, all that it depends on, its lines, and the seconds that it took."""

    job: str
    key: str
    seconds: float
    lines: Sequence[Line]


@dataclass(frozen=True)
class Task:
    """A picture, and how the networks are trained on it.

    Attributes:
        settings: of the original.
        samples: that each network is trained on in all, to within a batch.
        effort: of the wavelet field.
    """

    picture: Picture
    settings: Settings
    samples: int
    effort: int
    seed: int

    @property
    def key(self) -> str:
        """All that the lines depend on besides the code of this benchmark."""
        parts = (self.picture.name, self.picture.digest, nifcodec.__version__, self.samples, self.effort, self.seed)
        return json.dumps([*parts, asdict(self.settings)])

    @property
    def pixels(self) -> int:
        return self.picture.pixels.shape[0] * self.picture.pixels.shape[1]

    def line(self, name: str, rendered: np.ndarray, defects: Defects = NO_DEFECTS, **known: int) -> Line:
        """rendered: (H, W, 3), red, green, blue, 0 to 255, uint8 or float; known: samples, batch, parameters, bytes."""
        original = self.picture.pixels
        rgb, lightness = own_measures(original, rendered, defects)
        shown = rendered if rendered.dtype == np.uint8 else to_integers(rendered / 255.0)
        line = Line(self.picture.name, name, 0, 0, 0, 0, UNKNOWN, rgb, lightness, metrics.psnr(original, shown))
        line = replace(line, **known)
        return replace(line, bpp=8.0 * line.bytes / self.pixels) if line.bytes else line


Report = Callable[[Progress], None]
Job = Callable[[Task, Report, Mapping[str, Part]], List[Line]]


def fourier_spec(task: Task) -> MlpDescription:
    """Our `fourier` field of the original's network."""
    return _designed(task, "fourier", task.settings.width)


def siren_spec(task: Task) -> MlpDescription:
    """The `siren` field of as many layers whose number of parameters is nearest to the original's."""
    wanted = task.settings.network.parameter_count()
    specs = [_designed(task, "siren", width) for width in range(1, 2 * task.settings.width)]
    return min(specs, key=lambda spec: abs(spec.parameter_count() - wanted))


def _designed(task: Task, family: str, width: int) -> MlpDescription:
    size = (task.picture.pixels.shape[0], task.picture.pixels.shape[1])
    return design(family, 3, size, 0.0, _options(task, family, width))


def _options(task: Task, family: str, width: int) -> MlpOptions:
    """Those of a network of ours with as many layers as the original's, and its encoding."""
    of = task.settings
    if family == "siren":
        return SirenOptions(width=width, layers=of.layers)
    return FourierOptions(width=width, layers=of.layers, dimension=of.dimension, sigma=of.sigma)


def _perfect(task: Task, report: Report, done: Mapping[str, Part]) -> List[Line]:
    rendered = perfect_render(task.picture.pixels, mismatched=True)
    names = ("as it is", "all but the grid put right")
    return [task.line(f"a field without error, {name}", rendered, VARIANTS[name]) for name in names]


def _original(
    task: Task, report: Report, done: Mapping[str, Part], *, colour: str, variants: Mapping[str, Defects]
) -> List[Line]:
    began = time.monotonic()
    settings = replace(task.settings, colour=colour)

    def show(share: float) -> None:
        steps = task.samples // settings.batch
        report(Progress("fit", round(share * steps), steps, time.monotonic() - began, UNKNOWN, UNKNOWN))

    field = Field(task.picture.pixels, settings, task.samples, task.seed, show)
    rendered = {grid: field.render(grid) for grid in {defects.grid for defects in variants.values()}}
    parameters = settings.network.parameter_count()
    known = {"samples": field.samples, "batch": settings.batch, "parameters": parameters, "bytes": 4 * parameters}
    return [
        task.line(f"original, {name}", rendered[defects.grid], defects, **known) for name, defects in variants.items()
    ]


def _ours(
    task: Task, report: Report, done: Mapping[str, Part], *, spec: Callable[[Task], MlpDescription], batch: int
) -> List[Line]:
    network, batch = spec(task), min(batch or task.settings.batch, task.pixels)
    steps = max(round(task.samples / batch), 1)
    options = replace(_options(task, network.family, network.width), batch_size=batch)
    config = EncodeConfig(field=network.family, steps=steps, seed=task.seed, options=options)
    data = nifcodec.encode(task.picture.pixels, config, progress=report)
    known = {"samples": steps * batch, "batch": batch, "parameters": network.parameter_count(), "bytes": len(data)}
    return [task.line(f"`{network.family}`", nifcodec.decode(data), **known)]


def _wavelet(task: Task, report: Report, done: Mapping[str, Part], *, beside: str) -> List[Line]:
    if beside not in done:
        raise ConfigError(f"the wavelet field is given the bytes of {beside}: ask for {beside} too")
    size = done[beside].lines[0].bytes
    config = EncodeConfig(field="wavelet", effort=task.effort, target_size=size, seed=task.seed)
    data = nifcodec.encode(task.picture.pixels, config, progress=report)
    return [task.line(f"`wavelet`, `-e {task.effort}`", nifcodec.decode(data), bytes=len(data))]


# In the order of the table. A batch of 0 is the original's.
JOBS: Dict[str, Job] = {
    "perfect": _perfect,
    "original": partial(_original, colour="rgb", variants=VARIANTS),
    "ycocg": partial(_original, colour="ycocg", variants={"YCoCg as it is, all else put right": NO_DEFECTS}),
    "true-ycocg": partial(_original, colour="true-ycocg", variants={"YCoCg put right too": NO_DEFECTS}),
    "fourier": partial(_ours, spec=fourier_spec, batch=0),
    "fourier-4096": partial(_ours, spec=fourier_spec, batch=MlpOptions().batch_size),
    "siren-4096": partial(_ours, spec=siren_spec, batch=MlpOptions().batch_size),
    "wavelet-small": partial(_wavelet, beside="fourier"),
    "wavelet-large": partial(_wavelet, beside="original"),
}
QUICK_JOBS = ("perfect", "original", "fourier")


def chosen_jobs(text: str) -> List[str]:
    """The names in a list with commas, or "all", in the order of the table. Raises ConfigError for an unknown one."""
    names = list(JOBS) if text == "all" else text.split(",")
    unknown = [name for name in names if name not in JOBS]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)} is not among all, {', '.join(JOBS)}")
    return [name for name in JOBS if name in names]


def run(task: Task, names: Sequence[str], folder: Path, fresh: bool) -> List[Part]:
    """Do those of `JOBS` that the journal in `folder` does not hold yet.

    Raises:
        ConfigError: a wavelet without the file whose size it is to have.
        NifError: of an encode that fails.
    """
    make_folder(folder)
    journal = folder / JOURNAL
    done = {} if fresh else {part.job: part for part in read_journal(journal) if part.key == task.key}
    for name in names:
        if name in done:
            continue
        report = ProgressLine(f"{task.picture.name}, {name}")
        began = time.monotonic()
        lines = JOBS[name](task, report, done)
        report.clear()
        done[name] = Part(name, task.key, time.monotonic() - began, lines)
        append_journal(journal, done[name])
        print(f"{task.picture.name}, {name}: {done[name].seconds:.1f} s", file=sys.stderr, flush=True)
    return [done[name] for name in names]


def read_journal(path: Path) -> List[Part]:
    """The parts of a journal; a line that an interruption cut short, or of another layout, is left out."""
    parts = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            values = json.loads(text)
            parts.append(Part(**{**values, "lines": [Line(**line) for line in values["lines"]]}))
        except (ValueError, TypeError, KeyError):
            continue
    return parts


def write(folder: Path, parts: Sequence[Part], record: Mapping[str, Any]) -> str:
    """Write `original.json` (with `record`, see `machine.record`), `.tsv` and `.md`; returns the last."""
    lines = [line for part in parts for line in part.lines]
    text = markdown(lines)
    seconds = [{"picture": part.lines[0].picture, "job": part.job, "seconds": part.seconds} for part in parts]
    document = {**record, "lines": [asdict(line) for line in lines], "seconds": seconds}
    for name, content in (("json", json_text(document)), ("tsv", tsv(lines)), ("md", text)):
        write_bytes(folder / f"original.{name}", content.encode(), force=True)
    return text


def tsv(lines: Sequence[Line]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Line)], dialect=csv.excel_tab, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    return buffer.getvalue()


def markdown(lines: Sequence[Line]) -> str:
    """A table a picture, and what its columns are."""
    texts = []
    for picture in dict.fromkeys(line.picture for line in lines):
        cells = [_cells(line) for line in lines if line.picture == picture]
        texts.append(f"{picture}\n\n{table(HEADINGS, cells)}\n")
    return "\n".join([*texts, NOTES, ""])


def _cells(line: Line) -> List[str]:
    counts = [str(count) if count else "-" for count in (line.samples, line.batch, line.parameters, line.bytes)]
    levels = (line.own_rgb, line.own_lightness, line.psnr_rgb)
    return [line.name, *counts, number(line.bpp, ".3f"), *(number(level, ".2f") for level in levels)]
