"""Orders for a calibration cache, some layers of the network in floating point."""

from dataclasses import replace

import onnx
import pytest

from calibration.cache import CalibrationCache, calibration_cache
from calibration.placement import Placement
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.store import EngineStore
from lfw_eval.engines.tensorrt.capabilities import Capabilities
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.order import make_order, options_of

VERSION = "8.6.1"


@pytest.fixture(params=["table", "cache"])
def int8_request(request, model, scales, tmp_path):
    """Scales from a table, or from a cache of the user's."""
    if request.param == "table":
        return BuildRequest(model, "per-image", "int8", scales, options=TensorRTOptions())
    path = tmp_path / "own.cache"
    path.write_text(calibration_cache(scales, VERSION))
    options = TensorRTOptions(calibration_cache=path)
    return BuildRequest(model, "per-image", "int8", options=options)


def scaled(request, tmp_path):
    """The tensors in the cache that TensorRT is given."""
    capabilities = Capabilities.of(VERSION)
    store = EngineStore.of(tmp_path, request, "TensorRT", "a GPU", {})
    order = make_order(request, "cache", capabilities, store, "a GPU", tmp_path)
    assert order.cache is not None
    return set(CalibrationCache.parse(order.cache.encode(), "order").scales)


def test_what_float_layers_alone_read_has_no_scale(int8_request, model, tmp_path):
    served = Placement(onnx.load(model)).served()
    shared = next(name for name, layers in served.items() if len(layers) > 1)
    every = scaled(int8_request, tmp_path)
    assert shared in every
    some = replace(int8_request, float_layers=served[shared][:1])
    assert shared in scaled(some, tmp_path)
    left = replace(int8_request, float_layers=served[shared])
    missing = every - scaled(left, tmp_path)
    assert missing == {n for n, layers in served.items() if set(layers) <= set(served[shared])}
    assert options_of(left, "cache") != options_of(int8_request, "cache")


def test_orders_without_float_layers_have_the_key_they_had(int8_request):
    assert "withheld" not in options_of(int8_request, "cache")
