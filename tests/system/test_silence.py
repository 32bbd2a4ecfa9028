"""What C libraries write to standard error is dropped, and nothing else."""

import os
import threading

from lfw_eval.system.silence import silent_libraries


def test_nothing_is_shown_while_any_thread_is_within(capfd):
    inner, outer = threading.Event(), threading.Event()

    def other():
        with silent_libraries():
            inner.set()
            outer.wait()
            os.write(2, b"hidden\n")

    thread = threading.Thread(target=other)
    os.write(2, b"before\n")
    with silent_libraries():
        thread.start()
        inner.wait()
        os.write(2, b"hidden\n")
    os.write(2, b"hidden\n")
    outer.set()
    thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_without_standard_error():
    saved = os.dup(2)
    os.close(2)
    try:
        with silent_libraries():
            pass
    finally:
        os.dup2(saved, 2)
        os.close(saved)
