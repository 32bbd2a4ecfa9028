"""Model repositories: read by Triton's own schema, and by a real server in strict mode."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from command import lfw_eval, refused
from engine_specs import SCALES, spec_of
from facedetect_like import facedetect_like
from triton_rig.installation import installation
from triton_rig.server import Server, read_config

from calibration.scales import ScaleTable
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import BuildRequest, TensorSpec
from lfw_eval.engines.triton.repository import ServedModel, served_model, write_models
from lfw_eval.system.errors import UserError


@pytest.fixture
def model():
    images = (TensorSpec("crops", (-1, 160, 160, 3), "uint8"),)
    outputs = (TensorSpec("embedding", (-1, 128), "float32"),)
    return ServedModel("facenet", "tensorrt_plan", "model.plan", b"a plan", images, outputs, 64)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_layout(model, tmp_path):
    (written,) = write_models([model], tmp_path / "models")
    assert written == tmp_path / "models" / "facenet" / "1"
    files = contents(tmp_path / "models")
    assert set(files) == {"facenet/config.pbtxt", "facenet/1/model.plan"}
    config = read_config(tmp_path / "models" / "facenet" / "config.pbtxt")
    assert (config.name, config.platform) == ("facenet", "tensorrt_plan")
    assert config.max_batch_size == 64
    assert config.version_policy.latest.num_versions == 1
    assert list(config.dynamic_batching.preferred_batch_size) == [16, 32, 64]
    assert list(config.input[0].dims) == [160, 160, 3]
    assert list(config.output[0].dims) == [128]
    assert not config.output[0].label_filename


def test_versions_are_added_and_nothing_is_written_over(model, tmp_path):
    write_models([model], tmp_path)
    config = tmp_path / "facenet" / "config.pbtxt"
    tuned = config.read_text().replace("count: 1", "count: 2")
    config.write_text(tuned)
    (tmp_path / "facenet" / "7").mkdir()
    (written,) = write_models([replace(model, content=b"a better plan")], tmp_path)
    assert written.name == "8"
    files = contents(tmp_path)
    assert files["facenet/1/model.plan"] == b"a plan"
    assert files["facenet/8/model.plan"] == b"a better plan"
    assert config.read_text() == tuned
    assert set(files) == {"facenet/config.pbtxt", "facenet/1/model.plan", "facenet/8/model.plan"}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"platform": "onnxruntime_onnx"}, "platform"),
        ({"largest_batch": 8}, "max_batch_size"),
        ({"outputs": (TensorSpec("embedding", (-1, 512), "float32"),)}, "output"),
    ],
)
def test_no_version_of_another_model(model, tmp_path, change, difference):
    write_models([model], tmp_path)
    before = contents(tmp_path)
    other = replace(model, name="other")
    with pytest.raises(UserError, match=f"cannot be a version of: {difference} differ"):
        write_models([other, replace(model, **change)], tmp_path)
    assert contents(tmp_path) == before
    assert not (tmp_path / "other").exists()


def test_mistakes(model, tmp_path):
    with pytest.raises(UserError, match="not a name for a model"):
        replace(model, name="../facenet")
    (tmp_path / "facenet").mkdir()
    with pytest.raises(UserError, match=r"config.pbtxt cannot be read"):
        write_models([model], tmp_path)
    (tmp_path / "facenet" / "config.pbtxt").write_text("name: {")
    with pytest.raises(UserError, match=r"config.pbtxt cannot be read"):
        write_models([model], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_models([model], tmp_path / "file")
    assert not list(tmp_path.glob(".new-*"))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_networks_take_crops(facenet, crops, tmp_path, precision):
    scales = ScaleTable.load(SCALES) if precision == "int8" else None
    request = BuildRequest(facenet.model, facenet.normalisation, precision, scales, batch_size=8)
    served = served_model("facenet", spec_of("openvino", request, tmp_path))
    write_models([served], tmp_path)
    path = tmp_path / "facenet" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (embeddings,) = session.run(None, {"crops": crops[:2]})
    assert embeddings.shape == (2, 128)
    assert embeddings.dtype == np.float32
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert ("QuantizeLinear" in operators) == (precision == "int8")
    assert served.largest_batch == 8


def test_triton_reads_it_in_strict_mode(facenet, tmp_path):
    """NVIDIA's server; it lacks the backends of these platforms, and has nothing else to say."""
    detector = tmp_path / "detector.onnx"
    onnx.save(facedetect_like(), detector)
    run = lfw_eval(
        "export", "triton", tmp_path / "models", "--dataset", "celebrities", "--precision", "fp32",
        "--with-facedetect", detector, "--bs", "16", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "facenet/1/model.onnx: FP32, batches up to 16" in run.stdout
    config = read_config(tmp_path / "models" / "facedetect" / "config.pbtxt")
    labelled = {output.name: output.label_filename for output in config.output}
    assert labelled == {"coverage": "labels.txt", "boxes": ""}
    assert (tmp_path / "models" / "facedetect" / "labels.txt").read_text() == "face\n"
    plan = ServedModel(
        "plan", "tensorrt_plan", "model.plan", b"a plan",
        (TensorSpec("crops", (-1, 160, 160, 3), "uint8"),),
        (TensorSpec("embedding", (-1, 128), "float32"),), 64,
    )  # fmt: skip
    write_models([plan], tmp_path / "models")
    server = Server(installation(), tmp_path / "models")
    server.kill()
    log = server.log.read_text()
    failures = set(re.findall(r"failed to load '(\w+)' version 1: (.*?), try", log))
    lacking = "Invalid argument: unable to find backend library for backend"
    assert failures == {
        ("facenet", f"{lacking} 'onnxruntime'"),
        ("facedetect", f"{lacking} 'onnxruntime'"),
        ("plan", f"{lacking} 'tensorrt'"),
    }
    assert not re.search(r"(?i)config|pbtxt|label", "".join(map(str, failures)))


def test_refusals(facenet, small):
    def export(*arguments):
        return refused(
            lfw_eval(
                *("export", "triton", "models", "--dataset", small / "faces"),
                *("--boxes", small / "boxes.csv", *arguments),
                cwd=small,
                LFW_EVAL_DATASETS=str(small / "data"),
            )
        )

    assert "--engine dummy cannot be exported" in export("--engine", "dummy")
    assert "are for --engine tensorrt" in export("--gpu", "1")
    assert "to calibrate on" in export("--with-facedetect", "x.onnx", "--precision", "int8")
    assert "x.onnx is not a file" in export("--with-facedetect", "x.onnx", "--precision", "fp32")
    assert "is FaceDetect's" in export("--name", "facedetect", "--with-facedetect", "x.onnx")
    assert "'a/b' is not a name" in export("--name", "a/b", "--precision", "fp32")
    assert not (small / "models").exists()


def test_package_that_is_missing(facenet, small):
    """Without tritonclient the engine and the export say what to install."""
    blocked = small / "blocked" / "tritonclient"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError(name='tritonclient')")
    path = ":".join([str(blocked.parent), *filter(None, sys.path)])
    data = ("--dataset", small / "faces", "--boxes", small / "boxes.csv")
    for command in (
        ("export", "triton", "models", *data, "--precision", "fp32"),
        ("evaluate", *data, "--engine", "triton://127.0.0.1/facenet"),
    ):
        run = lfw_eval(*command, cwd=small, PYTHONPATH=path)
        assert "pip install 'lfw-eval[triton]'" in refused(run)


@pytest.mark.gpu
def test_plan_is_the_engine(facenet, tmp_path):
    request = BuildRequest(facenet.model, facenet.normalisation, "fp16", batch_size=8)
    served = served_model("facenet", spec_of("tensorrt", request, tmp_path))
    (written,) = write_models([served], tmp_path / "models")
    (engine,) = tmp_path.glob("*.engine")
    assert (written / "model.plan").read_bytes() == engine.read_bytes()
    config = read_config(written.parent / "config.pbtxt")
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 8)
    assert [list(tensor.dims) for tensor in config.input] == [[160, 160, 3]]
    assert [list(tensor.dims) for tensor in config.output] == [[128]]


def test_a_server_cannot_be_held_to_int8():
    request = BuildRequest(Path("model.onnx"), "fixed", "int8", strict_precision=True)
    spec = EngineSpec(EngineChoice("openvino"), request, Path("engines"))
    with pytest.raises(UserError, match="the server chooses the types of an ONNX network"):
        served_model("facenet", spec)
