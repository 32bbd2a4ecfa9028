"""What stands above the numbers where they are of other things than a reader thinks."""

from dataclasses import replace

import pytest
from evaluation_results import accuracy_result

from lfw_eval.report.tables.accuracy import accuracy_table
from lfw_eval.results.accuracy import AccuracyResult

BOXES = "boxes of some.csv, margin 10% (sha256 0123)"


def table(result: AccuracyResult) -> str:
    return accuracy_table(replace(result, protocol={**result.protocol, "flip": "none"}))


def aligned(alignment: str, undetected: int) -> str:
    result = accuracy_result(200)
    data = replace(result.data, alignment=alignment, undetected=undetected)
    return table(replace(result, data=data))


def test_images_without_a_box_in_the_file_are_counted():
    text = aligned(BOXES, 50)
    assert "*** some.csv has no box for 50 of 400 images: centre box ***" in text
    assert f"{BOXES}; no box in some.csv for 50 of 400 images (centre box)" in text
    assert "***" not in aligned(BOXES, 0)


def test_a_detector_finds_no_face():
    text = aligned("MTCNN, margin 32 px", 50)
    assert "MTCNN, margin 32 px; no face detected in 50 of 400 images (centre box)" in text
    assert "***" not in text


def test_what_the_detector_ran_on_is_said():
    result = accuracy_result(200)
    data = replace(result.data, alignment="MTCNN, margin 32 px", aligned_on="NVIDIA H200")
    assert "alignment   MTCNN, margin 32 px on NVIDIA H200;" in table(replace(result, data=data))


@pytest.mark.parametrize(
    ("auc", "runtime"), [(0.68, "OpenVINO 1"), (0.91, "OpenVINO 1"), (0.68, "dummy")]
)
def test_a_reference_near_chance_is_said(auc, runtime):
    result = accuracy_result(200)
    verification = result.reference.verification
    weak = replace(verification, auc=replace(verification.auc, value=auc))
    engine = replace(result.reference.engine, runtime=runtime)
    reference = replace(result.reference, verification=weak, engine=engine)
    said = "*** FP32 hardly tells people apart (AUC 0.68): check normalisation, order of channels"
    text = table(replace(result, reference=reference))
    assert (said in text) == (auc < 0.9 and runtime != "dummy")
    assert "hardly" not in text.replace(said, "")


def test_a_weak_candidate_beside_a_good_reference_is_no_matter_of_input():
    result = accuracy_result(200)
    assert result.candidate
    verification = result.candidate.verification
    weak = replace(verification, auc=replace(verification.auc, value=0.6))
    candidate = replace(result.candidate, verification=weak)
    assert "hardly" not in table(replace(result, candidate=candidate))


def test_an_auc_below_chance_is_said():
    result = accuracy_result(200)
    verification = result.reference.verification
    wrong = replace(verification, auc=replace(verification.auc, value=0.04))
    text = table(replace(result, reference=replace(result.reference, verification=wrong)))
    assert "*** AUC below 0.5: distances are the wrong way round" in text
    assert "AUC below" not in table(result)
