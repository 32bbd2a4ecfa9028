import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.pipelines.inspection import inspect
from lfw_eval.report.tables.inspection import inspection_table
from lfw_eval.system.errors import UserError


def described(path):
    return inspect(str(path), None, lambda dataset, size: dataset.alignment(size))


def test_a_network_of_the_users(tmp_path, tiny_facenet):
    path = tmp_path / "mine.onnx"
    onnx.save(tiny_facenet, path)
    inspection = described(path)
    assert inspection.refusal == ""
    assert inspection.file.opset == 17
    assert [str(info) for info in inspection.file.inputs] == ["input, float32 (batch, 3, 160, 160)"]
    adopted = inspection.adopted
    assert (adopted.size, adopted.dimensions) == (CropSize(160, 160), 32)
    assert adopted.stated is None
    assert [layer.quantized for layer in adopted.layers] == [True] * 5
    assert adopted.network.nodes < inspection.file.nodes
    table = inspection_table(inspection)
    assert "INT8          5 of 5 layers, 100 % of the multiply-adds" in table
    assert "normalisation the file does not say" in table
    assert "not tried     no pairs of faces at hand" in table
    # Converting it does not change what it is.
    assert onnx.load(path).SerializeToString() == tiny_facenet.SerializeToString()


def test_layers_that_stay_in_float(tmp_path):
    rng = np.random.default_rng(1)
    graph = GraphBuilder("attention")
    kernel = rng.normal(size=(32, 3, 8, 8)).astype(np.float32)
    x = graph.convolution("input", "stem", kernel, strides=(8, 8))
    x = graph.node("GlobalAveragePool", [x], "average")
    squared = graph.node("MatMul", [x, x], "product")
    x = graph.node("Flatten", [squared], "embedding")
    path = tmp_path / "net.onnx"
    onnx.save(graph.model({"input": ["batch", 3, 32, 32]}, {x: ["batch", 32]}), path)
    table = inspection_table(described(path))
    assert "INT8          1 of 2 layers" in table
    assert "float         product: " in table


def test_a_refused_network_is_described(tmp_path):
    graph = GraphBuilder("detector")
    kernel = np.ones((4, 3, 8, 8), np.float32)
    x = graph.convolution("input", "stem", kernel, strides=(8, 8))
    x = graph.node("Transpose", [x], "boxes", perm=[0, 2, 3, 1])
    path = tmp_path / "yolo.onnx"
    onnx.save(graph.model({"input": ["batch", 3, 32, 32]}, {x: ["batch", 4, 4, 4]}), path)
    inspection = described(path)
    assert inspection.adopted is None
    assert "must have one output that is an embedding" in inspection.refusal
    table = inspection_table(inspection)
    assert "refused" in table
    assert "lfw-eval detect" in table


@pytest.mark.parametrize("content", [b"", b"something else", b"\x89HDF\r\n\x1a\n damaged"])
def test_what_cannot_be_read(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"net\.onnx"):
        described(path)


def test_missing_weights(tmp_path, tiny_facenet):
    path = tmp_path / "net.onnx"
    model = onnx.ModelProto.FromString(tiny_facenet.SerializeToString())
    onnx.save(model, path, save_as_external_data=True, location="net.weights", size_threshold=0)
    assert described(path).file.files == ("net.weights",)
    assert "weights in net.weights" in inspection_table(described(path))
    (tmp_path / "net.weights").unlink()
    with pytest.raises(UserError, match=r"net\.weights.* does not exist"):
        described(path)


def test_changes_of_a_conversion(tmp_path):
    """Channels last, a fixed batch, and an output that is no embedding."""
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["nchw"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["cells"], ["embedding"]),
        helper.make_node("ReduceMean", ["cells"], ["age"], axes=[1, 2, 3]),
    ]
    shapes = {"image": [1, 32, 32, 3], "embedding": [1, 48], "age": [1, 1, 1, 1]}
    infos = {k: helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in shapes.items()}
    graph = helper.make_graph(nodes, "net", [infos["image"]], [infos["embedding"], infos["age"]])
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    table = " ".join(inspection_table(described(path)).split())
    assert "INT8 refused: no Conv" in table
    assert "crops 32x32, channels last, exported for a batch of 1" in table
    assert "input to channels first; the batch becomes dynamic; outputs left out: age" in table
