"""Which images are calibrated on: people who are not evaluated first."""

import pytest

from calibration.sampler import choose_images, draw_images, held_out, list_text
from lfw_eval.datasets.pairs import read_pairs
from lfw_eval.system.errors import UserError


def images(people: range, *numbers: int) -> list[str]:
    return [f"P{person}_{number:04d}" for person in people for number in numbers]


def test_draw_is_spread_over_identities_and_in_no_order_of_input():
    names = [f"{person}_{number:04d}" for person in "ABCDE" for number in range(1, 30)]
    drawn = draw_images(names, 10)
    assert sorted(name[0] for name in drawn) == sorted("ABCDE" * 2)
    assert draw_images(names[::-1], 10) == drawn
    assert draw_images(names, 20)[:10] == drawn


def test_people_outside_of_the_pairs_come_first():
    evaluated = images(range(100), 1)
    strangers = images(range(100, 140), 1, 2)
    chosen = choose_images([*evaluated, *images(range(100), 2), *strangers], evaluated)
    assert set(chosen.names) == set(strangers)
    assert chosen.origin == "drawn from people who are not evaluated"
    assert (chosen.evaluated, chosen.people, chosen.evaluated_people) == (0, 40, 0)


def test_fewer_than_64_of_their_images_are_followed_by_others_outside_of_the_pairs():
    evaluated = images(range(100), 1)
    strangers = images(range(100, 131), 1, 2)
    others = images(range(100), 2)
    chosen = choose_images([*evaluated, *others, *strangers], evaluated)
    assert set(chosen.names[:62]) == set(strangers)
    assert set(chosen.names[62:]) == set(others)
    assert (chosen.evaluated, chosen.people, chosen.evaluated_people) == (0, 131, 100)


def test_fewer_than_64_outside_of_the_pairs_are_followed_by_evaluated_ones():
    evaluated = images(range(100), 1)
    chosen = choose_images([*evaluated, *images(range(90, 120), 2)], evaluated)
    assert set(chosen.names[:20]) == set(images(range(100, 120), 2))
    assert set(chosen.names[20:30]) == set(images(range(90, 100), 2))
    assert set(chosen.names[30:]) == set(evaluated)
    assert (chosen.evaluated, chosen.people, chosen.evaluated_people) == (100, 120, 100)
    assert choose_images(evaluated, evaluated).origin == "drawn from the evaluated images"


def test_names_that_do_not_tell_whom_they_show():
    unnamed = [f"{number:06d}" for number in range(200)]
    chosen = choose_images(unnamed, unnamed[:100])
    assert set(chosen.names) == set(unnamed[100:])
    assert (chosen.evaluated, chosen.people, chosen.evaluated_people) == (0, None, None)
    # An evaluated image of anybody: people outside of the pairs cannot be told.
    chosen = choose_images([*unnamed[:1], *images(range(100), 1)], unnamed[:1])
    assert chosen.origin == "drawn from images that are not evaluated"
    assert (chosen.people, chosen.evaluated_people) == (100, None)
    # An image of anybody that is not evaluated is not of a person outside.
    evaluated, strangers = images(range(9), 1), images(range(9, 99), 1)
    chosen = choose_images([*evaluated, *strangers, *unnamed], evaluated)
    assert set(chosen.names) == set(strangers)


def test_a_data_set_of_which_nothing_is_evaluated():
    every = [*images(range(30), 1, 2), "unnamed"]
    chosen = choose_images(every, [])
    assert set(chosen.names) == set(every)
    assert chosen.origin == "drawn from all images"


def test_lfw(real_data):
    """All of its people but 1,468 are in the pairs; the images here are those of the pairs."""
    pairs = read_pairs(real_data / "pairs.txt")
    last: dict[str, int] = {}
    for name in pairs.names:
        person, _, number = name.rpartition("_")
        last[person] = max(last.get(person, 0), int(number))
    every = {f"{person}_{n:04d}" for person, top in last.items() for n in range(1, top + 1)}
    others = choose_images(every, pairs.names)
    assert (others.evaluated, others.people, others.evaluated_people) == (0, 473, 473)
    strangers = {f"Nobody{number}_0001" for number in range(1_468)}
    chosen = choose_images(every | strangers, pairs.names)
    assert (chosen.evaluated, chosen.people, chosen.evaluated_people) == (0, 512, 0)
    only = choose_images(pairs.names, pairs.names)
    assert only.evaluated == 512
    assert only.people == only.evaluated_people


def test_a_list_of_the_users_own(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(list_text(["A_0002", "A_0001"]) + "\n")
    chosen = choose_images(["A_0001", "A_0002", "B_0001"], ["A_0001"], path)
    assert chosen.names == ("A_0002", "A_0001")
    assert (chosen.evaluated, chosen.people, chosen.evaluated_people) == (1, 1, 1)
    with pytest.raises(UserError, match="not in the data set: 1, such as A_0002"):
        choose_images(["A_0001"], [], path)
    path.write_text(list_text(["B_0001", *["A_0001"] * 99]))
    with pytest.raises(UserError, match=r"list\.txt repeats 1 image, first A_0001"):
        choose_images(["A_0001", "B_0001"], [], path)
    path.write_text("\n")
    with pytest.raises(UserError, match="empty"):
        choose_images(["A_0001"], [], path)
    with pytest.raises(UserError, match="cannot be read"):
        choose_images(["A_0001"], [], tmp_path / "none.txt")


def test_nobody_is_both_fitted_on_and_held_out():
    names = draw_images(images(range(17), 1, 2, 3), 51)
    apart = held_out(names, 4)
    people = [
        {name.split("_")[0] for name, out in zip(names, apart, strict=True) if out == kind}
        for kind in (True, False)
    ]
    assert (len(people[0]), len(people[1])) == (4, 13) and not people[0] & people[1]


@pytest.mark.parametrize("names", [images(range(12), 1), [f"{n}.png" for n in range(12)]])
def test_of_few_or_unknown_people_images_are_held_out(names):
    assert list(held_out(names, 4).nonzero()[0]) == [3, 7, 11]
