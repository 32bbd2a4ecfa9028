"""The load of the machine, beside real processes that take it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lfw_eval.system.machine_load import LoadMeter, MachineLoad, _quotas, cpu_limit

SPIN = "while True: pass"


def test_busy_is_what_this_process_misses():
    assert not MachineLoad(2, 1.9, 0.05, 2.0).busy
    assert MachineLoad(2, 0.9, 1.0, 3.0).busy
    assert MachineLoad(2, 1.2, 0.7, 3.0).busy
    assert not MachineLoad(8, 1.0, 2.0, 3.0).busy  # one thread, and five idle cores
    assert not MachineLoad(192, 3.0, 60.0, 63.0).busy  # beside a GPU
    assert not MachineLoad(2, 1.0, None, None).busy
    assert MachineLoad(2, 0.2, 1.8, 3.0).words == "1.8 of 2 cores taken by other processes"
    assert not MachineLoad(2, 1.0, None, None).words


def test_limits_of_containers(tmp_path):
    assert not list(_quotas(tmp_path))
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert list(_quotas(tmp_path)) == [1.5]
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert not list(_quotas(tmp_path))
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert not list(_quotas(tmp_path))
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    assert list(_quotas(tmp_path)) == [0.5]
    assert cpu_limit() <= os.cpu_count()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system has no /proc/stat")
def test_what_others_take_is_seen():
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in os.sched_getaffinity(0)]
    try:
        meter = LoadMeter()
        # This process works as well, until it has had a quarter of a second of a core.
        end = time.process_time() + 0.25
        while time.process_time() < end:
            pass
        load = meter.read()
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert load.others is not None
    assert load.others > 0.1 * load.cores
    assert load.own > 0
    assert load.busy
    assert load.own + load.others <= load.cores + 0.2
