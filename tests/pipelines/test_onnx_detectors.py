"""A user's own ONNX detectors: layouts by shape, decoded exactly, on real engines."""

import numpy as np
import onnx
import pytest
from command import lfw_eval, refused
from detector_networks import SIDE, propose, scrfd_outputs
from facedetect_like import write_faces
from onnx import helper, numpy_helper

from calibration.quantize import QdqTypes, output_layers, quantize
from calibration.sampler import CalibrationList
from calibration.scales import ScaleTable, observed_tensors
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.detector_choice import choose_detector
from lfw_eval.system.errors import UserError

# In pixels of the input, the second overlaps the first by an IoU of 0.68.
BOXES = np.array([[8, 16, 24, 40], [10, 16, 26, 42], [32, 4, 60, 50], [0, 0, 5, 5]], np.float32)
SCORES = np.array([0.75, 0.5, 0.875, 0.01], np.float32)
FACES = BOXES[[2, 0]], SCORES[[2, 0]]
CENTRES = np.hstack([(BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]])
COLUMN = SCORES[:, None]
LANDMARKS = np.full((4, 10), 7, np.float32)
# A YOLO network proposes more boxes than a row has values.
NOTHING = np.zeros((30, 1))


@pytest.fixture(autouse=True)
def checkpoints_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))


def rows(*parts):
    values = np.hstack(parts)
    return np.vstack([values, NOTHING.repeat(values.shape[1], axis=1)])


LAYOUTS = {
    "SSD, two classes": {"scores": np.hstack([1 - COLUMN, COLUMN]), "boxes": BOXES / SIDE},
    "SSD, one class": {"boxes": BOXES / SIDE, "scores": COLUMN},
    "SSD, plain scores": {"boxes": BOXES / SIDE, "scores": SCORES},
    "YOLO v5": {"output": rows(CENTRES, np.full((4, 1), 0.9375), COLUMN / 0.9375)},
    "YOLO v5, objectness alone": {"output": rows(CENTRES, COLUMN, np.ones((4, 1)))},
    "YOLO v5, landmarks": {"output": rows(CENTRES, COLUMN, LANDMARKS, np.ones((4, 1)))},
    "YOLO v8": {"output": rows(CENTRES, COLUMN).T},
    "YOLO v8, landmarks": {"output": rows(CENTRES, COLUMN, LANDMARKS, LANDMARKS[:, :5]).T},
}


def open_detector(path, engine="onnxruntime", precision="fp32", faces=None, **options):
    options["engine"] = EngineChoice(engine, precision, 4)
    return choose_detector(str(path), **options).open(faces)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_layouts_are_decoded(tmp_path, layout, engine):
    path = propose(tmp_path / "own.onnx", LAYOUTS[layout])
    wide = np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
    with open_detector(path, engine) as detector:
        assert detector.settings["layout"] == layout.partition(",")[0].split()[0]
        assert detector.name == "own"
        square, stretched = detector.detect([wide[:, :SIDE], wide])
    boxes, scores = FACES
    np.testing.assert_allclose(square.boxes, boxes, atol=1e-4)
    np.testing.assert_allclose(square.scores, scores, atol=1e-6)
    np.testing.assert_allclose(stretched.boxes, boxes * [2, 1, 2, 1], atol=1e-4)


@pytest.mark.parametrize("anchors", [1, 2])
@pytest.mark.parametrize("landmarks", [True, False])
@pytest.mark.parametrize("joined", [True, False])
def test_scrfd_is_decoded(tmp_path, anchors, landmarks, joined):
    """Distances to the sides from (column, row) times the stride, in strides."""
    faces = {8: (3, 2, [1, 2, 1.5, 1], 0.75), 32: (1, 1, [0.5, 0.25, 0.5, 0.75], 0.5)}
    outputs = scrfd_outputs(faces, anchors, landmarks)
    path = propose(tmp_path / "own.onnx", outputs, joined=joined, opset=11)
    with open_detector(path) as detector:
        assert detector.settings["layout"] == "SCRFD"
        (found,) = detector.detect([np.zeros((SIDE, SIDE, 3), np.uint8)])
    np.testing.assert_allclose(found.boxes, [[8, 8, 28, 32], [16, 24, 48, 56]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.75, 0.5])


def test_joined_outputs_are_of_their_own_image(tmp_path):
    """(n * k, c) holds the images of a batch one after another."""
    faces = {8: (3, 2, [1, 1, 1, 1], 0.75)}
    path = propose(
        tmp_path / "own.onnx", scrfd_outputs(faces), joined=True, shift={"box_8": 128 / 127.5}
    )
    black, white = np.zeros((SIDE, SIDE, 3), np.uint8), np.full((SIDE, SIDE, 3), 255, np.uint8)
    with open_detector(path) as detector:
        dark, light = detector.detect([black, white])
    # Normalised to -1 and 1 times 127.5 / 128: distances of 0 and of 2 strides.
    np.testing.assert_allclose(dark.boxes, [[16, 24, 16, 24]], atol=1e-3)
    np.testing.assert_allclose(light.boxes, [[0, 8, 32, 40]], atol=1e-3)


def test_options_of_other_detectors(tmp_path):
    path = propose(tmp_path / "own.onnx", LAYOUTS["SSD, one class"])
    with pytest.raises(UserError, match="has no `normalisation`") as refusal:
        choose_detector("mtcnn", normalisation="unit")
    assert refusal.value.hint == "leave it out, or take `detector` FILE.onnx"
    choose_detector("mtcnn", normalisation=None, channel_order=None)
    with pytest.raises(UserError, match="clusters by NMS only"):
        open_detector(path, clustering=Clustering("nms"))


def test_int8_ends_before_the_layers_that_give_the_outputs(tmp_path):
    """Their input, their outputs and what is made of these have no scale, on any engine."""
    nodes = [
        helper.make_node("Conv", ["image", "a"], ["inner"]),
        helper.make_node("Relu", ["inner"], ["shared"]),
        helper.make_node("Conv", ["shared", "b"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Conv", ["shared", "b"], ["boxes"]),
        helper.make_node("Concat", ["scores", "boxes"], ["output"], axis=1),
    ]
    kernel = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "a")
    other = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "b")
    shapes = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", channels, 8, 8])
        for name, channels in (("image", 3), ("output", 6))
    ]
    graph = helper.make_graph(nodes, "heads", shapes[:1], shapes[1:], [kernel, other])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    assert output_layers(model) == ["logits", "boxes"]
    table = ScaleTable(dict.fromkeys(observed_tensors(model), 1.0), "entropy", "", "", 1)
    calibrated = Calibration(
        table, lambda: np.zeros(0, np.uint8), CalibrationList((), ""), tmp_path
    )
    left = calibrated.without_layers(model, output_layers(model))
    assert set(left.table.amax) == {"image", "inner"}
    assert left.float_layers == ("logits", "boxes")
    quantized = quantize(model, left.table, QdqTypes(unsigned=False), left.float_layers)
    read = [n.input[0] for n in quantized.graph.node if n.op_type == "QuantizeLinear"]
    assert read == ["image"]
    only_heads = onnx.ModelProto.FromString(model.SerializeToString())
    del only_heads.graph.node[:2]
    assert output_layers(only_heads) == []


def test_the_size_of_an_open_input(tmp_path):
    path = propose(tmp_path / "own.onnx", LAYOUTS["SSD, one class"], side=None)
    with open_detector(path, size=96) as detector:
        assert detector.settings["input"].startswith("96x96")
    fixed = propose(tmp_path / "fixed.onnx", LAYOUTS["SSD, one class"])
    with pytest.raises(UserError, match="takes images of 64x64"):
        open_detector(fixed, size=96)


def test_how_images_are_normalised(tmp_path):
    """As the network from which the layout has its name, unless the user says otherwise."""
    path = propose(tmp_path / "own.onnx", LAYOUTS["SSD, one class"], shift={"boxes": 0.25})
    white = [np.full((SIDE, SIDE, 3), 255, np.uint8)]
    asked = {"normalisation": "0,510", "channel_order": "bgr"}
    for options, brightness, words in (({}, 127.5 / 128, "fixed"), (asked, 0.5, "0,510 BGR")):
        with open_detector(path, **options) as detector:
            assert detector.settings["normalisation"] == words
            (shifted,) = detector.detect(white)
        np.testing.assert_allclose(shifted.boxes, FACES[0] + brightness * 16, atol=1e-4)


@pytest.mark.parametrize(
    "outputs",
    [
        {"boxes": BOXES, "scores": COLUMN, "landmarks": LANDMARKS},
        {"detections": np.zeros((300, 6))},
        {"output": np.zeros((30, 7))},
        {"output": np.zeros((30, 5)).T, "more": np.zeros((30, 4))},
        {"embedding": np.zeros((128,))},
    ],
)
def test_unknown_layouts_are_refused(tmp_path, outputs):
    path = propose(tmp_path / "own.onnx", outputs)
    with pytest.raises(UserError, match="have no supported layout") as refusal:
        open_detector(path)
    shapes = [f"{name} (n, {', '.join(map(str, v.shape))})" for name, v in outputs.items()]
    assert refusal.value.problem.startswith(f"{path}: the outputs {', '.join(shapes)} ")
    assert "SSD: boxes (n, k, 4)" in refusal.value.hint


def test_values_of_another_layout_are_refused(tmp_path):
    black = [np.zeros((SIDE, SIDE, 3), np.uint8)]
    in_pixels = propose(tmp_path / "a.onnx", {"boxes": BOXES, "scores": COLUMN})
    logits = propose(tmp_path / "b.onnx", {"boxes": BOXES / SIDE, "scores": COLUMN * 9 - 4})
    with open_detector(in_pixels) as detector, pytest.raises(UserError, match="not shares of"):
        list(detector.detect(black))
    with open_detector(logits) as detector, pytest.raises(UserError, match="not from 0 to 1"):
        list(detector.detect(black))


@pytest.mark.slow
def test_the_command_with_a_file(tmp_path):
    path = propose(tmp_path / "own.onnx", LAYOUTS["SSD, one class"])
    folder = write_faces(tmp_path / "faces")
    run = lfw_eval("detect", folder, "--detector", path, "--check-metrics", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("own in FP32 on ")
    assert "layout                    SSD" in run.stdout
    (result,) = (tmp_path / "results").glob("*.json")
    assert result.name == "faces-own-fp32-detection.json"
    run = lfw_eval("detect", folder, "--detector", path, "--model", path, cwd=tmp_path)
    assert "are two files" in refused(run)
    run = lfw_eval("detect", folder, "--detector", "none.onnx", cwd=tmp_path)
    assert "neither a file nor one of centerface, facedetect" in refused(run)


def test_yunet_has_a_detector_of_its_own(real_data):
    path = real_data / "yunet_n_dynamic.onnx"
    with pytest.raises(UserError, match=r"is a YuNet.*take `detector` yunet"):
        open_detector(path)
