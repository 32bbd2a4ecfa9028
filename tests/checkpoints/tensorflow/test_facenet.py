import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow_facenet
from tensorflow_files import (
    ROOT,
    constant,
    epsilon,
    facenet_weights,
    field,
    graph_def,
    node,
    saved_model,
    shape_proto,
    write_bundle,
)

from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.checkpoints.conversion import convert, normalisation_of
from lfw_eval.sources import checkpoints, fetch
from lfw_eval.system.errors import UserError

SCOPE = f"{ROOT}/Repeat/block35_3"


@pytest.fixture
def refusal(tmp_path):
    """What is said of a frozen graph."""

    def refuse(content: bytes) -> str:
        (tmp_path / "mine.pb").write_bytes(content)
        with pytest.raises(UserError) as error:
            convert(tmp_path / "mine.pb")
        return error.value.problem

    return refuse


@pytest.mark.parametrize(("dimensions", "implied"), [(128, "per-image"), (512, "fixed")])
def test_weights_by_their_names(dimensions, implied, tmp_path):
    weights = facenet_weights(dimensions=dimensions)
    (tmp_path / "mine.pb").write_bytes(graph_def(weights, epsilon(1e-3)))
    model = convert(tmp_path / "mine.pb", fold=False)
    assert normalisation_of(model) == implied
    assert convert(tmp_path / "mine.pb", normalisation="arcface", fold=False) != model
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    kernel = weights[f"{ROOT}/Repeat_1/block17_10/Branch_1/Conv2d_0b_1x7/weights"]
    np.testing.assert_array_equal(
        constants["repeat_2.9.branch1.1.conv.kernel"], kernel.transpose(3, 2, 0, 1)
    )
    mean = weights[f"{ROOT}/Bottleneck/BatchNorm/moving_mean"]
    np.testing.assert_array_equal(constants["last_bn.mean"], mean)
    write_bundle(tmp_path / "model.ckpt-1", weights)
    assert convert(tmp_path / "model.ckpt-1", fold=False) == model
    (tmp_path / "saved_model.pb").write_bytes(saved_model(graph_def({})))
    (tmp_path / "variables").mkdir()
    write_bundle(tmp_path / "variables" / "variables", weights)
    assert convert(tmp_path, fold=False) == model


def test_a_folder_is_opened_from_inside(tmp_path, monkeypatch):
    folder = tmp_path / "20180402-114759"
    folder.mkdir()
    write_bundle(folder / "model-20180402-114759.ckpt-275", facenet_weights(dimensions=512))
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(folder)
    checkpoint = open_checkpoint(".")
    assert checkpoint.name == "20180402-114759"
    assert checkpoint.normalisation == "fixed"
    before = checkpoint.source_sha256
    write_bundle(folder / "model-20180402-114759.ckpt-276", facenet_weights(dimensions=128))
    assert open_checkpoint(".").source_sha256 != before


def test_normalisation_of_other_dimensions_must_be_stated(refusal):
    content = graph_def(facenet_weights(dimensions=256))
    assert "does not state how crops are normalised" in refusal(content)


def test_trained_gammas_are_used(tmp_path):
    weights = facenet_weights()
    gamma = np.array([3, 4], np.float32)
    weights[f"{ROOT}/Conv2d_1a_3x3/BatchNorm/gamma"] = gamma
    (tmp_path / "mine.pb").write_bytes(graph_def(weights))
    model = convert(tmp_path / "mine.pb", normalisation="fixed", fold=False)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    np.testing.assert_array_equal(constants["conv2d_1a.bn.gamma"], gamma)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (epsilon(1e-5), "FusedBatchNorm adds to variances 1e-05, not 0.001"),
        (node(f"{ROOT}/Conv2d_1a_3x3/LeakyRelu", "LeakyRelu"), "is a LeakyRelu, not a ReLU"),
        (constant(f"{SCOPE}/mul/x", np.float32([0.3])), "multiplies a block by 0.3, not 0.17"),
        (
            constant(f"{ROOT}/Bottleneck/BatchNorm/batchnorm/add/y", np.float32([0.01])),
            "adds to variances 0.01, not 0.001",
        ),
    ],
)
def test_graphs_that_compute_something_else(other, message, refusal):
    assert message in refusal(graph_def(facenet_weights(), other))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 2, 2, 1), "has the shape [1, 1, 2, 2, 1]"),
        ((3, 3, 0, 2), "has the shape [3, 3, 0, 2]"),
        ((1, 1, 2, 2), "Conv2d_2b_3x3 has a kernel of 1x1"),
        ((3, 3, 5, 2), "do not fit together as Inception-ResNet-v1 (conv2d_2b.conv takes 5"),
        ((2**20, 2**20, 1, 1), "more than 134,217,728 weights"),
    ],
)
def test_weights_of_other_shapes(shape, message, refusal):
    tensor = field(1, 1) + field(2, shape_proto(shape)) + field(5, bytes(4))
    weight = constant(f"{ROOT}/Conv2d_2b_3x3/weights", tensor)
    assert message in refusal(graph_def(facenet_weights(), weight))


def test_graphs_that_lack_weights(refusal):
    weights = facenet_weights()
    name = f"{ROOT}/Bottleneck/weights"
    weight = weights.pop(name)
    assert f"is not facenet's Inception-ResNet-v1: it has no weight {name}" in refusal(
        graph_def(weights)
    )
    assert f"is not a frozen graph: {name} is a VariableV2 without a value" in refusal(
        graph_def(weights, node(name, "VariableV2"))
    )
    weights[name] = weight.astype(np.int32)
    assert f"{name} is not stored as plain floating-point numbers" in refusal(graph_def(weights))
    assert "it is cut off or damaged" in refusal(graph_def(weights)[:-1])


def keras_weight(file: h5py.File, name: str) -> np.ndarray:
    """A weight of Keras' FaceNet, which was made of 20170512-110547, by its name there."""
    name = re.sub(r"Repeat(_\d)?/b", "B", name.removeprefix(f"{ROOT}/"))
    name = name.replace("Block8/", "Block8_6/")
    *scope, weight = name.split("/")
    weight = {"weights": "kernel", "biases": "bias"}.get(weight, weight)
    layer = "_".join(scope)
    return file["model_weights"][layer][layer][f"{weight}:0"][:]


def test_the_published_network_is_the_same_in_both_formats(facenet, tmp_path):
    collection = checkpoints()
    with h5py.File(fetch(collection.entry(DEFAULT), collection)) as file:
        weights = {name: keras_weight(file, name) for name in facenet_weights()}
    (tmp_path / "20170512-110547.pb").write_bytes(graph_def(weights))
    model = convert(tmp_path / "20170512-110547.pb")
    assert normalisation_of(model) == facenet.normalisation
    images = np.random.default_rng(0).normal(size=(2, 3, 160, 160)).astype(np.float32)
    embeddings = [embed(network, images) for network in (model, onnx.load(facenet.model))]
    np.testing.assert_allclose(*embeddings, rtol=0, atol=1e-6)


def embed(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Embeddings of length 1."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (embeddings,) = session.run(None, {model.graph.input[0].name: images})
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def tensorflow(request) -> Path:
    """A Python with TensorFlow, which takes a minute and a gigabyte once."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = request.config.cache.mkdir("tensorflow") / version
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.is_file():
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "tensorflow-cpu"]
        pip = subprocess.run(install, capture_output=True, text=True, check=False)
        if pip.returncode:
            pytest.skip(f"TensorFlow cannot be installed: {pip.stderr.strip().splitlines()[-1]}")
        complete.touch()
    return python


@pytest.fixture(scope="module")
def written(tensorflow, tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tensorflow")
    # Without the path that our modules are found by.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for part in ("graphs", "objects"):
        command = [tensorflow, tensorflow_facenet.__file__, part, folder]
        subprocess.run(command, check=True, env=environment, capture_output=True)
    yield folder
    shutil.rmtree(folder)  # some 700 MB, of which pytest would leave three


@pytest.mark.parametrize(
    ("name", "dimensions"),
    [
        ("facenet512.pb", 512),
        ("facenet128.pb", 128),
        ("constants", 512),
        ("variables", 512),
        ("variables/saved_model.pb", 512),
        ("model-2018.ckpt-275", 512),
        ("model-2018.ckpt-275.index", 512),
        ("model-2018.meta", 512),
        ("objects", 512),
    ],
)
def test_embeddings_are_tensorflow_s(name, dimensions, written):
    model = convert(written / name)
    expected = np.load(written / f"facenet{dimensions}.npz")
    embeddings = embed(model, expected["crops"].transpose(0, 3, 1, 2))
    # Embeddings that do not differ would prove little.
    cosines = expected["embeddings"] @ expected["embeddings"].T
    assert np.abs(cosines - np.eye(len(cosines))).max() < 0.95
    np.testing.assert_allclose(embeddings, expected["embeddings"], rtol=0, atol=1e-5)
    assert normalisation_of(model) == ("fixed" if dimensions == 512 else "per-image")
