import json

import pytest
from mxnet_files import symbol

from lfw_eval.checkpoints.mxnet.symbol import read_symbol
from lfw_eval.system.errors import UserError

DENSE = ("FullyConnected", "fc1", {"num_hidden": "64"}, ["data", "fc1_weight", "fc1_bias"])
LOGITS = ("FullyConnected", "fc7", {"num_hidden": "9"}, ["fc1", "fc7_weight", "fc7_bias"])
LOSS = ("SoftmaxOutput", "softmax", {}, ["fc7", "softmax_label"])
STOPPED = ("BlockGrad", "stop", {}, ["fc1"])
LABEL = ("BlockGrad", "label", {}, ["softmax_label"])


def read(tmp_path, text):
    path = tmp_path / "net-symbol.json"
    path.write_text(text)
    return read_symbol(path)


@pytest.mark.parametrize(
    ("nodes", "heads", "embedding"),
    [
        ([DENSE], ["fc1"], "fc1"),
        ([DENSE, LOGITS, LOSS], ["softmax"], "fc1"),
        ([DENSE, STOPPED, LOGITS, LOSS], ["stop", "softmax"], "stop"),
        ([DENSE, LOGITS, LOSS, LABEL], ["softmax", "label"], "fc1"),
        ([DENSE, LOGITS], ["fc7"], "fc7"),
        ([DENSE, LOGITS], ["fc1", "fc7"], "fc1"),
    ],
)
def test_the_embedding_is_the_head_that_is_no_loss(tmp_path, nodes, heads, embedding):
    network = read(tmp_path, symbol(nodes, heads))
    assert network.nodes[network.embedding()].name == embedding


def test_two_heads_without_a_name_are_unclear(tmp_path):
    dense = ("FullyConnected", "a", {}, ["data", "w"])
    other = ("FullyConnected", "b", {}, ["data", "v"])
    assert read(tmp_path, symbol([dense, other], ["a", "b"])).embedding() is None


@pytest.mark.parametrize("key", ["attrs", "attr", "param"])
def test_attributes_of_every_layout(tmp_path, key):
    attributes = {"kernel": "(3L, 2L)", "no_bias": "True", "eps": "2e-05", "pad": "[]"}
    network = read(tmp_path, symbol([("Convolution", "c", attributes, ["data", "w"])], key=key))
    read_back = network.nodes[-1].attributes
    assert read_back.integers("kernel") == (3, 2)
    assert read_back.flag("no_bias") and not read_back.flag("global_pool")
    assert read_back.number("eps", 1e-3) == 2e-5
    assert read_back.integers("pad") == ()


def changed(**changes):
    content = json.loads(symbol([DENSE]))
    content["nodes"][3] |= changes
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "no list of nodes"),
        ("{}", "no list of nodes"),
        ('{"nodes": 3, "heads": []}', "no list of nodes"),
        ('{"nodes": [], "heads": []}', "a head"),
        (changed(inputs=[[3, 0, 0]]), "node fc1 is computed from one that is not before it"),
        (changed(inputs=[[-1, 0, 0]]), "not before"),
        (changed(inputs=[["0", 0, 0]]), "not before"),
        (changed(inputs=[0]), "no list of nodes"),
        (changed(name=None), "no list of nodes"),
        (changed(op=["FullyConnected"]), "no list of nodes"),
        (changed(attrs=[]), "no list of nodes"),
        (symbol([DENSE]).replace('"heads": [[3', '"heads": [[4'), "a head"),
    ],
)
def test_what_is_no_symbol(tmp_path, text, reason):
    with pytest.raises(UserError, match=rf"net-symbol\.json is not a usable MXNet.*{reason}"):
        read(tmp_path, text)
