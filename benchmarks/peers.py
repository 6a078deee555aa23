"""Curves that others published, or an earlier run measured, to be set beside the measured ones.

Two kinds of files: a TSV or CSV with the columns codec, setting, image, bpp and psnr_rgb or mse_rgb (more of `rows.Row`
where known; the image `AVERAGE` is a mean over the 24 Kodak pictures), such as the `rows.csv` of an earlier run; and
CompressAI's JSON, one codec a file, taken as a mean over the same pictures.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, List, Optional, Sequence

from benchmarks.rows import AVERAGE, Row, codec_names, read_table, row_from_mapping
from nifcodec.errors import ConfigError

KODAK = frozenset(f"kodim{number:02d}" for number in range(1, 25))

_JSON_KEYS = {
    "bpp": ("bpp",),
    "psnr_rgb": ("psnr-rgb", "psnr"),
    "msssim_rgb": ("ms-ssim-rgb", "ms-ssim", "msssim"),
    "enc_s": ("encoding_time",),
    "dec_s": ("decoding_time",),
}


def load(paths: Sequence[Path], only: Optional[Sequence[str]] = None, measured: Sequence[str] = ()) -> List[Row]:
    """Rows of all files, of the codecs named in `only` where that is given.

    A codec that bears the name of one in `measured` gets " (peer)" behind it.

    Raises:
        ConfigError: a file that is neither kind, or a codec in `only` that no file has.
    """
    rows = [row for path in paths for row in (_read_json(path) if path.suffix == ".json" else read_table(path))]
    if only is not None:
        unknown = [name for name in only if name not in codec_names(rows)]
        if unknown:
            raise ConfigError(
                f"no peer is called {', '.join(unknown)}: there are {', '.join(codec_names(rows)) or 'none'}"
            )
        rows = [row for row in rows if row.codec in only]
    return [replace(row, codec=f"{row.codec} (peer)") if row.codec in measured else row for row in rows]


def comparable(rows: Sequence[Row], images: Sequence[str]) -> List[Row]:
    """The rows that can stand beside a measurement of `images`.

    Those of the same pictures, and published means where the pictures are Kodak's 24: a mean over others is another
    curve, and so is the PSNR of a mean error.
    """
    whole = frozenset(images) == KODAK
    return [
        row for row in rows if row.image in images or (whole and row.image == AVERAGE and row.averaging != "mean_mse")
    ]


def _read_json(path: Path) -> List[Row]:
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        name, results = str(document.get("name", path.stem)), document["results"]
        columns = {
            column: next((results[key] for key in keys if key in results), None) for column, keys in _JSON_KEYS.items()
        }
        count = len(results["bpp"])
        return [
            row_from_mapping(
                {
                    "codec": name, "setting": str(point + 1), "image": AVERAGE, "averaging": "mean_psnr",
                    **{column: values[point] for column, values in columns.items() if values is not None},
                }
            )
            for point in range(count)
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(f"{path} is not in CompressAI's JSON schema: {error!r}") from None
