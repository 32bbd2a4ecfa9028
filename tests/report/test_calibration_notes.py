"""What tables say of the images that INT8 was calibrated on."""

from dataclasses import replace

import pytest
from evaluation_results import REFINEMENT

from lfw_eval.report.tables.refinement import refinement_table
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


def test_refinement():
    notes = "\n".join(calibration_notes(replace(DRAWN, refinement=REFINEMENT)))
    assert "refined     by equalisation, scale search\n" in notes
    assert "mean cosine 0.98959 to 0.99912, minimum 0.96050 to 0.99604\n" in notes
    assert "on 128 of the calibration crops" in notes
    nothing = replace(REFINEMENT, steps=REFINEMENT.steps[1:2])
    notes = "\n".join(calibration_notes(replace(DRAWN, refinement=nothing)))
    assert "refined     by none of the steps\n" in notes and "0.98959 to 0.98959" in notes


def test_what_each_step_gained():
    lines = refinement_table(REFINEMENT).splitlines()
    assert "on 128 of the calibration crops; steps are fitted on the other 384" in lines[0]
    assert [line.split() for line in lines[2:]] == [
        ["calibration", "0.98959", "0.96050", "17.0"],
        ["equalisation", "0.99727", "0.99164", "22.5"],
        ["bias", "correction", "0.99701", "0.99000", "22.1", "undone:", "no", "gain"],
        ["scale", "search", "0.99912", "0.99604", "27.4"],
    ]
