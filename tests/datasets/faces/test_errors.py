"""What is refused in face detection data sets, and that one sentence says where."""

import tarfile

import face_data
import numpy as np
import pytest
from face_data import (
    FDDB_LIST,
    HEIGHT,
    KITTI_FACE,
    WIDER_IMAGES,
    WIDER_TXT,
    WIDTH,
    cells,
    coco,
    column,
    jpeg,
    png_claiming,
    put,
    save_mat,
    save_subsets,
)

from lfw_eval.datasets.faces import open_faces
from lfw_eval.system.errors import UserError

IMAGE = {"id": 0, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}


def refuses(match, path, annotations=None):
    with pytest.raises(UserError, match=match) as caught:
        list(open_faces(path, annotations).read())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("\n4\n", "\nfour\n", "line 2: expected the number of faces"),
        ("1 2 10 20 0", "1 2 10 0", "line 3: expected the numbers x y w h blur"),
        ("1 2 10 20", "1 2 ten 20", "line 3: expected the numbers x y w h blur"),
        ("1 2 10 20", "1 2 -10 20", "line 3: the box has a negative width or height"),
        ("1 2 10 20", "nan 2 10 20", "line 3: a coordinate of the box is not finite"),
        ("1 2 10 20", "1 2 1e999 20", "line 3: a coordinate of the box is not finite"),
        ("\n4\n", "\n3\n", "line 6: expected the path of a .jpg"),
        ("\n1\n20", "\n2\n20", "line 10: the file ends after 1 of the 2 faces of 1--H"),
        ("b_2.jpg", "c_3.jpg", r"line 10: 1--Hand.*_c_3.jpg is listed twice \(.*line 7\)"),
        ("b_2.jpg", "x_2.jpg", r"1 of the 3 images .* such as 1--Handshaking/.*x_2.jpg \(.*line 7"),
        (WIDER_TXT, "", "bbx_gt.txt lists no image"),
        (WIDER_TXT, WIDER_IMAGES[0] + "\n", "line 1: the file ends before the faces"),
        (WIDER_TXT, WIDER_IMAGES[0] + "\n0\n0 0 0 0 0 0 0 0 0 0", "has no faces that count"),
    ],
)
def test_wider_text_out_of_order(tmp_path, old, new, match):
    wider = face_data.wider(tmp_path)
    path = wider / "wider_face_split" / "wider_face_val_bbx_gt.txt"
    assert old in WIDER_TXT
    put(path, WIDER_TXT.replace(old, new, 1))
    refuses(match, wider)


def test_wider_subsets_out_of_order(tmp_path):
    wider = face_data.wider(tmp_path)
    save_subsets(wider / "ground_truth", hard=((1, 5), (), ()))
    refuses(r"hard_val.mat names faces that do not exist in 0--Parade.*line 1", wider)
    save_mat(wider / "ground_truth" / "wider_hard_val.mat", other=column(1))
    refuses(r"wider_hard_val.mat is not a .mat file of WIDER FACE with .* gt_list", wider)
    put(wider / "ground_truth" / "wider_hard_val.mat", b"\x80\x04pickle" * 40)
    refuses(r"wider_hard_val.mat is not a .mat file of WIDER FACE", wider)
    (wider / "ground_truth" / "wider_hard_val.mat").unlink()
    refuses("wider_hard_val.mat is missing", wider)


def test_wider_mat_of_another_shape(tmp_path):
    wider = face_data.wider(tmp_path)
    path = wider / "wider_face_split" / "wider_face_val.mat"
    odd = cells([cells([np.ones((2, 3))]), cells([np.ones((1, 4)), np.ones((1, 4))])])
    save_mat(path, face_bbx_list=odd)
    refuses("wider_face_val.mat, 0--Parade/0_Parade_a_1.jpg: .*four numbers", wider, path)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("20 10 0", "-20 10 0", "01-ellipseList.txt, line 3: radii must be finite and not neg"),
        ("20 10 0", "20 10 inf", "line 3: radii must be finite"),
        ("20 10 0 30 24  1", "20 10 0 30", "line 3: expected the numbers major minor angle"),
        ("img_1\n1", "img_1\n", "line 3: expected the number of faces"),
        ("1.57 9 9 1\n", "1.57 nan 9 1\n", "line 6: a coordinate of the box is not finite"),
        ("\n1\n10 5 1.57 9 9 1\n", "\n1\n", "line 4: the file ends after 0 of the 1 faces"),
        ("\n1\n10 5 1.57 9 9 1\n", "\n", "line 4: expected the number of faces"),
    ],
)
def test_fddb_out_of_order(tmp_path, old, new, match):
    fddb = face_data.fddb(tmp_path)
    assert old in FDDB_LIST
    put(fddb / "FDDB-folds" / "FDDB-fold-01-ellipseList.txt", FDDB_LIST.replace(old, new, 1))
    refuses(match, fddb)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("face 1 2 3 4", "000001.txt, line 1: expected a class and truncated"),
        (KITTI_FACE.replace("1.5", "x", 1), "line 1: expected the numbers truncated"),
        (KITTI_FACE.replace("11.5", "1.0"), "line 1: the box has a negative width or height"),
    ],
)
def test_kitti_out_of_order(tmp_path, line, match):
    kitti = face_data.kitti(tmp_path)
    put(kitti / "label_2" / "000001.txt", line)
    refuses(match, kitti)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"images": None}, r"faces.json is not a COCO annotation file: .* `images`"),
        ({"annotations": [3]}, r"faces.json is not a COCO .* list of objects `annotations`"),
        ({"annotations": []}, "faces.json has no faces that count in its 2 images"),
        ({"images": []}, r"annotations\[0\] of .*faces.json: no image has the id 0"),
        (
            {"categories": [{"id": 7, "name": "face"}, {"id": 8, "name": "FACE"}]},
            "expected a single one, or one called face, not face, FACE",
        ),
        ({"categories": []}, "categories of .*faces.json: expected a single one.*not none"),
        (
            {"images": [{**IMAGE, "id": [1]}]},
            r"images\[0\] of .*: expected a number or a string as `id`",
        ),
        ({"images": [{**IMAGE, "width": 0}]}, r"images\[0\] of .*: expected `width` and"),
        ({"images": [{**IMAGE, "width": 63}]}, r"images\[0\].*64 x 48 pixels, not 63 x 48"),
        ({"images": [{**IMAGE, "file_name": 3}]}, r"images\[0\].* string as `file_name`"),
        ({"images": [IMAGE, IMAGE]}, r"images\[1\] of .*: an earlier image has the same id, 0"),
        (
            {"images": [{**IMAGE, "id": "0"}]},
            r"annotations\[0\] .* no image has the id 0, though one has '0', which is another type",
        ),
        (
            {"images": [{**IMAGE, "id": float("nan")}]},
            r"images\[0\] of .*: expected a number or a string as `id`",
        ),
        ({"images": [IMAGE, {**IMAGE, "id": 2}]}, r"images\[1\] .*: a.jpg is listed twice"),
        (
            {"images": [{**IMAGE, "file_name": "../../etc/x.jpg"}]},
            r"missing from .*, such as \.\./\.",
        ),
    ],
)
def test_coco_of_another_structure(tmp_path, changed, match):
    refuses(match, coco(tmp_path, **changed))


@pytest.mark.parametrize(
    ("box", "more", "match"),
    [
        ([1, 2, 3], {}, "expected four numbers as `bbox`"),
        ([1, 2, 3, "4"], {}, "expected four numbers as `bbox`"),
        ([1, 2, 3, True], {}, "expected four numbers as `bbox`"),
        ([1, 2, float("nan"), 4], {}, "a coordinate of the box is not finite"),
        ([1, 2, 10**400, 4], {}, "a coordinate of `bbox` is too large"),
        ([1, 2, 3, -4], {}, "the box has a negative width or height"),
        ([1, 2, 3, 4], {"iscrowd": 2}, "expected 0 or 1 as `iscrowd`"),
        ([1, 2, 3, 4], {"difficulty": ["severe"]}, "expected a list as `difficulty`, of easy"),
        ([1, 2, 3, 4], {"category_id": None}, "expected a number or a string as `category_id`"),
    ],
)
def test_coco_annotation_out_of_order(tmp_path, box, more, match):
    folder = coco(tmp_path, boxes=[([1, 2, 3, 4], {}), (box, more)])
    refuses(rf"annotations\[1\] of .*faces.json: {match}", folder)


@pytest.mark.parametrize("text", [b"{", b"", b"[" * 100_000, b'{"images": 1' + b"0" * 5000 + b"}"])
def test_unreadable_json(tmp_path, text):
    folder = coco(tmp_path)
    put(folder / "faces.json", text)
    refuses("faces.json is not JSON", folder)
    put(folder / "faces.json", b"\xff\xfe")
    refuses("faces.json is not UTF-8 text", folder)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is corrupt or truncated, or not a JPEG"),
        (b"GIF89a", "is corrupt or truncated, or not a JPEG"),
        (jpeg()[:100], "is corrupt or truncated, or not a JPEG"),
        (jpeg()[:-30], "is corrupt or truncated"),
        (png_claiming(100_000, 100_000), "100000 x 100000 pixels .* too large to decode"),
        (png_claiming(0, 5), "not a JPEG, PNG"),
        (png_claiming(WIDTH, HEIGHT), "is corrupt or truncated"),
    ],
)
@pytest.mark.parametrize("archived", [False, True])
def test_image_that_cannot_be_used(tmp_path, content, match, archived):
    folder = coco(tmp_path)
    put(folder / "pictures" / "b.jpg", content)
    path = folder
    if archived:
        path = folder / "faces.tgz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder / "pictures", "pictures")
    refuses(f"b.jpg.* {match}", path)


def test_huge_file_is_not_read(tmp_path):
    folder = coco(tmp_path)
    with (folder / "pictures" / "b.jpg").open("r+b") as file:
        file.truncate(10**12)  # a hole, which takes no room
    refuses("b.jpg is 64 x 48 pixels in 1000000 MB, too large to decode", folder)


def test_image_that_went_away(tmp_path):
    faces = open_faces(coco(tmp_path))
    (tmp_path / "pictures" / "b.jpg").unlink()
    with pytest.raises(UserError, match=r"b\.jpg cannot be read"):
        list(faces.read())


def test_image_of_the_same_name_twice(tmp_path):
    folder = coco(tmp_path)
    put(folder / "others" / "a.jpg", jpeg())
    refuses(r"images\[0\].*: .* has several images named a.jpg", folder)
    assert len(open_faces(folder / "pictures", folder / "faces.json")) == 2


def test_none_of_the_formats(tmp_path):
    refuses("does not exist", tmp_path / "nowhere")
    put(tmp_path / "a.jpg", jpeg())
    refuses("has no face annotations; give COCO .*WIDER .*FDDB .*or KITTI", tmp_path)
    refuses("a.jpg is neither a folder nor a .tgz", tmp_path / "a.jpg")
    put(tmp_path / "one.json", "{}")
    put(tmp_path / "two.json", "{}")
    refuses(r"several .json files \(one.json, two.json\); name one with `annotations`", tmp_path)
    put(tmp_path / "list.txt", "")
    refuses("list.txt has no face annotations", tmp_path, tmp_path / "list.txt")


def scaled(box):
    return [3 * value for value in box]


def fractions(box):
    return [box[0] / WIDTH, box[1] / HEIGHT, box[2] / WIDTH, box[3] / HEIGHT]


def as_corners(box):
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (fractions, "no number of its boxes is above 1, .* fractions .* images; give pixels"),
        (as_corners, "8 of 12 boxes reach beyond .* images, .* x0,y0,x1,y1; give x,y,w,h"),
        (scaled, "12 of 12 boxes reach beyond .* like boxes of larger images; give pixels of the"),
    ],
)
def test_numbers_that_are_no_pixels_of_the_images(tmp_path, change, match):
    boxes = [[20 + column, 14 + row, 9, 8] for column in (0, 8, 16, 24) for row in (0, 7, 14)]
    assert open_faces(coco(tmp_path, boxes=[(box, {}) for box in boxes])).faces == 12
    refuses(match, coco(tmp_path, boxes=[(change(box), {}) for box in boxes]))
    crowd = [([50, 1, 5, 5], {}), *((change(box), {"iscrowd": 1}) for box in boxes)]
    assert open_faces(coco(tmp_path, boxes=crowd)).faces == 1  # as regions mean little
