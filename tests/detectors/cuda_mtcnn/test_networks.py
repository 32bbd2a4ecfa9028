from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from cuda_on_cpu.device import CpuDevice
from tensorrt_rig.on_cpu import TensorRTOnCpu
from tensorrt_rig.product import Product

from lfw_eval.detectors.cuda_mtcnn import engine_settings
from lfw_eval.detectors.cuda_mtcnn.networks import build_requests
from lfw_eval.engines.tensorrt.builder import build_in_process
from lfw_eval.engines.tensorrt.capabilities import Capabilities
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.system.errors import UserError

PRECISIONS = ("fp32", "fp16")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Converted networks are kept in an empty folder."""
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))


@pytest.fixture
def product(builder, monkeypatch, tmp_path) -> Product:
    monkeypatch.setenv("PYTHONPATH", str(builder.bindings.folder))
    folder = tmp_path / "engines"
    folder.mkdir()
    return Product(builder.bindings.capabilities, folder)


def sizes(model: Path) -> list[list[int]]:
    graph = onnx.load(model).graph
    return [
        [dimension.dim_value for dimension in tensor.type.tensor_type.shape.dim]
        for tensor in (*graph.input, *graph.output)
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_networks_are_built(builder, product, mtcnn_weights, precision):
    requests = build_requests(mtcnn_weights, precision, TensorRTOptions())
    for request, convolutions in zip(requests, (3, 4), strict=True):
        with product.order(request) as order:
            assert build_in_process(order, gpu=0).size > 1e6
            network = builder.build(onnx.load(order.network))
        typed = "FLOAT" if precision == "fp32" else "HALF"
        assert network.layers[f"CONVOLUTION {typed}"] == convolutions
        assert network.types_of("MATRIX_MULTIPLY") == {typed}
        assert set(network.types) == {"FLOAT"}


def test_requests(mtcnn_weights):
    refinement, output = build_requests(mtcnn_weights, "fp32", TensorRTOptions())
    assert (refinement.title, refinement.batches) == ("MTCNN R-Net", (1, 4096, 4096))
    assert (output.title, output.batches) == ("MTCNN O-Net", (1, 1024, 1024))
    assert sizes(refinement.model) == [[0, 24, 24, 3], [0], [0, 4]]
    assert sizes(output.model) == [[0, 48, 48, 3], [0], [0, 4], [0, 10]]


@pytest.mark.parametrize("version", ["8.6.1", "10.16.1", "11.4.0"])
def test_key_depends_on_the_arithmetic(mtcnn_weights, tmp_path, version):
    product = Product(Capabilities.of(version), tmp_path)
    (plain, _), (half, _) = (
        build_requests(mtcnn_weights, precision, TensorRTOptions()) for precision in PRECISIONS
    )
    exact = replace(plain, options=TensorRTOptions(tf32=False))
    assert len({product.store(request).key for request in (plain, half, exact)}) == 3
    # What a lane or a GPU's number is called makes no other engine.
    second = replace(plain, options=TensorRTOptions(gpu=(1,)), title="another")
    assert product.store(second).key == product.store(plain).key


@pytest.mark.parametrize(
    ("capability", "arithmetic"), [((7, 5), "float32"), ((8, 0), "float32 (TF32)")]
)
def test_title_names_the_arithmetic(monkeypatch, capability, arithmetic):
    monkeypatch.setattr(engine_settings, "load_tensorrt", lambda: TensorRTOnCpu("8.6.1").module)
    device = CpuDevice()
    monkeypatch.setattr(device, "capability", capability)
    assert engine_settings.engines_title(device) == f"TensorRT 8.6.1, {arithmetic}"


def test_weights_of_another_network(mtcnn_weights):
    swapped = {"rnet": mtcnn_weights["onet"], "onet": mtcnn_weights["rnet"]}
    with pytest.raises(UserError, match=r"onet\.pt"):
        build_requests(swapped, "fp32", TensorRTOptions())
