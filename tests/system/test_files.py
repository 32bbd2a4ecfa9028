"""Hashes of files, which a process remembers while nothing changes them."""

import hashlib
import os
import time

from lfw_eval.system import file_stamp
from lfw_eval.system.files import file_sha256


def test_a_file_may_change_within_a_tick_of_the_clock(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"two", b"six"):
        path.write_bytes(content)
        os.utime(path, ns=(0, 0))
        assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_settled_file_is_hashed_again_when_it_has_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(file_stamp, "_GRANULARITY_NS", 10_000_000)
    path = tmp_path / "file"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        time.sleep(0.05)
        for _ in range(2):
            assert file_sha256(path) == hashlib.sha256(content).hexdigest()
