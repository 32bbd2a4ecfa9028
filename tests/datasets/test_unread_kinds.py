"""Images of kinds that are not read."""

import tarfile

import pytest
from pictures import encoded, picture

from lfw_eval.bulk.image_shards import list_shards
from lfw_eval.datasets.image_finder import ImageFinder
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.system.errors import UserError

SAID = "images of kinds that are not read are left out: 2, such as "


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "mixed"
    (root / "Ann").mkdir(parents=True)
    (root / "Ann" / "Ann_0001.jpg").write_bytes(encoded(picture(1, 60, 50)))
    for name in ("Ann_0002.TIF", "Ann_0003.gif", "._Ann_0002.TIF", "notes.txt"):
        (root / "Ann" / name).touch()
    return root


def test_a_folder_says_what_it_leaves_out(folder, caplog):
    assert open_photographs(folder).names == ("Ann_0001",)
    (said,) = caplog.messages
    assert f"{folder}: {SAID}Ann/Ann_0002.TIF" in said


def test_an_archive_says_what_it_leaves_out(folder, tmp_path, caplog):
    path = tmp_path / "mixed.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, "mixed")
    assert open_photographs(path).names == ("Ann_0001",)
    (said,) = caplog.messages
    assert f"{path}: {SAID}mixed/Ann/Ann_0002.TIF" in said


def test_embed_says_what_it_leaves_out(folder, caplog):
    assert list_shards(folder, 16).images == 1
    (said,) = caplog.messages
    assert SAID in said


def test_a_pair_list_may_name_such_an_image():
    finder = ImageFinder({"Ann_0001": "Ann/Ann_0001.jpg"})
    with pytest.raises(UserError, match=r"no image 'Ann_0002\.tif'; convert it to \.png"):
        finder.one("Ann_0002.tif", "line 2")
