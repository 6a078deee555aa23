"""How Ctrl-C at a terminal reaches a training."""

from __future__ import annotations

import signal
import socket
from types import FrameType
from typing import Optional

from nifcodec.files import say


class Interrupt:
    """Ctrl-C while the context is open: the first sets `requested`, the second raises KeyboardInterrupt.

    The object is the callable that a training polls. Python runs its signal handlers between two of its own
    instructions, so that presses during one long call into TensorFlow become one; the wake-up descriptor, written as
    each signal arrives, counts them.
    """

    def __init__(
        self, quiet: bool, doing: str = "finishing with the best so far; Ctrl-C again stops without a file"
    ) -> None:
        """`doing` is what the first press says, unless `quiet`."""
        self.quiet = quiet
        self._doing = doing
        self.presses = 0

    @property
    def requested(self) -> bool:
        return self.presses > 0

    def __call__(self) -> bool:
        return self.requested

    def __enter__(self) -> "Interrupt":
        self._arrived, self._arriving = socket.socketpair()
        self._arrived.setblocking(False)
        self._arriving.setblocking(False)
        self._previous_descriptor = signal.set_wakeup_fd(self._arriving.fileno(), warn_on_full_buffer=False)
        self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._previous)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._arrived.close()
        self._arriving.close()

    def _handle(self, _number: int, _frame: Optional[FrameType]) -> None:
        first = not self.requested
        try:
            self.presses += self._arrived.recv(4096).count(signal.SIGINT)
        except BlockingIOError:  # counted by the run before this one
            return
        if self.presses > 1:
            raise KeyboardInterrupt
        if first and not self.quiet:
            say(f"\ninterrupted: {self._doing}\n")
