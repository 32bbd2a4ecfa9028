"""Engines measured in turn."""

import json
import os
import subprocess
import sys
import time

import onnx
import pytest
from command import lfw_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.gate.rules import MetricRule
from lfw_eval.gate.speed import speed_finding
from lfw_eval.pipelines.speed import measure_speeds
from lfw_eval.pipelines.windows import ROUNDS, in_turn, measure_side_by_side
from lfw_eval.results.file import read_result
from lfw_eval.results.speed import paired_speed


@pytest.fixture(scope="module")
def specs(tmp_path_factory, tiny_facenet):
    """A small network in FP32 on OpenVINO, twice."""
    folder = tmp_path_factory.mktemp("model")
    onnx.save(fold_affine(tiny_facenet), folder / "fp32.onnx")
    request = BuildRequest(folder / "fp32.onnx", "per-image", "fp32", batch_size=8)
    choice = EngineChoice("openvino", "fp32", 8)
    return [EngineSpec(choice, request, folder / "engines")] * 2


@given(st.integers(1, 4))
def test_order_reverses(engines):
    order = list(in_turn(range(engines), 1e9, "measure"))
    rounds = [order[i : i + engines] for i in range(0, len(order), engines)]
    assert len(rounds) == ROUNDS
    assert rounds[::2] == [list(range(engines))] * (ROUNDS // 2)
    assert rounds[1::2] == [list(range(engines))[::-1]] * (ROUNDS // 2)


@given(st.floats(0.1, 10), st.floats(0.1, 100))
@settings(max_examples=50)
def test_slow_engines_have_fewer_windows(seconds, window):
    now = 0.0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "perf_counter", lambda: now)
        rounds = 0
        for _ in in_turn([0], seconds, "measure"):
            rounds += 1
            now += window
    assert 1 <= rounds <= ROUNDS
    if 5 * window <= 3 * seconds:
        assert rounds >= 6
    if rounds > 6:
        assert (rounds - 1) * window <= 1.5 * seconds
    assert (rounds - 1) * window <= 3 * seconds


def test_the_same_engine_twice(specs, crops):
    speed = measure_side_by_side(*specs, crops, seconds=1)
    assert 1 <= len(speed.ratios) <= ROUNDS  # fewer where the machine is busy
    assert speed.batch_size == 8
    assert speed.load.cores >= 1
    # Whatever else runs: the same engine is never slower than itself beyond a tenth, for sure.
    found = speed_finding(MetricRule(0.1), speed, speed.of_reference, significance=0.05)
    assert found.verdict in ("passed", "cannot tell")


@pytest.mark.slow
def test_under_load_the_same_engine_is_no_regression(specs, crops):
    idle = measure_side_by_side(*specs, crops, seconds=2)
    command = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        busy = measure_side_by_side(*specs, crops, seconds=2)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert busy.load.busy
    found = speed_finding(MetricRule(0.1), busy, idle, significance=0.05)
    assert found.verdict == "cannot tell"
    assert "taken by other processes" in found.reason


def test_benchmarked_in_turn(specs, crops):
    with specs[0].local() as first, specs[1].local() as second:
        slow, fast = measure_speeds([first, second], crops, 8, [None, None], seconds=0.2)
    assert slow.windows
    count = len(slow.windows.end_to_end.windows)
    assert 1 <= count <= ROUNDS  # fewer where the machine is busy
    assert slow.end_to_end_fps == slow.windows.end_to_end.median
    assert slow.engine_fps == slow.windows.engine.median
    speed = paired_speed(slow, fast)
    assert speed
    assert len(speed.ratios) == count


@pytest.mark.slow
def test_evaluate(small, facenet):
    def evaluated(*arguments):
        return lfw_eval(
            "evaluate", "--dataset", small / "faces", "--boxes", small / "boxes.csv", "--engine",
            "dummy", "--precision", "fp16", "-o", "r.json", *arguments, cwd=small,
            LFW_EVAL_DATASETS=str(small / "data"),
        )  # fmt: skip

    run = evaluated("--seconds", "0.5")
    assert run.returncode == 0, run.stderr
    assert "windows of each in turn" in run.stdout
    assert "from cache" not in run.stdout
    result = read_result(small / "r.json").result
    assert result.speed
    assert result.reference.fps == result.speed.reference.median
    again = evaluated("--seconds", "0.5")
    assert "windows of each in turn" in again.stdout
    without = evaluated("--seconds", "0")
    assert without.returncode == 0, without.stderr
    assert "FPS, a single pass" in without.stdout
    assert "in turn" not in without.stdout
    assert json.loads((small / "r.json").read_text())["result"]["speed"] is None
