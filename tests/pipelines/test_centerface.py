"""CenterFace from the package index to AP on WIDER FACE, in FP32 and INT8."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from command import lfw_eval, refused

from lfw_eval.checkpoints.centerface import HEADS, open_centerface
from lfw_eval.datasets.faces import open_faces
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.engine_detectors import CenterFaceChoice
from lfw_eval.results.file import read_result
from lfw_eval.system.errors import UserError


@pytest.fixture
def checkpoints_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))


def report_of(faces, centerface, precision="fp32", engine="openvino", **options):
    choice = CenterFaceChoice(
        centerface, size=416, engine=EngineChoice(engine, precision, 4), **options
    )
    with choice.open(faces) as detector:
        return detect(detector, faces, "integrate", 0.5)


def test_the_network_is_the_published_one(centerface, checkpoints_elsewhere):
    """At another size and batch, under today's operator set, with named outputs."""
    published = onnx.load(centerface)
    for info in (published.graph.input[0], *published.graph.output):
        info.type.tensor_type.ClearField("shape")
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 96, 96)).astype(np.float32)
    expected = run(published, image)
    adopted = onnx.load(open_centerface(centerface, 96).model)
    assert [info.name for info in adopted.graph.output] == list(HEADS)
    for own, other in zip(run(adopted, image), expected, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5 * np.abs(other).max())


def run(model, image):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: image})


def test_mistakes(centerface, checkpoints_elsewhere, real_data, tmp_path):
    with pytest.raises(UserError, match="`size` 100 is not a multiple of 32"):
        open_centerface(centerface, 100)
    with pytest.raises(UserError, match="is not a file"):
        open_centerface(tmp_path / "none.onnx", 96)
    with pytest.raises(UserError, match="is not CenterFace, with an input"):
        open_centerface(real_data / "yunet_n_dynamic.onnx", 96)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_int8_keeps_the_ap_of_wider(centerface, checkpoints_elsewhere, real_data, engine):
    faces = open_faces(real_data / "wider_val_120.tgz")
    fp32 = report_of(faces, centerface, engine=engine)
    precisions = {name: part.value for name, part in fp32.asked.subsets.items()}
    assert precisions == pytest.approx(
        {"easy": 0.8090, "medium": 0.7192, "hard": 0.3278}, abs=0.001
    )
    int8 = report_of(faces, centerface, "int8", engine)
    assert int8.settings["precision"] == "int8"
    assert int8.settings["calibration"] == "entropy"
    assert int8.settings["calibration_evaluated"] == 120
    assert int8.settings["left_float"] == "536, scale, offset, landmarks"
    assert int8.settings["int8_share"] > (0.98 if engine == "openvino" else 0.25)
    for name, part in int8.asked.subsets.items():
        # INT8 costs something, and less than 2 points.
        assert 0 < precisions[name] - part.value < 0.02


def test_calibrated_on_other_images_and_from_a_cache(
    centerface, checkpoints_elsewhere, real_data, tmp_path
):
    faces = real_data / "wider_val_120.tgz"
    lines = (tmp_path / "list.txt", tmp_path / "short.txt")
    names = [image.name for image in open_faces(faces).images]
    lines[0].write_text("\n".join(names[:4]))
    options = ("detect", faces, "--detector", "centerface", "--model", centerface)
    options += ("--detection-size", "96", "--precision", "int8", "--output")
    run = lfw_eval(*options, "a.json", "--calibration-list", lines[0], "--tensorrt", "8.6.1",
                   cwd=tmp_path)  # fmt: skip
    assert run.returncode == 0, run.stderr
    (cache,) = [line.split()[-1] for line in run.stdout.splitlines() if ".cache" in line]
    run = lfw_eval(*options, "b.json", "--calibration-cache", cache, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    own, cached = (read_result(tmp_path / name).result for name in ("a.json", "b.json"))
    assert own.settings["left_float"] == cached.settings["left_float"]
    assert own.asked.overall.value == pytest.approx(cached.asked.overall.value, abs=0.005)
    run = lfw_eval(*options, "c.json", "--calibration-images", faces, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    settings = json.loads((tmp_path / "c.json").read_text())["result"]["settings"]
    # The same pictures by another way are evaluated all the same.
    assert (settings["calibration_images"], settings["calibration_evaluated"]) == (120, 120)
    both = ("--calibration-images", faces, "--calibration-cache", cache)
    assert "are two sources of scales" in refused(lfw_eval(*options, "d.json", *both, cwd=tmp_path))
