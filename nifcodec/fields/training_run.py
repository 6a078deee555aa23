"""What the commands share that train what ships with the package: pictures, a work folder, a file and its card."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Callable, Collection, Dict, List, Mapping, Sequence

import numpy as np

from nifcodec.errors import ConfigError, NifError
from nifcodec.files import say, write_bytes


def pictures_of(folder: str, endings: Collection[str]) -> List[str]:
    """Sorted paths of a folder's pictures. Raises ConfigError for one that is named kodak or does not exist."""
    if "kodak" in os.path.realpath(folder).lower().split(os.sep):
        raise ConfigError(f"{folder}: the Kodak images measure the codec and must not train it: leave them out")
    if not os.path.isdir(folder):
        raise ConfigError(f"{folder} is no folder: name folders of pictures")
    names = sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in endings)
    return [os.path.join(folder, name) for name in names]


def last_held_out(folders: Sequence[str], holdout: int, endings: Collection[str]) -> "tuple[List[str], List[str]]":
    """Pictures of the folders -> (for training, held out): the last of every `holdout` of a folder is held out.

    Raises ConfigError as `pictures_of`, and where there are too few pictures.
    """
    training: List[str] = []
    held_out: List[str] = []
    for folder in folders:
        for number, path in enumerate(pictures_of(folder, endings)):
            (held_out if number % holdout == holdout - 1 else training).append(path)
    if not training or not held_out:
        raise ConfigError("the folders have too few pictures: give more, or a smaller --holdout")
    return training, held_out


def open_work(folder: str, settings: Mapping[str, Any], training: Sequence[str], held_out: Sequence[str]) -> None:
    """Makes the work folder of a run. Raises ConfigError where it holds one of other settings or pictures."""
    os.makedirs(folder, exist_ok=True)
    names = "\n".join(os.path.basename(path) for path in [*training, "", *held_out])
    wanted = {**settings, "pictures": hashlib.sha256(names.encode()).hexdigest()}
    path = os.path.join(folder, "settings.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stored:
            if json.load(stored) != wanted:
                raise ConfigError(f"{folder} holds a run of other pictures or options: give another --work")
    write_bytes(path, json.dumps(wanted).encode(), force=True)


def save_arrays(path: str, **arrays: Any) -> None:
    """Whole or not at all: a file that is there is a finished one."""
    partial = path + ".partial.npz"
    np.savez(partial, **arrays)
    os.replace(partial, path)


def load_arrays(path: str) -> Dict[str, np.ndarray]:
    """The inverse of `save_arrays`."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def write_with_card(output: str, data: bytes, card: Mapping[str, Any]) -> Dict[str, Any]:
    """Writes a file, and beside it its card, to which size and hash are added; returns the whole card."""
    whole = {**card, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_bytes(output, data, force=True)
    write_bytes(os.path.splitext(output)[0] + ".json", (json.dumps(whole, indent=2) + "\n").encode(), force=True)
    return whole


def base_names(folders: Sequence[str]) -> List[str]:
    """Of folders, for a card."""
    return [os.path.basename(os.path.normpath(folder)) for folder in folders]


def command(run: Callable[[], Mapping[str, Any]]) -> int:
    """Prints the card that a run returns on standard output; the exit code."""
    try:
        print(json.dumps(run(), indent=2))
    except NifError as error:
        say(f"nifcodec: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        say("nifcodec: stopped; the same command goes on from here\n")
        return 130
    return 0
