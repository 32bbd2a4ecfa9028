"""Work in real processes of this machine, which are killed, and whose parent is."""

import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from process_workers import Mistaken, Multiplier, Sleeper, Surroundings

from lfw_eval.system.errors import UserError
from lfw_eval.workers import processes
from lfw_eval.workers.processes import Processes, core_count

pytestmark = pytest.mark.slow


def is_running(pid: int) -> bool:
    try:
        # A zombie has ended, and only waits for somebody to notice.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until(condition) -> None:
    while not condition():
        time.sleep(0.02)


def test_the_rows_of_every_item_come_from_all_processes():
    with Processes(2, Multiplier, 10) as workers:
        rows = list(workers.map({"stop": stop} for stop in [1, 0, 2, 3] * 5))
        again = list(workers.map([{"stop": 4}]))
        assert list(workers.map([])) == []
    assert sorted(row["values"][0, 0] for row in rows) == [10] * 5 + [20] * 10 + [30] * 15
    assert {row["values"].shape for row in rows} == {(1000, 300)}
    assert {row["nothing"].shape for row in rows} == {(0,)}
    assert len({row["pid"] for row in rows}) == 2
    assert [row["number"] for row in again] == [0, 1, 2, 3]
    assert not any(is_running(row["pid"]) for row in rows)


def test_rows_can_be_written_to():
    """As those of a worker in this process."""
    with Processes(1, Multiplier, 1) as workers:
        (row,) = workers.map([{"stop": 1}])
    row["values"] += 1
    assert (row["values"] == 2).all()


def test_no_more_than_two_items_a_process_are_read_ahead():
    read = []
    items = ({"stop": 1, "read": read.append(number)} for number in count())
    with Processes(2, Multiplier, 1) as workers:
        rows = workers.map(items)
        for received in range(1, 20):
            next(rows)
            assert len(read) <= received - 1 + 2 * 2


def test_mistakes_come_back():
    with Processes(2, Mistaken) as workers, pytest.raises(UserError) as mistake:
        list(workers.map([{"kind": "user"}]))
    assert (mistake.value.problem, mistake.value.hint) == ("a mistake", "mend it")
    with Processes(2, Multiplier, -1) as workers, pytest.raises(UserError, match="negative factor"):
        list(workers.map([{"stop": 1}]))
    with Processes(1, Mistaken) as workers, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(workers.map([{"kind": "bug"}]))


def test_a_process_that_is_killed_is_named_with_a_way_out():
    with Processes(2, Mistaken) as workers, pytest.raises(UserError) as mistake:
        list(workers.map([{"kind": "killed"}] * 9))
    assert "killed by SIGKILL; rerun the same command to resume" in str(mistake.value)
    assert "OMP_NUM_THREADS" in mistake.value.hint
    with Processes(1, Mistaken) as workers, pytest.raises(RuntimeError, match="status 3"):
        list(workers.map([{"kind": "exit"}]))


def test_processes_end_in_the_middle_of_their_work(tmp_path):
    with Processes(2, Sleeper, str(tmp_path)) as workers:
        workers._fill(iter([{"seconds": 600}] * 9))
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    assert not any(is_running(int(path.name)) for path in tmp_path.iterdir())


SCRIPT_THAT_DOES_NOT_READ = """
import select
from process_workers import Multiplier
from lfw_eval.workers.processes import Processes
with Processes(2, Multiplier, 1) as workers:
    workers._fill(iter([{"stop": 9}] * 9))
    while len(select.select(workers._children, [], [])[0]) < 2:
        pass
    print("sending", flush=True)
    select.select([], [], [])
"""


def test_processes_that_are_sending_say_nothing_when_their_parent_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT_THAT_DOES_NOT_READ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    assert parent.stdout.readline() == "sending\n"
    parent.kill()
    assert parent.communicate() == ("", "")


# A user's script, which has no `if __name__ == "__main__"`.
SCRIPT = """
import sys
from process_workers import Sleeper
from lfw_eval.workers.processes import Processes
print("started", flush=True)
with Processes(2, Sleeper, sys.argv[1]) as workers:
    list(workers.map([{"seconds": 600}] * 9))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_their_parent(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "pids")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        start_new_session=True,
    )
    wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2 or parent.poll() is not None)
    os.killpg(parent.pid, number)
    printed, said = parent.communicate()
    assert printed == "started\n", "the script is not run again by its processes"
    assert said.count("Traceback") == (number == signal.SIGINT), "only the parent says something"
    pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(is_running, pids)))


def test_each_process_has_one_thread_and_imports_what_this_one_does(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with Processes(1, Surroundings) as workers:
        (row,) = workers.map([{}])
    assert row["path"] == sys.path
    assert row["main"] is None
    assert row["threads"] == "1"
    assert row["python threads"] == 2, "one works, one receives"


def test_there_are_as_many_cores_as_this_process_may_use(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for limit, cores in ((16.0, 16), (2.5, 3), (0.5, 1)):
        monkeypatch.setattr(processes, "cpu_limit", lambda limit=limit: limit)
        assert core_count() == cores
    monkeypatch.setattr(processes, "cpu_limit", lambda: 8.0)
    for said, cores in (("4", 4), ("64", 8), ("many", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert core_count() == cores
