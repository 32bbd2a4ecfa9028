import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import calibration.sessions
from calibration.sessions import SharedConstants, open_session, tensor_values


def test_sessions_share_large_constants(
    network: onnx.ModelProto, images: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calibration.sessions, "_LARGE", 64)
    shared = SharedConstants(network.graph.initializer)
    light = onnx.ModelProto()
    light.CopyFrom(network)
    del light.graph.initializer[:]
    light.graph.initializer.extend(shared.tensors.values())
    assert sum(tensor.data_location for tensor in light.graph.initializer) > 3
    (image,) = (info.name for info in network.graph.input)
    expected = open_session(network).run(None, {image: images})
    for _ in range(2):
        got = open_session(light, shared).run(None, {image: images})
        np.testing.assert_array_equal(got[0], expected[0])


def test_values_of_tensors_inside(network: onnx.ModelProto, images: NDArray[np.float32]):
    output = network.graph.output[0].name
    values = tensor_values(network, ["input", "joined", output], images)
    assert values.keys() == {"input", "joined", output}
    np.testing.assert_array_equal(values["input"], images)
    expected = open_session(network).run(None, {"input": images})[0]
    np.testing.assert_allclose(values[output], expected, rtol=1e-5, atol=1e-6)
    assert tensor_values(network, ["input"], images).keys() == {"input"}
