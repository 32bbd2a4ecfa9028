import numpy as np
import onnx
import onnxruntime
import pytest

from calibration.activations import Observer
from calibration.histogram import Histogram
from calibration.quantize import QdqTypes, coverage, quantize
from calibration.scales import ScaleTable, observed_tensors
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.system.errors import UserError


def run(model: onnx.ModelProto, images: np.ndarray, *names: str) -> list[np.ndarray]:
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(list(names) or None, {model.graph.input[0].name: images})


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    coarse = np.random.default_rng(5).normal(size=(32, 3, 8, 8))
    return coarse.repeat(20, axis=2).repeat(20, axis=3).astype(np.float32)


def exposing_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model behind an Identity, so that its input is some node's output too."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    node = onnx.helper.make_node("Identity", ["images"], ["input"])
    model.graph.node.insert(0, node)
    model.graph.input[0].name = "images"
    return model


@pytest.fixture(scope="module")
def table(network, images, scale_table) -> ScaleTable:
    batches = [{"images": images[start : start + 8]} for start in range(0, len(images), 8)]
    return scale_table(network, exposing_input(network), batches)


def test_observer_sees_every_tensor(network, images, table):
    for name in observed_tensors(network)[1:]:
        (values,) = run(network, images, name)
        assert 0 < table.amax[name] <= np.abs(values).max() * 1.3, name
    assert table.amax["input"] == pytest.approx(np.abs(images).max(), rel=0.5)


def test_observer_names_the_tensor_with_nan(network, images):
    observer = Observer(exposing_input(network), ["stem_r"])
    with pytest.raises(UserError, match="tensor 'stem_r'"):
        observer.observe({"images": np.full_like(images[:1], np.inf)}, {"stem_r": Histogram(1.0)})


@pytest.mark.parametrize("unsigned", [True, False])
def test_embeddings_stay_close(network, images, table, unsigned):
    quantized = quantize(network, table, QdqTypes(unsigned))
    (a,), (b,) = run(network, images), run(quantized, images)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.99
    assert not np.array_equal(a, b)


def test_float_weights_are_the_same_network(network, images, table):
    small = quantize(network, table, QdqTypes(unsigned=False))
    large = quantize(network, table, QdqTypes(unsigned=False, float_weights=True))
    np.testing.assert_array_equal(run(large, images)[0], run(small, images)[0])
    stored = {tensor.name: tensor.data_type for tensor in large.graph.initializer}
    assert stored["up.kernel"] == onnx.TensorProto.FLOAT
    assert "up.kernel.quantized" not in stored


def test_placement(network, table):
    quantized = quantize(network, table, QdqTypes(unsigned=False))
    makers = {node.output[0]: node for node in quantized.graph.node}
    constants = {tensor.name: tensor for tensor in quantized.graph.initializer}
    for node in quantized.graph.node:
        sources = [makers.get(name) for name in node.input]
        kinds = [source.op_type if source else None for source in sources]
        if node.op_type in ("Conv", "Gemm"):
            assert kinds[:2] == ["DequantizeLinear"] * 2, node.name
            assert kinds[2] is None, "biases stay float"
            weights = constants[sources[1].input[0]]
            assert weights.data_type == onnx.TensorProto.INT8
            assert len(onnx.numpy_helper.to_array(constants[sources[1].input[1]])) > 1
        if node.op_type == "Add":
            assert kinds == ["DequantizeLinear", "Conv"], "the convolution's side is fused"
        if node.op_type in ("Concat", "MaxPool"):
            assert set(kinds) == {"DequantizeLinear"}
    assert quantized.graph.node[-1].op_type == "Gemm", "nothing after the last dense layer"


def test_concatenation_and_pooling_share_one_scale(network, table):
    quantized = quantize(network, table, QdqTypes(unsigned=False))
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in quantized.graph.initializer}
    scales = {constants[f"{name}.scale"].item() for name in ("left_r", "right_r", "joined")}
    assert len(scales) == 1
    amax = max(table.amax[name] for name in ("left_r", "right_r", "joined"))
    assert scales.pop() == pytest.approx(amax / 127)


def test_unsigned_only_where_never_negative(network, table):
    quantized = quantize(network, table, QdqTypes(unsigned=True))
    zeros = {t.name: t.data_type for t in quantized.graph.initializer if t.name.endswith(".zero")}
    assert zeros["input.zero"] == onnx.TensorProto.INT8
    assert zeros["stem_r.zero"] == zeros["joined.zero"] == onnx.TensorProto.UINT8


def test_a_table_that_lacks_tensors(network, table, images):
    """The layers around them stay float; a tensor with a shared scale needs none of its own."""
    every = coverage(network, table)
    assert every.unscaled == every.readers == ()
    assert {"input", "stem_r", "joined", "flat"} <= set(every.scaled)
    amax = {k: v for k, v in table.amax.items() if k not in ("flat", "input", "joined")}
    lacking = ScaleTable(amax, "entropy", "m", "i", 1)
    covered = coverage(network, lacking)
    assert covered.unscaled == ("input", "flat")
    assert set(covered.scaled) == set(every.scaled) - {"input", "flat"}
    assert covered.readers == (network.graph.node[0].name, network.graph.node[-1].name)
    quantized = quantize(network, lacking, QdqTypes(unsigned=False), covered.readers)
    assert np.isfinite(run(quantized, images)[0]).all()
    read = {node.input[0] for node in quantized.graph.node if node.op_type == "QuantizeLinear"}
    assert read == set(covered.scaled)


def test_missing_tensor_is_named(network, table):
    amax = {k: v for k, v in table.amax.items() if k != "flat"}
    with pytest.raises(UserError, match="'flat'"):
        quantize(network, ScaleTable(amax, "entropy", "m", "i", 1), QdqTypes(False))


def test_tensor_that_is_always_zero(network, table, images):
    amax = {**table.amax, "flat": 0.0}
    quantized = quantize(network, ScaleTable(amax, "entropy", "m", "i", 1), QdqTypes(False))
    assert np.isfinite(run(quantized, images)[0]).all()


def test_dense_weights_either_way_round(network, table, images):
    """`Gemm` with transposed weights, without, and `MatMul` quantise to the same numbers."""
    expected = run(quantize(network, table, QdqTypes(False)), images)[0]
    for operator in ("Gemm", "MatMul"):
        model = onnx.ModelProto.FromString(network.SerializeToString())
        dense = model.graph.node[-1]
        weights = next(t for t in model.graph.initializer if t.name == dense.input[1])
        turned = onnx.numpy_helper.to_array(weights).T.copy()
        weights.CopyFrom(onnx.numpy_helper.from_array(turned, weights.name))
        del dense.attribute[:]
        if operator == "MatMul":
            source, kernel, bias = dense.input
            del model.graph.node[-1]
            model.graph.node.extend(
                [
                    onnx.helper.make_node("MatMul", [source, kernel], ["product"], name="product"),
                    onnx.helper.make_node(
                        "Add", ["product", bias], ["embedding"], name="embedding"
                    ),
                ]
            )
        outputs = run(quantize(model, table, QdqTypes(False)), images)[0]
        np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_shapes_are_neither_observed_nor_quantised():
    rng = np.random.default_rng(4)
    graph = GraphBuilder("shapes")
    kernel = rng.normal(0, 0.1, (8, 3, 8, 8)).astype(np.float32)
    x = graph.convolution("input", "stem", kernel, strides=(8, 8))
    x = graph.node("GlobalAveragePool", [x], "average")
    zero, rest = (graph.constant(f"c{value}", np.array([value])) for value in (0, -1))
    batch = graph.node("Gather", [graph.node("Shape", [x], "shape"), zero], "batch")
    x = graph.node("Reshape", [x, graph.node("Concat", [batch, rest], "target", axis=0)], "flat")
    weights = graph.constant("dense.w", rng.normal(size=(32, 8)).astype(np.float32))
    x = graph.node("Gemm", [x, weights], "dense", transB=1)
    model = graph.model({"input": ["batch", 3, 160, 160]}, {x: ["batch", 32]})
    observed = observed_tensors(model)
    assert observed == ["input", "stem", "average", "flat", "dense"]
    table = ScaleTable(dict.fromkeys(observed, 4.0), "entropy", "m", "i", 8)
    network = quantize(model, table, QdqTypes(unsigned=True))
    onnx.checker.check_model(network, full_check=True)
    read = {node.input[0] for node in network.graph.node if node.op_type == "QuantizeLinear"}
    assert read == {"input", "flat"}
