"""Batches through threads of several devices."""

import threading
import time
from collections.abc import Iterator

import pytest

from lfw_eval.system.lanes import DeviceLanes, through_lanes

WAIT = 20


def numbers(count: int, read: list[int]) -> Iterator[int]:
    for number in range(count):
        read.append(number)
        yield number


def doubled(number: int) -> int:
    # The first ones take longest, so that order has to be restored.
    time.sleep(0.002 * (number % 4 == 0))
    return 2 * number


def devices(count: int = 2, lanes: int = 3) -> list[DeviceLanes[int, int, int]]:
    return [DeviceLanes(lambda batch: batch, [doubled] * lanes) for _ in range(count)]


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"reader", "prepare", "lane"}


@pytest.mark.parametrize("count", [0, 1, 100])
def test_results_come_in_order(count):
    assert list(through_lanes(range(count), devices())) == [2 * n for n in range(count)]
    assert not running()


def test_lanes_of_all_devices_work_at_once():
    meeting = threading.Barrier(6)
    here = threading.local()

    def lane(number: int) -> int:
        if not hasattr(here, "met"):
            here.met = meeting.wait(WAIT)
        return number

    used = [DeviceLanes[int, int, int](lambda batch: batch, [lane] * 3) for _ in range(2)]
    assert list(through_lanes(range(60), used)) == list(range(60))


def test_no_more_is_read_than_there_are_places_for():
    release = threading.Event()

    def lane(number: int) -> int:
        release.wait(WAIT)
        return number

    read: list[int] = []
    results = through_lanes(numbers(1000, read), [DeviceLanes(lambda batch: batch, [lane])])
    release.set()
    assert next(results) == 0
    time.sleep(0.05)
    assert len(read) <= 8
    results.close()
    assert not running()


@pytest.mark.parametrize("where", ["source", "prepare", "lane"])
@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_error_comes_after_the_results_before_it_and_ends_all_threads(where, error):
    def failing(step: str, number: int) -> int:
        if step == where and number == 5:
            raise error
        return number

    used = [
        DeviceLanes[int, int, int](
            lambda batch: failing("prepare", batch), [lambda batch: failing("lane", batch)] * 2
        )
        for _ in range(2)
    ]
    results = through_lanes((failing("source", n) for n in range(100)), used)
    got = []
    with pytest.raises(type(error)):
        for number in results:
            got.append(number)
    assert got == list(range(5))
    assert not running()


def test_an_interrupt_of_the_consumer_ends_all_threads():
    def consume() -> None:
        for number in through_lanes(iter(range(10**9)), devices()):
            if number > 20:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not running()
