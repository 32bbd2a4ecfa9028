"""No verb writes over what it reads."""

import json

import face_data
import onnx
import pytest

from lfw_eval.cli.main import run
from lfw_eval.cli.overwriting import require_inputs_kept
from lfw_eval.system.errors import UserError


@pytest.fixture
def network(tmp_path, monkeypatch, tiny_facenet):
    """A network whose weights are in a file beside it."""
    monkeypatch.chdir(tmp_path)
    model = onnx.ModelProto.FromString(tiny_facenet.SerializeToString())
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(model, tmp_path / "bare.onnx", **options)
    (tmp_path / "link.onnx").symlink_to("bare.onnx")
    (tmp_path / "hard.onnx").hardlink_to(tmp_path / "bare.onnx")
    return tmp_path / "bare.onnx"


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("bare.onnx", "CHECKPOINT"),
        ("./link.onnx", "CHECKPOINT"),
        ("hard.onnx", "CHECKPOINT"),
        ("weights.bin", "a file of CHECKPOINT bare.onnx"),
    ],
)
@pytest.mark.parametrize("option", [["-o"], []])
def test_convert_leaves_its_input(network, capsys, output, what, option):
    before = {file.name: file.read_bytes() for file in network.parent.iterdir()}
    assert run(["convert", "bare.onnx", "--normalisation", "fixed", *option, output]) == 2
    said = capsys.readouterr().err
    sentence = f"--output {output.removeprefix('./')} would overwrite {what}; name another file"
    assert said == f"lfw-eval: {sentence}\n"
    assert {file.name: file.read_bytes() for file in network.parent.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["cache", "convert", "FILE", "--tensorrt", "10.3.0", "-o", "FILE"],
        ["gate", "FILE", "--output", "FILE"],
        ["gate", "candidate.json", "--baseline", "FILE", "--junit", "FILE"],
        ["report", "FILE", "-o", "FILE"],
        ["detect", "images", "--annotations", "FILE", "-o", "FILE"],
        ["live", "FILE", "--gallery", ".", "--json", "FILE"],
        ["evaluate", "--candidate", "FILE", "-o", "FILE"],
    ],
)
def test_all_verbs_leave_theirs(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("mine")
    assert run(arguments) == 2
    assert "FILE would overwrite " in capsys.readouterr().err
    assert (tmp_path / "FILE").read_text() == "mine"


@pytest.mark.parametrize("verb", ["prepare", "detect"])
def test_annotations_that_were_found_are_left(tmp_path, capsys, verb):
    path = face_data.coco(tmp_path) / "faces.json"
    before = path.read_bytes()
    form = ["--layout", "coco"] if verb == "prepare" else ["--detector", "mtcnn"]
    assert run([verb, str(tmp_path), *form, "-o", str(path)]) == 2
    assert "faces.json would overwrite the annotations" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_both_files_of_an_mxnet_checkpoint_are_left(tmp_path):
    for name in ("model-symbol.json", "model-0000.params"):
        (tmp_path / name).write_text(json.dumps({}))
    values = {
        "checkpoint": str(tmp_path / "model-symbol.json"),
        "output": tmp_path / "model-0000.params",
    }
    with pytest.raises(UserError, match="would overwrite a file of `checkpoint`"):
        require_inputs_kept(values)
