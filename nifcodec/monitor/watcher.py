"""The side of training that an evaluation in a process of its own is fed from, without ever waiting for it.

Training hands over scalars and, now and then, a field. A thread sends them on as the evaluator (`evaluator.py`) gets
free; of the fields that it is too slow for, the newest replaces the others. The two processes speak in pickles through
pipes: a `Setup`, then `Seen`s, each of which is answered with None or with a sentence that says what went wrong, and
None at the end. The evaluator ends by itself when its input ends, so that it outlives no training.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, Iterator, List, Mapping, Optional, Tuple, Type

from nifcodec.errors import MissingDependencyError, NifError, OutputError
from nifcodec.exact.parts import ExactParts
from nifcodec.picture.image import Image
from nifcodec.picture.transfer import Transfer

# The parent's path, as it is: the folder that Python would put before it may hold anything. Ctrl-C at a terminal
# reaches this process too, and is not for it; until it says so itself, `_without_interrupts` keeps it off.
PROGRAM = """
import sys
sys.path[:] = sys.argv[1:]
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from nifcodec.monitor.evaluator import main
main()
"""
# Training is to have the cores.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Setup:
    """What an evaluator has to know first.

    Attributes:
        folder: of its log.
        original: (H, W, C).
        depth, transfer: of the original.
        exact: what the field does not have.
    """

    folder: str
    original: Any
    depth: int
    transfer: Optional[Transfer]
    exact: ExactParts


@dataclass(frozen=True)
class Moment:
    """A step, and the time.time() at which it was done."""

    step: int
    time: float


@dataclass(frozen=True)
class Seen:
    """What is new since the message before.

    Attributes:
        scalars: by name, one mapping a moment.
        field: the newest field: bytes of a `.nif`, or what a decoder renders, (us, vs) -> samples. None where there is
            no new one.
        file: bytes of the `.nif` that is the result.
    """

    scalars: List[Tuple[Moment, Mapping[str, float]]]
    field: Optional[Tuple[Moment, Any]]
    file: Optional[Tuple[Moment, bytes]]


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Holds Ctrl-C back, which a process that is started meanwhile inherits; where the system has no such mask, not."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Watcher:
    """Feeds an evaluator while the context is open; the object is the `hooks.Watch` that training calls.

    At the end of the context all that was handed over is waited for, unless it ends with an exception. An evaluator
    that fails or is killed is warned of once, and then done without.

    Args:
        folder: of TensorBoard's log; made where missing.
        every: steps between two fields, at least; None means as many as the evaluator can take.
        image: the original.
        transfer: of a float picture.
        exact: what the field does not have.

    Raises:
        MissingDependencyError: TensorBoard is not installed.
        OutputError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: str,
        every: Optional[int],
        image: Image,
        transfer: Optional[Transfer],
        exact: ExactParts = ExactParts(),  # noqa: B008  frozen
    ) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise MissingDependencyError("a log for TensorBoard needs TensorBoard: pip install tensorboard")
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from None
        self._setup = Setup(folder, image.pixels, image.depth, transfer, exact)
        self._every = every
        self._offset, self._last, self._shown = 0, -1, -1
        self._changed = threading.Condition()
        self._scalars: List[Tuple[Moment, Mapping[str, float]]] = []
        self._field: Optional[Tuple[Moment, Any]] = None
        self._file: Optional[Tuple[Moment, bytes]] = None
        self._closing = self._warned = False
        self._failure: Optional[str] = None

    def __call__(self, step: int, scalars: Mapping[str, float], field: Optional[Callable[[], Any]] = None) -> None:
        """Hands over what training has come to; `field` is called where its result is wanted.

        Steps that begin anew, in another training of the same picture, are counted on.
        """
        if self._failed():
            return
        if step <= self._last:
            self._offset += self._last
        self._last = step
        moment = Moment(self._offset + step, time.time())
        due = self._shown < 0 or self._every is None or moment.step >= self._shown + self._every
        made = (moment, field()) if field is not None and due else None
        with self._changed:
            self._scalars.append((moment, scalars))
            if made is not None:
                self._shown, self._field = moment.step, made
            self._changed.notify()

    def finish(self, data: bytes) -> None:
        """Hands over the bytes of the file that training led to."""
        moment = Moment(self._offset + max(self._last, 0), time.time())
        with self._changed:
            self._file = moment, data
            self._changed.notify()

    def __enter__(self) -> "Watcher":
        path = [entry or os.getcwd() for entry in sys.path]
        try:
            with _without_interrupts():
                self._process = subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, *path],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, **dict.fromkeys(THREADS, "1")},
                )
        except OSError as error:
            raise NifError(f"cannot start the process of the evaluation: {error.strerror or error}") from None
        self._thread = threading.Thread(target=self._feed, name="nifcodec-watcher", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], _: Optional[BaseException], __: Optional[TracebackType]
    ) -> None:
        try:
            if kind is None:
                with self._changed:
                    self._closing = True
                    self._changed.notify()
                while self._thread.is_alive():
                    self._thread.join(0.1)  # without a limit, Ctrl-C would not be answered on Windows
                self._failed()
        finally:
            self._process.kill()
            self._process.wait()
            with self._changed:
                self._closing = True
                self._changed.notify()
            self._thread.join()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]

    def _failed(self) -> bool:
        """Whether the evaluator is lost, which is warned of the first time."""
        if self._failure is not None and not self._warned:
            self._warned = True
            warnings.warn(
                f"the evaluation for TensorBoard ended early ({self._failure}): the encode goes on without it",
                stacklevel=3,
            )
        return self._failure is not None

    def _feed(self) -> None:
        """The thread: one message after another, each once the one before is answered."""
        try:
            self._failure = self._ask(self._setup)
            while self._failure is None:
                message = self._next()
                self._failure = self._ask(message)
                if message is None:
                    return
        except (OSError, EOFError, pickle.UnpicklingError):
            code = self._process.wait()
            self._failure = f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def _next(self) -> Optional[Seen]:
        """All that is new, or None once nothing will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._scalars or self._file)
            message = Seen(self._scalars, self._field, self._file) if self._scalars or self._file else None
            self._scalars, self._field, self._file = [], None, None
            return message

    def _ask(self, message: Any) -> Optional[str]:
        """Sends a message; returns the answer."""
        sending, answers = self._process.stdin, self._process.stdout
        assert sending is not None
        assert answers is not None
        pickle.dump(message, sending, pickle.HIGHEST_PROTOCOL)
        sending.flush()
        answer: Optional[str] = pickle.load(answers)
        return answer
