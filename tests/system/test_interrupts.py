"""Ctrl-C put off until a step is whole."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lfw_eval.system.interrupts import deferred_interrupt


@pytest.fixture(autouse=True)
def python_handler() -> Iterator[None]:
    """Ctrl-C as a process in the foreground has it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_press_is_remembered_and_a_second_interrupts() -> None:
    with deferred_interrupt() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_handler_is_restored_whatever_happens() -> None:
    with pytest.raises(ValueError, match="wrong"), deferred_interrupt():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        raise ValueError("wrong")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_work_in_the_background_ignores_what_it_ignored_before() -> None:
    """A shell starts `lfw-eval … &` of a script with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_interrupt() as interrupted:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert not interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_are_not_interrupted() -> None:
    """Only the main one may set handlers; calibration works in any."""

    def pressed() -> bool:
        with deferred_interrupt() as interrupted:
            return interrupted()

    with ThreadPoolExecutor(1) as thread:
        assert not thread.submit(pressed).result()
