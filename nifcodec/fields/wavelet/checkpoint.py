"""Where the training of one picture stands, as a record of a checkpoint: after a round, or after a tile.

Candidates are kept as what a file would hold of them. Their integers are read back, and all else follows from these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from nifcodec.fields.coded_part import CodedPart
from nifcodec.fields.wavelet.candidate import Candidate, CodedTile
from nifcodec.fields.wavelet.restoration_fit import MixtureFit
from nifcodec.fields.wavelet.tiling import pack_parts, unpack_parts

if TYPE_CHECKING:
    from nifcodec.fields.checkpoint import Checkpoint, Record


SUMS = ("squares", "projections", "products")  # of a fit


class Rounds(NamedTuple):
    """The state between two rounds of training an untiled picture.

    Attributes:
        done: rounds.
        last: the candidate of the last one.
        best: the one of least cost.
        parent: the one that the target of `best` was found from; None where that is the picture itself.
        graded: the one whose gradient of the rate served last; None before the first round.
    """

    done: int
    last: Candidate
    best: Candidate
    parent: Optional[Candidate] = None
    graded: Optional[Candidate] = None

    def record(self) -> "Record":
        """What a checkpoint keeps."""
        record: Dict[str, object] = {"done": self.done}
        for name, candidate in self._asdict().items():
            if isinstance(candidate, Candidate):
                coded = candidate.coded()
                record[f"{name} description"] = np.frombuffer(coded.description, np.uint8)
                record[f"{name} payload"] = np.frombuffer(coded.payload, np.uint8)
        return record

    @staticmethod
    def read(record: "Record", decode: Callable[[bytes, bytes], Candidate]) -> "Rounds":
        """The inverse of `record`. `decode` makes a candidate of a description and a payload."""

        def candidate(name: str) -> Candidate:
            return decode(record[f"{name} description"].tobytes(), record[f"{name} payload"].tobytes())

        parent, graded = (candidate(name) if f"{name} payload" in record else None for name in ("parent", "graded"))
        return Rounds(int(record["done"]), candidate("last"), candidate("best"), parent, graded)


def tiles_record(tiles: Sequence[CodedTile]) -> "Record":
    """What a checkpoint keeps of the first tiles of a picture."""
    packed = np.frombuffer(pack_parts([tile.part for tile in tiles]), np.uint8)
    sums = {name: np.stack([vars(tile.fit)[name] for tile in tiles]) for name in SUMS}
    return {**sums, "count": len(tiles), "tiles": packed, "ends": np.array([tile.part.ends for tile in tiles])}


def read_tiles(record: "Record") -> List[CodedTile]:
    """The inverse of `tiles_record`."""
    payloads = unpack_parts(record["tiles"].tobytes(), int(record["count"]))
    parts = [CodedPart(payload, tuple(ends)) for payload, ends in zip(payloads, record["ends"].tolist())]
    return [CodedTile(part, MixtureFit(*sums)) for part, *sums in zip(parts, *(record[name] for name in SUMS))]


class Kept:
    """One record of a checkpoint. Without a checkpoint nothing is kept."""

    def __init__(self, checkpoint: "Optional[Checkpoint]", name: str) -> None:
        self._checkpoint, self._name = checkpoint, name

    def load(self) -> "Optional[Record]":
        """What was saved; None where there is nothing."""
        return None if self._checkpoint is None else self._checkpoint.load(self._name)

    def save(self, record: "Record") -> None:
        """Keeps a record, and writes it now and then. Raises OutputError."""
        if self._checkpoint is not None:
            self._checkpoint.save(self._name, record)

    def flush(self) -> None:
        """Writes what is not written yet. Raises OutputError."""
        if self._checkpoint is not None:
            self._checkpoint.flush()
