"""Face detection data sets: WIDER FACE, FDDB, KITTI and COCO."""

import json
import os
import struct
import tarfile
import zipfile
from collections import Counter

import cv2
import face_data
import numpy as np
import pytest
from face_data import (
    HEIGHT,
    WIDER_IMAGES,
    WIDTH,
    cells,
    coco,
    column,
    jpeg,
    put,
    save_mat,
    save_subsets,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfw_eval.datasets.faces import open_faces, write_coco
from lfw_eval.datasets.faces.fddb import ellipse_box
from lfw_eval.system.errors import UserError


def truths(faces):
    return [
        (
            image.name,
            image.truth.boxes.tolist(),
            image.truth.ignore.tolist(),
            {name: rows.tolist() for name, rows in image.truth.subsets.items()},
        )
        for image in faces.images
    ]


def test_wider_text(tmp_path):
    wider = face_data.wider(tmp_path)
    faces = open_faces(wider)
    assert truths(faces) == [
        (WIDER_IMAGES[0], [[1, 2, 11, 22], [5, 6, 12, 14], [60, 40, 64, 48]], [0, 1, 0], {}),
        (WIDER_IMAGES[1], [], [], {}),
        (WIDER_IMAGES[2], [[20, 20, 25, 25]], [False], {}),
    ]
    assert (faces.faces, faces.ignored, len(faces)) == (3, 1, 3)
    assert (faces.clipped, faces.outside, faces.empty) == (1, 0, 1)
    assert (faces.images[0].width, faces.images[0].height) == (WIDTH, HEIGHT)
    assert faces.images[1].truth.boxes.shape == (0, 4)
    for image, pixels in faces.read():
        assert (pixels.shape, pixels.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert pixels[0, 0, 0] > 150 > 50 > pixels[0, 0, 2], image
    assert [image.name for image, _ in faces.read(WIDER_IMAGES[1:2])] == WIDER_IMAGES[1:2]


@pytest.mark.parametrize("place", ["wider_face_split", "eval_tools/ground_truth", "ground_truth"])
def test_wider_subsets(tmp_path, place):
    wider = face_data.wider(tmp_path)
    save_subsets(wider / place)
    faces = open_faces(wider)
    assert faces.subsets == ("easy", "medium", "hard")
    # The third box of the file has no area, so that the fourth is the third of the truth.
    assert [subsets for *_, subsets in truths(faces)] == [
        {"easy": [0, 0, 1], "medium": [1, 0, 1], "hard": [1, 0, 1]},
        {"easy": [], "medium": [], "hard": []},
        {"easy": [False], "medium": [False], "hard": [True]},
    ]


def test_wider_mat_is_the_text(tmp_path):
    wider = face_data.wider(tmp_path)
    save_subsets(wider / "wider_face_split")
    expected = open_faces(wider)
    boxes = [[1, 2, 10, 20], [5, 6, 7, 8], [3, 3, 0, 9], [60, 40, 10, 20]]
    rest = cells([np.zeros((1, 4)), np.array([[20.0, 20, 5, 5]])])
    save_mat(
        wider / "wider_face_split" / "wider_face_val.mat",
        face_bbx_list=cells([cells([np.array(boxes, float)]), rest]),
        invalid_label_list=cells([cells([column(0, 1, 0, 0)]), cells([column(0), column(0)])]),
    )
    (wider / "wider_face_split" / "wider_face_val_bbx_gt.txt").unlink()
    faces = open_faces(wider)
    assert truths(faces) == truths(expected)
    assert faces.digest == expected.digest
    assert (faces.clipped, faces.empty) == (1, 1)


def test_wider_by_its_image_folder_and_by_its_zip(tmp_path):
    wider = face_data.wider(tmp_path)
    expected = open_faces(wider)
    assert open_faces(wider / "WIDER_val").digest == expected.digest
    with zipfile.ZipFile(wider / "WIDER_val.zip", "w") as archive:
        for file in sorted((wider / "WIDER_val").rglob("*.jpg"), reverse=True):
            archive.write(file, file.relative_to(wider))
    zipped = open_faces(wider / "WIDER_val.zip")
    assert zipped.digest == expected.digest
    assert [image.name for image, _ in zipped.read()] == WIDER_IMAGES[::-1]


def test_an_image_counts_to_its_last_byte(tmp_path):
    """And is refused where it has changed since its data set was opened."""
    wider = face_data.wider(tmp_path)
    (path, *_) = sorted((wider / "WIDER_val").rglob("*.jpg"))
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    content = cv2.imencode(".png", noise)[1].tobytes()
    assert len(content) > 8000
    path.write_bytes(content)
    before = open_faces(wider)
    stat = path.stat()
    path.write_bytes(content[:-20] + bytes(8) + content[-12:])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(UserError, match="has changed since its content was hashed"):
        list(before.read())
    assert open_faces(wider).digest != before.digest


def test_box_outside_is_left_out_and_counted(tmp_path):
    boxes = [([1, 2, 3, 4], {}), ([64, 0, 5, 5], {}), ([-9, 0, 5, 5], {}), ([-1, -2, 5, 5], {})]
    faces = open_faces(coco(tmp_path, boxes=boxes))
    assert faces.images[0].truth.boxes.tolist() == [[1, 2, 4, 6], [0, 0, 4, 3]]
    assert (faces.clipped, faces.outside, faces.empty) == (1, 2, 0)


def test_rounding_is_not_reaching_out(tmp_path):
    faces = open_faces(coco(tmp_path, boxes=[([2, 2, 62 + 1e-9, 4], {})]))
    assert (faces.clipped, faces.images[0].truth.boxes[0, 2]) == (0, 64)


def test_fddb(tmp_path):
    fddb = face_data.fddb(tmp_path)
    faces = open_faces(fddb)
    assert [image.name for image in faces.images] == [
        "2002/07/19/big/img_1.jpg",
        "2002/07/19/big/img_2.jpg",
    ]
    assert faces.images[0].truth.boxes.tolist() == [[10, 14, 50, 34]]
    assert np.allclose(faces.images[1].truth.boxes, [[4, 0, 14, 19]], atol=0.01)  # y from -1
    assert faces.clipped == 1
    assert open_faces(fddb, fddb / "FDDB-folds").digest == faces.digest
    fold = fddb / "FDDB-folds" / "FDDB-fold-01-ellipseList.txt"
    assert open_faces(fddb, fold).digest == faces.digest


@given(
    st.floats(0.1, 500),
    st.floats(0.1, 500),
    st.floats(-7, 7),
    st.floats(-1000, 1000),
    st.floats(-1000, 1000),
)
def test_ellipse_box_touches_a_densely_sampled_ellipse(major, minor, angle, cx, cy):
    t = np.linspace(0, 2 * np.pi, 20_001)
    axis = np.exp(1j * angle)
    points = complex(cx, cy) + axis * (major * np.cos(t) + 1j * minor * np.sin(t))
    sampled = [points.real.min(), points.imag.min(), points.real.max(), points.imag.max()]
    assert np.allclose(ellipse_box(major, minor, angle, cx, cy), sampled, atol=1e-4)


def test_kitti(tmp_path):
    kitti = face_data.kitti(tmp_path)
    faces = open_faces(kitti)
    assert truths(faces) == [
        ("000000.jpg", [[1.5, 2.5, 11.5, 22.5], [1, 1, 5, 5]], [False, True], {}),
        ("000001.jpg", [], [], {}),
    ]
    assert (faces.category, faces.others) == ("face", 1)
    assert faces.files.path == kitti / "image_2"
    assert open_faces(kitti / "image_2").digest == faces.digest
    assert open_faces(kitti / "image_3", kitti / "label_2").digest == faces.digest


def test_coco_numbers_may_be_written_as_fractions(tmp_path):
    """As pandas writes a column that had a gap."""
    folder = coco(tmp_path, boxes=[([1, 2, 3, 4], {}), ([5, 6, 7, 8], {})])
    before = open_faces(folder)
    file = folder / "faces.json"
    document = json.loads(file.read_text())
    for entry in [*document["images"], *document["annotations"], *document["categories"]]:
        entry |= {key: float(value) for key, value in entry.items() if isinstance(value, int)}
    file.write_text(json.dumps(document))
    assert open_faces(folder).digest == before.digest


def test_coco(tmp_path):
    boxes = [
        ([1, 2, 3, 4], {"iscrowd": 1}),
        ([1.5, 2, 3, 0], {}),
        ([2, 3, 4.25, 5], {"difficulty": ["medium", "hard"]}),
        ([2, 3, 4, 5], {"category_id": 8}),
    ]
    categories = [{"id": 8, "name": "person"}, {"id": 7, "name": "Face"}]
    faces = open_faces(coco(tmp_path, boxes=boxes, categories=categories))
    assert (faces.category, faces.others) == ("Face", 1)
    assert truths(faces) == [
        (
            "a.jpg",
            [[1, 2, 4, 6], [2, 3, 6.25, 8]],
            [True, False],
            {"easy": [0, 0], "medium": [0, 1], "hard": [0, 1]},
        ),
        ("b.jpg", [], [], {"easy": [], "medium": [], "hard": []}),
    ]
    assert faces.empty == 1


def test_orientation_of_exif_is_not_applied(tmp_path):
    folder = coco(tmp_path)
    tag = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tag
    plain = jpeg()
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), 1).shape[:2] == (WIDTH, HEIGHT)
    put(folder / "pictures" / "a.jpg", turned)
    for image, pixels in open_faces(folder).read():
        assert pixels.shape == (image.height, image.width, 3) == (HEIGHT, WIDTH, 3)


def test_links_to_folders_are_followed_once(tmp_path):
    folder = coco(tmp_path / "elsewhere")
    linked = tmp_path / "here"
    linked.mkdir()
    (linked / "pictures").symlink_to(folder / "pictures")
    (folder / "pictures" / "loop").symlink_to(folder / "pictures")
    assert len(open_faces(linked, folder / "faces.json")) == 2


def test_digest_is_of_faces_and_images(tmp_path):
    first = open_faces(coco(tmp_path / "a")).digest
    assert open_faces(coco(tmp_path / "b")).digest == first
    assert open_faces(coco(tmp_path / "c", boxes=[([1, 2, 3, 5], {})])).digest != first
    assert open_faces(coco(tmp_path / "d", names=("a.jpg", "c.jpg"))).digest != first
    put(coco(tmp_path / "e") / "pictures" / "b.jpg", jpeg(red=180))
    assert open_faces(tmp_path / "e").digest != first


corner = st.tuples(st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1))
size = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1))
difficulty = st.sampled_from([[], ["hard"], ["medium", "hard"], ["easy", "medium", "hard"]])


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(corner, size, st.booleans(), difficulty), max_size=5), st.booleans())
def test_written_annotations_are_read_back_the_same(tmp_path, drawn, with_subsets):
    boxes = [([1, 2, 3, 4], {})]
    for (x, y), (part, other), crowd, names in drawn:
        box = [x, y, part * (WIDTH - x), other * (HEIGHT - y)]
        more = {"iscrowd": int(crowd), **({"difficulty": names} if with_subsets else {})}
        boxes.append((box, more))
    faces = open_faces(coco(tmp_path, boxes=boxes))
    write_coco(faces, tmp_path / "written" / "copy.json")
    again = open_faces(faces.files.path, tmp_path / "written" / "copy.json")
    for image, copy in zip(faces.images, again.images, strict=True):
        assert np.allclose(image.truth.boxes, copy.truth.boxes, rtol=0, atol=1e-9)
        assert np.array_equal(image.truth.ignore, copy.truth.ignore)
        assert (image.name, image.width, image.file) == (copy.name, copy.width, copy.file)
    assert [row[3] for row in truths(faces)] == [row[3] for row in truths(again)]
    assert (again.title, again.subsets) == (faces.title, faces.subsets)
    assert again.clipped == 0


@pytest.mark.parametrize("layout", ["wider", "fddb", "kitti"])
def test_every_format_becomes_coco(tmp_path, layout):
    folder = getattr(face_data, layout)(tmp_path)
    if layout == "wider":
        save_subsets(folder / "ground_truth")
    faces = open_faces(folder)
    write_coco(faces, folder / "coco" / "copy.json")
    again = open_faces(faces.files.path, folder / "coco" / "copy.json")
    assert again.digest == faces.digest
    assert [i.name for i, _ in again.read()] == [i.name for i in faces.images]


def test_real_wider(real_data, tmp_path):
    faces = open_faces(real_data / "wider_val_120.tgz")
    document = json.loads((real_data / "wider_val_120.json").read_text())
    annotations = document["annotations"]
    listed = Counter(name for entry in annotations for name in entry["difficulty"])
    crowd = sum(entry["iscrowd"] for entry in annotations)
    assert (len(annotations), crowd, dict(listed)) == (
        3215,
        793,
        {"easy": 337, "medium": 779, "hard": 2422},
    )
    assert (len(faces), faces.faces, faces.ignored) == (120, 3215 - 793, 793)
    assert (faces.clipped, faces.outside, faces.empty) == (0, 0, 0)
    for name in faces.subsets:
        assert sum(int(image.truth.subsets[name].sum()) for image in faces.images) == listed[name]
    per_image = Counter(entry["image_id"] for entry in annotations)
    names = {entry["file_name"]: entry["id"] for entry in document["images"]}
    assert all(len(i.truth.boxes) == per_image[names[i.name]] for i in faces.images)
    assert faces.images[0].truth.boxes[0] == pytest.approx([210.844, 182.542, 221.406, 203.125])

    with tarfile.open(real_data / "wider_val_120.tgz") as archive:
        content = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}
    for image, pixels in faces.read():
        direct = cv2.imdecode(np.frombuffer(content.pop(f"wider/{image.name}"), np.uint8), 1)
        assert np.array_equal(pixels, direct[:, :, ::-1])
    assert not content

    write_coco(faces, tmp_path / "copy.json")
    again = open_faces(faces.files.path, tmp_path / "copy.json")
    assert again.digest == faces.digest
    for image, copy in zip(faces.images, again.images, strict=True):
        assert np.allclose(image.truth.boxes, copy.truth.boxes, rtol=0, atol=1e-9)
