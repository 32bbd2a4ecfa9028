"""Ctrl-C put off until a step is whole.

Each test raises real signals in a process of its own. In pytest's, Python handles them on the stack
of its faulthandler, which is too small for a CPU's AMX registers once OpenVINO has used these in
the main thread: the process would end with a segmentation fault.
"""

import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from lfw_eval.system.interrupts import deferred_interrupt


def in_a_new_process(test: Callable[[], None]) -> None:
    """Run a test where Ctrl-C does what it does in a process in the foreground."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(with_python_handler, test).result()


def with_python_handler(test: Callable[[], None]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    test()


def a_second_press_interrupts() -> None:
    with deferred_interrupt() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_press_is_remembered_and_a_second_interrupts() -> None:
    in_a_new_process(a_second_press_interrupts)


def the_handler_is_restored() -> None:
    with pytest.raises(ValueError, match="wrong"), deferred_interrupt():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        raise ValueError("wrong")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_is_restored_whatever_happens() -> None:
    in_a_new_process(the_handler_is_restored)


def ignored_presses_stay_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_interrupt() as interrupted:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert not interrupted()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_work_in_the_background_ignores_what_it_ignored_before() -> None:
    """A shell starts `lfw-eval … &` of a script with SIGINT ignored."""
    in_a_new_process(ignored_presses_stay_ignored)


def test_other_threads_are_not_interrupted() -> None:
    """Only the main one may set handlers; calibration works in any."""

    def pressed() -> bool:
        with deferred_interrupt() as interrupted:
            return interrupted()

    with ThreadPoolExecutor(1) as thread:
        assert not thread.submit(pressed).result()
