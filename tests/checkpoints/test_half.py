import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from calibration.quantize import QdqTypes, quantize
from calibration.scales import ScaleTable
from lfw_eval.checkpoints.checkpoint import save_model
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.half import half
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.cli.convert import convert_command
from lfw_eval.system.errors import UserError


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # ONNX Runtime 1.31 fuses a concatenation with float16 scales into a node that it then refuses.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: images})[0]


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def node_types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every node's output, by the node's name."""
    types = types_of(model)
    return {node.name: types[node.output[0]] for node in model.graph.node}


def quantized(network: onnx.ModelProto, amax: float = 6.0) -> onnx.ModelProto:
    tensors = ["input", *(name for node in network.graph.node for name in node.output)]
    table = ScaleTable(dict.fromkeys(tensors, amax), "entropy", "m", "i", 1)
    return quantize(network, table, QdqTypes(unsigned=False))


def test_all_layers_are_float16_and_both_ends_float32(network, images):
    converted = half(network)
    types = node_types(converted)
    assert [name for name, kind in types.items() if kind == TensorProto.FLOAT] == ["embedding.cast"]
    assert {t.data_type for t in converted.graph.initializer} == {TensorProto.FLOAT16}
    ends = (*converted.graph.input, *converted.graph.output)
    assert [end.type.tensor_type.elem_type for end in ends] == [TensorProto.FLOAT] * 2
    assert [end.name for end in ends] == ["input", "embedding"]
    assert converted.opset_import[0].version == network.opset_import[0].version
    a, b = run(network, images), run(converted, images)
    assert cosine(a, b).min() > 0.99999
    assert not np.array_equal(a, b)


def test_unfolded_network_ends_in_float32(tiny_facenet, images):
    converted = half(tiny_facenet)
    assert node_types(converted)["embedding"] == TensorProto.FLOAT, "after the last dense layer"
    assert cosine(run(tiny_facenet, images), run(converted, images)).min() > 0.99999


def test_standardisation_stays_float32(network):
    """The squares of a white and black image sum to far more than 65504."""
    crops = np.zeros((2, 160, 160, 3), np.uint8)
    crops[0, :, ::2] = 255
    crops[1, :80] = 255
    with_crops = accept_crops(network, "per-image")
    converted = half(with_crops)
    types = node_types(converted)
    assert types["crops_variance"] == types["crops_divisor"] == types["input"] == TensorProto.FLOAT
    assert types["stem_r"] == TensorProto.FLOAT16
    assert cosine(run(with_crops, crops), run(converted, crops)).min() > 0.99999


def test_quantised_network(network, images):
    model = quantized(network)
    converted = half(model)
    assert converted.opset_import[0].version == 19, "the first whose scales may be float16"
    types = types_of(converted)
    for node in converted.graph.node:
        if node.op_type == "QuantizeLinear":
            assert types[node.input[0]] == types[node.input[1]] == TensorProto.FLOAT16
        if node.op_type == "DequantizeLinear":
            assert types[node.output[0]] == types[node.input[1]] == TensorProto.FLOAT16
    before = {t.name: t for t in model.graph.initializer if t.name.endswith("kernel.quantized")}
    after = {t.name: t for t in converted.graph.initializer}
    assert before and all(after[name] == tensor for name, tensor in before.items())
    # Judged by the standard's own evaluator: ONNX Runtime before 1.30 quantises float16 coarsely,
    # which turns embeddings by 0.998.
    (embeddings,) = ReferenceEvaluator(converted).run(None, {"input": images})
    # What float16 rounds is small beside a step of INT8.
    assert cosine(run(model, images), embeddings).min() > 0.99999
    assert cosine(run(network, images), embeddings).min() > 0.99


@pytest.mark.parametrize("magnitude", [1, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-11])
def test_weights_with_small_scales(magnitude):
    """Scales below 6.1e-5 have few digits in float16, and below 3e-8 none; weights follow them."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(0, magnitude, (4, 3, 5, 5)).astype(np.float32)
    kernel[0] = rng.normal(0, 1, (3, 5, 5))
    graph = GraphBuilder("conv")
    output = graph.convolution("input", "conv", kernel)
    model = quantized(graph.model({"input": ["n", 3, 8, 8]}, {output: ["n", 4, 4, 4]}))

    def weights(model: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray]:
        constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        (node,) = (n for n in model.graph.node if n.output[0].startswith("conv.kernel"))
        levels, scale = (constants[name].astype(np.float64) for name in node.input[:2])
        return levels * scale.reshape(-1, 1, 1, 1), scale

    (expected, _), (halved, scale) = weights(model), weights(half(model))
    assert (scale > 0).all(), "TensorRT refuses zero"
    largest = np.abs(expected).max(axis=(1, 2, 3))
    error = np.abs(halved - expected).max(axis=(1, 2, 3))
    # Half a step where levels had to move, and the rounding of a scale where they did not.
    assert (error <= np.maximum(scale / 2, largest * 2**-11) * 1.0001).all()
    assert (scale <= np.maximum(largest / 127 * (1 + 2**-10), largest / 127 + 2**-24)).all()


def test_a_scale_of_zero_gives_zeros(network, images):
    model = quantized(network)
    scale = next(t for t in model.graph.initializer if t.name == "up.kernel.scale")
    scale.CopyFrom(numpy_helper.from_array(np.zeros(8, np.float32), scale.name))
    constants = {t.name: numpy_helper.to_array(t) for t in half(model).graph.initializer}
    assert (constants["up.kernel.scale.half"] > 0).all()
    assert not constants["up.kernel.quantized.rescaled"].any()


def test_weights_of_another_type_are_refused(network):
    model = quantized(network)
    zero = next(t for t in model.graph.initializer if t.name == "up.kernel.zero")
    levels = next(t for t in model.graph.initializer if t.name == "up.kernel.quantized")
    for tensor in (zero, levels):
        values = np.zeros(tensor.dims, np.float32)
        float8 = helper.make_tensor(
            tensor.name, TensorProto.FLOAT8E4M3FN, tensor.dims, values.ravel()
        )
        tensor.CopyFrom(float8)
    model.opset_import[0].version = 19
    model.ir_version = 9
    with pytest.raises(UserError, match=r"'up\.kernel\.quantized' is quantised to float8_e4m3fn"):
        half(model)


def conv_network(kernel: float, factor: float) -> onnx.ModelProto:
    """Two convolutions, and between them a factor that cannot be folded."""
    rng = np.random.default_rng(2)
    graph = GraphBuilder("constants")
    x = graph.convolution("input", "first", rng.normal(0, kernel, (4, 3, 1, 1)).astype(np.float32))
    x = graph.node("Relu", [x], "relu")
    constant = graph.constant("factor", np.array(factor, dtype=np.float32))
    x = graph.node("Mul", [x, constant], "scaled")
    x = graph.convolution(x, "second", rng.normal(0, 1, (4, 4, 1, 1)).astype(np.float32))
    return graph.model({"input": ["n", 3, 8, 8]}, {x: ["n", 4, 8, 8]})


@pytest.mark.parametrize(
    ("kernel", "factor", "float32_nodes"),
    [
        (1, 0.5, set()),
        (1e6, 1e-6, {"first", "scaled"}),
        (1, 1e-9, {"scaled"}),
        (1, 1e6, {"scaled"}),
    ],
)
def test_what_float16_cannot_hold_stays_float32(kernel, factor, float32_nodes):
    model = conv_network(kernel, factor)
    types = node_types(half(model))
    float32 = {n for n in ("first", "relu", "scaled", "second") if types[n] == TensorProto.FLOAT}
    assert float32 == float32_nodes


def test_kept_node_computes_in_float32():
    model = conv_network(1, 1e-9)
    images = np.random.default_rng(4).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
    scaled = onnx.ModelProto.FromString(model.SerializeToString())
    # Make up for the factor before float16 has to hold the product.
    kernel = next(t for t in scaled.graph.initializer if t.name == "second.kernel")
    large = numpy_helper.to_array(kernel) * np.float32(1e9)
    kernel.CopyFrom(numpy_helper.from_array(large, kernel.name))
    expected, outputs = run(scaled, images), run(half(scaled), images)
    np.testing.assert_allclose(outputs, expected, atol=0.01 * np.abs(expected).max())


def test_constants_in_nodes_become_float16(network, images):
    model = onnx.ModelProto.FromString(network.SerializeToString())
    kernel = next(t for t in model.graph.initializer if t.name == "stem.kernel")
    model.graph.node.insert(0, helper.make_node("Constant", [], [kernel.name], value=kernel))
    model.graph.initializer.remove(kernel)
    converted = half(model)
    assert types_of(converted)["stem.kernel.half"] == TensorProto.FLOAT16
    np.testing.assert_array_equal(run(converted, images), run(half(network), images))


def test_of_what_is_float16_already_nothing_changes(network):
    once = half(quantized(network))
    twice = half(once)
    assert [n.SerializeToString() for n in twice.graph.node] == [
        n.SerializeToString() for n in once.graph.node
    ]


def test_metadata_is_kept(network):
    model = quantized(network)
    helper.set_model_props(model, {"lfw_eval.normalisation": "fixed"})
    assert half(model).metadata_props == model.metadata_props


def test_scale_beyond_float16(network):
    with pytest.raises(
        UserError, match=r"'input\.scale' is 1e\+06, above float16's maximum of 65504"
    ):
        half(quantized(network, amax=127e6))


def test_branches_are_refused(network):
    model = onnx.ModelProto.FromString(network.SerializeToString())
    branch = helper.make_graph(
        [helper.make_node("Identity", ["embedding"], ["chosen"])],
        "branch",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, ["batch", 32])],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(
        helper.make_node(
            "If", ["yes"], ["out"], name="either", then_branch=branch, else_branch=branch
        )
    )
    model.graph.output[0].name = "out"
    with pytest.raises(UserError, match=r"node 'either' \(If\) branches"):
        half(model)


def test_convert_command(network, tmp_path):
    save_model(network, tmp_path / "fp32.onnx")
    save_model(quantized(network), tmp_path / "int8.onnx")
    for name, marker in (("fp32", "Conv"), ("int8", "DequantizeLinear")):
        output = tmp_path / f"{name}-fp16.onnx"
        convert_command(
            str(tmp_path / f"{name}.onnx"), output, normalisation="fixed", precision="fp16"
        )
        model = onnx.load(output)
        assert marker in {node.op_type for node in model.graph.node}
        assert TensorProto.FLOAT not in {t.data_type for t in model.graph.initializer}
        assert ("lfw_eval.normalisation", "fixed") in {
            (item.key, item.value) for item in model.metadata_props
        }


def test_facenet_on_crops(facenet, crops):
    network = accept_crops(onnx.load(facenet.model), facenet.normalisation)
    assert cosine(run(network, crops[:8]), run(half(network), crops[:8])).min() > 0.9999


def test_tensors_named_like_ours_stay_apart(network, images):
    """A user's tensor that ends in the suffix of float16 versions, read in float32."""
    model = onnx.ModelProto.FromString(network.SerializeToString())
    first = model.graph.node[0].output[0]
    for name, factor in (("large", -1e6), ("small", -1e-6)):
        values = np.array(factor, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    steps = [
        helper.make_node("Identity", [first], [f"{first}.half"], name="same"),
        helper.make_node("Mul", [f"{first}.half", "large"], ["up"], name="up"),
        helper.make_node("Mul", ["up", "small"], ["down"], name="down"),
    ]
    rest = [onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node[1:]]
    for node in rest:
        node.input[:] = ["down" if name == first else name for name in node.input]
    del model.graph.node[1:]
    model.graph.node.extend(steps + rest)
    onnx.checker.check_model(model, full_check=True)
    assert cosine(run(half(model), images), run(network, images)).min() > 0.999


def test_operators_of_unknown_types_are_refused(network):
    model = onnx.ModelProto.FromString(network.SerializeToString())
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type, relu.domain, relu.name = "Gelu", "com.microsoft", "act"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del model.graph.value_info[:]
    with pytest.raises(UserError, match=r"node 'act' \(Gelu\) is no standard operator"):
        half(model)
