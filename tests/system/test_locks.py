"""Locks between processes: one holds it, others wait and say so; it never outlives its holder."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from lfw_eval.system.errors import UserError
from lfw_eval.system.locks import locked

# Appends to a file what it does with the lock: a holder's lines are never cut in two.
HOLDER = """
import sys, time
from pathlib import Path
from lfw_eval.system.locks import locked
lock, log, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
with locked(lock, "testing this lock"):
    with log.open("a") as file:
        print("begin", file=file, flush=True)
        time.sleep(seconds)
        print("end", file=file, flush=True)
"""


def start(lock: Path, log: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock), str(log), str(seconds)],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_take_turns_and_leave_nothing(tmp_path):
    lock, log = tmp_path / "folder" / ".lock", tmp_path / "log"
    holders = [start(lock, log, 0.1) for _ in range(6)]
    errors = [holder.communicate(timeout=60)[1] for holder in holders]
    assert [holder.returncode for holder in holders] == [0] * 6
    assert log.read_text() == "begin\nend\n" * 6
    waited = [text for text in errors if text]
    assert set(waited) == {"waiting for another process that is testing this lock\n"}
    assert not lock.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_holds_nothing(tmp_path, number):
    lock, log = tmp_path / ".lock", tmp_path / "log"
    holder = start(lock, log, 600)
    wait_until(lambda: log.exists() and bool(log.read_text()), process=holder)
    waiting = start(lock, log, 0)
    assert waiting.stderr
    assert waiting.stderr.readline().startswith("waiting for another process")
    holder.send_signal(number)
    holder.communicate(timeout=60)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert log.read_text() == "begin\nbegin\nend\n"


def test_ctrl_c_ends_the_waiting(tmp_path):
    lock = tmp_path / ".lock"
    with locked(lock, "testing this lock"):
        waiting = start(lock, tmp_path / "log", 0)
        assert waiting.stderr
        waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in waiting.communicate(timeout=60)[1]
        assert lock.exists()
    assert not lock.exists()


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    """This machine's processes take turns by a file on its own disk."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    real = fcntl.flock

    def flock(file, operation):
        if Path(file.name).parent != temporary:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / "shared" / ".lock", "testing this lock"):
        (stand_in,) = temporary.iterdir()
        with stand_in.open("rb") as file, pytest.raises(BlockingIOError):
            real(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not [*temporary.iterdir(), *(tmp_path / "shared").iterdir()]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "shared"))
    with locked(tmp_path / "shared" / ".lock", "testing this lock"):
        pass  # where not even that has any


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match="cannot be written"),
        locked(tmp_path / "file" / ".lock", "testing this lock"),
    ):
        pass
