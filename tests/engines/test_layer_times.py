"""How long the engines here say that each layer takes."""

import numpy as np
import onnx
import pytest
from layered_network import MULTIPLY_ADDS, any_scales, layered_network

from lfw_eval.checkpoints.normalisation import CROPS
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.layer_times import LayerTimes
from lfw_eval.engines.registry import engine_class


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_layer_has_a_time(engine, precision, tmp_path):
    path = tmp_path / "fp32.onnx"
    onnx.save(layered_network(), path)
    scales = any_scales(layered_network())
    request = BuildRequest(path, "fixed", precision, scales, batch_size=8)
    height, width = (d.dim_value for d in _image(path).shape.dim[2:])
    crops = np.random.default_rng(1).integers(0, 256, (8, height, width, 3), dtype=np.uint8)
    kind = engine_class(engine)
    assert issubclass(kind, LayerTimes)
    for _ in ("built", "loaded"):
        times = kind.layer_times(request, tmp_path / "engines", {CROPS: crops})
        assert times.keys() == MULTIPLY_ADDS.keys()
        assert all(0 <= time < 1000 for time in times.values())
        assert sum(times.values()) > 0


def _image(path):
    return onnx.load(path).graph.input[0].type.tensor_type
