"""Checkpoints: the trainings of one picture as an HDF5 file that is replaced as a whole, so that it is always complete.

/                     attributes "format" and "identity", of the picture and of all options that change the result
/<training>/<stage>   float32 "parameters", "first", "second", "scaling" and "best"; attributes "best_score",
                      "done", "fresh" and "restarts": the fields of a snapshot
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from dataclasses import asdict, replace
from typing import Any, Dict, Optional

import numpy as np
import tensorflow as tf

from nifcodec.config import DEVICE_OPTIONS, WATCH_OPTIONS, EncodeConfig
from nifcodec.errors import ConfigError, MissingDependencyError
from nifcodec.files import read_bytes, write_bytes
from nifcodec.training.loop import Snapshot

FORMAT = "nifcodec checkpoint 1"
STATE = ("parameters", "first", "second", "scaling")
COUNTS = ("done", "fresh", "restarts")
SAVE_SECONDS = 2.0  # between two writes of a stage that goes on


def identity(image: np.ndarray, config: EncodeConfig) -> str:
    """Hexadecimal digest of a picture and the options that its training depends on, wherever it runs."""
    free = (*DEVICE_OPTIONS, *WATCH_OPTIONS)
    options = {name: value for name, value in asdict(config).items() if name not in free}
    digest = hashlib.sha256(f"{options} {image.shape}".encode())
    digest.update(np.ascontiguousarray(image, np.float32).tobytes())
    return digest.hexdigest()


class Checkpoint:
    """The file of one picture.

    Args:
        path: written beside itself and renamed; read once, here.
        identity: as `identity` gives it.
        resume: go on from the file where there is one.

    Raises:
        ConfigError: the file exists and is not to be gone on from, or is of something else.
        MissingDependencyError: h5py is not installed.
    """

    def __init__(self, path: str, identity: str, resume: bool) -> None:
        try:
            import h5py
        except ImportError:
            raise MissingDependencyError("a checkpoint needs h5py: pip install 'nifcodec[train]'") from None
        self._h5py = h5py
        self._path, self._identity = path, identity
        self._snapshots: Dict[str, Snapshot] = {}
        self._written, self._fresh = 0.0, True
        if os.path.exists(path):
            if not resume:
                raise ConfigError(f"{path} exists: give --resume to go on from it, or remove it")
            self._read()

    def load(self, name: str) -> Optional[Snapshot]:
        """Where `name`, "<training>/<stage>", stands; None before its start."""
        kept = self._snapshots.get(name)
        # Tensors only now: a cluster has to be joined before TensorFlow makes the first.
        return kept and replace(kept, state=tuple(map(tf.constant, kept.state)), best=tf.constant(kept.best))

    def save(self, name: str, snapshot: Snapshot) -> None:
        """Keeps a snapshot, and writes it unless the file is new. Raises OutputError."""
        self._snapshots[name] = snapshot
        self._fresh = False
        if time.monotonic() - self._written >= SAVE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what is not written yet. Raises OutputError."""
        if self._fresh:
            return
        buffer = io.BytesIO()
        with self._h5py.File(buffer, "w") as file:
            file.attrs.update(format=FORMAT, identity=self._identity)
            for key, kept in self._snapshots.items():
                group = file.create_group(key)
                for part, value in zip(STATE, kept.state):
                    group[part] = np.asarray(value)
                group["best"] = np.asarray(kept.best)
                group.attrs["best_score"] = kept.best_score
                group.attrs.update({count: getattr(kept, count) for count in COUNTS})
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
                        self._snapshots[stage.name.lstrip("/")] = _snapshot(stage)
        except (OSError, KeyError, AttributeError) as error:
            raise ConfigError(f"{self._path} is damaged ({error}): remove it") from None


def _snapshot(group: Any) -> Snapshot:
    """Of an HDF5 group, with arrays for tensors."""
    attributes = group.attrs
    return Snapshot(
        tuple(group[part][()] for part in STATE),
        group["best"][()],
        float(attributes["best_score"]),
        *(int(attributes[count]) for count in COUNTS),
    )
