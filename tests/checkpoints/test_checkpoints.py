import json
from contextlib import suppress

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
from damage import damaged
from facenet_pytorch_like import state_dict
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from scipy.signal import correlate

from lfw_eval.checkpoints.checkpoint import image_shape
from lfw_eval.checkpoints.conversion import convert, normalisation_of
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.inception_resnet_v1 import convert_state_dict
from lfw_eval.checkpoints.keras_h5 import convert_keras
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.system.errors import UserError


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: values})[0]


class LayerNormalization(OpRun):
    """What the standard defines: float32, with sums that lose nothing.

    ONNX Runtime before 1.30 subtracts large float32 sums, and is NaN for a picture of one colour.
    """

    def _run(self, x, scale, bias=None, *, axis, epsilon, **attributes):
        axes = tuple(range(axis, x.ndim))
        mean = x.mean(axes, np.float64, keepdims=True).astype(x.dtype)
        variance = ((x - mean) ** 2).mean(axes, np.float64, keepdims=True)
        y = (x - mean) / np.sqrt(variance + epsilon) * scale
        return ((y if bias is None else y + bias).astype(x.dtype),)


def run_by_the_standard(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    evaluator = ReferenceEvaluator(model, new_ops=[LayerNormalization])
    return evaluator.run(None, {model.graph.input[0].name: values})[0]


def layer(kind: str, name: str, inputs: list[str], **config: object) -> dict:
    nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": nodes}


def convolution(name: str, source: str, **config: object) -> dict:
    defaults = {"padding": "same", "strides": [1, 1], "activation": "linear"}
    return layer("Conv2D", name, [source], **{**defaults, **config})


LAYERS = [
    layer("InputLayer", "input_1", [], batch_input_shape=[None, 12, 12, 3]),
    convolution("stem", "input_1", padding="valid", strides=[2, 2]),
    layer("BatchNormalization", "stem_BatchNorm", ["stem"], epsilon=0.001),
    layer("Activation", "stem_Activation", ["stem_BatchNorm"], activation="relu"),
    layer("MaxPooling2D", "pool", ["stem_Activation"], padding="valid", pool_size=[3, 3],
          strides=[1, 1]),
    convolution("wide", "pool"),
    layer("Concatenate", "cat", ["pool", "wide"], axis=3),
    convolution("up", "cat"),
    layer("Lambda", "sum", ["pool", "up"], function=["never loaded"], arguments={"scale": 0.17}),
    layer("GlobalAveragePooling2D", "AvgPool", ["sum"]),
    layer("Dropout", "Dropout", ["AvgPool"]),
    layer("Dense", "Bottleneck", ["Dropout"]),
    layer("BatchNormalization", "Bottleneck_BatchNorm", ["Bottleneck"], epsilon=0.001),
]  # fmt: skip
SHAPES = {
    "stem": {"kernel": (3, 3, 3, 4)},
    "stem_BatchNorm": {"beta": (4,), "moving_mean": (4,), "moving_variance": (4,)},
    "wide": {"kernel": (1, 3, 4, 5)},
    "up": {"kernel": (1, 1, 9, 4), "bias": (4,)},
    "Bottleneck": {"kernel": (4, 6)},
    "Bottleneck_BatchNorm": {"beta": (6,), "moving_mean": (6,), "moving_variance": (6,)},
}


@pytest.fixture(scope="module")
def weights() -> dict:
    rng = np.random.default_rng(1)
    return {
        name: {key: rng.uniform(0.1, 1, shape).astype(np.float32) for key, shape in parts.items()}
        for name, parts in SHAPES.items()
    }


def write_h5(path, weights, layers=LAYERS):
    config = {"layers": layers, "output_layers": [["Bottleneck_BatchNorm", 0, 0]]}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config})
        group = file.create_group("model_weights")
        for item in layers:
            parts = weights.get(item["name"], {})
            names = [f"{item['name']}/{key}:0" for key in parts]
            layer_group = group.create_group(item["name"])
            layer_group.attrs["weight_names"] = [name.encode() for name in names]
            for name, values in zip(names, parts.values(), strict=True):
                layer_group[name] = values
    return path


def reference(weights: dict, image: np.ndarray) -> np.ndarray:
    """The network of LAYERS on one (12, 12, 3) image, channels last, by its definition."""

    def conv(x, name, mode):
        kernel = weights[name]["kernel"]
        outputs = np.zeros((*x.shape[:2], kernel.shape[3]))
        planes = [
            sum(correlate(x[..., i], kernel[..., i, o], mode) for i in range(x.shape[2]))
            for o in range(outputs.shape[2])
        ]
        return np.stack(planes, axis=2) + weights[name].get("bias", 0)

    def norm(x, name):
        part = weights[name]
        return (x - part["moving_mean"]) / np.sqrt(part["moving_variance"] + 1e-3) + part["beta"]

    x = np.maximum(norm(conv(image, "stem", "valid")[::2, ::2], "stem_BatchNorm"), 0)
    x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1)).max(axis=(3, 4))
    wide = np.concatenate([x, conv(x, "wide", "same")], axis=2)
    x = x + 0.17 * conv(wide, "up", "same")
    return norm(x.mean(axis=(0, 1)) @ weights["Bottleneck"]["kernel"], "Bottleneck_BatchNorm")


@pytest.mark.parametrize("fold", [True, False])
def test_keras_layers_compute_what_they_define(tmp_path, weights, fold):
    model = convert(write_h5(tmp_path / "net.h5", weights), fold=fold)
    images = np.random.default_rng(2).normal(size=(3, 12, 12, 3)).astype(np.float32)
    expected = [reference(weights, image) for image in images]
    outputs = run(model, images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    assert normalisation_of(model) == "per-image"
    tensors = {node.output[0] for node in model.graph.node}
    names = {item["name"] for item in LAYERS}
    if fold:
        assert {"stem_BatchNorm", "sum_x", "Bottleneck_BatchNorm"} <= tensors
        assert not {"stem", "up", "Bottleneck"} & tensors
        assert not any(node.op_type in ("BatchNormalization", "Mul") for node in model.graph.node)
    else:
        assert names - {"input_1", "Dropout"} <= tensors


@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        (3, {"activation": "swish"}, "activation swish"),
        (5, {"strides": [2, 2]}, "'same' padding with a stride"),
        (8, {"arguments": {}}, r"other than x \+ s\*y"),
    ],
)
def test_keras_layers_unknown_here(tmp_path, weights, index, change, message):
    layers = [dict(item) for item in LAYERS]
    layers[index]["config"] = {**layers[index]["config"], **change}
    with pytest.raises(UserError, match=message):
        convert(write_h5(tmp_path / "net.h5", weights, layers))
    layers[index]["class_name"] = "Attention"
    with pytest.raises(UserError, match="Attention"):
        convert(write_h5(tmp_path / "net2.h5", weights, layers))


def test_truncated_h5(tmp_path, weights):
    path = write_h5(tmp_path / "net.h5", weights)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"net\.h5 is not a complete Keras HDF5 checkpoint"):
        convert(path)


def test_h5_that_claims_a_huge_array(tmp_path, weights):
    path = write_h5(tmp_path / "net.h5", weights)
    with h5py.File(path, "a") as file:
        del file["model_weights/up/up/kernel:0"]
        file.create_dataset(
            "model_weights/up/up/kernel:0", (1 << 20, 1 << 20, 9, 4), "f4", chunks=(64, 64, 9, 4)
        )
    with pytest.raises(UserError, match="not a complete Keras HDF5 checkpoint"):
        convert(path)


@pytest.mark.slow
def test_h5_on_which_libhdf5_loops_or_takes_all_memory(cases):
    for name in ("h5-hang.h5", "h_huge.h5"):
        with pytest.raises(UserError, match=rf"{name} is not a complete Keras HDF5 checkpoint"):
            convert(cases / name)


@pytest.mark.slow
def test_damaged_h5(tmp_path, weights):
    content = write_h5(tmp_path / "net.h5", weights).read_bytes()
    for seed in range(40):
        (tmp_path / "damaged.h5").write_bytes(damaged(content, seed))
        with suppress(UserError):
            convert_keras(tmp_path / "damaged.h5")


def test_folding_changes_nothing_but_the_nodes(tiny_facenet):
    images = np.random.default_rng(0).normal(size=(4, 3, 160, 160)).astype(np.float32)
    folded = fold_affine(tiny_facenet)
    np.testing.assert_allclose(run(folded, images), run(tiny_facenet, images), atol=1e-5)
    assert len(folded.graph.node) == len(tiny_facenet.graph.node) - 5
    assert folded.graph.output[0].name == tiny_facenet.graph.output[0].name


def test_no_folding_of_a_tensor_that_something_else_reads(tiny_facenet):
    model = onnx.ModelProto.FromString(tiny_facenet.SerializeToString())
    model.graph.output.append(onnx.helper.make_tensor_value_info("stem", 1, ["n", 8, 39, 39]))
    folded = fold_affine(model)
    assert "stem" in {node.output[0] for node in folded.graph.node}
    assert "stem_bn" in {node.name for node in folded.graph.node}


@pytest.mark.parametrize("layer_normalisation", [False, True])
def test_per_image_normalisation_in_the_graph(tiny_facenet, crops, layer_normalisation):
    flat = np.full((2, 160, 160, 3), 77, np.uint8)
    flat[1, 80, 80, 1] += 1
    x = np.concatenate([crops[:3], crops[:3] // 100 + 3, flat]).astype(np.float32)
    std = np.maximum(x.std(axis=(1, 2, 3), keepdims=True), 1 / np.sqrt(x[0].size))
    wanted = ((x - x.mean(axis=(1, 2, 3), keepdims=True)) / std).transpose(0, 3, 1, 2)
    model = accept_crops(tiny_facenet, "per-image", layer_normalisation=layer_normalisation)
    operators = {node.op_type for node in model.graph.node}
    assert ("LayerNormalization" in operators) == layer_normalisation
    expected = run(tiny_facenet, wanted.astype(np.float32))
    evaluate = run_by_the_standard if layer_normalisation else run
    embeddings = evaluate(model, x.astype(np.uint8))
    np.testing.assert_allclose(embeddings, expected, atol=2e-4)


def test_layer_normalisation_is_for_operator_sets_that_have_it(tiny_facenet):
    older = onnx.version_converter.convert_version(tiny_facenet, 16)
    model = accept_crops(older, "per-image", layer_normalisation=True)
    assert "LayerNormalization" not in {node.op_type for node in model.graph.node}


def test_fixed_normalisation_in_the_graph(tiny_facenet, crops):
    wanted = ((crops.astype(np.float32) - 127.5) / 128).transpose(0, 3, 1, 2)
    model = accept_crops(tiny_facenet, "fixed")
    np.testing.assert_allclose(run(model, crops), run(tiny_facenet, wanted), atol=1e-5)


def users(model: onnx.ModelProto, batch: int | None = None) -> onnx.ModelProto:
    """A copy with other names, as another exporter would give, and a fixed batch."""
    text = model.SerializeToString()
    model = onnx.ModelProto.FromString(text)
    for node in model.graph.node:
        node.input[:] = ["images:0" if name == "input" else name for name in node.input]
    model.graph.input[0].name = "images:0"
    del model.graph.value_info[:]
    if batch:
        for info in (model.graph.input[0], model.graph.output[0]):
            info.type.tensor_type.shape.dim[0].dim_value = batch
    return model


@pytest.mark.parametrize("batch", [None, 1])
def test_users_onnx_is_found_from_the_graph(tmp_path, tiny_facenet, batch):
    onnx.save(users(tiny_facenet, batch), tmp_path / "mine.onnx")
    with pytest.raises(UserError, match="`normalisation`: per-image, fixed"):
        convert(tmp_path / "mine.onnx")
    model = convert(tmp_path / "mine.onnx", normalisation="fixed")
    images = np.random.default_rng(0).normal(size=(5, 3, 160, 160)).astype(np.float32)
    np.testing.assert_allclose(run(model, images), run(tiny_facenet, images), atol=1e-5)
    assert model.graph.input[0].name == "images:0"
    assert normalisation_of(model) == "fixed"
    onnx.save(model, tmp_path / "converted.onnx")
    assert normalisation_of(convert(tmp_path / "converted.onnx")) == "fixed"


def test_users_channels_last_onnx(tmp_path, tiny_facenet):
    model = users(tiny_facenet)
    to_first = onnx.helper.make_node("Transpose", ["nhwc"], ["images:0"], perm=[0, 3, 1, 2])
    model.graph.node.insert(0, to_first)
    shape = ["n", 160, 160, 3]
    del model.graph.input[:]
    model.graph.input.append(onnx.helper.make_tensor_value_info("nhwc", 1, shape))
    onnx.save(model, tmp_path / "mine.onnx")
    converted = convert(tmp_path / "mine.onnx", normalisation="fixed")
    images = np.random.default_rng(0).normal(size=(2, 3, 160, 160)).astype(np.float32)
    np.testing.assert_allclose(run(converted, images), run(tiny_facenet, images), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"), [("mine.h5", r"Keras \.h5"), ("mine.PT", r"PyTorch \.pt")]
)
@pytest.mark.parametrize("content", [b"no model at all", b""])
def test_junk_is_called_what_its_suffix_says(name, kind, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    message = f"{name} is not a readable checkpoint: its suffix says {kind}, but its content is"
    with pytest.raises(UserError, match=message):
        convert(tmp_path / name)


def test_users_onnx_that_will_not_do(tmp_path, tiny_facenet):
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"no model at all")
    with pytest.raises(UserError, match=r"mine\.onnx is not a valid ONNX network: it is truncated"):
        convert(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"mine\.onnx"):
        convert(path)
    onnx.save(tiny_facenet, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"mine\.onnx"):
        convert(path)
    model = users(tiny_facenet)
    model.graph.output.append(onnx.helper.make_tensor_value_info("dense", 1, ["n", 32]))
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"one output .* embedding \[0, 32\], dense \[0, 32\]"):
        convert(path, normalisation="fixed")
    for height, width in ((0, 112), (112, 31), (8, 8)):
        small = users(tiny_facenet)
        for axis, size in ((2, height), (3, width)):
            small.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
        onnx.save(small, path)
        with pytest.raises(UserError, match=r"but has images.*; give a network of face crops"):
            convert(path, normalisation="fixed")


@pytest.mark.parametrize("size", [(112, 112), (112, 96), (128, 160)])
def test_users_onnx_of_any_size(size, tiny_facenet, tmp_path):
    model = users(tiny_facenet)
    for dimension, pixels in zip(
        model.graph.input[0].type.tensor_type.shape.dim[2:], size, strict=True
    ):
        dimension.dim_value = pixels
    onnx.save(model, tmp_path / "arcface.onnx")
    converted = convert(tmp_path / "arcface.onnx", normalisation="arcface")
    assert image_shape(converted) == (*size, 3)
    crops = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    images = ((crops.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
    fed = run(accept_crops(converted, "arcface"), crops)
    np.testing.assert_allclose(fed, run(converted, images), atol=1e-5)
    raw = crops.astype(np.float32).transpose(0, 3, 1, 2)
    fed = run(accept_crops(converted, "none"), crops)
    np.testing.assert_allclose(fed, run(converted, raw), rtol=1e-5)


@pytest.mark.slow
def test_facenet_pytorch_state_dict():
    """Every weight has its place; benchmarks/conversion_parity.py compares with PyTorch."""
    weights = state_dict()
    model = convert_state_dict({**weights, "logits.weight": np.zeros((2, 512), np.float32)})
    used = len(model.graph.initializer)
    scales = 5 + 10 + 6
    assert used == len(weights) + scales
    images = np.random.default_rng(0).normal(size=(2, 3, 160, 160)).astype(np.float32)
    embeddings = run(fold_affine(model), images)
    assert embeddings.shape == (2, 512)
    np.testing.assert_allclose(embeddings, run(model, images), atol=1e-3)
    del weights["repeat_2.7.conv2d.bias"]
    with pytest.raises(KeyError, match=r"repeat_2\.7\.conv2d\.bias"):
        convert_state_dict(weights)


def test_default_checkpoint_has_the_layers_of_a_genuine_cache(facenet, golden):
    lines = (golden / "facenet_keras_trt8600_entropy2.cache").read_text().splitlines()[1:]
    cached = {line.rpartition(": ")[0] for line in lines}
    source = onnx.load(facenet.model)
    folded = {node.output[0] for node in source.graph.node} | {"input"}
    assert folded <= cached
    assert facenet.normalisation == "per-image"
