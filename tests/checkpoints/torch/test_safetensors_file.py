import json
import struct
import tracemalloc

import numpy as np
import pytest
from arcface_torch_like import Reference, iresnet_state_dict
from facenet_pytorch_like import state_dict
from safetensors.numpy import save_file

from lfw_eval.checkpoints.conversion import convert, normalisation_of
from lfw_eval.checkpoints.inception_resnet_v1 import convert_state_dict
from lfw_eval.checkpoints.torch.safetensors_file import read_safetensors
from lfw_eval.system.errors import UserError


def raw(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype="F32", shape=(1,), start=0, end=4):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8])
def test_round_trip(tmp_path, dtype):
    arrays = {"a": np.arange(6).reshape(2, 3).astype(dtype), "b.weight": np.array(7, dtype)}
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "pt"})
    read = read_safetensors(tmp_path / "x.safetensors")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == dtype
        np.testing.assert_array_equal(read[name], array)


def test_bfloat16_comes_as_float32(tmp_path):
    numbers = np.array([1.0, -2.5, 3.140625, 0.0], np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype("<u2")
    path = tmp_path / "x.safetensors"
    path.write_bytes(raw({"x": tensor("BF16", (2, 2), 0, 8)}, halves.tobytes()))
    read = read_safetensors(path)["x"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, numbers.reshape(2, 2))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "header"),
        (b"12345678", "header"),
        (raw(b"{", length=2**62), "header ?too ?large"),
        (raw(b"{", length=10**8 + 1), "header ?too ?large"),
        (raw(b"{", length=100), "header"),
        (raw(b'{"a":' + b"[" * 10**5), "recursion|header"),
        (raw({"a": tensor(), "b": tensor()}, b"1234"), "offset"),
        (raw({"a": tensor(start=4, end=8)}, b"12345678"), "offset"),
        (raw({"a": tensor(end=2**60)}, b"1234"), ""),
        (raw({"a": tensor(shape=[2**40, 2**40])}, b"1234"), ""),
        (raw({"a": tensor(shape=[-1])}, b"1234"), ""),
        (raw({"a": tensor(dtype="F8_E4M3", shape=[4])}, b"1234"), "types F8_E4M3"),
    ],
)
def test_damaged_and_hostile_files(tmp_path, content, reason):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(
        UserError, match=rf"(?i)x\.safetensors is not a usable safetensors.*{reason}"
    ):
        read_safetensors(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    with pytest.raises(UserError, match=r"x\.safetensors is not a (usable|readable)"):
        convert(path)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float16, 5e-3)])
def test_iresnet(tmp_path, dtype, tolerance):
    state = iresnet_state_dict()
    half = {k: v.astype(dtype) if v.ndim else v for k, v in state.items()}
    save_file(half, tmp_path / "backbone.safetensors")
    model = convert(tmp_path / "backbone.safetensors")
    assert normalisation_of(model) == "arcface"
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    embeddings = session.run(None, {"input": images})[0]
    expected = Reference(half).iresnet(images)
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_facenet_pytorch(tmp_path):
    save_file(state_dict(), tmp_path / "vggface2.safetensors")
    model = convert(tmp_path / "vggface2.safetensors", fold=False)
    assert normalisation_of(model) == "fixed"
    assert model.graph == convert_state_dict(state_dict()).graph
