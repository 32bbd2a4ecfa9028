import numpy as np
import pytest
from pictures import encoded, picture

from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.image_finder import ImageFinder
from lfw_eval.datasets.pair_csv import write_pair_list
from lfw_eval.datasets.pairs import Pairs
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.system.errors import UserError

FILES = ["a/1.jpg", "a/2.JPG", "b/1.jpg", "b/c/3.png", "b/v1.2.jpg", "deep/b/c/3.png", "4.jpeg"]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "faces"
    for seed, file in enumerate(FILES):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(seed)))
    return root


def opened(folder, text, name="pairs.csv"):
    (folder / name).write_text(text)
    return open_dataset(str(folder), None)


PAIRS = """a/1,a/2.JPG,1
4,2,TRUE
v1.2,b/1.jpg,Yes
4,a/1.jpg,0
b/c/3,4.jpeg,false
deep/b/c/3.png,./2,no
"""


def named(dataset):
    pairs = dataset.pairs
    sides = zip(pairs.left, pairs.right, strict=True)
    return [tuple(pairs.names[row] for row in rows) for rows in sides]


def test_names_paths_and_suffixes(folder):
    dataset = opened(folder, PAIRS)
    assert named(dataset) == [
        ("a/1.jpg", "2"),
        ("4", "2"),
        ("v1.2", "b/1.jpg"),
        ("4", "a/1.jpg"),
        ("b/c/3.png", "4"),
        ("deep/b/c/3.png", "2"),
    ]
    assert dataset.pairs.genuine.tolist() == [True] * 3 + [False] * 3
    assert dataset.pairs.fold.tolist() == [0, 1, 2, 0, 1, 2]
    assert dict(dataset.photographs.read(["2"]))["2"].shape == (60, 50, 3)


@pytest.mark.parametrize(
    "header", ["name,name,same\n", "left , right, label , fold\n", "\ufeffa,b,c\n"]
)
def test_a_header_is_left_out(folder, header):
    assert named(opened(folder, header + PAIRS)) == named(opened(folder, PAIRS))


def test_folds_that_are_given(folder):
    rows = [f"{line},{fold}" for line, fold in zip(PAIRS.split(), "477747", strict=True)]
    dataset = opened(folder, "\n".join(rows))
    assert dataset.pairs.fold.tolist() == [0, 1, 1, 1, 0, 1]
    assert dataset.pairs.folds == 2


def test_ten_consecutive_folds_of_both_kinds(folder):
    files = [folder / f"{index:03d}.jpg" for index in range(60)]
    for index, file in enumerate(files):
        file.write_bytes(encoded(picture(index)))
    rows = [f"{i:03d},{i + 1:03d},{int(i < 25)}" for i in range(59)]
    pairs = opened(folder, "\n".join(rows)).pairs
    assert pairs.folds == 10
    for kind in (pairs.genuine, ~pairs.genuine):
        sizes = np.bincount(pairs.fold[kind])
        assert len(sizes) == 10 and np.ptp(sizes) <= 1
        assert (np.diff(pairs.fold[kind]) >= 0).all()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a/1,a/2", "line 7: expected name,name,same"),
        ("a/1,a/2,1,2,3", "line 7: expected name,name,same"),
        ("a/1,b/1,maybe", "line 7: expected 1, true, .* or mismatch, not 'maybe'"),
        ("a/1,nobody,1", "line 7: there is no image 'nobody'"),
        ("1,4,1", r"line 7: '1' can be any of 2 images \(a/1.jpg, b/1.jpg\)"),
        ("3,4,1", "line 7: '3' can be any of 2 images"),
        ("a/1,a/1.jpg,1", "line 7: expected two different images, but both are a/1.jpg"),
        ("2,a/1.jpg,0", "line 7: the same pair is on line 1; delete one of the two"),
        ("a/1.bmp,4,0", "line 7: there is no image 'a/1.bmp'; write a/1.jpg, say, as the data"),
        ("/other/b/v1.2.png,4,0", "line 7: .*; write b/v1.2.jpg, say, as the data"),
        ("/other/nobody.png,4,0", "line 7: .*; write paths relative to the data set"),
        (r"C:\other\nobody.png,4,0", "line 7: .*; write paths relative to the data set"),
        ("a/1,b/1,1,x", "line 7: expected the number of a fold, not 'x'"),
        ("a/1,b/1,1,-1", "line 7: expected the number of a fold"),
        ("a/1,b/1,1,3", "line 1: this line has no fold, but others do"),
        ('a/1,"b/1,1', "not CSV"),
    ],
)
def test_mistakes_name_the_line(folder, line, why):
    with pytest.raises(UserError, match=rf"pairs\.csv, .*{why}"):
        opened(folder, PAIRS + line + "\n")


def test_a_first_line_with_a_mistake_is_no_header(folder):
    with pytest.raises(UserError, match="line 1: expected 1, true, yes"):
        opened(folder, "a/1,a/2,maybe\n" + PAIRS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", r"the pair list .*pairs\.csv is empty"),
        ("a,b,same\n", r"line 1: no pair follows the header 'a,b,same'"),
        ("a/1,a/2,1\n4,2,1\n4,a/1,0\n", "2 genuine and 1 impostor"),
        (PAIRS.replace("\n", ",1\n"), "line 1: all pairs are in one fold"),
        (
            "a/1,2,1,1\n4,2,1,1\n4,a/1,0,2\nb/1,2,0,1\nb/1,4,0,2\n",
            "line 3: fold 2 has only impostor pairs",
        ),
    ],
)
def test_lists_that_allow_no_threshold(folder, text, why):
    with pytest.raises(UserError, match=why):
        opened(folder, text)


def test_files_that_are_no_text(folder, tmp_path):
    (folder / "pairs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="begins as UTF-16 does, but is not"):
        open_dataset(str(folder), None)
    with pytest.raises(UserError, match=r"none\.csv cannot be read"):
        open_dataset(str(folder), tmp_path / "none.csv")


def test_a_list_elsewhere_and_one_in_lfws_format(folder, tmp_path):
    (tmp_path / "other.csv").write_text(PAIRS)
    assert len(open_dataset(str(folder), tmp_path / "other.csv").pairs) == 6
    for name in ("Ann_0001", "Ann_0002", "Bo_0001", "Bo_0002"):
        (folder / "deep" / f"{name}.jpg").write_bytes(encoded(picture(1)))
    lines = "2\t1\nAnn\t1\t2\nAnn\t1\tBo\t1\nBo\t1\t2\nAnn\t2\tBo\t2\n"
    dataset = opened(folder, lines, "pairs.txt")
    assert dataset.pairs.names == ("Ann_0001", "Ann_0002", "Bo_0001", "Bo_0002")
    (folder / "a" / "Bo_0001.png").write_bytes(encoded(picture(1)))
    with pytest.raises(UserError, match="several images named Bo_0001"):
        open_dataset(str(folder), None)


def test_finder_takes_the_end_of_a_path():
    finder = ImageFinder({"x": "a/b/x.jpg", "b/y.jpg": "b/y.jpg", "a/b/y.jpg": "a/b/y.jpg"})
    for written in ("x", "x.jpg", "b/x", "a/b/x.jpg", ".\\a\\b\\x.jpg"):
        assert list(finder.find(written)) == ["x"]
    assert list(finder.find("b/y")) == ["b/y.jpg"]
    assert len(finder.find("y")) == 2
    assert not finder.find("z") and not finder.find("x.png") and not finder.find("")


def test_absolute_paths_below_the_data_set(folder):
    absolute = [line.split(",") for line in PAIRS.splitlines()]
    files = {"4": "4.jpeg", "2": "a/2.JPG", "v1.2": "b/v1.2.jpg", "./2": "a/2.JPG"}
    lines = [",".join(str(folder / files.get(side, side)) for side in row[:2]) for row in absolute]
    text = "".join(f"{line},{row[2]}\n" for line, row in zip(lines, absolute, strict=True))
    assert named(opened(folder, text)) == named(opened(folder, PAIRS))
    with pytest.raises(UserError, match=r"there is no image .*; write 4\.jpeg, say"):
        opened(folder, text.replace("4.jpeg", "a/4.jpeg"))


def test_names_that_several_images_share(folder):
    names = open_photographs(folder).names
    assert "a/1.jpg" in names and "b/1.jpg" in names and "2" in names and "v1.2" in names


def test_pairs_that_lfws_format_cannot_hold_go_into_a_csv_file(folder, tmp_path):
    dataset = opened(folder, PAIRS)
    path = write_pair_list(dataset.pairs, tmp_path)
    assert path == tmp_path / "pairs.csv"
    again = open_dataset(str(folder), path)
    assert again.pairs.digest() == dataset.pairs.digest()
    left, right = ["Ann_0001", "Bo_0001"], ["Ann_0002", "Ann_0001"]
    pairs = Pairs.of(left, right, [True, False], [0, 0])
    assert write_pair_list(pairs, tmp_path).read_text() == "1\t1\nAnn\t1\t2\nBo\t1\tAnn\t1\n"
