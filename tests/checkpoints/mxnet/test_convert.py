import subprocess
import sys
from pathlib import Path

import mxnet_files
import numpy as np
import onnx
import onnxruntime
import pytest
from command import REPOSITORY
from isolated_packages import environment
from mxnet_files import write

from lfw_eval.checkpoints.conversion import convert, normalisation_of, source_sha256
from lfw_eval.checkpoints.mxnet.convert import convert_mxnet
from lfw_eval.system.errors import UserError


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: images})[0]


@pytest.fixture(scope="module")
def genuine(tmp_path_factory) -> Path:
    """Checkpoints that MXNet wrote, with the embeddings that it computed."""
    tag = sys.implementation.cache_tag
    wheels = ["mxnet==1.9.1", "numpy<1.24"]
    folder = environment(f"mxnet/1.9.1-{tag}", wheels, skip="no MXNet here")
    files = tmp_path_factory.mktemp("mxnet")
    script = REPOSITORY / "tests" / "builders" / "mxnet_networks.py"
    done = subprocess.run(
        [folder / "bin" / "python", script, files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return files


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "normalisation"),
    [
        ("mobilefacenet", (112, 112), "none"),
        ("iresnet", (112, 96), "none"),
        ("half", (112, 112), "none"),
        ("in-training", (128, 128), "none"),
        ("other-operators", (50, 40), "unit"),
    ],
)
def test_what_mxnet_writes_gives_its_embeddings(genuine, name, size, normalisation):
    stated = normalisation if name == "other-operators" else None
    model = convert(genuine / f"{name}-0000.params", normalisation=stated)
    assert normalisation_of(model) == normalisation
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [dimension.dim_value for dimension in shape] == [0, 3, *size]
    saved = np.load(genuine / f"{name}.npz")
    expected = saved["embeddings"]
    # float32 sums in another order.
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(run(model, saved["images"]), expected, rtol=0, atol=tolerance)
    assert source_sha256(genuine / f"{name}-0000.params") == source_sha256(
        genuine / f"{name}-symbol.json"
    )


# A network as MXNet 0.8 saved it: "param" for attributes, inputs without a version, moving mean
# and variance not among the inputs, scalars under older names.
OLD = [
    ("_MinusScalar", "_minusscalar0", {"scalar": "127.5"}, ["data"]),
    ("_MulScalar", "_mulscalar0", {"scalar": "0.0078125"}, ["_minusscalar0"]),
    ("Pooling", "pool", {"global_pool": "True", "kernel": "(7,7)", "pool_type": "avg"},
     ["_mulscalar0"]),
    ("BatchNorm", "bn", {"eps": "0.1"}, ["pool", "bn_gamma", "bn_beta"]),
    ("FullyConnected", "pre", {"num_hidden": "32"}, ["bn", "pre_weight", "pre_bias"]),
    ("_Plus", "fc1", {}, ["pre", "pre"]),
]  # fmt: skip


def old_parameters():
    rng = np.random.default_rng(0)
    shapes = {
        **{f"bn_{key}": (3,) for key in ("gamma", "beta", "moving_mean", "moving_var")},
        "pre_weight": (32, 3),
        "pre_bias": (32,),
    }
    return {key: rng.uniform(0.5, 1, shape).astype(np.float32) for key, shape in shapes.items()}


@pytest.mark.parametrize("layout", mxnet_files.LAYOUTS)
def test_a_network_of_the_first_releases(tmp_path, layout):
    values = old_parameters()
    path = write(tmp_path, OLD, values, layout=layout, key="param", version=False)
    model = convert(path)
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 112, 112)).astype(np.float32)
    mean = ((images - 127.5) / 128).mean((2, 3))
    # fix_gamma is the default: gamma does not count.
    x = (mean - values["bn_moving_mean"]) / np.sqrt(values["bn_moving_var"] + 0.1)
    x = (x + values["bn_beta"]) @ values["pre_weight"].T + values["pre_bias"]
    np.testing.assert_allclose(run(model, images), 2 * x, rtol=1e-5, atol=1e-5)
    assert normalisation_of(model) == "none"


def test_of_several_epochs_the_last_or_the_named_one(tmp_path, capsys):
    first, last = old_parameters(), old_parameters()
    last["pre_bias"] = first["pre_bias"] + 1
    for epoch, values in ((2, first), (13, last)):
        path = write(tmp_path, OLD, values, epoch=epoch)
    write(tmp_path, OLD, last, name="model-other", epoch=99)
    images = np.zeros((1, 3, 112, 112), np.float32)
    latest = run(convert_mxnet(path), images)
    assert "model-0013.params is the last of 2 epochs" in capsys.readouterr().err
    named = run(convert_mxnet(tmp_path / "model-0002.params"), images)
    assert not capsys.readouterr().err
    np.testing.assert_allclose(latest - named, 2, rtol=1e-5)
    assert source_sha256(path) == source_sha256(tmp_path / "model-0013.params")
    assert source_sha256(path) != source_sha256(tmp_path / "model-0002.params")


def test_one_file_without_the_other(tmp_path):
    path = write(tmp_path, OLD, old_parameters())
    params = path.with_name("model-0000.params")
    content = params.read_bytes()
    params.unlink()
    with pytest.raises(UserError, match=r"model-symbol\.json has no parameters beside it"):
        convert(path)
    path.unlink()
    params.write_bytes(content)
    with pytest.raises(UserError, match=r"0000\.params has no model-symbol\.json beside it"):
        convert(params)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config\.json has no symbol beside it"):
        convert(tmp_path / "config.json")


def test_the_size_of_images_follows_from_fully_connected_layers(tmp_path):
    nodes = [
        ("Pooling", "pool", {"kernel": "(8, 8)", "stride": "(8, 8)", "pool_type": "avg"}, ["data"]),
        ("FullyConnected", "fc1", {"no_bias": "True"}, ["pool", "w"]),
    ]
    for places, size in ((14 * 14, [112, 112]), (14 * 12, [112, 96]), (16 * 16, [128, 128])):
        path = write(tmp_path, nodes, {"w": np.ones((32, 3 * places), np.float32)})
        shape = convert_mxnet(path).graph.input[0].type.tensor_type.shape.dim
        assert [dimension.dim_value for dimension in shape[2:]] == size
    path = write(tmp_path, nodes, {"w": np.ones((32, 1000), np.float32)})
    with pytest.raises(UserError, match=r"usual sizes: node fc1 .* takes 1000 values, not 588"):
        convert(path)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (("Deconvolution", "up", {}, ["data", "w"]), r"has node up \(Deconvolution\)"),
        (("LeakyReLU", "r", {"act_type": "gelu"}, ["data"]), "node r .*activation gelu"),
        (("Pooling", "p", {"kernel": "(2,2)", "pool_type": "sum"}, ["data"]), "node p .*sum"),
        (("Convolution", "c", {"num_group": "x"}, ["data", "w"]), "node c .*damaged attributes"),
        (("Convolution", "c", {"stride": "(0, 0)"}, ["data", "w"]), r"node c .*strides \(0, 0\)"),
        (("Convolution", "c", {}, ["data"]), "node c .*has no input 1"),
        (
            ("Convolution", "c", {"pad": "(99999, 99999)", "no_bias": "1"}, ["data", "v"]),
            "node c .*gives 1,28",
        ),
        (("BatchNorm", "b", {}, ["data", "data", "w", "w", "w"]), "node b .*computes its input 1"),
        (("Reshape", "s", {"shape": "(-2, 3)"}, ["data"]), r"node s .*reshapes to \(-2, 3\)"),
        (("FullyConnected", "f", {}, ["data", "missing"]), "no parameter missing"),
        (("Reshape", "s", {"shape": "()"}, ["data"]), "node s .*does not turn"),
        (("elemwise_add", "a", {}, ["data", "w"]), r"none of the usual sizes: node a"),
    ],
)
def test_what_is_not_converted_names_the_node(tmp_path, node, message):
    weights = {"w": np.ones((32, 3, 5, 5), np.float32), "v": np.ones((32, 3, 1, 1), np.float32)}
    path = write(tmp_path, [node], weights)
    with pytest.raises(UserError, match=message):
        convert(path)


def test_parameters_of_another_network(tmp_path):
    values = old_parameters() | {"bn_moving_mean": np.ones(7, np.float32)}
    with pytest.raises(UserError, match=r"model-0000\.params does not fit model-symbol\.json"):
        convert(write(tmp_path, OLD, values))


def test_an_embedding_that_is_unclear(tmp_path):
    nodes = [("relu", name, {}, ["data"]) for name in ("a", "b")]
    with pytest.raises(UserError, match="which output is the embedding: it has a, b and no fc1"):
        convert(write(tmp_path, nodes, {}, heads=["a", "b"]))
