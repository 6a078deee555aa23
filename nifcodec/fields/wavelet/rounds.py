"""Where the training of one lattice stands between two rounds, in a checkpoint.

An attempt is kept as what a file would hold of it: the integers are read back, and all else follows from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Optional, Tuple

import numpy as np

from nifcodec.fields.wavelet.picture_encoder import Attempt, Form

if TYPE_CHECKING:
    from nifcodec.fields.checkpoint import Checkpoint, Record

# Rounds done, the last attempt, the one of least cost, and the one that this was aimed from: None at the picture.
State = Tuple[int, Attempt, Attempt, Optional[Attempt]]
ATTEMPTS = ("last", "best", "source")


def start(attempt: Attempt) -> State:
    """Before the first round."""
    return 0, attempt, attempt, None


class Rounds:
    """The state after the last round.

    Args:
        form: of the picture.
        checkpoint: None keeps nothing.
    """

    def __init__(self, form: Form, checkpoint: "Optional[Checkpoint]") -> None:
        self._form, self._checkpoint = form, checkpoint
        self._name = f"{form.prior.hash.hex()}/rounds"

    def load(self) -> Optional[State]:
        """What was saved; None where there is nothing."""
        record = None if self._checkpoint is None else self._checkpoint.load(self._name)
        if record is None:
            return None
        last, best, source = (self._read(record, name) for name in ATTEMPTS)
        assert last is not None
        assert best is not None
        return int(record["done"]), last, best, source

    def _read(self, record: "Record", name: str) -> Optional[Attempt]:
        if f"{name} payload" not in record:
            return None
        description, payload = (record[f"{name} {part}"].tobytes() for part in ("description", "payload"))
        return self._form.read(description, payload, float(record[f"{name} error"]))

    def save(self, done: int, last: Attempt, best: Attempt, source: Optional[Attempt]) -> None:
        """Keeps it, and writes it now and then. Raises OutputError."""
        if self._checkpoint is None:
            return
        record: Dict[str, object] = {"done": done}
        for name, attempt in zip(ATTEMPTS, (last, best, source)):
            if attempt is not None:
                record[f"{name} description"] = np.frombuffer(attempt.spec.pack(), np.uint8)
                record[f"{name} payload"] = np.frombuffer(attempt.payload, np.uint8)
                record[f"{name} error"] = attempt.error
        self._checkpoint.save(self._name, record)

    def flush(self) -> None:
        """Writes what is not written yet. Raises OutputError."""
        if self._checkpoint is not None:
            self._checkpoint.flush()
