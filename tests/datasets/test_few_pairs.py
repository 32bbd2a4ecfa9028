from itertools import combinations

import numpy as np

from lfw_eval.datasets.few_pairs import draw_few_pairs
from lfw_eval.datasets.pairs import Pairs


def celebrities(images: int = 12) -> Pairs:
    """All pairs of the images of three people."""
    names = [f"{person}_{i:04d}" for person in "abc" for i in range(1, images + 1)]
    left, right = zip(*combinations(names, 2), strict=True)
    same = [one[0] == other[0] for one, other in zip(left, right, strict=True)]
    return Pairs.of(left, right, same, [0] * len(left))


def test_no_image_twice_and_people_in_turn():
    few = draw_few_pairs(celebrities(), 9)
    images = [*few.left, *few.right]
    assert len(set(images)) == len(images) == 18
    people = [name[0] for name in few.left]
    assert people == [name[0] for name in few.right]
    assert [sorted(people[turn : turn + 3]) for turn in (0, 3, 6)] == [["a", "b", "c"]] * 3
    assert few.people == 3
    expected = [[one != other for other in people] for one in people]
    np.testing.assert_array_equal(few.impostor, expected)


def test_as_many_as_there_are():
    assert len(draw_few_pairs(celebrities(images=4), 100).left) == 6
    assert len(draw_few_pairs(celebrities(), 0).left) == 0
    assert draw_few_pairs(celebrities(), 0).people == 0


def test_the_order_of_pairs_does_not_matter():
    pairs = celebrities()
    order = np.random.default_rng(1).permutation(len(pairs))
    other = Pairs(
        pairs.names, pairs.left[order], pairs.right[order], pairs.genuine[order],
        pairs.fold[order], pairs.folds,
    )  # fmt: skip
    assert draw_few_pairs(other, 8).left == draw_few_pairs(pairs, 8).left


def test_people_of_names_that_do_not_tell():
    """IMG_0001 to IMG_0006 are of two people: genuine pairs connect who is who."""
    names = [f"IMG_{i:04d}" for i in range(1, 9)]
    same = [*combinations(names[:4], 2), *combinations(names[4:], 2)]
    other = list(zip(names[:4], names[4:], strict=True))
    sides = [*same, *other]
    pairs = Pairs.of(
        [left for left, _ in sides],
        [right for _, right in sides],
        [True] * len(same) + [False] * len(other),
        [0] * len(sides),
    )
    few = draw_few_pairs(pairs, 9)
    assert len(few.left) == 4
    assert few.people == 2
    assert few.impostor.sum() == 8
