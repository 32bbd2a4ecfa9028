"""Pairs drawn from a folder of people."""

import re
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture

from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.drawn_pairs import draw_pairs
from lfw_eval.report.cautions import CAUTIONS
from lfw_eval.system.errors import UserError

GOLDEN = "9d074f0a66f5da80"
"""Of the pairs of 40 people with three images each."""


def folder_of(*counts: int) -> dict[str, str]:
    """Paths of the images of people who have so many each, by name."""
    return {
        f"P{person}_{number:04d}": f"set/P{person}/P{person}_{number:04d}.jpg"
        for person, count in enumerate(counts)
        for number in range(count)
    }


def people(pairs, side):
    return np.array([name.partition("_")[0] for name in pairs.names])[side]


def check(pairs, number):
    """Check all that is promised of the pairs, and return the number of folds."""
    left, right = people(pairs, pairs.left), people(pairs, pairs.right)
    np.testing.assert_array_equal(left == right, pairs.genuine)
    assert (len(pairs), int(pairs.genuine.sum())) == (number, number // 2)
    assert not np.ptp(np.bincount(2 * pairs.fold + pairs.genuine)), "as many of each in each fold"
    couples = {frozenset(pair) for pair in zip(pairs.left, pairs.right, strict=True)}
    assert len(couples) == number, "no pair twice, and none of an image with itself"
    folds: dict[str, set[int]] = {}
    for person, fold in zip([*left, *right], [*pairs.fold, *pairs.fold], strict=True):
        folds.setdefault(person, set()).add(fold)
    assert all(len(of_person) == 1 for of_person in folds.values()), "no person in two folds"
    return pairs.folds


@pytest.mark.parametrize(
    ("counts", "number", "folds"),
    [
        ([2] * 40 + [1] * 60, 80, 10),
        ([6] * 20, 300, 10),
        ([6] * 20, 20, 10),
        ([5] * 10, 100, 5),
        ([40] * 4, 2000, 2),
        ([500, *[2] * 400], 200, 10),
    ],
)
def test_folds_without_shared_people(counts, number, folds):
    assert check(draw_pairs(folder_of(*counts), number, "set"), number) == folds


@given(st.lists(st.integers(1, 12), max_size=40), st.integers(1, 30).map(lambda n: 20 * n))
def test_any_folder_gives_what_is_asked_for_or_says_what_it_can(counts, number):
    paths = folder_of(*counts)
    try:
        pairs = draw_pairs(paths, number, "set")
    except UserError as error:
        several = sum(count > 1 for count in counts)
        assert (
            f"set has {len(paths)} different images of {len(counts)} people, {several} of"
            in str(error)
        )
        if most := re.search(r"draw (\d+) or fewer", str(error)):
            assert int(most[1]) < number
            check(draw_pairs(paths, int(most[1]), "set"), int(most[1]))
    else:
        check(pairs, number)


def test_they_are_the_same_everywhere():
    paths = folder_of(*[3] * 40)
    pairs = draw_pairs(paths, 100, "set")
    assert draw_pairs(dict(reversed(paths.items())), 100, "set").digest() == pairs.digest()
    assert pairs.digest().startswith(GOLDEN)


def test_a_person_with_many_images_does_not_prevail():
    pairs = draw_pairs(folder_of(300, *[3] * 200), 400, "set")
    assert np.sum(people(pairs, pairs.left)[pairs.genuine] == "P0") <= 1


def test_people_of_a_single_folder_are_told_by_their_names():
    flat = {name: f"{name}.jpg" for name in folder_of(*[3] * 20)}
    assert draw_pairs(flat, 40, "set").folds == 10
    # As facenet and others split them: the same people in two folders.
    split = {
        f"{part}/{name}": f"{part}/{path}"
        for part in ("train", "val")
        for name, path in folder_of(*[1] * 20).items()
    }
    assert int(draw_pairs(split, 20, "set").genuine.sum()) == 10


def test_copies_in_another_format_are_the_same_photograph():
    paths = folder_of(*[3] * 20)
    copies = {f"{path[:-4]}{suffix}" for path in paths.values() for suffix in (".jpg", ".bmp")}
    pairs = draw_pairs({path: path for path in copies}, 60, "set")
    assert all(name.endswith(".bmp") for name in pairs.names)
    with pytest.raises(UserError, match="set has 60 different images of 20 people"):
        draw_pairs({path: path for path in copies}, 200, "set")


@pytest.mark.parametrize("number", [0, -20, 7, 1001])
def test_numbers_that_do_not_fill_folds(number):
    with pytest.raises(UserError, match=f"`draw_pairs` {number} is not a multiple of 20"):
        draw_pairs(folder_of(*[3] * 20), number, "set")


@pytest.fixture
def faces(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / "datasets"))
    for seed, path in enumerate(folder_of(*[3] * 20).values()):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(encoded(picture(seed)))
    return tmp_path / "set"


def test_the_list_is_written_and_named(faces):
    dataset = open_dataset(faces, draw_pairs=60)
    (file,) = (faces.parent / "datasets" / "prepared" / "set").iterdir()
    assert dataset.title == f"{faces}, 60 pairs drawn by a seed, {file}"
    assert dataset.caution == "drawn"
    assert "cannot be compared with published" in CAUTIONS[dataset.caution]
    again = open_dataset(faces, file)
    assert again.pairs.digest() == dataset.pairs.digest()
    assert (again.caution, again.title) == ("", f"{faces}, pairs of {file.name}")


@pytest.mark.parametrize("archived", [False, True])
def test_the_same_file_twice_is_drawn_from_once(faces, tmp_path, archived):
    expected = open_dataset(faces, draw_pairs=60).pairs.digest()
    for image in [*faces.rglob("*.jpg")]:
        image.with_name(f"{image.stem}_copy.jpg").write_bytes(image.read_bytes())
    source = faces
    if archived:
        source = tmp_path / "set.tar"
        with tarfile.open(source, "w") as archive:
            archive.add(faces, "set")
    assert open_dataset(source, draw_pairs=60).pairs.digest() == expected


def test_what_draws_no_pairs(faces, tmp_path):
    with pytest.raises(UserError, match="`pairs` does not go with `draw_pairs`"):
        open_dataset(faces, tmp_path / "pairs.txt", draw_pairs=60)
    with pytest.raises(UserError, match="`draw_pairs` does not go with `dataset` celebrities"):
        open_dataset("celebrities", draw_pairs=60)


def test_a_folder_without_a_list_is_told_of_it(faces, tmp_path, monkeypatch):
    """LFW's own list, which is taken where there is none, is that of other people."""
    official = tmp_path / "official.txt"
    official.write_text("1\nNobody\t1\t2\nNobody\t1\tElse\t1\n")
    monkeypatch.setattr("lfw_eval.datasets.pair_source.fetch", lambda *_: official)
    with pytest.raises(
        UserError, match=r"nor beside it .* fit: 3 of .*; put one there, .*`draw_pairs` 1000"
    ):
        open_dataset(faces)
