"""What 16 bits cost an engine, layer by layer."""

import numpy as np
import onnx
import pytest
from layered_network import MULTIPLY_ADDS, any_scales, layered_network

from calibration.quantize import quantized_layers
from calibration.sampler import CalibrationList
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.openvino import OpenVINOEngine
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.layer_costs import layer_costs, require_timeable
from lfw_eval.system.errors import UserError


@pytest.fixture
def checkpoint(tmp_path) -> Checkpoint:
    onnx.save(layered_network(), tmp_path / "fp32.onnx")
    return Checkpoint("layered", tmp_path, tmp_path / "fp32.onnx", "fixed", "s")


@pytest.fixture
def calibration(checkpoint) -> Calibration:
    image = onnx.load(checkpoint.model).graph.input[0].type.tensor_type
    height, width = (d.dim_value for d in image.shape.dim[2:])
    crops = np.random.default_rng(1).integers(0, 256, (4, height, width, 3), dtype=np.uint8)
    images = CalibrationList(("a", "b", "c", "d"), "test")
    return Calibration(
        any_scales(layered_network()), lambda: crops, images=images, folder=checkpoint.folder
    )


def test_the_time_that_16_bits_take_more(checkpoint, calibration, monkeypatch):
    layers = quantized_layers(onnx.load(checkpoint.model))
    times = {
        "int8": dict.fromkeys((*layers, "upsampled"), 1.0),
        "fp16": {name: float(index) for index, name in enumerate((*layers, "upsampled"))},
    }

    def layer_times(request, folder, batch):
        assert len(batch["crops"]) == 2
        return times[request.precision]

    monkeypatch.setattr(OpenVINOEngine, "layer_times", layer_times)
    costs = layer_costs(checkpoint, calibration, choose_engine("openvino", batch_size=2))
    # Less time than in INT8 is a tenth of that.
    assert list(costs.costs.values()) == [0.1, 0.1, 1, 2, 3]
    assert list(costs.costs) == layers
    assert (costs.unit, costs.engine, costs.total) == ("ms", "openvino", 6)
    assert costs.of(layers[2:4]) == 3


def test_measured(checkpoint, calibration):
    for engine in ("openvino", "onnxruntime"):
        costs = layer_costs(checkpoint, calibration, choose_engine(engine))
        assert costs.unit == "ms"
        assert costs.costs.keys() == set(quantized_layers(onnx.load(checkpoint.model)))
        assert min(costs.costs.values()) >= 0


def test_multiply_adds_of_an_engine_that_tells_no_times(checkpoint, calibration):
    costs = layer_costs(checkpoint, calibration, choose_engine("dummy"))
    assert costs.unit == "multiply-adds"
    assert costs.total == sum(MULTIPLY_ADDS.values())
    assert all(costs.costs[name] == MULTIPLY_ADDS[name] for name in costs.costs)


def test_a_server_is_refused():
    with pytest.raises(UserError, match="`time_on` triton://h/m is served elsewhere"):
        require_timeable(choose_engine("triton://h/m"))
