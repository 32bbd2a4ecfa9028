"""The verb inspect on a real network and real faces, and on files that once failed."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lfw_eval.checkpoints.preprocessing import Preprocessing
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.pipelines.inspection import inspect
from lfw_eval.report.tables.inspection import inspection_table

PAIRS = 40


@pytest.fixture(scope="module")
def lfw(real_data, mtcnn_weights):
    return open_dataset(real_data / "lfw.tgz")


@pytest.fixture(scope="module")
def mobilefacenet(real_data):
    path = real_data / "mobilefacenet_mx_112.onnx"
    if not path.is_file():
        pytest.skip(f"MobileFaceNet is not at {path}")
    return path


def without_preprocessing(model: onnx.ModelProto, *, bgr: bool) -> onnx.ModelProto:
    """The network without its Sub and Mul, and with the first layer's channels turned around."""
    graph = model.graph
    image = graph.node[0].input[0]
    assert [graph.node.pop(0).op_type for _ in range(2)] == ["Sub", "Mul"]
    graph.node[0].input[0] = image
    if bgr:
        kernel = next(t for t in graph.initializer if t.name == graph.node[0].input[1])
        turned = np.ascontiguousarray(numpy_helper.to_array(kernel)[:, ::-1])
        kernel.CopyFrom(numpy_helper.from_array(turned, kernel.name))
    return model


def tried(path, lfw):
    inspection = inspect(str(path), lfw, lambda dataset, size: dataset.alignment(size), PAIRS)
    return inspection, inspection.tried.trial


def test_preprocessing_in_the_graph(mobilefacenet, lfw):
    inspection, trial = tried(mobilefacenet, lfw)
    assert str(inspection.adopted.own_normalisation) == "(x - 127.5) / 128"
    assert inspection.adopted.default == Preprocessing("none")
    assert trial.best[0] == Preprocessing("none")
    assert len(inspection.adopted.layers) == 50


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_normalisation_and_channels_are_found(mobilefacenet, lfw, tmp_path, order):
    model = without_preprocessing(onnx.load(mobilefacenet), bgr=order == "bgr")
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    inspection, trial = tried(path, lfw)
    assert inspection.adopted.default is None
    # The two differ by 0.4 %.
    assert set(trial.best[:2]) == {Preprocessing("fixed", order), Preprocessing("arcface", order)}
    assert {way.channel_order for way in trial.best} == {order}


def test_random_weights_have_no_normalisation(cases, lfw):
    inspection, trial = tried(cases / "const_nodes.onnx", lfw)
    assert not trial.recognises
    assert "cannot tell" in inspection_table(inspection)


@pytest.mark.slow
def test_files_that_once_failed(cases):
    refused = []
    for path in sorted(cases.glob("*.onnx")):
        inspection = inspect(str(path), None, lambda dataset, size: dataset.alignment(size))
        assert inspection.file
        if inspection.refusal:
            refused.append(path.name)
        else:
            assert inspection.adopted.quantized or inspection.adopted.quantization
    assert refused == ["bn_training.onnx"]
