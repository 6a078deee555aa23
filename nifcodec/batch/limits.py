"""Limits of one picture's time and memory, inside of the process that encodes it."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from typing import Any, Callable, Iterator, Optional

from nifcodec.errors import TimeLimitError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

STATUS = "/proc/self/status"


@contextlib.contextmanager
def at_most_seconds(seconds: Optional[float]) -> Iterator[Callable[[], bool]]:
    """Raises TimeLimitError inside of the context once so many seconds are over.

    Gives a callable for a training to poll, which raises it too: in a thread other than the main one, or on Windows,
    nothing else does, and what is not training is not cut short.
    """
    ends = None if seconds is None else time.monotonic() + seconds

    def poll(*_: Any) -> bool:
        if ends is not None and time.monotonic() >= ends:
            raise TimeLimitError(f"took more than {seconds:g} s: give a larger --time-limit, or a lower effort")
        return False

    if seconds is None or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield poll
        return
    previous = signal.signal(signal.SIGALRM, poll)
    # Again and again: an exception is lost where it meets a callback of the interpreter.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield poll
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


class Shared:
    """A context that several threads are in at once: the first enters, the last leaves."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make, self._inside, self._lock = make, 0, threading.Lock()

    @contextlib.contextmanager
    def __call__(self, *arguments: Any) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                self._context = self._make(*arguments)
                self._context.__enter__()
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._context.__exit__(None, None, None)


@contextlib.contextmanager
def _process_at_most_bytes(count: Optional[int]) -> Iterator[None]:
    held = _data_bytes()
    if count is None or held is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = held + count
    bounds = [most, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


# Bytes beyond what the process holds already: more is a MemoryError inside of the context. Linux alone says what a
# process holds. The limit is the process's: it is for one that has nothing else to do, since other threads, as those of
# a worker of Dask, do not survive to be refused memory.
at_most_bytes = Shared(_process_at_most_bytes)


def _data_bytes() -> Optional[int]:
    """What RLIMIT_DATA counts; None where the system does not say."""
    if resource is None:
        return None
    try:
        with open(STATUS, encoding="ascii", errors="replace") as status:
            found = re.search(r"^VmData:\s+(\d+) kB$", status.read(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024
