import numpy as np
import onnx
import onnxruntime
import pytest
from arcface_torch_like import Reference, iresnet_state_dict, mobilefacenet_state_dict

from lfw_eval.checkpoints.torch.state_dict import convert_tensors
from lfw_eval.system.errors import UserError


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: images})[0]


def side(model: onnx.ModelProto) -> int:
    return model.graph.input[0].type.tensor_type.shape.dim[2].dim_value


@pytest.mark.parametrize("prefix", ["", "module."])
def test_iresnet(tmp_path, prefix):
    state = iresnet_state_dict(side=48)
    named = {f"{prefix}{name}": values for name, values in state.items()}
    model, normalisation = convert_tensors(tmp_path / "backbone.pth", named)
    assert (side(model), normalisation) == (48, "arcface")
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 48, 48)).astype(np.float32)
    expected = Reference(state).iresnet(images)
    np.testing.assert_allclose(run(model, images), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("first", [1, 2])
def test_mobilefacenet(tmp_path, first):
    state = mobilefacenet_state_dict(first)
    model, normalisation = convert_tensors(tmp_path / "backbone.pth", state)
    assert (side(model), normalisation) == (32, "arcface")
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
    expected = Reference(state).mobilefacenet(images, first)
    np.testing.assert_allclose(run(model, images), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("state_dict", [iresnet_state_dict, mobilefacenet_state_dict])
def test_every_weight_counts(tmp_path, state_dict):
    path = tmp_path / "backbone.pth"
    state = state_dict()
    for missing in state:
        if missing.endswith("num_batches_tracked"):
            continue
        rest = {name: values for name, values in state.items() if name != missing}
        with pytest.raises(UserError, match=r"backbone\.pth (has|is not)"):
            convert_tensors(path, rest)
    more = {**state, "layer1.0.se.fc.weight": np.ones(3, np.float32)}
    with pytest.raises(UserError, match=r"layer1\.0\.se\.fc\.weight belongs to no layer"):
        convert_tensors(path, more)


@pytest.mark.parametrize("state_dict", [iresnet_state_dict, mobilefacenet_state_dict])
def test_weights_of_other_shapes(tmp_path, state_dict):
    state = state_dict()
    for name, values in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        for shape in ((), (3,), (2, 3, 5, 7), (*values.shape[:-1], values.shape[-1] + 1)):
            other = {**state, name: np.ones(shape, np.float32)}
            with pytest.raises(UserError, match=r"backbone\.pth has weights"):
                convert_tensors(tmp_path / "backbone.pth", other)


def test_another_network(tmp_path):
    tensors = {"input_layer.0.weight": np.ones((4, 3, 3, 3), np.float32)}
    message = "facenet-pytorch's InceptionResnetV1, insightface's iresnet or insightface's Mobile"
    with pytest.raises(UserError, match=message) as error:
        convert_tensors(tmp_path / "ir50.pth", tensors)
    assert "input_layer.0.weight" in error.value.problem
    assert "torch.onnx.export" in error.value.hint
