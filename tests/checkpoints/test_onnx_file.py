"""Networks with weights in files beside them."""

import shutil

import numpy as np
import onnx
import pytest

from lfw_eval.checkpoints import onnx_file
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.checkpoints.conversion import source_sha256
from lfw_eval.checkpoints.onnx_file import read_onnx
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256


@pytest.fixture
def external(tmp_path, tiny_facenet):
    """A network whose weights are all in `weights.bin`."""
    path = tmp_path / "model" / "mine.onnx"
    path.parent.mkdir()
    model = onnx.ModelProto.FromString(tiny_facenet.SerializeToString())
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def locate(path, **entries):
    """Write other external data into a network's first weight that has any."""
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.external_data)
    for key, value in entries.items():
        del tensor.external_data[:]
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


def test_the_weights_are_read_and_hashed(external, tiny_facenet):
    for read, wanted in zip(
        read_onnx(external).graph.initializer, tiny_facenet.graph.initializer, strict=True
    ):
        np.testing.assert_array_equal(*map(onnx.numpy_helper.to_array, (read, wanted)))
    first = source_sha256(external)
    assert first != file_sha256(external)
    weights = external.with_name("weights.bin")
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    assert source_sha256(external) != first


def test_a_network_in_one_file_has_the_file_s_hash(tmp_path, tiny_facenet):
    onnx.save(tiny_facenet, tmp_path / "mine.onnx")
    assert source_sha256(tmp_path / "mine.onnx") == file_sha256(tmp_path / "mine.onnx")


def test_replaced_weights_make_another_checkpoint(external, tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    before = open_checkpoint(str(external), "fixed")
    old = before.model.read_bytes()
    weights = external.with_name("weights.bin")
    values = np.frombuffer(weights.read_bytes(), np.float32)
    weights.write_bytes((values * 1.5).astype(np.float32).tobytes())
    after = open_checkpoint(str(external), "fixed")
    assert after.source_sha256 != before.source_sha256
    assert after.folder != before.folder
    assert after.model.read_bytes() != old
    assert open_checkpoint(str(external), "fixed") == after


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "link.bin", "a/../../x", ""])
def test_weights_out_of_the_folder_are_refused(external, location):
    shutil.copy(external.with_name("weights.bin"), external.parent.parent / "secret.bin")
    external.with_name("link.bin").symlink_to(external.parent.parent / "secret.bin")
    locate(external, location=location)
    for read in (read_onnx, source_sha256, lambda path: open_checkpoint(str(path), "fixed")):
        with pytest.raises(UserError, match=r"which is not in its folder|not a valid ONNX"):
            read(external)


def test_missing_and_boundless_weights_are_refused(external, monkeypatch):
    monkeypatch.setattr(onnx_file, "_MAX_BYTES", 1000)
    with pytest.raises(UserError, match="GiB of weights in other files"):
        read_onnx(external)
    external.with_name("weights.bin").unlink()
    with pytest.raises(UserError, match=r"weights\.bin, with weights of .*, does not exist"):
        open_checkpoint(str(external), "fixed")


def test_values_that_are_no_numbers_are_refused(external):
    locate(external, offset="-5")
    with pytest.raises(UserError):
        read_onnx(external)
    locate(external, length="many")
    with pytest.raises(UserError):
        open_checkpoint(str(external), "fixed")


def test_what_the_checker_takes_and_no_reader_can(tmp_path, tiny_facenet):
    """Weights of another size than their shape's, and a name that is no text."""
    long = onnx.ModelProto.FromString(tiny_facenet.SerializeToString())
    long.graph.initializer[0].raw_data = long.graph.initializer[0].raw_data + bytes(4)
    (tmp_path / "net.onnx").write_bytes(long.SerializeToString())
    with pytest.raises(UserError, match=r"net\.onnx is not a valid ONNX network: cannot reshape"):
        read_onnx(tmp_path / "net.onnx")
    name = tiny_facenet.graph.node[1].name.encode()
    broken = tiny_facenet.SerializeToString().replace(name, b"\xff" * len(name))
    (tmp_path / "net.onnx").write_bytes(broken)
    with pytest.raises(
        UserError, match=r"net\.onnx is not a valid ONNX network: the name of a node"
    ):
        read_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_what_is_no_onnx_network(tmp_path, tiny_facenet, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(tiny_facenet.SerializeToString()[:-1000] if content is None else content)
    with pytest.raises(UserError, match="it is truncated, or in another format"):
        open_checkpoint(str(path), "fixed")


def test_a_detector_is_no_embedder(real_data):
    with pytest.raises(UserError, match=r"and 7 more; these look like a detector's"):
        open_checkpoint(str(real_data / "yunet_n_dynamic.onnx"), "fixed")
