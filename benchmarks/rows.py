"""One measurement of one picture (`Row`), and the mean of many pictures at equal settings (`Curve`)."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import numpy as np

from nifcodec.errors import ConfigError

AVERAGE = "AVERAGE"
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Row:
    """A picture coded once. Numbers that a published source does not give are NaN (0 for integers).

    Attributes:
        codec, setting, image: names; image is the file name without its ending, or `AVERAGE` for a published mean.
        width, height, bytes: of the picture, and of the coded file.
        bpp: 8 * bytes / (width * height).
        mse_rgb: mean squared error over the three channels, on 8-bit values (0 to 255^2).
        psnr_rgb, psnr_y: dB, of RGB and of luma.
        msssim_rgb: multi-scale structural similarity, at most 1.
        enc_s, dec_s: wall seconds.
        averaging: of a published mean: "mean_psnr" or "mean_mse"; else empty.
        source: where a published row comes from; empty where the row was measured.
        digest, version, seed: of the pixels, of the codec, and of everything random: what a resumed run compares.
    """

    codec: str
    setting: str
    image: str
    width: int = 0
    height: int = 0
    bytes: int = 0
    bpp: float = UNKNOWN
    mse_rgb: float = UNKNOWN
    psnr_rgb: float = UNKNOWN
    psnr_y: float = UNKNOWN
    msssim_rgb: float = UNKNOWN
    enc_s: float = UNKNOWN
    dec_s: float = UNKNOWN
    averaging: str = ""
    source: str = ""
    digest: str = ""
    version: str = ""
    seed: int = 0


COLUMNS = tuple(field.name for field in fields(Row))


def row_from_mapping(values: Mapping[str, Any]) -> Row:
    """A `Row` from the columns of a table or the keys of a JSON object; unknown ones are ignored.

    A missing MSE follows from the PSNR and the other way round.

    Raises:
        ConfigError: a column that every row needs (codec, setting, image, bpp) is missing, or a number is none.
    """
    missing = [name for name in ("codec", "setting", "image", "bpp") if values.get(name) in (None, "")]
    if missing:
        raise ConfigError(f"a row has no {' and no '.join(missing)}")
    known: Dict[str, Any] = {}
    for field in fields(Row):
        value = values.get(field.name)
        if value is None or value == "":
            continue
        kind = type(field.default) if field.default is not None and isinstance(field.default, (int, float)) else str
        try:
            known[field.name] = kind(value)
        except ValueError:
            raise ConfigError(f"{field.name} is {value!r}, which is no number") from None
    if "mse_rgb" not in known and "psnr_rgb" in known:
        known["mse_rgb"] = 255.0**2 * 10 ** (-known["psnr_rgb"] / 10)
    if "psnr_rgb" not in known and "mse_rgb" in known:
        known["psnr_rgb"] = 10 * math.log10(255.0**2 / known["mse_rgb"]) if known["mse_rgb"] else math.inf
    return Row(**known)


def csv_text(rows: Iterable[Row]) -> str:
    """The rows under a header line; `read_table` reads them back."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return buffer.getvalue()


def read_table(path: Path) -> List[Row]:
    """Rows of a TSV or CSV file (told apart by the header line); `row_from_mapping` says which columns it needs.

    Raises:
        ConfigError: the file is missing, or is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            delimiter = "\t" if "\t" in file.readline() else ","
            file.seek(0)
            return [row_from_mapping(line) for line in csv.DictReader(file, delimiter=delimiter)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read as a table: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


@dataclass(frozen=True)
class Curve:
    """Rate against distortion of one codec, each array one value a point, rates ascending.

    PSNR is the mean of the pictures' PSNR (not the PSNR of the mean error: the two never meet in one comparison), and
    MS-SSIM the mean of the pictures' MS-SSIM, as published curves have them.
    """

    codec: str
    settings: Tuple[str, ...]
    bpp: np.ndarray
    psnr_rgb: np.ndarray
    psnr_y: np.ndarray
    msssim_rgb: np.ndarray
    enc_s: np.ndarray
    dec_s: np.ndarray

    @property
    def msssim_db(self) -> np.ndarray:
        """-10 log10(1 - MS-SSIM) of the mean, in which equal steps look about equal; infinite at 1."""
        with np.errstate(divide="ignore"):
            return np.asarray(-10 * np.log10(1 - self.msssim_rgb))


_MEANS = ("bpp", "psnr_rgb", "psnr_y", "msssim_rgb", "enc_s", "dec_s")


def counted(number: int, noun: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def codec_names(rows: Iterable[Row]) -> List[str]:
    """The codecs in order of first appearance."""
    return list(dict.fromkeys(row.codec for row in rows))


def average_curve(rows: Sequence[Row], codec: str, images: Sequence[str]) -> Curve:
    """The mean over exactly `images` at every setting that was measured on all of them (there may be none)."""
    points: Dict[str, Dict[str, Row]] = {}
    for row in rows:
        if row.codec == codec and row.image in images:
            points.setdefault(row.setting, {})[row.image] = row
    means = {
        setting: [float(np.mean([getattr(row, name) for row in found.values()])) for name in _MEANS]
        for setting, found in points.items()
        if len(found) == len(set(images))
    }
    settings = tuple(sorted(means, key=lambda setting: means[setting][0]))
    table = np.array([means[setting] for setting in settings]).reshape(len(settings), len(_MEANS))
    return Curve(codec, settings, *table.T)
