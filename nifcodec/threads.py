"""Threads of one call: parts of a picture side by side. What comes out does not depend on how many there are."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Callable, Generic, Hashable, Iterable, Iterator, List, Optional, Sequence, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)

# Read by the libraries that NumPy multiplies matrices with, once, when it is loaded.
BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

# Of this thread and what it calls; None where nobody said.
_limit: "ContextVar[Optional[int]]" = ContextVar("threads", default=None)


@contextmanager
def at_most(count: Optional[int]) -> Iterator[None]:
    """Lets `in_threads` use so many threads inside of the context.

    Args:
        count: None keeps what an outer context says; without one it means a thread for each core.
    """
    if count is None and _limit.get() is not None:
        yield
        return
    token = _limit.set(count or cores())
    try:
        yield
    finally:
        _limit.reset(token)


def leave_blas_one_thread() -> None:
    """Before NumPy is loaded: its matrix products have no threads of their own, unless the environment says so.

    Threads that multiply in several threads each get into each other's way: a decode then takes longer than with one.
    """
    for name in BLAS_VARIABLES:
        os.environ.setdefault(name, "1")


def spread(items: Sequence[Item]) -> List[Item]:
    """Items that lie side by side, in an order in which `in_threads` has threads at work far from each other.

    So they seldom want the same value of a `SharedCache` at the same time.
    """
    step = -(-len(items) // (_limit.get() or 1))
    return [item for start in range(step) for item in items[start::step]]


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The function of each item, in order. What it calls in turn has one thread; so has all outside of `at_most`.

    The first failure is raised, and no further item is begun.
    """
    count = min(_limit.get() or 1, len(items))
    if count <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(count, "nifcodec", initializer=_limit.set, initargs=(1,)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


class SharedCache(Generic[Key, Result]):
    """Values that several threads ask for: one of them computes a value, the others wait for it.

    Args:
        compute: a key -> its value. It may ask other caches, not this one.
        size: values kept, those that were asked for last.
    """

    def __init__(self, compute: Callable[[Key], Result], size: int) -> None:
        self._compute, self._size = compute, size
        self._lock = threading.Lock()
        self._values: "OrderedDict[Key, Future[Result]]" = OrderedDict()

    def __call__(self, keys: Iterable[Key]) -> List[Result]:
        """The values of these keys. Those that nobody computes yet are computed before others are waited for."""
        return [future.result() for future in [self._value(key) for key in keys]]

    def _value(self, key: Key) -> "Future[Result]":
        with self._lock:
            future = self._values.pop(key, None)
            mine = future is None
            if future is None:
                future = Future()
            self._values[key] = future
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        if mine:
            try:
                future.set_result(self._compute(key))
            except BaseException as error:
                future.set_exception(error)
                with self._lock:
                    self._values.pop(key, None)
        return future


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
