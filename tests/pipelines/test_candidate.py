"""Two networks on the same crops: one beside the other, by the real command."""

import json

import numpy as np
import onnx
import pytest
from command import lfw_eval, refused
from quantized_networks import RECOGNISED, quantised

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.gate.judge import judge, judge_against_reference
from lfw_eval.gate.rules import DEFAULT
from lfw_eval.results.file import read_result
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.slow


def student(dimensions: int, side: int = 160) -> onnx.ModelProto:
    """A network smaller than the teacher, with embeddings of another length."""
    rng = np.random.default_rng(2)
    graph = GraphBuilder("student")
    kernel = rng.normal(0, 0.05, (8, 3, 8, 8)).astype(np.float32)
    x = graph.convolution("input", "stem", kernel, strides=(8, 8))
    x = graph.node("GlobalAveragePool", [graph.node("Relu", [x], "stem_relu")], "average")
    x = graph.node("Flatten", [x], "flat")
    weights = rng.normal(0, 1, (dimensions, 8)).astype(np.float32)
    x = graph.node("Gemm", [x, graph.constant("dense.w", weights)], "dense", transB=1)
    return graph.model({"input": ["batch", 3, side, side]}, {x: ["batch", dimensions]})


@pytest.fixture
def teacher(small, network):
    onnx.save(network, small / "teacher.onnx")
    return small / "teacher.onnx"


def evaluate(small, *arguments):
    options = ("--boxes", "boxes.csv", "--normalisation", "fixed", "--output", "result.json")
    return lfw_eval(
        "evaluate",
        "faces",
        "--checkpoint",
        "teacher.onnx",
        *options,
        "--seconds",
        "0.1",
        *arguments,
        cwd=small,
    )


def test_a_student_with_embeddings_of_another_length(small, teacher):
    onnx.save(student(48), small / "student.onnx")
    run = evaluate(small, "--candidate", "student.onnx", "--candidate-normalisation", "arcface")
    assert run.returncode == 0, run.stderr
    result = read_result(small / "result.json").result
    assert (result.model.name, result.candidate_model.name) == ("teacher", "student")
    assert (result.model.normalisation, result.judged_model.normalisation) == ("fixed", "arcface")
    assert [r.engine.precision for r in (result.reference, result.candidate)] == ["fp32", "fp32"]
    assert result.cosine is None
    assert result.comparison is not None
    assert result.calibration is None
    for words in (
        "student beside teacher on ",
        "no mean cosine: the embeddings are of different lengths",
        "normalised  teacher fixed, student arcface",
        "pairs that changed sides",
    ):
        assert words in run.stdout, run.stdout
    assert ["network", "teacher", "student"] in [line.split() for line in run.stdout.splitlines()]
    assert "mean cosine to" not in run.stdout
    gate = judge_against_reference(result)
    assert (gate.candidate, gate.baseline) == ("student, FP32", "teacher, FP32")
    assert any(note.startswith("network: teacher") for note in gate.notes)


def test_a_candidate_is_calibrated_where_int8_is_asked_for(small, teacher):
    onnx.save(student(32), small / "student.onnx")
    run = evaluate(small, "--candidate", "student.onnx", "--precision", "int8")
    assert run.returncode == 0, run.stderr
    result = read_result(small / "result.json").result
    assert result.candidate.engine.precision == "int8"
    assert "dense" in result.calibration.amax
    assert result.candidate_model.normalisation == "fixed"  # of the teacher: its own file says none
    assert result.cosine is not None
    assert "mean cosine to reference" in run.stdout


@pytest.mark.parametrize("kind", ["qdq-u8", "qdq-s8", "dynamic"])
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_quantised_network_beside_its_parent(kind, engine, small, teacher, network, images):
    quantised(network, kind, images, small / "int8.onnx")
    run = evaluate(small, "--candidate", "int8.onnx", "--engine", engine)
    assert run.returncode == 0, run.stderr
    how = RECOGNISED[kind]
    assert f"INT8 ({how} in the checkpoint), run as it is and not calibrated here" in run.stdout
    result = read_result(small / "result.json").result
    assert result.candidate_model.quantization == how
    assert result.model.quantization is None
    assert result.candidate.engine.precision == "int8"
    assert result.calibration is None
    assert result.cosine.minimum > 0.95
    gate = judge_against_reference(result)
    assert gate.candidate.endswith(f"INT8 ({how} in the checkpoint)")


def test_a_quantised_checkpoint_alone(small, teacher, network, images):
    quantised(network, "qdq-u8", images, small / "teacher.onnx")
    for precision in ("fp32", "fp16"):
        sentence = refused(evaluate(small, "--precision", precision))
        assert "teacher is already quantised (Q/DQ): its weights are INT8" in sentence
        assert f"--precision {precision} would not be what it says" in sentence
    run = evaluate(small)
    assert run.returncode == 0, run.stderr
    assert "as given: Q/DQ" in run.stdout
    assert "FP32" not in run.stdout
    result = read_result(small / "result.json").result
    assert result.candidate is None
    assert result.reference.engine.precision == "int8"
    assert judge(result, result, DEFAULT, ("new", "old")).findings
    with pytest.raises(UserError, match=r"has INT8 \(Q/DQ in the checkpoint\) only; name"):
        judge_against_reference(result)


def test_what_cannot_be_compared_or_done_is_one_sentence(small, teacher, network, images):
    onnx.save(student(48, side=112), small / "other.onnx")
    quantised(network, "qdq-s8", images, small / "int8.onnx")
    for arguments, why in (
        (("--candidate", "other.onnx"), "other takes crops of 112x112 and teacher of 160x160"),
        (("--candidate", "none.onnx"), "--candidate none.onnx is neither a file nor one of"),
        (("--candidate-normalisation", "fixed"), "--candidate-normalisation is for a --candidate"),
        (
            ("--candidate", "int8.onnx", "--precision", "fp16"),
            "int8 is already quantised (Q/DQ): its weights are INT8, so --precision fp16",
        ),
        (("--candidate", "int8.onnx", "--engine", "triton://localhost:1/m"), "--candidate is for"),
    ):
        assert why in refused(evaluate(small, *arguments)), arguments
    calibrate = lfw_eval(
        "calibrate",
        "faces",
        "--boxes",
        "boxes.csv",
        "--checkpoint",
        "int8.onnx",
        "--normalisation",
        "fixed",
        cwd=small,
    )
    assert "int8 is already quantised (Q/DQ), so it cannot be calibrated" in refused(calibrate)


def test_earlier_results_say_nothing_of_it(small, teacher):
    assert evaluate(small, "--precision", "fp32").returncode == 0
    content = json.loads((small / "result.json").read_text())
    content["schema"] = 4
    result = content["result"]
    del result["candidate_model"], result["model"]["quantization"]
    del result["reference"]["engine"]["adaptation"]
    (small / "result.json").write_text(json.dumps(content))
    earlier = read_result(small / "result.json").result
    assert earlier.candidate_model is None
    assert earlier.model.quantization is None
    assert earlier.reference.engine.adaptation == ""
