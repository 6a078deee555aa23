"""The sweep: every codec at every setting on every picture, one row each, resumed where it was interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence, Set, Tuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmarks.codecs import Codec
from benchmarks.progress import Progress
from benchmarks.rows import Row, row_from_mapping
from nifcodec.errors import ConfigError, ImageError, NifError, OutputError
from nifcodec.files import write_bytes
from nifcodec.picture import metrics

JOURNAL = "rows.jsonl"


@dataclass(frozen=True)
class Picture:
    """A picture as it is measured: uint8 RGB (H, W, 3), upright, without alpha."""

    name: str
    pixels: np.ndarray

    @property
    def digest(self) -> str:
        """Of the pixels."""
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()[:16]


def read_picture(path: Path) -> Picture:
    """Raises ImageError for what Pillow cannot read."""
    try:
        with Image.open(path) as opened:
            pixels = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} cannot be read as a picture: {error}") from None
    return Picture(path.stem, pixels)


def read_pictures(paths: Sequence[Path]) -> List[Picture]:
    """All pictures, under different names.

    Raises:
        ImageError: one cannot be read.
        ConfigError: two have the same name, which rows could not tell apart.
    """
    pictures = [read_picture(path) for path in paths]
    names = [picture.name for picture in pictures]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two pictures are called {', '.join(twice)}: rename one")
    return pictures


def measure(
    codec: Codec,
    setting: str,
    picture: Picture,
    path: Path,
    *,
    seed: int = 0,
    progress: Optional[Callable[[Any], None]] = None,
) -> Row:
    """Encode to a file at `path`, decode that file, and compare with the picture.

    The seconds are those between pixels in memory and bytes in memory; bits per pixel are of the file on disk.
    """
    started = time.perf_counter()
    data = codec.encode(picture.pixels, setting, progress)
    encoded = time.perf_counter()
    write_bytes(path, data, force=True)
    stored = path.read_bytes()
    read = time.perf_counter()
    decoded = codec.decode(stored)
    enc_s, dec_s = encoded - started, time.perf_counter() - read
    height, width = picture.pixels.shape[:2]
    size = os.path.getsize(path)
    return Row(
        codec=codec.name,
        setting=setting,
        image=picture.name,
        width=width,
        height=height,
        bytes=size,
        bpp=metrics.bits_per_pixel(size, width, height),
        mse_rgb=metrics.mse(picture.pixels, decoded),
        psnr_rgb=metrics.psnr(picture.pixels, decoded),
        psnr_y=metrics.psnr_luma(picture.pixels, decoded),
        msssim_rgb=metrics.ms_ssim(picture.pixels, decoded),
        enc_s=enc_s,
        dec_s=dec_s,
        digest=picture.digest,
        version=codec.version,
        seed=seed,
    )


def sweep(
    pictures: Sequence[Picture],
    codecs: Sequence[Codec],
    folder: Path,
    *,
    seed: int = 0,
    fresh: bool = False,
    keep_files: bool = False,
) -> Tuple[List[Row], int]:
    """Measure what `folder`'s journal does not hold yet.

    Args:
        folder: gets `rows.jsonl`, to which every measurement is added as soon as it is done, and with `keep_files` the
            coded files under `files/`.
        seed: recorded, and compared with the journal's.
        fresh: measure everything anew, whatever the journal holds.

    Returns:
        The rows of these pictures, codecs and settings, in this order; and how many measurements failed.
    """
    make_folder(folder)
    journal = folder / JOURNAL
    known = {} if fresh else {_key(row): row for row in read_journal(journal)}
    jobs = [
        (_identity(codec, setting, picture, seed), codec, setting, picture)
        for codec in codecs
        for setting in codec.settings
        for picture in pictures
    ]
    todo = [job for job in jobs if job[0] not in known]
    progress = Progress(len(todo), len(jobs) - len(todo))
    warm: Set[str] = set()
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        files = folder / "files" if keep_files else Path(temporary)
        files.mkdir(exist_ok=True)
        for key, codec, setting, picture in todo:
            progress.start(codec.name, setting, picture.name)
            path = files / f"{file_name(codec.name)}-{file_name(setting)}-{picture.name}{codec.extension}"
            try:
                if codec.name not in warm:
                    codec.warm_up()
                    warm.add(codec.name)
                row = measure(codec, setting, picture, path, seed=seed, progress=progress.encoding)
            except (NifError, OSError) as error:
                failures += 1
                progress.fail(error)
                continue
            append_journal(journal, row)
            known[key] = row
            progress.finish(row)
    return [known[key] for key, *_ in jobs if key in known], failures


def read_journal(path: Path) -> List[Row]:
    """The rows of a journal; a line that an interruption cut short is left out, to be measured again."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(row_from_mapping(json.loads(line)))
        except (ValueError, TypeError, AttributeError, ConfigError):
            continue
    return rows


def make_folder(folder: Path) -> None:
    """For results. Raises OutputError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from None


def append_journal(path: Path, row: Any) -> None:
    """Add a dataclass as a line and see it to disk, on a line of its own even behind one that was cut short."""
    with path.open("a+b") as file:
        if file.tell() and not _ends_with_newline(path):
            file.write(b"\n")
        file.write(json.dumps(asdict(row)).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def file_name(text: str) -> str:
    """A codec's name or setting with only letters, digits, dots and hyphens."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in text)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


_Key = Tuple[str, str, str, str, str, int]


def _key(row: Row) -> _Key:
    return row.codec, row.setting, row.image, row.digest, row.version, row.seed


def _identity(codec: Codec, setting: str, picture: Picture, seed: int) -> _Key:
    return codec.name, setting, picture.name, picture.digest, codec.version, seed
