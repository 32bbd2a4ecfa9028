"""Counts as they are printed."""

import pytest

from lfw_eval.system.printing import counted


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1234, "1,234 images")]
)
def test_a_noun_agrees_with_its_count(count, words):
    assert counted(count, "image") == words


def test_an_irregular_plural():
    assert counted(1, "person", "people") == "1 person"
    assert counted(3, "person", "people") == "3 people"
