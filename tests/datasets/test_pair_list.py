"""Lists of pairs in every form that is around, over the same images."""

import codecs
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture

from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.pair_list import read_pair_list
from lfw_eval.system.errors import UserError

PEOPLE = ("Ann_Lee", "Bo", "Cy")
IMAGES = {
    f"{person}_{number:04d}": f"lfw/{person}/{person}_{number:04d}.jpg"
    for person in PEOPLE
    for number in (1, 2, 3)
}
GENUINE = [(person, 1, person, other) for other in (2, 3) for person in PEOPLE]
IMPOSTOR = [("Ann_Lee", i, "Bo", i) for i in (1, 2, 3)] + [("Bo", i, "Cy", i) for i in (1, 2, 3)]


def name(person, number):
    return f"{person}_{number:04d}"


def numbered(separator=",", end=""):
    matched = [separator.join((p, str(i), str(j))) + end for p, i, _, j in GENUINE]
    return matched, [separator.join((p, str(i), q, str(j))) for p, i, q, j in IMPOSTOR]


def labelled(separator=",", same="1", different="0"):
    pairs = [(*pair, same) for pair in GENUINE] + [(*pair, different) for pair in IMPOSTOR]
    return [separator.join((name(p, i), name(q, j), label)) for p, i, q, j, label in pairs]


def paired(suffix=".jpg"):
    pairs = [(*pair, at // 2 + 1) for at, pair in enumerate(GENUINE)]
    pairs += [(*pair, 0) for pair in IMPOSTOR]
    sides = [(side, n) for p, i, q, j, n in pairs for side in (name(p, i), name(q, j))]
    return [f"{side}{suffix} {n}" for side, n in sides]


def lfw(header):
    matched, mismatched = numbered("\t")
    return [header, *matched, *mismatched]


def kaggle(*headers, end=""):
    matched, mismatched = numbered(end=end)
    return [*headers[:1], *matched, *headers[1:], *mismatched]


FORMS = {
    "Kaggle's pairs.csv": kaggle("name,imagenum1,imagenum2,", end=","),
    "Kaggle's two files, joined": kaggle(
        "name,imagenum1,imagenum2", "name,imagenum1,name,imagenum2"
    ),
    "no header": kaggle(),
    "as LFW's without its first line": lfw("6")[1:],
    "view 1": lfw("6"),
    "from a spreadsheet": [line.replace(",", ";") for line in kaggle("Name;Bild 1;Bild 2")],
    "fractions": [*kaggle()[:-1], "Bo,3.0,Cy,3.0"],
    "CALFW": paired(),
    "with suffixes": [line.replace("_0001,", "_0001.jpg,") for line in labelled()],
    "with suffixes and tabs": [re.sub(r"(_\d{4})", r"\1.jpg", line) for line in labelled("\t")],
    "with suffixes and spaces": [re.sub(r"(_\d{4})", r"\1.jpg", line) for line in labelled(" ")],
    "below comments": ["# made by hand", "", " # twice, of course, 1", *labelled()],
    "below a comment and a header": ["#pairs", "left,right,label", *labelled()],
    "view 1 below a comment": ["# of ours", *lfw("6")],
    "mixed case": labelled(same="TRUE", different="False"),
    "a header that is an answer": ["first,second,same", *labelled()],
    "old line ends": ["\r".join(labelled())],
    "quoted": [f'"{line[: line.index(",")]}"{line[line.index(",") :]}' for line in labelled()],
    **{f"separated by {s!r}": labelled(s) for s in (",", ";", "\t", " ")},
    **{
        f"{same} and {different}": ["left,right,label", *labelled(",", same, different)]
        for same, different in (
            ("1", "-1"),
            ("+1", "-1"),
            ("1.0", "0.0"),
            ("true", "false"),
            ("yes", "no"),
            ("same", "different"),
            ("genuine", "impostor"),
            ("match", "mismatch"),
        )
    },
}


def read(tmp_path, lines, file="list.csv", encoding="utf-8"):
    path = tmp_path / file
    path.write_bytes("\n".join([*lines, ""]).encode(encoding))
    return read_pair_list(path, IMAGES)


def sides(pairs):
    return [
        (pairs.names[left], pairs.names[right])
        for left, right in zip(pairs.left, pairs.right, strict=True)
    ]


@pytest.mark.parametrize("file", ["list.csv", "list.txt"])
@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path, form, file):
    pairs = read(tmp_path, FORMS[form], file)
    assert sides(pairs) == [(name(p, i), name(q, j)) for p, i, q, j in GENUINE + IMPOSTOR]
    assert pairs.genuine.tolist() == [True] * 6 + [False] * 6
    folds = 3 if form == "CALFW" else 6
    assert pairs.fold.tolist() == [*(np.arange(6) * folds // 6)] * 2
    assert pairs.folds_stated == (form == "CALFW")


def test_calfw_without_folds(tmp_path):
    lines = [f"{line.rpartition(' ')[0]} {int(not line.endswith(' 0'))}" for line in paired(".JPG")]
    pairs = read(tmp_path, [line.replace(".JPG", ".jpg") for line in lines])
    assert (pairs.folds, pairs.folds_stated) == (6, False)


def test_calfw_with_spaces_in_names(tmp_path):
    images = {name.replace("_", " "): path.replace("_", " ") for name, path in IMAGES.items()}
    path = tmp_path / "list.txt"
    path.write_text("\n".join(paired()).replace("_", " "))
    pairs = read_pair_list(path, images)
    assert (len(pairs), set(pairs.names) <= set(images)) == (12, True)


def test_no_line_is_a_comment_where_names_begin_with_its_sign(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("\n".join(labelled()).replace("Ann", "#Ann"))
    images = {
        name.replace("Ann", "#Ann"): path.replace("Ann", "#Ann") for name, path in IMAGES.items()
    }
    assert len(read_pair_list(path, images)) == 12


def test_lines_keep_their_numbers_below_comments(tmp_path):
    with pytest.raises(UserError, match="line 14: there is no image 'Nobody'"):
        read(tmp_path, ["# made by hand", *labelled(), "Nobody,Bo_0001,1"])


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
    ],
)
@pytest.mark.parametrize("form", ["view 1", "CALFW", "Kaggle's pairs.csv"])
def test_byte_order_marks(tmp_path, form, encoding, mark):
    path = tmp_path / "list.txt"
    path.write_bytes(mark + "\r\n".join(FORMS[form]).encode(encoding))
    assert len(read_pair_list(path, IMAGES)) == 12


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_said_by_name(tmp_path, encoding):
    with pytest.raises(UserError, match=r"list\.csv is UTF-16 without .* mark; save it as UTF-8"):
        read(tmp_path, labelled(), encoding=encoding)


def test_latin1_is_said_by_name(tmp_path):
    lines = [*labelled(), "José_0001,Bo_0001,0"]
    with pytest.raises(UserError, match=r"list\.csv, line 13: 'José_.*likely Latin-1; save the"):
        read(tmp_path, lines, encoding="latin-1")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"PK\x03\x04\0\0\xff\xfe"])
def test_what_is_no_text_is_said_to_be_none(tmp_path, content):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"list\.csv is not a text file"):
        read_pair_list(tmp_path / "list.csv", IMAGES)


@pytest.mark.parametrize("form", [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("row", ["José,1,2", "José_0001,José_0002,1", "José\t1\t2"])
def test_accents_are_the_same_however_they_are_written(tmp_path, form, row):
    listed, stored = form
    images = IMAGES | {
        unicodedata.normalize(stored, f"José_000{i}"): unicodedata.normalize(
            stored, f"lfw/José/José_000{i}.jpg"
        )
        for i in (1, 2)
    }
    view_1 = "\t" in row
    rest = lfw("7")[1:] if view_1 else kaggle() if row.endswith("2") else labelled()
    lines = ["7", row, *rest, "Ann_Lee\t1\tCy\t1"] if view_1 else [row, *rest]
    path = tmp_path / "list.csv"
    path.write_text(unicodedata.normalize(listed, "\n".join(lines)), encoding="utf-8")
    pairs = read_pair_list(path, images)
    assert set(pairs.names) <= set(images)
    assert len(pairs) == 13 + view_1


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["Nobody,1,2", "Nobody,1,3"], "line 1: there is no image 'Nobody_0001'"),
        (["foo", "bar"], "line 1: expected name,name,same or name,name,same,fold, not 'foo'"),
        (["Nobody.jpg,Else.jpg,maybe"] * 2, "line 1: expected 1, true, .*, not 'maybe'"),
        (["Nobody Else same"] * 2, "line 1: there is no image 'Nobody'"),
        (["Nobody.jpg,Else.jpg,1"], "line 1: there is no image 'Nobody.jpg'"),
        ([*kaggle()[:3], "Cy,x,2", "Nobody,1,2"], "line 4: expected name,i,j or name,i,name,j"),
        ([*kaggle()[:3], "Cy,1,2,3,4"], "line 4: expected name,i,j or name,i,name,j"),
        ([*kaggle(), "Cy,1,1"], "line 13: expected two different images"),
        ([*kaggle(), "Bo,2,1"], "line 13: the same pair is on line 2"),
        (["name,images", "Ann_Lee,5", "Bo,3"], r"lists people .* not pairs \(line 2: 'Ann_Lee 5'"),
        (numbered()[0], "6 genuine and 0 impostor pairs"),
        ([*labelled(), "Ann_Lee_0001,Cy_0001,-1"], r"list\.csv has the labels -1 and 0"),
        ([*labelled(), "Ann_Lee_0001,Cy_0001,2"], "line 13: expected 1, true, .*, not '2'"),
        ([*labelled(), "Ann_Lee_0001,Cy_0001"], "line 13: expected name,name,same"),
        ([*paired(), "Bo_0001.jpg 0"], "ends after the first image of a pair, line 25"),
        ([*paired(), "Bo_0001.jpg 0", "Bo_0001.jpg 0"], "line 26: expected two different images"),
        ([*paired(), "Bo_0001.jpg 0", "Cy_0002.jpg 1"], "line 26: expected the fold of the line"),
        ([*paired(), "Bo_0001.jpg"], "line 25: expected an image and the number of its fold"),
        ([*paired(), "Nobody.jpg 0"], "line 25: there is no image 'Nobody.jpg'"),
        (
            [*lfw("6")[:-1], "Bo\t3\tDi\t3"],
            r"1 of the 10 images .*list\.csv are not in the data set: Di_0003",
        ),
    ],
)
def test_mistakes(tmp_path, lines, why):
    with pytest.raises(UserError, match=why):
        read(tmp_path, lines)


WORDS = st.sampled_from(
    ["Bo", "Cy", "Bo_0001", "Cy_0001.jpg", "lfw/Bo/Bo_0002", "1", "2", "0", "-1", "same", "name"]
)
TABLES = st.lists(
    st.tuples(st.lists(WORDS | st.text(max_size=3), max_size=5), st.sampled_from(",;\t "))
).map(lambda rows: "\n".join(separator.join(words) for words, separator in rows))
LISTS = st.sampled_from(["\n".join(lines) for lines in FORMS.values()])


@given(st.binary(max_size=100) | TABLES.map(str.encode) | LISTS.map(str.encode), st.integers(0))
def test_any_file_is_pairs_or_one_error(tmp_path_factory, content, at):
    path = tmp_path_factory.mktemp("any") / "list.csv"
    at %= len(content) + 1
    for damaged in (content, content[:at] + content[at + 1 :]):
        path.write_bytes(damaged)
        try:
            pairs = read_pair_list(path, IMAGES)
        except UserError as error:
            assert str(path) in str(error) or "not in the data set" in str(error)
        else:
            assert set(pairs.names) <= set(IMAGES)


def test_the_data_set_says_where_the_folds_are_from(tmp_path):
    for image in IMAGES.values():
        (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / image).write_bytes(encoded(picture(1)))
    for file, form, title in (
        ("pairsDevTest.txt", "view 1", "pairs of pairsDevTest.txt in 6 consecutive folds"),
        ("pairs.csv", "Kaggle's pairs.csv", "pairs of pairs.csv in 6 consecutive folds"),
        ("pairs_CALFW.txt", "CALFW", "pairs of pairs_CALFW.txt"),
    ):
        path = tmp_path / file
        path.write_text("\n".join(FORMS[form]))
        listed = None if file == "pairs_CALFW.txt" else path
        assert open_dataset(tmp_path / "lfw", listed).title == f"{tmp_path / 'lfw'}, {title}"
        path.unlink()
