"""What tables say of the images that INT8 was calibrated on."""

import pytest

from lfw_eval.report.tables.side_by_side import calibration_notes
from lfw_eval.results.calibration import CalibrationDescription


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
    described = CalibrationDescription(
        images=512,
        evaluated=0,
        people=people,
        evaluated_people=evaluated,
        origin="drawn",
        list_sha256="",
        table_sha256="",
        method="entropy",
        first_batch=first_batch,
        amax={},
    )
    first, *others = calibration_notes(described, "EVALUATED")
    batch = f", first batch {first_batch}" if first_batch else ""
    assert first == f"calibrated  on 512 crops{batch}, drawn"
    assert [line.strip() for line in others] == ([note] if note else [])
