"""What tables say of the images that INT8 was calibrated on."""

from dataclasses import replace

import pytest

from lfw_eval.report.tables.side_by_side import calibration_notes
from lfw_eval.results.calibration import CalibrationDescription

DRAWN = CalibrationDescription(
    images=512,
    evaluated=0,
    people=512,
    evaluated_people=0,
    origin="drawn from the evaluated images",
    list_sha256="",
    table_sha256="",
    method="entropy",
    first_batch=64,
    amax={},
)


@pytest.mark.parametrize(
    ("people", "evaluated", "first_batch", "note"),
    [
        (473, 473, 32, "*** 473 OF THEIR 473 PEOPLE ARE ALSO EVALUATED ***"),
        (512, 0, 64, "512 people, none of them evaluated"),
        (512, None, 64, "512 people; whether any is evaluated, the names do not tell"),
        (None, None, 64, "people unknown: the calibration images are not named as Name_0001"),
        (None, None, None, None),
    ],
)
def test_people(people, evaluated, first_batch, note):
    described = replace(DRAWN, people=people, evaluated_people=evaluated, first_batch=first_batch)
    first, *others = calibration_notes(described)
    batch = f", first batch {first_batch}" if first_batch else ""
    assert first == f"calibrated  on 512 crops{batch}, {DRAWN.origin}"
    assert [line.strip() for line in others] == ([note] if note else [])


def test_why_evaluated_images_are_among_them():
    drawn = "\n".join(calibration_notes(replace(DRAWN, evaluated=4)))
    assert "*** 4 OF THEM ARE ALSO EVALUATED: THE DATA SET HAS TOO FEW OTHER IMAGES ***" in drawn
    listed = "\n".join(calibration_notes(replace(DRAWN, evaluated=4, origin="list.txt")))
    assert "*** 4 OF THEM ARE ALSO EVALUATED: THE LIST CONTAINS THEM ***" in listed


def test_few_images():
    caution = "*** FEWER THAN 64 IMAGES LEAVE THRESHOLDS TO CHANCE ***"
    assert caution in "\n".join(calibration_notes(replace(DRAWN, images=63)))
    assert caution not in "\n".join(calibration_notes(replace(DRAWN, images=64)))
