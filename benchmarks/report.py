"""Results of a sweep as JSON (CompressAI's schema and per-picture rows), CSV and Markdown."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from benchmarks import bdrate
from benchmarks.codecs import Codec
from benchmarks.rd import file_name
from benchmarks.rows import AVERAGE, Curve, Row, average_curve, codec_names, counted, csv_text
from nifcodec.files import write_bytes

SCHEMA = {"bpp": "bpp", "psnr_rgb": "psnr-rgb", "psnr_y": "psnr-y", "msssim_rgb": "ms-ssim-rgb"}
SECONDS = {"enc_s": "encoding_time", "dec_s": "decoding_time"}


@dataclass(frozen=True)
class Comparison:
    """BD-rates of one codec against the anchor, in percent; NaN where they cannot be had.

    Attributes:
        curve: of the averaged curves.
        pictures: mean of the pictures' own BD-rates.
        msssim: of the averaged curves over MS-SSIM in dB.
        low, high: PSNR that both averaged curves reach, dB.
    """

    curve: float
    pictures: float
    msssim: float
    low: float
    high: float


def mean_curve(rows: Sequence[Row], codec: str, images: Sequence[str]) -> Curve:
    """The mean over the pictures, or the published mean where a peer has only that."""
    curve = average_curve(rows, codec, images)
    return curve if len(curve.bpp) else average_curve(rows, codec, [AVERAGE])


def compare(rows: Sequence[Row], codec: str, anchor: str, images: Sequence[str]) -> Comparison:
    """BD-rates of `codec` against `anchor`, both among the rows."""
    base, test = mean_curve(rows, anchor, images), mean_curve(rows, codec, images)
    own = []
    for image in images:
        first, second = average_curve(rows, anchor, [image]), average_curve(rows, codec, [image])
        own.append(bdrate.bd_rate(first.bpp, first.psnr_rgb, second.bpp, second.psnr_rgb))
    low, high = bdrate.overlap(base.psnr_rgb, test.psnr_rgb)
    return Comparison(
        curve=bdrate.bd_rate(base.bpp, base.psnr_rgb, test.bpp, test.psnr_rgb),
        pictures=float(np.mean(own)) if own else math.nan,
        msssim=bdrate.bd_rate(base.bpp, base.msssim_db, test.bpp, test.msssim_db),
        low=low,
        high=high,
    )


def write(
    folder: Path,
    rows: Sequence[Row],
    peers: Sequence[Row],
    *,
    codecs: Sequence[Codec],
    images: Sequence[str],
    anchor: str,
    record: Mapping[str, Any],
) -> str:
    """Write all results into `folder`; returns the Markdown, which is also in `results.md`.

    `rows.csv` has a line a measurement, `results.json` the same with `record` (see `machine.record`), and
    `averages/CODEC.json` the means in CompressAI's schema, which its own plotting tool reads.
    """
    _write_text(folder / "rows.csv", csv_text(rows))
    document = {**record, "pictures": list(images), "rows": [asdict(row) for row in rows]}
    _write_text(folder / "results.json", json_text(document))
    averages = folder / "averages"
    averages.mkdir(exist_ok=True)
    for codec in codecs:
        document = compressai(average_curve(rows, codec.name, images), codec.description)
        _write_text(averages / f"{file_name(codec.name)}.json", json_text(document))
    text = markdown([*rows, *peers], images, anchor, record)
    _write_text(folder / "results.md", text)
    return text


def compressai(curve: Curve, description: str) -> Dict[str, Any]:
    """A curve in the JSON schema of CompressAI's benchmarks."""
    results = {key: getattr(curve, name).tolist() for name, key in {**SCHEMA, **SECONDS}.items()}
    return {"name": curve.codec, "description": description, "results": results}


def markdown(rows: Sequence[Row], images: Sequence[str], anchor: str, record: Mapping[str, Any]) -> str:
    """A table of BD-rates, a table of points, and what the numbers depend on."""
    names = codec_names(rows)
    curves = {name: mean_curve(rows, name, images) for name in names}
    against = [f"BD-rate to {anchor} %", "mean of pictures' %", "MS-SSIM %", "over dB"]
    head = ["codec", "bpp", "PSNR dB", *against, "encode s", "decode s"]
    listed = f": {', '.join(images)}." if len(images) < 9 else "."
    lines = [f"Mean over {counted(len(images), 'picture')}{listed}"]
    summaries = [_summary(rows, curves[name], anchor, images) for name in names if len(curves[name].bpp)]
    lines += ["", table(head, summaries)]
    fields, others = ([name for name in names if name.startswith("nif") is ours] for ours in (True, False))
    if fields and others:
        lines += ["", "BD-rate of the columns' codec to the line's, PSNR, %:", "", matrix(rows, fields, others, images)]
    head = ["codec", "setting", "bpp", "PSNR RGB", "PSNR luma", "MS-SSIM", "encode s", "decode s"]
    lines += ["", table(head, [line for name in names for line in _points(curves[name])])]
    machine = record["machine"]
    place = f"{machine['processor']}, {counted(machine['cores'], 'core')}, {machine['system']}"
    lines += ["", f"{record['date']}, seed {record['seed']}, {place}."]
    lines += ["", ", ".join(f"{name} {version}" for name, version in record["versions"].items()) + "."]
    return "\n".join([*lines, "", f"    {' '.join(record['command'])}", ""])


def matrix(rows: Sequence[Row], codecs: Sequence[str], anchors: Sequence[str], images: Sequence[str]) -> str:
    """The BD-rates of every codec (columns) against every anchor (lines), of the averaged curves."""
    rates = [[compare(rows, codec, anchor, images).curve for codec in codecs] for anchor in anchors]
    lines = [[anchor, *(number(rate, "+.1f") for rate in line)] for anchor, line in zip(anchors, rates)]
    return table(["to", *codecs], lines)


def _summary(rows: Sequence[Row], curve: Curve, anchor: str, images: Sequence[str]) -> List[str]:
    measured = [row for row in rows if row.codec == curve.codec and row.image in images]
    seconds = [[getattr(row, name) for row in measured] or getattr(curve, name) for name in SECONDS]
    comparison = compare(rows, curve.codec, anchor, images)
    overlap = "-" if math.isnan(comparison.low) else f"{comparison.low:.1f} to {comparison.high:.1f}"
    percents = (comparison.curve, comparison.pictures, comparison.msssim)
    return [
        curve.codec,
        f"{curve.bpp[0]:.3f} to {curve.bpp[-1]:.3f}",
        f"{curve.psnr_rgb[0]:.2f} to {curve.psnr_rgb[-1]:.2f}",
        *("0" if curve.codec == anchor else number(value, "+.1f") for value in percents),
        overlap,
        *(number(float(np.median(values)), ".3g") for values in seconds),
    ]


def _points(curve: Curve) -> List[List[str]]:
    return [
        [curve.codec, curve.settings[i]]
        + [number(column[i], ".3f") for column in (curve.bpp,)]
        + [number(column[i], ".2f") for column in (curve.psnr_rgb, curve.psnr_y)]
        + [number(curve.msssim_rgb[i], ".4f")]
        + [number(column[i], ".3g") for column in (curve.enc_s, curve.dec_s)]
        for i in range(len(curve.bpp))
    ]


def number(value: float, form: str) -> str:
    """The value, or "-" where it is not known."""
    return "-" if math.isnan(value) else format(value, form)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))


def json_text(document: Mapping[str, Any]) -> str:
    """Standard JSON: what is not known or infinite is null."""
    return json.dumps(_finite(document), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode(), force=True)
