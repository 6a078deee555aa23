"""Threads: results in order, one computation of a value, and files and pictures that do not depend on how many."""

import threading
import time
from typing import List

import numpy as np
import pytest

import nifcodec
from nifcodec.errors import ChecksumError, ConfigError
from nifcodec.fields import families
from nifcodec.threads import SharedCache, at_most, in_threads


def names(count: int) -> List[str]:
    """Names of the threads that work on items which wait for each other."""
    together = threading.Barrier(count)

    def work(_: int) -> str:
        together.wait(timeout=30)
        return threading.current_thread().name

    with at_most(count):
        return list(in_threads(work, range(count)))


def test_items_run_side_by_side() -> None:
    assert len(set(names(3))) == 3


def test_results_come_in_order() -> None:
    waiting = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert waiting.wait(timeout=30)
        waiting.set()
        return item

    with at_most(2):
        assert list(in_threads(work, range(5))) == list(range(5))


def test_without_a_limit_and_inside_of_a_thread_there_is_one() -> None:
    def inside(_: int) -> bool:
        here = threading.current_thread()
        return all(thread is here for thread in in_threads(lambda _: threading.current_thread(), range(3)))

    assert inside(0)
    with at_most(2):
        assert all(in_threads(inside, range(2)))


def test_an_inner_limit_ends_with_its_context() -> None:
    with at_most(1):
        with at_most(2):
            assert len(set(names(2))) == 2
        here = threading.current_thread()
        assert set(in_threads(lambda _: threading.current_thread(), range(3))) == {here}
        with at_most(None):
            assert set(in_threads(lambda _: threading.current_thread(), range(3))) == {here}


def test_the_first_failure_is_raised_and_the_rest_is_left() -> None:
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise ChecksumError("damaged")
        time.sleep(0.002)

    with at_most(2), pytest.raises(ChecksumError):
        list(in_threads(work, range(1000)))
    assert len(begun) < 1000


def test_a_shared_value_is_computed_once() -> None:
    computed: List[int] = []
    started = threading.Event()

    def compute(key: int) -> int:
        computed.append(key)
        started.set()
        return key * key

    cache: SharedCache[int, int] = SharedCache(compute, 8)

    def ask(first: int) -> List[int]:
        if first:
            assert started.wait(timeout=30)
        return cache([1, 2, 3])

    with at_most(4):
        assert list(in_threads(ask, range(4))) == [[1, 4, 9]] * 4
    assert sorted(computed) == [1, 2, 3]


def test_a_full_cache_forgets_what_was_asked_for_first() -> None:
    computed: List[int] = []
    cache: SharedCache[int, int] = SharedCache(lambda key: computed.append(key) or key, 2)
    assert [cache([1, 2]), cache([1]), cache([3]), cache([1]), cache([2])] == [[1, 2], [1], [3], [1], [2]]
    assert computed == [1, 2, 3, 2]


def test_a_failure_is_not_kept() -> None:
    failing = [True]

    def compute(key: int) -> int:
        if failing.pop():
            raise ChecksumError("damaged")
        return key

    cache: SharedCache[int, int] = SharedCache(compute, 2)
    with pytest.raises(ChecksumError):
        cache([5])
    failing.append(False)
    assert cache([5]) == [5]


def picture(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width] / 40.0
    waves = np.stack([np.sin(rows + columns), np.sin(rows * columns / 9), np.cos(columns - rows)], axis=-1)
    return (127.5 + 100 * waves).astype(np.uint8)


@pytest.mark.parametrize(
    "options",
    [{"effort": 1}, {"steps": 1}, {"effort": 1, "largest_whole": 1, "tile_exponent": 7}],
    ids=["whole", "trained", "tiled"],
)
def test_files_and_pictures_do_not_depend_on_threads(options: dict) -> None:
    pixels = picture(200, 300)
    files = [nifcodec.encode(pixels, families.configure(threads=count, **options)) for count in (1, 3)]
    assert files[0] == files[1]
    for wanted in ({}, {"scale": 1.7}, {"scale": 0.4}, {"crop": (31, 20, 200, 150)}):
        pictures = [nifcodec.decode(files[0], threads=count, **wanted) for count in (1, 3)]
        np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize("threads", [0, -1, 1_000_000])
def test_a_number_of_threads_that_cannot_be_is_refused(threads: int) -> None:
    with pytest.raises(ConfigError, match="threads"):
        nifcodec.decode(b"", threads=threads)
    with pytest.raises(ConfigError, match="threads"):
        families.configure(threads=threads)
