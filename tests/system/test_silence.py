"""What C libraries write to standard error is dropped, and nothing else."""

import os
import threading

import cv2
import numpy as np

from lfw_eval.datasets.photographs import decode
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


def test_libjpeg_says_nothing_of_damage_that_it_mends(capfd):
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8), (90, 90))
    content = cv2.imencode(".jpg", pixels)[1].tobytes()
    damaged = content[: len(content) // 2] + content[-2:]
    cv2.imdecode(np.frombuffer(damaged, np.uint8), cv2.IMREAD_COLOR)
    assert "Corrupt JPEG data" in capfd.readouterr().err
    assert decode(damaged, "damaged.jpg").shape == (90, 90, 3)
    assert capfd.readouterr().err == ""
