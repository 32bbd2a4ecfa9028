"""--check-metrics: what it prints and how it ends."""

import dataclasses

import onnx
import pytest
import typer
from command import lfw_eval
from detected_faces import detected, faces
from evaluation_results import accuracy_result, detection_report

from lfw_eval.cli.checks import require_agreement
from lfw_eval.metrics.check import MetricCheck
from lfw_eval.metrics.detection.protocol import evaluate
from lfw_eval.results.checks import check_accuracy, check_report


@pytest.mark.slow
def test_evaluate_prints_the_largest_differences(small, tiny_facenet):
    onnx.save(tiny_facenet, small / "tiny.onnx")
    run = lfw_eval(
        "evaluate", "--dataset", small / "faces", "--boxes", small / "boxes.csv",
        "--checkpoint", small / "tiny.onnx", "--normalisation", "fixed",
        "--engine", "dummy", "--precision", "fp32", "--check-metrics",
        cwd=small, LFW_EVAL_DATASETS=str(small), LFW_EVAL_CHECKPOINTS=str(small),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    for metric in ("ACC", "AUC", "ROC", "VAL"):
        (line,) = [x for x in run.stdout.splitlines() if x.startswith(f"{metric} by scikit-learn")]
        assert float(line.split()[-1]) <= 1e-9


def test_a_difference_ends_in_a_sentence_and_exit_code_1(capsys):
    checks = [MetricCheck("AUC", "scikit-learn", 1e-16), MetricCheck("AP", "pycocotools", 2e-3)]
    with pytest.raises(typer.Exit) as leaving:
        require_agreement(checks)
    assert leaving.value.exit_code == 1
    printed = capsys.readouterr()
    assert "AP by pycocotools         largest difference 2.0e-03" in printed.out
    assert printed.err == "metrics differ by more than rounding, 1e-09: AP (pycocotools)\n"


def test_of_two_engines_the_larger_difference_counts():
    result = accuracy_result(200)
    assert all(check.agrees for check in check_accuracy(result))
    verification = result.reference.verification
    auc = dataclasses.replace(verification.auc, value=float("nan"))
    reference = dataclasses.replace(
        result.reference, verification=dataclasses.replace(verification, auc=auc)
    )
    checks = check_accuracy(dataclasses.replace(result, reference=reference))
    assert [check.metric for check in checks if not check.agrees] == ["AUC"]


def test_detections_beside_an_accuracy_are_checked_too():
    evaluation = [detected([[0, 0, 9, 9], [20, 20, 40, 40]], [0.9, 0.8])], [faces([[0, 0, 9, 9]])]
    result = evaluate(*evaluation, definition="coco")
    report = dataclasses.replace(
        detection_report(0), results={"coco": result}, detections=tuple(evaluation[0])
    )
    assert check_report(report, evaluation[1]).agrees
    both = dataclasses.replace(accuracy_result(200), detection=(report,))
    assert [check.metric for check in check_accuracy(both, evaluation[1])][-1] == "AP"
