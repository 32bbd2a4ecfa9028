"""What a thread opens while other work is done."""

import threading

import pytest

from lfw_eval.system.ahead import OpenedAhead
from lfw_eval.system.closing import Closing


class Door(Closing):
    def __init__(self) -> None:
        self.thread, self.closed = threading.current_thread(), 0

    def close(self) -> None:
        self.closed += 1


def test_what_is_taken_is_the_takers_to_close():
    with OpenedAhead(Door) as ahead, ahead.take() as door:
        assert door.thread is not threading.current_thread()
        assert not door.closed
    assert door.closed == 1


def test_what_nobody_takes_is_closed():
    doors = []
    with pytest.raises(KeyError), OpenedAhead(lambda: doors.append(Door()) or doors[0]):
        raise KeyError
    assert [door.closed for door in doors] == [1]


def test_what_cannot_be_opened_is_said_to_who_takes_it():
    def fail() -> Door:
        raise ValueError("no door")

    with OpenedAhead(fail):
        pass
    with OpenedAhead(fail) as ahead, pytest.raises(ValueError, match="no door"):
        ahead.take()


def test_waiting_neither_takes_nor_says_why_it_cannot_be_opened():
    opened = threading.Event()

    def slowly() -> Door:
        opened.wait()
        return Door()

    with OpenedAhead(slowly) as ahead:
        threading.Timer(0.05, opened.set).start()
        ahead.wait()
        assert opened.is_set()

    def fail() -> Door:
        raise ValueError("no door")

    with OpenedAhead(fail) as ahead:
        ahead.wait()
