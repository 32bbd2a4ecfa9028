from pathlib import Path

import cv2
import numpy as np
import pytest

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import (
    AlreadyAligned,
    BoxAlignment,
    MtcnnAlignment,
    central_face,
)
from lfw_eval.datasets.alignment.crop import crop_regions
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.system.errors import UserError


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def crop(image: np.ndarray, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    return cv2.resize(image[y0:y1, x0:x1], (160, 160), interpolation=cv2.INTER_LINEAR)


def boxes_file(folder: Path, *rows: str, header: str = "image,x,y,w,h") -> Path:
    path = folder / "boxes.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_box_grows_is_rounded_and_clipped(tmp_path):
    path = boxes_file(tmp_path, "inside,20.6,30,40,20", "corner,-3,2,50.2,60")
    images = [picture(100, 120), picture(80, 60, seed=1)]
    aligned = BoxAlignment(path).align(["inside", "corner"], images)
    assert aligned.boxes.tolist() == [[17, 28, 65, 52], [0, 0, 52, 68]]
    assert aligned.crops.dtype == np.uint8
    np.testing.assert_array_equal(aligned.crops[0], crop(images[0], 17, 28, 65, 52))
    np.testing.assert_array_equal(aligned.crops[1], crop(images[1], 0, 0, 52, 68))
    assert aligned.detected.tolist() == [True, True]
    exact = BoxAlignment(path, margin=0).align(["inside"], images[:1])
    assert exact.boxes.tolist() == [[21, 30, 61, 50]]


def test_an_image_without_a_box_takes_the_centre_box(tmp_path):
    path = boxes_file(tmp_path, "other,1,1,5,5")
    aligned = BoxAlignment(path).align(["wide", "tall"], [picture(100, 301), picture(251, 100)])
    assert aligned.boxes.tolist() == [[114, 14, 186, 86], [14, 89, 86, 161]]
    assert not aligned.detected.any()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("b,1,2,3", "line 3: expected a name and four numbers"),
        ("b,1,2,3,4,5", "line 3: expected a name and four numbers"),
        ("b,1,2,three,4", "line 3: expected a name and four numbers"),
        ("b,1,2,nan,4", "line 3: x and y must be finite"),
        ("b,inf,2,3,4", "line 3: x and y must be finite"),
        ("b,1,2,0,4", "line 3: .* w and h positive"),
        ("a,1,2,3,4", "line 3: a has a box on line 2"),
        ('"b,1,2,3,4', "line 3: not CSV"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, row, problem):
    path = boxes_file(tmp_path, "a,1,2,3,4", row)
    with pytest.raises(UserError, match=rf"boxes\.csv, {problem}"):
        BoxAlignment(path).align(["a"], [picture(20, 20)])


def test_files_that_are_no_boxes(tmp_path):
    image = [picture(20, 20)]
    with pytest.raises(UserError, match="line 1: the header must be image,x,y,w,h"):
        BoxAlignment(boxes_file(tmp_path, header="name,x,y,w,h")).align(["a"], image)
    (tmp_path / "boxes.csv").write_bytes(b"image,x,y,w,h\n\xff,1,2,3,4\n")
    with pytest.raises(UserError, match="not UTF-8 text"):
        BoxAlignment(tmp_path / "boxes.csv").align(["a"], image)
    for missing in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            BoxAlignment(missing).align(["a"], image)
        with pytest.raises(UserError, match="cannot be read"):
            _ = BoxAlignment(missing).fingerprint


def test_a_box_outside_its_photograph_is_refused(tmp_path):
    path = boxes_file(tmp_path, "a,200,2,30,40")
    with pytest.raises(UserError, match=r"line 2: the box lies outside .* 150x100 pixels"):
        BoxAlignment(path).align(["a"], [picture(100, 150)])


def test_fractions_are_refused(tmp_path):
    path = boxes_file(tmp_path, "a,0.1,0.2,0.3,0.4", "b,0,0,1,1")
    with pytest.raises(UserError, match=r"fractions .* of the photograph.*give pixels"):
        BoxAlignment(path).align(["a"], [picture(100, 150)])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("60,70,130,150", "10 of 10 boxes reach beyond .* looks like x0,y0,x1,y1.*give x,y,w,h"),
        ("60,70,130,50", "10 of 10 boxes .* looks like boxes of larger photographs; give pixels"),
        ("0.6,0.7,0.1,0.1", "no number of its boxes is above 1, .* fractions of the sides"),
        ("60,70,12,15", "10 of 10 boxes are smaller than 16 pixels.*give pixels of these"),
    ],
)
def test_numbers_that_are_no_pixels_of_these_photographs_are_refused(tmp_path, row, problem):
    names = [f"Bo_{n:04d}" for n in range(10)]
    path = boxes_file(tmp_path, *(f"{name},{row}" for name in names))
    with pytest.raises(UserError, match=problem):
        BoxAlignment(path).align(names, [picture(180, 170)] * 10)


def test_boxes_that_reach_out_a_little_are_taken(tmp_path):
    names = [f"Bo_{n:04d}" for n in range(10)]
    path = boxes_file(tmp_path, *(f"{name},-3,2,178,180" for name in names))
    assert BoxAlignment(path).align(names, [picture(180, 170)] * 10).detected.all()


@pytest.mark.parametrize("size", [CropSize(112, 96), CropSize(4, 160)])
def test_a_photograph_of_a_pixel_has_a_centre_box(size):
    aligned = crop_regions([picture(1, 1)], [None], size)
    assert aligned.boxes.tolist() == [[0, 0, 1, 1]]
    assert not aligned.detected.any()


def test_the_fingerprint_tells_recipes_apart(tmp_path):
    path = boxes_file(tmp_path, "a,1,2,3,4")
    first = BoxAlignment(path).fingerprint
    assert BoxAlignment(path, margin=0.2).fingerprint != first
    boxes_file(tmp_path, "a,1,2,3,5")
    assert BoxAlignment(path).fingerprint != first
    assert MtcnnAlignment(0).fingerprint != MtcnnAlignment(32).fingerprint


def test_the_face_is_large_and_central():
    image = picture(100, 200)
    # Areas 400, 900 and 900; centres 0, 20 and 50 pixels from the photograph's.
    boxes = np.array([[90, 40, 110, 60], [65, 35, 95, 65], [135, 35, 165, 65]], np.float32)
    assert central_face(boxes[[0, 1]], image) == 0
    assert central_face(boxes[[1, 2]], image) == 0
    assert central_face(boxes[[2, 1]], image) == 1
    larger = np.array([[80, 15, 140, 85], [90, 40, 110, 60]], np.float32)
    assert central_face(larger, image) == 0


@pytest.fixture(scope="module")
def photographs(real_data: Path) -> dict[str, np.ndarray]:
    names = ["Aaron_Eckhart_0001", "Alan_Greenspan_0001", "Tiger_Woods_0006"]
    return dict(open_photographs(real_data / "lfw.tgz").read(names))


@pytest.mark.usefixtures("mtcnn_weights")
def test_the_crop_of_facenet(photographs):
    images = [
        photographs["Aaron_Eckhart_0001"],
        cv2.copyMakeBorder(photographs["Aaron_Eckhart_0001"], 0, 0, 0, 9, cv2.BORDER_REPLICATE),
        np.full((150, 150, 3), 128, np.uint8),
        photographs["Tiger_Woods_0006"],
    ]
    aligned = MtcnnAlignment().align(["a", "wider", "empty", "b"], images)
    # Detected: 30.18, 18.21, 118.05, 133.80 and 40.62, 2.27, 150.86, 139.84; the border cuts.
    assert aligned.boxes[0].tolist() == [14, 2, 134, 149]
    assert aligned.boxes[3].tolist() == [24, 0, 150, 150]
    np.testing.assert_allclose(aligned.boxes[1], aligned.boxes[0], atol=4)
    assert aligned.boxes[2].tolist() == [21, 21, 129, 129]
    assert aligned.detected.tolist() == [True, True, False, True]
    for image, box, aligned_crop in zip(
        images, aligned.boxes.astype(int), aligned.crops, strict=True
    ):
        np.testing.assert_array_equal(aligned_crop, crop(image, *box))
    bare = MtcnnAlignment(margin=0).align(["a"], images[:1])
    assert bare.boxes.tolist() == [[30, 18, 118, 133]]


@pytest.mark.usefixtures("mtcnn_weights")
def test_of_two_faces_the_central_one_is_taken(photographs):
    (box,) = MtcnnAlignment(0).align(["a"], [photographs["Alan_Greenspan_0001"]]).boxes
    assert box.tolist() == [33, 17, 115, 128]
    assert MtcnnAlignment().align([], []).crops.shape == (0, 160, 160, 3)


def test_a_crop_that_is_not_square_shows_more_instead_of_stretching(tmp_path):
    path = boxes_file(tmp_path, "tall,40,20,40,80", "wide,30,40,80,30", "edge,0,20,50,80")
    images = [picture(150, 140), picture(150, 140, seed=1), picture(150, 140, seed=2)]
    alignment = BoxAlignment(path, margin=0, size=CropSize(112, 96))
    aligned = alignment.align(["tall", "wide", "edge"], images)
    assert aligned.crops.shape == (3, 112, 96, 3)
    # 80 high are 68.6 wide, 80 wide are 93.3 high, about the same centres; the border cuts.
    assert aligned.boxes.tolist() == [[26, 20, 94, 100], [30, 8, 110, 102], [0, 20, 59, 100]]
    for image, (x0, y0, x1, y1), shown in zip(
        images, aligned.boxes.astype(int), aligned.crops, strict=True
    ):
        np.testing.assert_array_equal(shown, cv2.resize(image[y0:y1, x0:x1], (96, 112)))
    assert ", 112x96" in alignment.fingerprint
    centre = alignment.align(["none"], images[:1])
    assert centre.boxes.tolist() == [[27, 24, 113, 125]]


def test_aligned_crops_must_have_the_aspect_of_the_network():
    tall = picture(112, 96)
    same = AlreadyAligned(CropSize(112, 96)).align(["a"], [tall])
    np.testing.assert_array_equal(same.crops[0], tall)
    assert same.boxes.tolist() == [[0, 0, 96, 112]]
    assert AlreadyAligned(CropSize(56, 48)).align(["a"], [tall]).crops.shape == (1, 56, 48, 3)
    square = picture(112, 112)
    cut = AlreadyAligned(CropSize(112, 96), for_arcface=True)
    np.testing.assert_array_equal(cut.align(["a"], [square]).crops[0], square[:, 8:-8])
    assert cut.fingerprint == "already aligned, cut to the central part, 112x96"
    with pytest.raises(UserError, match=r"a has 112x96 pixels .* aligned crops must be square;"):
        cut.align(["a"], [tall])
    with pytest.raises(UserError, match=r"a has 112x96 pixels .* aligned crops must be square;"):
        AlreadyAligned().align(["a"], [tall])
    with pytest.raises(UserError, match=r"a has 112x112 .* must be 112x96 or as much larger;"):
        AlreadyAligned(CropSize(112, 96)).align(["a"], [picture(112, 112)])
