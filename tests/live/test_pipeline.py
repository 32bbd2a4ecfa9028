"""Stages in threads: order, overlap, ends and failures."""

import threading
import time
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfw_eval.live.pipeline import overlapped, plain


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def slowly(seconds):
    def step(item):
        time.sleep(seconds)
        return item

    return step


@given(st.lists(st.integers()), st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_the_same_as_a_plain_loop(items, steps):
    added = [lambda item, n=n: 3 * item + n for n in range(steps)]
    assert list(overlapped(items, added)) == list(plain(items, added))


def test_stages_overlap():
    started = time.perf_counter()
    items = list(overlapped(range(20), [slowly(0.02)] * 3))
    seconds = time.perf_counter() - started
    assert items == list(range(20))
    assert seconds < 0.8 * 20 * 3 * 0.02


def test_a_source_waits_for_who_takes_its_items():
    produced = []
    frames = overlapped((produced.append(n) or n for n in count()), [lambda n: n])
    assert next(frames) == 0
    time.sleep(0.2)
    assert len(produced) <= 10
    frames.close()


def test_late_items_are_dropped_and_the_newest_is_taken():
    def camera():
        for n in range(60):
            time.sleep(0.005)
            yield n

    items = list(overlapped(camera(), [slowly(0.05)], lossy=True))
    assert items == sorted(items)
    assert 4 <= len(items) <= 20
    assert items[-1] == 59


@pytest.mark.parametrize("where", ["source", 0, 1, 2])
@pytest.mark.parametrize("lossy", [False, True])
def test_a_failure_ends_everything_with_its_sentence(where, lossy):
    def source():
        for n in range(1000):
            if (where, n) == ("source", 5):
                raise ValueError("broken in source")
            time.sleep(0.001)
            yield n

    def step(index):
        def run(n):
            if where == index and n >= 5:
                raise ValueError(f"broken in {index}")
            return n

        return run

    items = []
    with pytest.raises(ValueError, match=f"broken in {where}"):
        for n in overlapped(source(), [step(k) for k in range(3)], lossy=lossy):
            items.append(n)
    assert items == [n for n in range(5) if lossy is False or n in items]


@pytest.mark.parametrize("taken", [0, 1, 7])
def test_who_stops_early_ends_everything(taken):
    closed = threading.Event()

    def source():
        try:
            yield from count()
        finally:
            closed.set()

    frames = overlapped(source(), [lambda n: n, slowly(0.001)])
    for expected in range(taken):
        assert next(frames) == expected
    frames.close()
    if taken:
        assert closed.wait(5)


def test_a_camera_that_hangs_holds_nobody(monkeypatch):
    monkeypatch.setattr("lfw_eval.live.pipeline._JOIN_SECONDS", 0.1)
    hang = threading.Event()

    def source():
        yield 0
        hang.wait(30)

    frames = overlapped(source(), [lambda n: n], lossy=True)
    assert next(frames) == 0
    started = time.perf_counter()
    frames.close()
    assert time.perf_counter() - started < 5
    hang.set()


def test_an_error_behind_items_that_nobody_takes_does_not_block():
    def source():
        yield from range(3)
        raise ValueError("late")

    frames = overlapped(source(), [lambda n: n])
    assert next(frames) == 0
    frames.close()
