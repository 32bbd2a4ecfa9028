"""The Triton engine against a real server: NVIDIA's, with its Python backend."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import onnx
import pytest
from command import lfw_eval, refused
from engine_specs import SCALES, spec_of
from facedetect_like import facedetect_like, write_faces
from triton_rig.installation import installation
from triton_rig.server import Server, deploy, free_port
from waiting import wait_until

from calibration.scales import ScaleTable
from lfw_eval.checkpoints.facedetect import open_facedetect
from lfw_eval.datasets.faces import open_faces
from lfw_eval.engines.choice import EngineChoice, choose_engine
from lfw_eval.engines.contract import BuildRequest, TensorSpec
from lfw_eval.engines.onnxruntime import OnnxRuntimeEngine
from lfw_eval.engines.openvino import OpenVINOEngine
from lfw_eval.engines.triton.engine import TIMEOUT, TritonEngine
from lfw_eval.engines.triton.options import TritonOptions
from lfw_eval.engines.triton.repository import ServedModel, served_model, write_models
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.engine_detectors import FaceDetectChoice
from lfw_eval.pipelines.speed import SpeedPlan, measure_speed
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.slow

PROTOCOLS = ("grpc", "http")


@pytest.fixture(scope="module")
def installed():
    return installation()


@pytest.fixture(scope="module")
def tiny(tiny_facenet, tmp_path_factory):
    """What an engine of the small network is built from."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    onnx.save(tiny_facenet, path)
    return BuildRequest(path, "per-image", "fp32", batch_size=16)


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    """The small network as it is exported, and the same without normalisation."""
    folder = tmp_path_factory.mktemp("exported")
    bare = onnx.load(tiny.model)
    inputs = (TensorSpec(bare.graph.input[0].name, (-1, 3, 160, 160), "float32"),)
    outputs = (TensorSpec(bare.graph.output[0].name, (-1, 32), "float32"),)
    content = bare.SerializeToString()
    write_models(
        [
            served_model("tiny", spec_of("onnxruntime", tiny, folder)),
            ServedModel("bare", "onnxruntime_onnx", "model.onnx", content, inputs, outputs, 16),
        ],
        folder,
    )
    return folder


@pytest.fixture(scope="module")
def server(installed, exported, tmp_path_factory):
    """Models good and bad; `unloadable` wants a backend that this server lacks."""
    repository = tmp_path_factory.mktemp("server") / "models"

    def named(name, **changes):
        def edit(config):
            config.name = name
            for field, value in changes.items():
                setattr(config, field, value)

        return edit

    def unbatched(name, images):
        def edit(config):
            config.name, config.max_batch_size = name, 0
            config.ClearField("dynamic_batching")
            for tensor in (*config.input, *config.output):
                tensor.dims.insert(0, images)

        return edit

    def grey(config):
        config.name = "grey"
        config.input[0].dims[:] = [160, 160, 1]

    def wide(config):
        config.name = "wide"
        config.output[0].dims[:] = [512]

    model = exported / "tiny"
    deploy(model, repository)
    deploy(exported / "bare", repository)
    deploy(model, repository, edit=named("unloadable", backend="onnxruntime"))
    deploy(model, repository, edit=unbatched("free", -1))
    deploy(model, repository, edit=unbatched("fours", 4))
    deploy(model, repository, edit=grey)
    deploy(model, repository, edit=wide)
    for behaviour in ("raise", "cut", "sleep"):
        deploy(model, repository, behaviour, named(behaviour))
    running = Server(installed, repository)
    yield running
    running.kill()


@pytest.fixture
def own_server(installed, exported, tmp_path):
    """One that a test may kill."""
    deploy(exported / "tiny", tmp_path / "models")
    running = Server(installed, tmp_path / "models")
    yield running
    running.kill()


def opened(request, address, streams=3):
    request = replace(request, options=TritonOptions(address, streams))
    return TritonEngine.build(request, request.model.parent)


def embeddings(engine, batches):
    outputs = engine.stream({engine.inputs[0].name: batch} for batch in batches)
    return [by_name[engine.outputs[0].name] for by_name in outputs]


@pytest.fixture(scope="module")
def expected(tiny, crops):
    with OnnxRuntimeEngine.build(tiny, tiny.model.parent) as engine:
        return engine.run({"crops": crops})[engine.outputs[0].name]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("model", ["tiny", "bare", "free", "fours"])
def test_embeds_as_in_process(server, tiny, crops, expected, model, protocol):
    with opened(tiny, server.address(model, protocol)) as engine:
        # More than the server takes at once, in order, and a rest.
        first, second = embeddings(engine, [crops[:50], crops[50:]])
        (again,) = engine.run({engine.inputs[0].name: crops[:5]}).values()
        said = engine.hardware()
    np.testing.assert_allclose(np.concatenate([first, second]), expected, atol=1e-5)
    np.testing.assert_allclose(again, expected[:5], atol=1e-5)
    assert first.dtype == np.float32
    assert engine.inputs[0].shape == (-1, 160, 160, 3)
    assert engine.outputs[0].shape == (-1, 32)
    assert ("normalised here, per-image" in engine.device) == (model == "bare")
    assert "Triton 2." in engine.device
    assert said["deployed"] == f"{model}/1, python"
    largest = {"tiny": "16", "bare": "16", "fours": "4", "free": "any number"}[model]
    assert said["crops in a request"] == f"up to {largest}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_by_threads(server, tiny, crops, protocol):
    with opened(tiny, server.address("tiny", protocol)) as engine:
        speed = measure_speed(engine, crops, 8, SpeedPlan(seconds=0.3, threads=4))
    assert min(speed.engine_fps, speed.end_to_end_fps, speed.threads_fps) > 0


def test_key_is_the_deployment(server, tiny):
    def key(model, request=tiny):
        with opened(request, server.address(model)) as engine:
            return engine.key

    assert key("tiny") == key("tiny/1")
    assert len({key("tiny"), key("free"), key("bare")}) == 3
    fixed = replace(tiny, normalisation="fixed")
    assert key("tiny", fixed) == key("tiny")
    assert key("bare", fixed) != key("bare")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("tiney", r"no model 'tiney'; did you mean 'tiny'"),
        ("tiny/7", r"'tiny' has no version 7, only 1"),
        ("unloadable", r"'unloadable' is not ready \(version 1: unavailable, .*backend"),
        ("grey", r"takes crops uint8 \(n, 160, 160, 1\), but what can be sent is uint8 \(n, 160"),
        (
            "wide",
            r"returns \w+ float32 \(n, 512\), but the reference network returns float32 \(n, 32\)",
        ),
        ("raise", r"the server answers 8 crops with an error \(.*out of sorts"),
        ("cut", r"of 8 crops should be \(8, 32\), and the server answers \(8, 31\)"),
        ("sleep", rf"no answer to 8 crops within 1 s; .* set {TIMEOUT}"),
    ],
)
def test_bad_deployments(server, tiny, crops, monkeypatch, model, sentence, protocol):
    monkeypatch.setenv(TIMEOUT, "1")
    with (
        pytest.raises(UserError, match=sentence) as failure,
        opened(tiny, server.address(model, protocol)) as engine,
    ):
        engine.run({engine.inputs[0].name: crops[:8]})
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_server(server, tiny, protocol):
    with pytest.raises(UserError, match=r"check that a Triton server is running there"):
        opened(tiny, f"triton+{protocol}://127.0.0.1:{free_port()}/tiny")
    other = server.grpc if protocol == "http" else server.http
    with pytest.raises(UserError, match=f"takes {protocol} at this port"):
        opened(tiny, f"triton+{protocol}://127.0.0.1:{other}/tiny")


@contextmanager
def outage(server, engine, crops, meanwhile=lambda: None):
    """Yield batches of crops; the server ends before the last and is back once that was missed."""

    def restart():
        wait_until(lambda: engine.hardware()["requests tried again"] != "0")
        meanwhile()
        server.restart()

    def batches():
        for first in range(0, 56, 8):
            yield {engine.inputs[0].name: crops[first : first + 8]}
        server.kill()
        restarting.append(thread.submit(restart))
        yield {engine.inputs[0].name: crops[56:]}

    restarting = []
    with ThreadPoolExecutor(1) as thread:
        yield batches()
        restarting[0].result()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_server_that_comes_back(own_server, tiny, crops, expected, protocol, capsys):
    with (
        opened(tiny, own_server.address("tiny", protocol)) as engine,
        outage(own_server, engine, crops) as batches,
    ):
        outputs = list(engine.stream(batches))
        tried = int(engine.hardware()["requests tried again"])
    (name,) = {name for batch in outputs for name in batch}
    np.testing.assert_allclose(np.concatenate([f[name] for f in outputs]), expected, atol=1e-5)
    assert tried >= 1
    assert capsys.readouterr().err.count("trying again in") == tried


def test_server_that_comes_back_with_another_model(own_server, exported, tiny, crops, tmp_path):
    def other(config):
        config.parameters["note"].string_value = "redeployed"

    def redeploy():
        (tmp_path / "models" / "tiny").rename(tmp_path / "old")
        deploy(exported / "tiny", tmp_path / "models", edit=other)

    with (
        opened(tiny, own_server.address("tiny")) as engine,
        outage(own_server, engine, crops, redeploy) as batches,
        pytest.raises(UserError, match="was redeployed during the run"),
    ):
        list(engine.stream(batches))


def test_newest_version_is_asked_and_kept_to(installed, tiny, crops, expected, tmp_path):
    def all_versions(config):
        config.name = "both"
        config.version_policy.all.SetInParent()

    for _ in range(2):
        write_models(
            [served_model("tiny", spec_of("onnxruntime", tiny, tmp_path))], tmp_path / "exported"
        )
    deploy(tmp_path / "exported" / "tiny", tmp_path / "models")
    deploy(tmp_path / "exported" / "tiny", tmp_path / "models", edit=all_versions)
    running = Server(installed, tmp_path / "models")
    try:
        for asked, version in (("tiny", 2), ("both", 2), ("both/1", 1)):
            with opened(tiny, running.address(asked)) as engine:
                assert engine.arithmetic == f"{asked[:4]}/{version} as deployed"
                (outputs,) = embeddings(engine, [crops])
            np.testing.assert_allclose(outputs, expected, atol=1e-5)
        with pytest.raises(UserError, match="'tiny' has no version 1, only 2"):
            opened(tiny, running.address("tiny/1"))
    finally:
        running.kill()


@pytest.fixture(scope="module")
def facenet_server(installed, facenet, tmp_path_factory):
    """Real FaceNet: FP32, INT8, and one that never answers."""
    folder = tmp_path_factory.mktemp("facenet")
    fp32 = BuildRequest(facenet.model, facenet.normalisation, "fp32", batch_size=32)
    int8 = replace(fp32, precision="int8", scales=ScaleTable.load(SCALES))
    write_models(
        [
            served_model("facenet", spec_of("onnxruntime", fp32, folder)),
            served_model("facenet8", spec_of("onnxruntime", int8, folder)),
        ],
        folder / "exported",
    )

    def asleep(config):
        config.name = "asleep"

    deploy(folder / "exported" / "facenet", folder / "models")
    deploy(folder / "exported" / "facenet8", folder / "models")
    deploy(folder / "exported" / "facenet", folder / "models", "sleep", asleep)
    running = Server(installed, folder / "models")
    yield running
    running.kill()


def test_int8_is_served_as_it_runs_here(facenet_server, facenet, crops, tmp_path):
    scales = ScaleTable.load(SCALES)
    request = BuildRequest(facenet.model, facenet.normalisation, "int8", scales)
    with opened(request, facenet_server.address("facenet8")) as engine:
        (served,) = embeddings(engine, [crops[:8]])
    with OpenVINOEngine.build(request, tmp_path) as engine:
        (here,) = embeddings(engine, [crops[:8]])
    assert mean_cosine(here, served).minimum > 0.99


def test_accuracy_of_what_is_deployed(facenet_server, facenet, mtcnn_weights, tmp_path):
    """FaceNet behind gRPC beside FP32 in this process, on real faces."""
    run = lfw_eval(
        "evaluate", "--dataset", "celebrities", "--engine", facenet_server.address("facenet"),
        "--precision", "fp32", cwd=tmp_path, LFW_EVAL_DATASETS=str(tmp_path),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    (path,) = (tmp_path / "results").glob("*.json")
    result = json.loads(path.read_text())["result"]
    here, there = result["reference"], result["candidate"]
    assert "Triton 2." in there["engine"]["device"]
    assert "Triton" not in here["engine"]["device"]
    assert here["verification"]["accuracy"] == there["verification"]["accuracy"]
    assert result["cosine"]["minimum"] > 0.99999
    assert "facenet/1 as deployed" in run.stdout


def test_speed_of_what_is_deployed(facenet_server, facenet, small):
    run = lfw_eval(
        "benchmark", "--dataset", small / "faces", "--boxes", small / "boxes.csv",
        "--engine", facenet_server.address("facenet", "http"), "--precision", "fp32", "--bs", "2",
        "--sweep", "1,40", "--seconds", "0.2", "--threads", "2", "--streams", "2", "--compare",
        cwd=small, LFW_EVAL_DATASETS=str(small / "data"),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    (path,) = (small / "results").glob("*.json")
    result = json.loads(path.read_text())["result"]
    reference, deployed = result["engines"]
    assert reference["name"] == "onnxruntime"
    assert [speed["batch_size"] for speed in deployed["speeds"]] == [2, 1, 40]
    assert deployed["cosine"] > 0.99999
    assert deployed["hardware"]["requests under way"] == "up to 2"


def test_detector_that_is_deployed(installed, tmp_path):
    path, folder = tmp_path / "facedetect.onnx", write_faces(tmp_path / "faces", noise=8)
    onnx.save(facedetect_like(), path)
    request = BuildRequest(open_facedetect(path).model, "unit", "fp32", batch_size=4)
    served = served_model("facedetect", spec_of("onnxruntime", request, tmp_path), ("face",))
    write_models([served], tmp_path / "exported")
    deploy(tmp_path / "exported" / "facedetect", tmp_path / "models")
    server = Server(installed, tmp_path / "models")
    job = FaceDetectChoice(path, engine=EngineChoice("onnxruntime", "fp32", 8))
    there = replace(job, engine=choose_engine(server.address("facedetect"), "fp32", 8))
    faces = open_faces(folder)
    try:
        with job.open(faces) as own, there.open(faces) as deployed:
            local, remote = (
                detect(detector, faces, "integrate", 0.5) for detector in (own, deployed)
            )
    finally:
        server.kill()
    assert 0.1 < local.asked.overall.value == remote.asked.overall.value


@pytest.fixture
def hanging(facenet_server, small, request):
    """An evaluation whose first request hangs in the server."""
    asked = facenet_server.log.read_text().count("asleep\n")
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "lfw_eval", "evaluate"),
            *("--dataset", str(small / "faces"), "--boxes", str(small / "boxes.csv")),
            *("--engine", facenet_server.address("asleep", request.param)),
        ],
        cwd=small,
        env={**os.environ, "LFW_EVAL_DATASETS": str(small / "data")},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: facenet_server.log.read_text().count("asleep\n") > asked, 120)
    yield run
    run.kill()
    run.communicate()


@pytest.mark.parametrize("hanging", PROTOCOLS, indirect=True)
def test_interrupt_while_a_request_hangs(hanging, small, facenet_server):
    hanging.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = hanging.communicate(timeout=60)
    assert time.monotonic() - started < 30
    assert hanging.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert not list((small / "results").glob("*"))
    facenet_server.kill()
    facenet_server.restart()


@pytest.mark.parametrize("hanging", PROTOCOLS, indirect=True)
def test_server_killed_in_the_middle(hanging, small, facenet_server):
    facenet_server.kill()
    try:
        _, stderr = hanging.communicate(timeout=60)
    finally:
        facenet_server.restart()
    assert hanging.returncode == 2, stderr
    assert "Traceback" not in stderr
    (sentence,) = [line for line in stderr.splitlines() if line.startswith("lfw-eval: ")]
    assert "the server went away" in sentence
    assert "was not back in 3 further tries" in sentence
    assert stderr.count("trying again in") == 3
    assert not list((small / "results").glob("*"))


def test_nothing_long_begins_without_a_server(facenet, small):
    run = lfw_eval(
        "evaluate", "--dataset", small / "faces", "--boxes", small / "boxes.csv",
        "--engine", f"triton://127.0.0.1:{free_port()}/facenet",
        cwd=small, LFW_EVAL_DATASETS=str(small / "data"),
    )  # fmt: skip
    assert "check that a Triton server is running there" in refused(run)
    assert not list((small / "data").rglob("store.json"))
