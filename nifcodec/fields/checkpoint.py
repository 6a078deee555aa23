"""Checkpoints: the trainings of one picture as an HDF5 file that is replaced as a whole, so that it is always complete.

/                     attributes "format" and "identity", of the picture and of all options that the file depends on
/<training>/<stage>   a record: arrays, and numbers as attributes. Of a coordinate network a snapshot: float32
                      "parameters", "first", "second", "scaling" and "best"; "best_score", "done", "fresh", "restarts"
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import time
from typing import Any, Dict, Mapping, Optional

import numpy as np

from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError, MissingDependencyError
from nifcodec.files import read_bytes, write_bytes

FORMAT = "nifcodec checkpoint 2"
SAVE_SECONDS = 2.0  # between two writes of a training that goes on

Record = Mapping[str, Any]  # arrays and numbers by name


def identity(image: np.ndarray, config: EncodeConfig) -> str:
    """Hexadecimal digest of a picture, (H, W, C) of any type, and the options that its training depends on."""
    digest = hashlib.sha256(f"{config.of_the_result()} {image.dtype} {image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


class Checkpoint:
    """The file of one picture.

    Args:
        path: written beside itself and renamed; read once, here.
        identity: as `identity` gives it.
        resume: go on from the file where there is one.
        save_seconds: between two writes of a training that goes on; None means SAVE_SECONDS.

    Raises:
        ConfigError: the file exists and is not to be gone on from, or is of something else.
        MissingDependencyError: h5py is not installed.
    """

    def __init__(self, path: str, identity: str, resume: bool, save_seconds: Optional[float] = None) -> None:
        try:
            import h5py
        except ImportError:
            raise MissingDependencyError("a checkpoint needs h5py: pip install h5py") from None
        self._h5py = h5py
        self._path, self._identity = path, identity
        self._save_seconds = SAVE_SECONDS if save_seconds is None else save_seconds
        self._records: Dict[str, Record] = {}
        self._written, self._fresh = -math.inf, True  # the first record is written at once
        if os.path.exists(path):
            if not resume:
                raise ConfigError(f"{path} exists: give --resume to go on from it, or remove it")
            self._read()

    def load(self, name: str) -> Optional[Record]:
        """The record `name`, "<training>/<stage>"; None where there is none."""
        return self._records.get(name)

    def save(self, name: str, record: Record) -> None:
        """Keeps a record, and writes it unless the file was written just before. Raises OutputError."""
        self._records[name] = record
        self._fresh = False
        if time.monotonic() - self._written >= self._save_seconds:
            self.flush()

    def flush(self) -> None:
        """Writes what is not written yet. Raises OutputError."""
        if self._fresh:
            return
        buffer = io.BytesIO()
        with self._h5py.File(buffer, "w") as file:
            file.attrs.update(format=FORMAT, identity=self._identity)
            for key, record in self._records.items():
                group = file.create_group(key)
                for part, value in record.items():
                    if np.ndim(value):
                        group[part] = value
                    else:
                        group.attrs[part] = value
        write_bytes(self._path, buffer.getvalue(), force=True)
        self._written, self._fresh = time.monotonic(), True

    def _read(self) -> None:
        data = read_bytes(self._path)
        try:
            with self._h5py.File(io.BytesIO(data), "r") as file:
                if file.attrs.get("format") != FORMAT:
                    raise ConfigError(f"{self._path} is no checkpoint of this version: remove it")
                if file.attrs["identity"] != self._identity:
                    raise ConfigError(
                        f"{self._path} is of another picture or of other options: give those, or remove it"
                    )
                for training in file.values():
                    for stage in training.values():
                        arrays = {part: values[()] for part, values in stage.items()}
                        self._records[stage.name.lstrip("/")] = {**arrays, **stage.attrs}
        except (OSError, KeyError, AttributeError) as error:
            raise ConfigError(f"{self._path} is damaged ({error}): remove it") from None
