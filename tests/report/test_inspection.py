"""What the table says of a trial."""

import pytest

from lfw_eval.checkpoints.preprocessing import Preprocessing
from lfw_eval.pipelines.normalisation_trial import PUBLISHED, Trial, Tried
from lfw_eval.report.tables.inspection import verdict_rows

FIXED, ARCFACE, UNIT, BGR = map(Preprocessing.parse, ("fixed", "arcface", "unit", "fixed BGR"))


def verdict(*ways: Preprocessing, equal: int = 1, auc: float = 0.99, default=None) -> list[str]:
    """The lines on a trial with these ways in order, the first ones of them equal."""
    tried = (
        Tried(way, auc, 5 - place, place, 0.1, place >= equal) for place, way in enumerate(ways)
    )
    return [
        f"{label}: {words}" for label, words in verdict_rows(Trial(tuple(tried), 64, 9), default)
    ]


@pytest.mark.parametrize(
    ("best", "option"),
    [
        (FIXED, "`normalisation` fixed"),
        (BGR, "`normalisation` fixed `channel_order` bgr"),
        (
            next(iter(PUBLISHED)),
            "`normalisation` 123.675,116.28,103.53,58.395,57.12,57.375 (ImageNet's)",
        ),
    ],
)
def test_the_option_to_give(best, option):
    assert verdict(best, UNIT) == [f"likely: {option}"]


def test_ways_that_are_not_told_apart():
    assert verdict(FIXED, ARCFACE, UNIT, equal=2)[0] == "likely: `normalisation` fixed"
    perhaps, alike, other = verdict(FIXED, ARCFACE, BGR, UNIT, equal=3)
    assert perhaps == "perhaps: `normalisation` fixed"
    assert alike == (
        "or: `normalisation` arcface: 64 pairs do not tell it from that, and the two hardly differ"
    )
    assert other == (
        "or: `normalisation` fixed `channel_order` bgr: 64 pairs do not tell it from that"
    )


def test_what_the_file_says():
    assert verdict(FIXED, UNIT, default=FIXED) == [
        "likely: `normalisation` fixed (the default of this file)"
    ]
    likely, other = verdict(FIXED, UNIT, equal=2, default=UNIT)
    assert likely == "likely: `normalisation` unit (the default of this file)"
    assert other == "or: `normalisation` fixed: 64 pairs do not tell it from that"
    assert verdict(FIXED, UNIT, default=UNIT)[1] == (
        "caution: the file says unit, which is worse on these faces"
    )


@pytest.mark.parametrize("auc", [0.7, None])
def test_nothing_is_likely_of_noise(auc):
    (line,) = verdict(FIXED, UNIT, auc=auc)
    assert line.startswith("cannot tell: ")
    assert "may be random" in line
