"""Photographs in batches."""

import pytest
from pictures import encoded, picture

from lfw_eval.datasets.photograph_batches import in_batches
from lfw_eval.datasets.photographs import EncodedPhotograph

SIDES = [10, 10, 30, 10, 10, 10, 10]


def photographs(form: str) -> list[EncodedPhotograph]:
    """Return photographs of the sides."""
    return [
        EncodedPhotograph(str(n), encoded(picture(n, side, side), form), "")
        for n, side in enumerate(SIDES)
    ]


@pytest.mark.parametrize("form", [".jpg", ".png"])
@pytest.mark.parametrize(
    ("largest", "pixels", "counts"),
    [(9, 10**6, [7]), (3, 10**6, [3, 3, 1]), (9, 200, [2, 1, 2, 2]), (9, 1, [1] * 7)],
)
def test_batches_are_bounded_by_photographs_and_pixels(form, largest, pixels, counts):
    given = photographs(form)
    batches = list(in_batches(given, largest, pixels))
    assert [len(batch.photographs) for batch in batches] == counts
    assert [photo for batch in batches for photo in batch.photographs] == given
    sizes = [size for batch in batches for size in batch.sizes]
    assert sizes == ([(side, side) for side in SIDES] if form == ".jpg" else [None] * 7)


def test_what_cannot_be_decoded_takes_no_room():
    broken = [EncodedPhotograph(str(n), b"no image", "") for n in range(5)]
    assert [len(batch.photographs) for batch in in_batches(broken, 4, 1)] == [4, 1]
    assert not list(in_batches([], 4, 1))
