"""The table of checkpoint formats."""

import pytest

from lfw_eval.checkpoints.conversion import convert, source_sha256
from lfw_eval.checkpoints.formats import CHECKPOINTS, FORMATS, format_of
from lfw_eval.system.errors import UserError


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\x89HDF\r\n\x1a\n", "Keras .h5"),
        (b"PK\x03\x04", "PyTorch .pt"),
        (b"\x80\x02", "PyTorch .pt"),
        (b"\x78\x01\0\0\0\0\0\0{", ".safetensors"),
        (b"\x12\x01\0\0\0\0\0\0\0", "MXNet .params"),
        (b'{\n  "nodes": [', "MXNet .params"),
        (b"\x0a\x14\x0a\x05input\x12", "TensorFlow .pb"),
        (b"\x08\x08", ".onnx"),
        (b"", ".onnx"),
    ],
)
def test_formats_are_told_apart_by_content(content, name, tmp_path):
    path = tmp_path / "network.bin"
    path.write_bytes(content)
    assert format_of(path).name == name


def test_every_suffix_belongs_to_one_format():
    suffixes = [suffix for form in FORMATS for suffix in form.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(form.name in CHECKPOINTS for form in FORMATS)


def test_what_is_not_there_is_no_checkpoint(tmp_path):
    for path in (tmp_path, tmp_path / "none.onnx"):
        assert format_of(path) is None
        for use in (convert, source_sha256):
            with pytest.raises(UserError, match="is not a checkpoint"):
                use(path)
