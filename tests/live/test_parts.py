"""The pieces of lfw-eval live, one by one."""

import json
import logging
import shutil
import threading
import time

import cv2
import numpy as np
import onnx
import pytest
from facedetect_like import facedetect_like, write_faces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from waiting import wait_until

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import (
    ARCFACE_SIZE,
    AlreadyAligned,
    FivePointAlignment,
    MtcnnAlignment,
    arcface_template,
)
from lfw_eval.datasets.alignment.placement import place
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.live.crop import MARGIN, crop_for, face_crop, template_for
from lfw_eval.live.detector import open_finder
from lfw_eval.live.drawing import caption, draw, transliterated
from lfw_eval.live.finder import FaceFinder
from lfw_eval.live.frame import Face, Frame
from lfw_eval.live.gallery import EMPTY, Gallery
from lfw_eval.live.gallery_folder import GalleryFolder
from lfw_eval.live.record import record_file
from lfw_eval.live.screen import Screen
from lfw_eval.live.source import Capture, ImageFolder, open_source
from lfw_eval.live.stats import Tally
from lfw_eval.live.video_file import video_file
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.sources import iter_members
from lfw_eval.system.errors import UserError
from lfw_eval.workers.in_process import HERE

GREY = np.full((120, 160, 3), 120, np.uint8)


def test_a_crop_of_lfw_s_median_face_has_facenet_s_margin():
    """32 pixels wider and higher than a box of 93x124, whose mean side is 107."""
    image = np.zeros((250, 250, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(250), np.arange(250)[:, None]
    crop = face_crop(image, np.array([80.0, 60.0, 173.0, 184.0]))
    shown = crop[:, 80, 1].astype(int)
    assert shown[0] == pytest.approx(60 - 16, abs=1)
    assert shown[-1] == pytest.approx(184 + 16, abs=2)
    assert crop[80, 0, 0] == pytest.approx(80 - 16, abs=1)


@given(st.floats(0.2, 3), st.floats(0, 60), st.floats(0, 60))
@settings(max_examples=30, deadline=None)
def test_a_crop_is_the_same_at_any_size(factor, x, y):
    smooth = np.random.default_rng(0).uniform(0, 255, (5, 5, 3)).astype(np.float32)
    picture = cv2.resize(smooth, (400, 400), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    box = np.array([100 + x, 100 + y, 220 + x, 260 + y])
    whole = face_crop(picture.astype(np.uint8), box)
    side = round(400 * factor)
    resized = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
    other = face_crop(resized, box * side / 400)
    assert np.abs(whole.astype(int) - other).mean() < 6


def test_a_crop_at_the_border_is_cut_off_there():
    image = np.zeros((100, 100, 3), np.uint8)
    image[:50, :50] = 255
    assert MARGIN < 1
    assert face_crop(image, np.array([-60.0, -60.0, 30.0, 30.0])).min() > 200
    assert face_crop(image, np.array([99.0, 99.0, 300.0, 300.0])).shape == (160, 160, 3)


def test_a_crop_that_is_not_square_keeps_the_face_s_aspect():
    image = np.zeros((250, 250, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(250), np.arange(250)[:, None]
    crop = face_crop(image, np.array([80.0, 60.0, 173.0, 184.0]), CropSize(112, 96))
    assert crop.shape == (112, 96, 3)
    across, down = (np.ptp(crop[..., channel].astype(int)) for channel in (0, 1))
    assert down / across == pytest.approx(112 / 96, abs=0.02)


@pytest.mark.usefixtures("mtcnn_weights")
@pytest.mark.parametrize("factor", [1, 4])
def test_a_crop_by_five_points_is_that_of_the_evaluation(real_data, factor):
    photographs = open_photographs(real_data / "lfw.tgz")
    ((_, image),) = photographs.read(["Aaron_Eckhart_0001"])
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    alignment = FivePointAlignment(arcface_template(CropSize(112, 96)))
    wanted = alignment.align(["a"], [image]).crops[0]
    box = factor * np.array([30.0, 18.0, 118.0, 134.0])
    crop = crop_for(alignment)(image, box)
    assert crop.shape == (112, 96, 3)
    assert np.abs(crop.astype(int) - wanted).mean() < 6, "landmarks a pixel apart"
    assert np.abs(face_crop(image, box, CropSize(112, 96)).astype(int) - wanted).mean() > 12
    nobody = np.full_like(image, 128)
    assert (crop_for(alignment)(nobody, box) == 128).all()


def test_faces_are_cropped_as_the_network_s_photographs_are():
    for five_points in (FivePointAlignment(), AlreadyAligned(ARCFACE_SIZE)):
        assert template_for(five_points).size == ARCFACE_SIZE
    for boxes in (MtcnnAlignment(), AlreadyAligned(), MtcnnAlignment(size=ARCFACE_SIZE)):
        assert template_for(boxes) is None
        assert crop_for(boxes)(GREY, np.array([20.0, 20, 60, 60])).shape == (*boxes.size, 3)


class Corner(FaceDetector):
    """Finds the top left quarter of what it is shown, something outside, and something unsure."""

    name, settings = "corner", {}

    def detect(self, images):
        for image in images:
            self.seen = height, width = image.shape[:2]
            boxes = [[0, 0, width / 2, height / 2], [-90, 0, -1, 50], [0, 0, 9, 9]]
            yield Detections(np.array(boxes, np.float64), np.array([0.9, 0.9, 0.1]))


@pytest.mark.parametrize("size", [(1920, 1080), (1081, 1921), (300, 200), (5000, 3)])
def test_boxes_are_those_of_the_whole_picture(size):
    width, height = size
    detector = Corner()
    finder = FaceFinder(detector, 640, 0.5)
    detections = finder.find(np.zeros((height, width, 3), np.uint8))
    assert max(detector.seen) == min(640, max(size))
    np.testing.assert_allclose(detections.boxes, [[0, 0, width / 2, height / 2]], rtol=1e-12)
    assert detections.scores.tolist() == [0.9]


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(4)), elements=st.floats(-1, 1)),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_the_nearest_is_the_nearest(values, extra):
    unit = (values + 2) / np.linalg.norm(values + 2, axis=1, keepdims=True)
    faces = np.roll(unit, 1, axis=1)[: 1 + extra]
    names = tuple(f"p{k}" for k in range(len(unit)))
    expected = ((faces[:, None] - unit[None]) ** 2).sum(axis=2)
    nearest = Gallery(names, unit).nearest(faces)
    for (name, distance), row in zip(nearest, expected, strict=True):
        assert distance == pytest.approx(row.min(), abs=1e-9)
        assert row[int(name[1:])] == pytest.approx(row.min(), abs=1e-9)
    assert EMPTY.nearest(faces) == []


def colour(image):
    """Stands for the engine: a bright image has an embedding, a dark one no face."""
    mean = image.reshape(-1, 3).mean(axis=0).astype(np.float64)
    return mean / np.linalg.norm(mean) if mean.sum() > 60 else None


def test_a_gallery_is_watched(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lfw_eval.live.gallery_folder._SECONDS", 0.05)
    cv2.imwrite(str(tmp_path / "Ann.png"), GREY)
    (tmp_path / "Bo").mkdir()
    for index in range(2):
        cv2.imwrite(str(tmp_path / "Bo" / f"{index}.png"), GREY)
    with GalleryFolder(tmp_path, colour) as folder:
        folder.watch()
        assert folder.people.names == ("Ann", "Bo", "Bo")
        (tmp_path / "Ann.png").rename(tmp_path / "Zoë.png")
        wait_until(lambda: folder.people.names == ("Bo", "Bo", "Zoë"))
        (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
        cv2.imwrite(str(tmp_path / "dark.png"), GREY // 10)
        shutil.rmtree(tmp_path / "Bo")
        wait_until(lambda: folder.people.names == ("Zoë",))
        wait_until(lambda: folder._seen.keys() >= {tmp_path / "cut.jpg", tmp_path / "dark.png"})
        cv2.imwrite(str(tmp_path / "cut.jpg"), GREY)
        wait_until(lambda: folder.people.names == ("Zoë", "cut"))
        shutil.rmtree(tmp_path)
        wait_until(lambda: folder.people is EMPTY)
    said = capsys.readouterr().err.splitlines()
    assert "gallery: + Zoë" in said
    assert "gallery: - Bo" in said
    assert sum("cut.jpg is corrupt" in line for line in said) == 1
    assert sum("no face detected in" in line and "dark.png" in line for line in said) == 1


def test_a_file_that_is_still_being_written_is_left_for_later(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lfw_eval.live.gallery_folder._SECONDS", 0.1)
    noise = np.random.default_rng(0).integers(60, 255, (200, 200, 3), np.uint8)
    content = cv2.imencode(".png", noise)[1].tobytes()
    with GalleryFolder(tmp_path, colour) as folder:
        folder.watch()
        with (tmp_path / "Ann.png").open("wb") as file:
            for start in range(0, len(content), len(content) // 20):
                file.write(content[start : start + len(content) // 20])
                file.flush()
                time.sleep(0.03)
        wait_until(lambda: folder.people.names == ("Ann",))
    assert "corrupt" not in capsys.readouterr().err


def test_captions():
    box = (0.0, 0.0, 1.0, 1.0)
    assert caption(Face(box, 1.0)) == "unknown"
    assert caption(Face(box, 1.0, None, "Ann", 1.312)) == "unknown (Ann 1.31)"
    assert caption(Face(box, 1.0, "Ann", "Ann", 0.5)) == "Ann 0.50"


@pytest.mark.parametrize("fonts", [True, False])
@pytest.mark.parametrize("name", ["Zoë Ångström", "Зоя", "王小明", "a\nb\x00c", "x" * 300, ""])
def test_any_name_is_drawn(name, fonts, monkeypatch):
    if not fonts:
        monkeypatch.delattr(cv2, "FontFace", raising=False)
    boxes = [(10.0, 30.0, 60.0, 90.0), (-50.0, -50.0, 500.0, 500.0), (150.0, 110.0, 300.0, 300.0)]
    faces = tuple(Face(box, 1.0, name, name, 0.5) for box in boxes)
    picture = draw(Frame(0, 0.0, GREY, faces), 12.3)
    assert picture.shape == GREY.shape
    assert (GREY == 120).all(), "the frame itself is left as it is"
    assert (picture != 120).any(axis=2).mean() > 0.05


def test_transliteration():
    assert transliterated("Zoë Ångström") == "Zoe Angstrom"
    assert transliterated("Зоя") == "???"


def film(path, times, *, fps=10.0, keep_time=True, shape=(48, 64, 3)):
    with video_file(path, fps, keep_time=keep_time) as write:
        for index, seconds in enumerate(times):
            write(np.full(shape, 40 * index + 20, np.uint8), seconds)
    capture = cv2.VideoCapture(str(path))
    frame_numbers = []
    while (read := capture.read())[0]:
        frame_numbers.append(round((read[1].mean() - 20) / 40))
    return frame_numbers


def test_a_camera_s_video_keeps_time(tmp_path):
    assert film(tmp_path / "a.mp4", [0, 0.1, 0.5, 0.6]) == [0, 1, 1, 1, 1, 2, 3]


def test_a_file_s_video_has_every_frame(tmp_path):
    assert film(tmp_path / "a.mp4", [0, 0.1, 0.5, 0.6], keep_time=False) == [0, 1, 2, 3]


def test_odd_sizes_lose_a_line(tmp_path):
    assert film(tmp_path / "a.mp4", [0, 0.1], keep_time=False, shape=(51, 65, 3)) == [0, 1]
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FRAME_WIDTH) == 64


def test_a_failure_leaves_no_video_and_no_json(tmp_path):
    with pytest.raises(ZeroDivisionError), video_file(tmp_path / "a.mp4", 5, keep_time=True) as w:
        w(GREY, 0.0)
        raise ZeroDivisionError
    stats = Tally().stats
    with pytest.raises(ZeroDivisionError), record_file(tmp_path / "a.json", {}, stats) as write:
        write(Frame(0, 0.0, GREY))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_json_of_no_frame_and_of_some(tmp_path):
    tally = Tally()
    for count in (0, 2):
        with record_file(tmp_path / "a.json", {"é": 1}, tally.stats) as write:
            for index in range(count):
                frame = Frame(index * 3, 0.1, GREY, (Face((1, 2, 3, 4), 0.5, "É", "É", 0.1),))
                tally.add(frame)
                write(frame)
        content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
        assert [row["frame"] for row in content["frames"]] == [0, 3][:count]
        assert content["stats"]["frames"] == count
    assert content["stats"]["dropped"] == 2
    assert content["stats"]["people"] == {"É": 2}
    assert content["frames"][0]["faces"][0]["name"] == "É"


class Broken:
    """A file that says it has 100 frames of an unknown rate, and gives three."""

    left = 3

    def get(self, _):
        return 100.0

    def read(self):
        self.left -= 1
        return self.left >= 0, GREY


def test_a_video_that_ends_early_says_so(capsys):
    frames = list(Capture(Broken(), "a.mp4", 25.0, live=False).frames())
    assert [frame.seconds for frame in frames] == [0, 0.04, 0.08]
    assert "a.mp4 ends after 3 of 100 frames" in capsys.readouterr().err


def test_rates(tmp_path):
    film(tmp_path / "a.mp4", [0, 1], fps=7.5, keep_time=False)
    with open_source(tmp_path / "a.mp4", None, None) as source:
        assert (source.fps, source.expected, source.live) == (7.5, 2, False)
    with open_source(tmp_path / "a.mp4", None, 3.0) as source:
        assert source.fps == 3
        assert [frame.seconds for frame in source.frames()] == [0, pytest.approx(1 / 3)]
    (tmp_path / "images").mkdir()
    for name, shape in (("b", (40, 60)), ("a", (20, 40)), ("c", (90, 30))):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((*shape, 3), 9, np.uint8))
    frames = list(ImageFolder(tmp_path / "images", 25.0).frames())
    assert [frame.pixels.shape for frame in frames] == [(20, 40, 3)] * 3
    assert frames[0].pixels.max() == 9, "the first one fills its size"
    assert frames[2].pixels.max() == 127, "the others are letterboxed"


def test_centerface_on_an_engine(centerface, real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path))
    engine = EngineChoice("openvino", "int8", 64)
    photograph = next(iter_members(real_data / "lfw.tgz", (".jpg",)))[1]
    image = cv2.imdecode(np.frombuffer(photograph, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    with open_finder("centerface", centerface, engine=engine, precision="fp32", size=160) as finder:
        (box,) = finder.find(image).boxes
    # The face of LFW is in the middle, and about half as wide as these crops.
    assert np.abs((box[:2] + box[2:]) / 2 - 75).max() < 20
    assert 50 < box[2] - box[0] < 110
    with pytest.raises(UserError, match="centerface and facedetect, not mtcnn"):
        open_finder("mtcnn", engine=engine, precision="fp16")


@pytest.mark.usefixtures("mtcnn_weights")
def test_mtcnn_is_on_the_cpu_where_the_gpu_of_the_engine_cannot_run_it(monkeypatch, caplog):
    def refuse(gpus: tuple[int, ...]) -> list[object]:
        raise UserError(f"there is no GPU {gpus}")

    monkeypatch.setattr("lfw_eval.datasets.alignment.gpu.open_devices", refuse)
    engine = EngineChoice("tensorrt", "fp16", options=TensorRTOptions(gpu=(3,)))
    with caplog.at_level(logging.WARNING), open_finder("mtcnn", engine=engine) as finder:
        assert "openvino" in finder.detector.settings
    assert caplog.messages == [
        "faces are detected and aligned on the CPU, not on the GPU: there is no GPU (3,)"
    ]
    # Alignment of what INT8 is calibrated on has the same to say, and does not say it again.
    place(MtcnnAlignment(), "auto", (3,), HERE)
    assert len(caplog.messages) == 1
    with pytest.raises(UserError, match="there is no GPU"):
        open_finder("mtcnn", engine=engine, align_on="gpu")
    with caplog.at_level(logging.WARNING):
        open_finder("mtcnn", engine=engine, align_on="cpu").close()
    assert len(caplog.messages) == 1


def test_facedetect_on_an_engine(tmp_path, monkeypatch):
    """The stand-in network reads faces that were written into the pixels."""
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    images = write_faces(tmp_path / "images")
    onnx.save(facedetect_like(), tmp_path / "m.onnx")
    truth = json.loads((images / "annotations.json").read_text())["annotations"]
    model, engine = tmp_path / "m.onnx", EngineChoice("onnxruntime")
    with pytest.raises(UserError, match="has no fp16"):
        open_finder("facedetect", model, engine=engine)
    with open_finder("facedetect", model, engine=engine, precision="fp32", min_score=0.2) as finder:
        (frame, *_) = ImageFolder(images, 25.0).frames()
        boxes = finder.find(frame.pixels).boxes
    expected = np.array([a["bbox"] for a in truth if a["image_id"] == 0])
    expected[:, 2:] += expected[:, :2]
    # DBSCAN wants three cells that say the same, which one small face of the 12 has not.
    assert len(boxes) == 11
    order = [np.abs(expected - box).max(axis=1).argmin() for box in boxes]
    np.testing.assert_allclose(boxes, expected[order], atol=2)


def test_the_page_in_a_browser(browser):
    tally = Tally()
    tally.add(Frame(0, 0.0, GREY, (Face((1, 2, 3, 4), 0.5, "<b>Zoë</b>", "Zoë", 0.1),), 5, 6))
    page, said = browser.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    ended = threading.Event()
    with Screen(0, tally.stats) as screen:

        def push():
            while not ended.wait(0.05):
                screen.show(GREY)

        threading.Thread(target=push, daemon=True).start()
        page.goto(screen.address, wait_until="commit")
        page.wait_for_function("document.querySelector('img').naturalWidth === 160")
        page.wait_for_function("document.getElementById('stats').textContent.includes('Zoë')")
        assert page.locator("dt", has_text="<b>Zoë</b>").count() == 1, "a name is no HTML"
        assert page.locator("dd").first.inner_text() == "1"
        ended.set()
    page.wait_for_function("document.getElementById('state').textContent.includes('ended')")
    assert [line for line in said if "ERR_" not in line] == []
    page.close()
