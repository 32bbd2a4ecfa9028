import ctypes
import json
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from command import lfw_eval, refused

from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.dummy import DummyEngine
from lfw_eval.engines.tensorrt.library import PACKAGES
from lfw_eval.pipelines.speed import SpeedPlan, batches_of, measure_speed, shared_fps
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import missing_gpu


@pytest.fixture
def engine(tiny_facenet, tmp_path):
    model = tmp_path / "model.onnx"
    onnx.save(tiny_facenet, model)
    return DummyEngine.build(BuildRequest(model, "per-image", "fp32"), tmp_path)


@pytest.fixture
def run(small, facenet):
    def benchmark(*arguments, command="benchmark"):
        return lfw_eval(
            *(command, "--dataset", small / "faces", "--boxes", small / "boxes.csv", *arguments),
            cwd=small,
            LFW_EVAL_DATASETS=str(small / "data"),
        )

    return benchmark


def test_measures(engine, crops):
    speed = measure_speed(engine, crops, 16, SpeedPlan(seconds=0.05, threads=3))
    assert speed.batch_size == 16
    assert min(speed.engine_fps, speed.end_to_end_fps, speed.threads_fps) > 0
    for latency in (speed.engine_latency_ms, speed.latency_ms):
        assert 0 < latency.p50 <= latency.p90 <= latency.p99
        assert latency.batches > 0
    assert (speed.threads, speed.threads_fps is None) == (3, False)
    assert measure_speed(engine, crops, 1, SpeedPlan(seconds=0.05)).threads_fps is None


def test_batches_are_full(engine, crops):
    name = engine.inputs[0].name
    assert [len(batch[name]) for batch in batches_of(engine, crops, 20)] == [20, 20, 20]
    (repeated,) = batches_of(engine, crops[:3], 7)
    np.testing.assert_array_equal(repeated[name], crops[[0, 1, 2, 0, 1, 2, 0]])


def test_threads_that_fail_are_noticed(engine):
    with pytest.raises(KeyError, match="crops"):
        shared_fps(engine, [{"another": np.zeros((1, 160, 160, 3), np.uint8)}], 1, 2, 1)


def test_sweep_and_comparison(run, small):
    options = ("--bs", "2", "--sweep", "1,2,4", "--seconds", "0.1", "--compare")
    done = run("--engine", "dummy", "--precision", "fp16", *options)
    assert done.returncode == 0, done.stderr
    (path,) = (small / "results").glob("*.json")
    result = json.loads(path.read_text())["result"]
    names = [(engine["name"], engine["engine"]["precision"]) for engine in result["engines"]]
    assert names == [("onnxruntime", "fp32"), *(("dummy", p) for p in ("fp32", "fp16", "int8"))]
    judged = result["engines"][result["judged_index"]]
    assert (judged["name"], judged["engine"]["precision"]) == ("dummy", "fp16")
    assert [speed["batch_size"] for speed in judged["speeds"]] == [2, 1, 4]
    assert result["engines"][0]["cosine"] == pytest.approx(1)
    assert [len(engine["speeds"]) for engine in result["engines"]] == [1, 3, 3, 3]
    for words in ("speed-up", "onnxruntime fp32", "dummy int8", "FPS, end to end"):
        assert words in done.stdout


def test_openvino_says_how_long_it_took_to_build(run, small):
    done = run("--precision", "fp32", "--bs", "2", "--seconds", "0.1", "--tgt", "1e9")
    assert done.returncode == 1, done.stderr
    assert "is below the target" in done.stderr
    (path,) = (small / "results").glob("*.json")
    (engine,) = json.loads(path.read_text())["result"]["engines"]
    assert engine["build_seconds"] > 0
    assert engine["engine"]["size"] > 80e6


def test_mistakes(run):
    assert "--sweep '1,x'" in refused(run("--sweep", "1,x"))
    assert "--threads is for engines" in refused(run("--precision", "fp32", "--threads", "2"))
    assert "--gpu '0,0'" in refused(run("--gpu", "0,0"))
    assert "are for --engine tensorrt" in refused(run("--quantization", "live"))
    assert "are for --engine tensorrt" in refused(run("--gpu", "1"))
    assert "a batch above 8,192" in refused(run("--sweep", "99999999"))


def test_tensorrt_options_that_do_not_go_together(run, small):
    own = ("--engine", "tensorrt", "--calibration-cache")
    assert "none.cache cannot be read" in refused(run(*own, "none.cache"))
    cache = small / "own.cache"
    cache.write_text("TRT-8600-EntropyCalibration2\ninput: 3c000000\n")
    assert "leave one out" in refused(run(*own, cache, "--quantization", "live"))
    assert "for --precision int8" in refused(run(*own, cache, "--precision", "fp16"))


def test_build(run):
    done = run("--precision", "fp32", command="build")
    assert done.returncode == 0, done.stderr
    assert "OpenVINO" in done.stdout
    assert "uint8 (-1, 160, 160, 3)" in done.stdout
    again = run("--precision", "fp32", command="build")
    assert again.stdout == done.stdout


@pytest.mark.skipif(not missing_gpu(), reason="this machine has a GPU")
@pytest.mark.parametrize("command", ["benchmark", "build", "evaluate"])
def test_tensorrt_says_that_there_is_no_gpu_before_images_are_aligned(run, small, command):
    before = sorted(small.rglob("crops-*"))
    sentence = refused(run("--engine", "tensorrt", "--margin", "7", command=command))
    needs = f"--engine tensorrt needs an NVIDIA GPU: {missing_gpu()}; --engine openvino needs none"
    assert needs in sentence
    assert sorted(small.rglob("crops-*")) == before


@pytest.mark.skipif(any(map(find_spec, PACKAGES)), reason="TensorRT is installed here")
def test_tensorrt_says_what_to_install_where_there_is_a_gpu(nvidia_driver, monkeypatch):
    load = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name: load(str(nvidia_driver / name)))
    with pytest.raises(UserError, match="TensorRT's Python package is not installed; pip install"):
        choose_engine("tensorrt").require_runtime()


def test_doctor(small):
    done = lfw_eval("doctor", cwd=small)
    assert done.returncode == 0, done.stderr
    for words in ("TensorRT", "CUDA", "ONNX Runtime", "OpenVINO", "CPU", "checkpoint", "LFW"):
        assert words in done.stdout
