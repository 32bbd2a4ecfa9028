"""What stands above the numbers where they are of other things than a reader thinks."""

from dataclasses import replace

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
    assert "*** 50 of 400 images have no box in some.csv: centre box ***" in text
    assert f"{BOXES}; no box in some.csv for 50 of 400 images (centre box)" in text
    assert "***" not in aligned(BOXES, 0)


def test_a_detector_finds_no_face():
    text = aligned("MTCNN, margin 32 px", 50)
    assert "MTCNN, margin 32 px; no face detected in 50 of 400 images (centre box)" in text
    assert "***" not in text


def test_an_auc_below_chance_is_said():
    result = accuracy_result(200)
    verification = result.reference.verification
    wrong = replace(verification, auc=replace(verification.auc, value=0.04))
    text = table(replace(result, reference=replace(result.reference, verification=wrong)))
    assert "*** AUC below 0.5: distances are the wrong way round" in text
    assert "AUC below" not in table(result)
