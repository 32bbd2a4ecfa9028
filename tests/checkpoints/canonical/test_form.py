"""Networks of every form become one form, and compute what ONNX Runtime does of their files."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from unusual_networks import REFUSED, UNUSUAL
from zoo import ZOO, write
from zoo_net import SIDE

from calibration.branches import read_names
from lfw_eval.checkpoints.canonical.exporter_mistakes import mend_mistakes
from lfw_eval.checkpoints.canonical.float32 import to_float32
from lfw_eval.checkpoints.conversion import convert
from lfw_eval.checkpoints.onnx_file import inputs_of, read_onnx
from lfw_eval.system.errors import UserError

# ONNX Runtime runs these only in another form.
MENDED = {"double", "slopes_in_a_vector", "one_name_for_all_nodes"}
# Those whose file leaves the size of images open.
OPEN_SIZES = {"all_sizes_open": 224, "all_sizes_open_channels_last": 160}
FLOATS = {TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return session.run(None, {name: images})[0]


def original(model: onnx.ModelProto, embedding: str, images: np.ndarray) -> np.ndarray:
    """Return the embeddings by ONNX Runtime of the file as it is, image by image."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (image,) = inputs_of(model)
    rows = image.type.tensor_type.shape.dim[0].dim_value or 1
    last = image.type.tensor_type.shape.dim[3]
    if last.dim_value == 3 or last.dim_param == "c":
        images = images.transpose(0, 2, 3, 1)
    images = images.astype(onnx.helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type))
    outputs = [
        session.run([embedding], {image.name: np.repeat(one[np.newaxis], rows, axis=0)})[0][:1]
        for one in images
    ]
    return np.concatenate(outputs).reshape(len(images), -1)


def images_for(model: onnx.ModelProto, size: list[int]) -> np.ndarray:
    raw = inputs_of(model)[0].type.tensor_type.elem_type == TensorProto.UINT8
    crops = np.random.default_rng(5).integers(0, 256, (5, 3, *size), np.uint8).astype(np.float32)
    return crops if raw else (crops - 127.5) / 127.5


@pytest.mark.parametrize("name", UNUSUAL)
def test_networks_of_unusual_form(name, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(UNUSUAL[name](), path)
    model = convert(path, default_normalisation="arcface")
    before = read_onnx(path)
    if name in MENDED:
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            run(
                before, np.zeros((5, 3, SIDE, SIDE), np.float64 if name == "double" else np.float32)
            )
        before = to_float32(mend_mistakes(before))
    size = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]]
    images = images_for(before, size)
    embedding = model.graph.output[0].name.replace("crops_", "crops")
    expected = original(before, embedding, images)
    half = "float16" in name
    np.testing.assert_allclose(
        run(model, images), expected, atol=(5e-3 if half else 1e-5) * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", [*ZOO, *UNUSUAL])
def test_the_form(name, tmp_path):
    path = tmp_path / "net.onnx"
    if name in ZOO:
        path = write(name, tmp_path)
    else:
        onnx.save(UNUSUAL[name](), path)
    model = convert(path, default_normalisation="arcface")
    graph = model.graph
    onnx.checker.check_model(model, full_check=True)
    assert 13 <= next(item.version for item in model.opset_import if not item.domain) <= 17
    assert not model.functions
    image, embedding = graph.input[0], graph.output[0]
    sides = OPEN_SIZES.get(name, SIDE)
    assert [d.dim_value for d in image.type.tensor_type.shape.dim] == [0, 3, sides, sides]
    assert [d.dim_value for d in embedding.type.tensor_type.shape.dim] == [0, 64]
    infos = (*graph.input, *graph.output, *graph.value_info)
    types = {info.type.tensor_type.elem_type for info in infos}
    types |= {tensor.data_type for tensor in graph.initializer}
    assert not types & FLOATS
    constants = {tensor.name for tensor in graph.initializer}
    read = {name for node in graph.node for name in read_names(node)}
    assert constants <= read
    assert not any(constants.issuperset(filter(None, node.input)) for node in graph.node)
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    assert all(names)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_such_form_is_refused_by_its_node(name, tmp_path):
    make, message = REFUSED[name]
    onnx.save(make(), tmp_path / "net.onnx")
    with pytest.raises(UserError, match=message) as raised:
        convert(tmp_path / "net.onnx", normalisation="arcface")
    assert "net.onnx" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_kernel_sizes_are_stated(tmp_path):
    """TensorRT 8's parser does not infer those of quantised weights."""
    path = write("depthwise-prelu", tmp_path)

    def without(model: onnx.ModelProto) -> list[str]:
        convolutions = (node for node in model.graph.node if node.op_type == "Conv")
        return [n.name for n in convolutions if "kernel_shape" not in {a.name for a in n.attribute}]

    assert without(onnx.load(path))
    assert not without(convert(path, default_normalisation="arcface"))
