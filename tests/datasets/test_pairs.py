"""Reading and writing pair lists, and what is refused in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.datasets.pairs import Pairs, read_pairs, write_pairs
from lfw_eval.metrics.verification.protocol import evaluate
from lfw_eval.system.errors import UserError

LINES = ["2\t1", "Ann\t1\t2", "Ann\t1\tBob\t3", "Bob\t1\t12", "Cy_Lee\t1\tAnn\t10001"]


@pytest.fixture
def write(tmp_path):
    def write(lines, ending="\n"):
        path = tmp_path / "pairs.txt"
        path.write_bytes(ending.join(lines).encode() + ending.encode())
        return path

    return write


def images(pairs):
    """Pairs as text: left image, right image, truth, fold."""
    columns = zip(pairs.left, pairs.right, pairs.genuine, pairs.fold, strict=True)
    return [(pairs.names[i], pairs.names[j], bool(same), int(k)) for i, j, same, k in columns]


def test_view_2(write):
    pairs = read_pairs(write(LINES))
    assert images(pairs) == [
        ("Ann_0001", "Ann_0002", True, 0),
        ("Ann_0001", "Bob_0003", False, 0),
        ("Bob_0001", "Bob_0012", True, 1),
        ("Cy_Lee_0001", "Ann_10001", False, 1),
    ]
    assert pairs.names == tuple(sorted(set(pairs.names)))
    assert (len(pairs), pairs.folds) == (4, 2)


def test_official_list(real_data, tmp_path):
    official = real_data / "pairs.txt"
    pairs = read_pairs(official)
    assert (len(pairs), len(pairs.names), pairs.folds) == (6000, 7701, 10)
    assert np.array_equal(pairs.fold, np.arange(6000) // 600)
    assert np.array_equal(pairs.genuine, np.arange(6000) % 600 < 300)
    write_pairs(pairs, tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_bytes() == official.read_bytes()


def test_view_1_is_split_into_ten_consecutive_folds(write):
    matched = [f"Ann\t{i}\t{i + 1}" for i in range(1, 26)]
    mismatched = [f"Ann\t{i}\tBob\t{i}" for i in range(1, 26)]
    pairs = read_pairs(write(["25", *matched, *mismatched]))
    assert (pairs.folds, pairs.folds_stated) == (10, False)
    assert pairs.fold[pairs.genuine].tolist() == pairs.fold[~pairs.genuine].tolist()
    assert np.bincount(pairs.fold).tolist() == [6, 4] * 5
    assert (np.diff(pairs.fold[pairs.genuine]) >= 0).all()
    assert read_pairs(write(LINES)).folds_stated


@pytest.mark.parametrize(
    "lines", [["601", "Ann\t5"], ["10", "601", "Ann\t1"], ["3", "Ann Lee\t2", "Bob\t1"]]
)
def test_a_list_of_people_is_said_to_be_one(write, lines):
    with pytest.raises(UserError, match=r"pairs\.txt lists people and .* not pairs \(line 2: '"):
        read_pairs(write(lines))


def test_a_single_fold_is_refused_by_the_protocol(write):
    pairs = read_pairs(write(["1\t1", *LINES[1:3]]))
    assert pairs.folds == 1
    assert pairs.genuine.tolist() == [True, False]
    with pytest.raises(UserError, match=r"one fold.*view 2"):
        evaluate(np.eye(3), pairs.left, pairs.right, pairs.genuine, pairs.fold)


@pytest.mark.parametrize("ending", ["\r\n", "\n\n", "  \n"])
def test_harmless_differences(write, ending):
    assert images(read_pairs(write(LINES, ending))) == images(read_pairs(write(LINES)))
    spaces = [line.replace("\t", " ") for line in LINES]
    assert images(read_pairs(write(spaces))) == images(read_pairs(write(LINES)))
    marked = ["\ufeff" + LINES[0], *LINES[1:]]
    assert images(read_pairs(write(marked))) == images(read_pairs(write(LINES)))


@pytest.mark.parametrize(
    ("number", "line", "expected"),
    [
        (1, "ten\t300", "number of folds"),
        (1, "0\t300", "number of folds"),
        (1, "10\t300\t1", "number of folds"),
        (1, "Ann\t1\t2", "number of folds"),
        (2, "Ann\t1", "a matched pair"),
        (2, "Ann\t1\ttwo", "a matched pair"),
        (2, "Ann\t1\t-2", "a matched pair"),
        (2, "Ann\t1\t\u0663", "a matched pair"),
        (2, "Ann\t1\t" + "9" * 5000, "a matched pair"),
        (2, "Ann\t1\tBob\t3", "a matched pair"),
        (2, "Ann\t1\t1", "two different images"),
        (2, "Ann\t1\t001", "two different images"),
        (3, "Ann\t3\t4", "a mismatched pair"),
        (3, "Ann\t1\tBob", "a mismatched pair"),
        (3, "Ann\t1\tAnn\t2", "a mismatched pair"),
        (3, "Ann\t1\t\t2", "a mismatched pair"),
        (4, "Ann\t2\t1", "repeats line 2, not 'Ann\\t2\\t1'; delete it, and correct the counts"),
        (5, "Bob\t3\tAnn\t1", "repeats line 3"),
    ],
)
def test_malformed_line(write, number, line, expected):
    lines = list(LINES)
    lines[number - 1] = line
    path = write(lines)
    with pytest.raises(UserError) as caught:
        read_pairs(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {number}: expected ")
    assert expected in message
    assert repr(line[:80])[:-1] in message


def test_wrong_count(write):
    with pytest.raises(
        UserError, match=r"ends after 3 of the 4 pairs .*copy, or correct the counts"
    ):
        read_pairs(write(LINES[:-1]))
    with pytest.raises(UserError, match=r"line 6: expected the end after 4 pairs.*'Dan\\t1\\t2'"):
        read_pairs(write([*LINES, "Dan\t1\t2"]))


def test_unreadable(tmp_path, write):
    with pytest.raises(UserError, match=r"absent\.txt cannot be read: No such file"):
        read_pairs(tmp_path / "absent.txt")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_pairs(tmp_path)
    with pytest.raises(UserError, match="line 1: expected the number of folds"):
        read_pairs(write([]))
    latin = write(LINES)
    latin.write_bytes(latin.read_bytes().replace(b"Bob\t3", b"Bj\xf6rn\t3"))
    with pytest.raises(
        UserError, match=r"line 3: .*Björn.* is not UTF-8 text but likely Latin-1; save"
    ):
        read_pairs(latin)


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "pairs.txt"
    path.write_bytes(content)
    try:
        read_pairs(path)
    except UserError as error:
        assert str(path) in str(error)


people = (
    st.text(min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda name: name and not set(name) & set("\t\r\n\0") and not name.startswith("\ufeff"))
)


@given(st.lists(people, min_size=2, max_size=2, unique=True), st.integers(1, 4), st.integers(1, 4))
def test_written_pairs_are_read_back(tmp_path_factory, names, folds, per_kind):
    path = tmp_path_factory.mktemp("written") / "pairs.txt"
    first, second = names
    numbers = range(folds * per_kind)
    genuine = np.arange(2 * folds * per_kind) % 2 == 0  # not in the order of the file
    left = [f"{first}_{i:04d}" for i in numbers for _ in range(2)]
    right = [f"{p}_{i + 20000:04d}" for i in numbers for p in (first, second)]
    pairs = Pairs.of(left, right, genuine, np.arange(len(left)) // (2 * per_kind))
    write_pairs(pairs, path)
    again = read_pairs(path)
    assert sorted(images(again)) == sorted(images(pairs))
    assert (again.names, again.folds) == (pairs.names, pairs.folds)


@pytest.mark.parametrize(
    ("left", "right", "genuine", "message"),
    [
        (["Ann_0001", "Ann_0001"], ["Ann_0002", "Bob_0001"], [True, True], "0 to 2"),
        (["Ann_1", "Ann_0001"], ["Ann_0002", "Bob_0001"], [True, False], "not 'Ann_1'"),
        (["Ann_00001", "Ann_0001"], ["Ann_0002", "Bob_0001"], [True, False], "not 'Ann_00001'"),
        (["Ann_0001", "Ann_0001"], ["Cy_0002", "Bob_0001"], [True, False], "are a genuine pair"),
        (["Ann_0001", "Bob_0002"], ["Ann_0002", "Bob_0001"], [True, False], "are an impostor pair"),
    ],
)
def test_pairs_that_the_format_cannot_hold(tmp_path, left, right, genuine, message):
    path = tmp_path / "pairs.txt"
    with pytest.raises(UserError, match=f"pairs.txt cannot be written: .*{message}"):
        write_pairs(Pairs.of(left, right, genuine, [0, 0]), path)
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_nothing(tmp_path, write):
    pairs = read_pairs(write(LINES))
    with pytest.raises(UserError, match=r"out\.txt cannot be written"):
        write_pairs(pairs, tmp_path / "pairs.txt" / "out.txt")
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="taken cannot be written"):
        write_pairs(pairs, tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.txt", "taken"]


def test_check_images(write):
    pairs = read_pairs(write(LINES))
    pairs.check_images([*pairs.names, "Zoe_0001"])
    with pytest.raises(UserError, match=r"1 of the 7 images .*: Bob_0003; "):
        pairs.check_images(set(pairs.names) - {"Bob_0003"})
    with pytest.raises(UserError, match=r"7 of the 7 .*: Ann_0001, Ann_0002, Ann_10001, \.\.\.; "):
        pairs.check_images([])
