"""FaceDetect and other detectors, from image files to AP, on real engines."""

import json
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from command import lfw_eval, refused
from evaluation_results import detection_report
from facedetect_like import IMAGES, facedetect_like, write_faces
from hypothesis import given, settings
from hypothesis import strategies as st

from lfw_eval.datasets.faces import FaceDataset, open_faces
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.fitting import fit
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.detector_choice import MtcnnChoice, YuNetChoice
from lfw_eval.pipelines.engine_detectors import FaceDetectChoice
from lfw_eval.report.tables.detection import detection_table
from lfw_eval.results.checks import check_report
from lfw_eval.results.file import read_result
from lfw_eval.system.errors import UserError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "facedetect.onnx"
    onnx.save(facedetect_like(), path)
    return path


@pytest.fixture(autouse=True)
def checkpoints_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))


def precision_of(model, folder, mode="dbscan", engine="onnxruntime", precision="fp32"):
    faces = open_faces(folder)
    clustering = Clustering(mode=mode, min_boxes=1)
    job = FaceDetectChoice(model, clustering=clustering, engine=EngineChoice(engine, precision, 4))
    with job.open(faces) as detector:
        return detect(detector, faces, "integrate", 0.5)


@pytest.mark.parametrize("mode", ["nms", "dbscan", "hybrid"])
def test_without_noise_all_is_found(model, tmp_path, mode):
    report = precision_of(model, write_faces(tmp_path / "faces"), mode)
    assert report.asked.overall.n == 12 * IMAGES
    assert {protocol_result.overall.value for protocol_result in report.results.values()} == {1.0}
    assert report.settings["mode"] == mode
    # The last batch is not full, and its time counts too.
    assert 1 < report.fps < 5000


def test_more_noise_finds_less(model, tmp_path):
    precisions = [
        precision_of(model, write_faces(tmp_path / str(noise), noise), "nms").asked.overall.value
        for noise in (0, 15, 30, 60)
    ]
    assert precisions[0] == 1
    assert precisions == sorted(precisions, reverse=True)
    assert precisions[-1] < 0.5


@pytest.mark.parametrize("engine", ["openvino", pytest.param("tensorrt", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_engines_and_precisions(model, tmp_path, engine, precision):
    report = precision_of(
        model, write_faces(tmp_path / "faces"), engine=engine, precision=precision
    )
    assert report.asked.overall.value > (0.9 if precision == "int8" else 0.999)


def test_outputs_in_another_order(tmp_path):
    swapped = tmp_path / "swapped.onnx"
    onnx.save(facedetect_like(("boxes", "coverage")), swapped)
    report = precision_of(swapped, write_faces(tmp_path / "faces"))
    assert report.asked.overall.value == 1


def test_images_of_another_size(model, tmp_path):
    """Stretched to the input, and boxes brought back; pixels hold no code then."""
    faces = open_faces(write_faces(tmp_path / "faces"))
    small = tmp_path / "small"
    small.mkdir()
    content = json.loads((tmp_path / "faces" / "annotations.json").read_text())
    for image in content["images"]:
        pixels = cv2.imread(str(tmp_path / "faces" / image["file_name"]))
        # Every pixel twice: shrinking them again gives the same pixels back.
        cv2.imwrite(str(small / image["file_name"]), pixels.repeat(2, 0).repeat(2, 1))
        image.update(width=1472, height=832)
    for annotation in content["annotations"]:
        annotation["bbox"] = [2 * value for value in annotation["bbox"]]
    (small / "annotations.json").write_text(json.dumps(content))
    assert precision_of(model, small).asked.overall.value == 1
    assert len(faces) == IMAGES


def test_models_that_are_none(tmp_path, model):
    faces = open_faces(write_faces(tmp_path / "faces"))

    def open_model(path, **options):
        return FaceDetectChoice(path, **options).open(faces)

    with pytest.raises(UserError, match="needs a `model`"):
        open_model(None)
    with pytest.raises(UserError, match="NGC"):
        open_model(tmp_path / "none.onnx")
    single_output = facedetect_like()
    del single_output.graph.output[1:]
    onnx.save(single_output, tmp_path / "one.onnx")
    with pytest.raises(UserError, match="two outputs, coverage and boxes"):
        open_model(tmp_path / "one.onnx")
    with pytest.raises(UserError, match="has no fp16"):
        open_model(model, engine=EngineChoice("onnxruntime", "fp16"))
    with pytest.raises(UserError, match="not a model for OpenCV's FaceDetectorYN"):
        YuNetChoice(model).open(faces)


@pytest.mark.slow
def test_the_command(model, tmp_path):
    folder = write_faces(tmp_path / "faces")
    options = ("--model", model, "--min-boxes", "1", "--sheet", "sheet.jpg")
    run = lfw_eval("detect", folder, *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "AP at IoU 0.5" in run.stdout
    assert "integrate" in run.stdout
    (path,) = (tmp_path / "results").glob("*.json")
    result = json.loads(path.read_text())["result"]
    assert result["results"]["integrate"]["overall"]["value"] == pytest.approx(1)
    assert result["settings"]["mode"] == "dbscan"
    assert len(read_result(path).result.asked.overall.outcomes.scores) == 12 * IMAGES
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet.shape[1] == 6 * 320
    green = (sheet[..., 1] > 150) & (sheet[..., 2] < 60)
    assert green.sum() > 500
    below = lfw_eval("detect", folder, *options, "--iou", "1", "--tgt", "0.99", cwd=tmp_path)
    assert below.returncode == 1
    assert "is below the target" in below.stderr


@pytest.mark.slow
def test_mistakes_of_the_command(model, tmp_path):
    folder = write_faces(tmp_path / "faces")
    assert "none does not exist" in refused(lfw_eval("detect", tmp_path / "none", cwd=tmp_path))
    run = lfw_eval("detect", folder, "--model", model, "--output", "x.txt", cwd=tmp_path)
    assert "must end in .json" in refused(run)
    run = lfw_eval("detect", folder, "--model", model, "--sheet", "x.png", cwd=tmp_path)
    assert "must end in .jpg" in refused(run)
    run = lfw_eval("detect", folder, "--model", model, "--engine", "dummy", cwd=tmp_path)
    assert "finds no faces" in refused(run)
    run = lfw_eval("detect", folder, "--detector", "mtcnn", "--precision", "int8", cwd=tmp_path)
    assert "--detector mtcnn has no --precision" in refused(run)
    run = lfw_eval("detect", folder, "--detector", "mtcnn", "--engine", "dummy", cwd=tmp_path)
    assert "--detector mtcnn has no --engine; leave it out; --engine tensorrt runs" in refused(run)
    options = ("--detector", "yunet", "--model", model, "--clustering", "nms")
    assert "clusters by NMS only" in refused(lfw_eval("detect", folder, *options, cwd=tmp_path))
    run = lfw_eval("detect", folder, "--model", model, "--topk", "0", cwd=tmp_path)
    assert "topk is 0" in refused(run)
    options = ("--model", model, "--calibration-list", "none.txt")
    assert "for --precision int8" in refused(lfw_eval("detect", folder, *options, cwd=tmp_path))
    run = lfw_eval("detect", folder, "--detector", "mtcnn", "--speed", cwd=tmp_path)
    assert "are for detectors on engines" in refused(run)
    (folder / "0.png").unlink()
    assert "0.png" in refused(lfw_eval("detect", folder, "--model", model, cwd=tmp_path))
    assert not list((tmp_path / "results").glob("*")) if (tmp_path / "results").exists() else True


@pytest.mark.slow
def test_speed_caches_and_a_library_beside(model, tmp_path):
    folder = write_faces(tmp_path / "faces")
    options = ("--model", model, "--min-boxes", "1", "--bs", "2", "--precision", "int8")
    more = ("--speed", "--seconds", "0.1", "--tensorrt", "8.6.1", "--check-metrics")
    run = lfw_eval("detect", folder, *options, *more, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "FPS, engine only" in run.stdout
    assert "*** 6 OF THE CALIBRATION IMAGES ARE ALSO EVALUATED ***" in run.stdout
    assert "*** FEWER THAN 64 IMAGES LEAVE THRESHOLDS TO CHANCE ***" in run.stdout
    (line,) = [line for line in run.stdout.splitlines() if "AP by pycocotools" in line]
    assert float(line.split()[-1]) <= 1e-9
    (cache,) = [line.split()[-1] for line in run.stdout.splitlines() if ".cache" in line]
    text = Path(cache).read_text()
    assert text.startswith("TRT-8601-EntropyCalibration2\ninput_1: ")
    (path,) = (tmp_path / "results").glob("*.json")
    assert json.loads(path.read_text())["result"]["speed"]["batch_size"] == 2
    shipped = tmp_path / "int8_calibration.txt"
    shipped.write_text(text)
    with_cache = lfw_eval("detect", folder, *options, "--calibration-cache", shipped, cwd=tmp_path)
    assert with_cache.returncode == 0, with_cache.stderr
    lines = (run.stdout.splitlines(), with_cache.stdout.splitlines())
    summaries = [next(line for line in output if line.startswith("all ")) for output in lines]
    assert summaries[0] == summaries[1]


def test_beside_facenet(model, tmp_path, facenet, small, monkeypatch):
    folder = write_faces(tmp_path / "detect")
    options = ("--dataset", small / "faces", "--boxes", small / "boxes.csv", "--precision", "fp16")
    together = ("--with-facedetect", model, "--faces", folder)
    environment = {"LFW_EVAL_CHECKPOINTS": str(facenet.folder.parent)}
    run = lfw_eval("evaluate", *options, *together, cwd=small, **environment)
    assert run.returncode == 0, run.stderr
    assert "FaceDetect AP at IoU 0.5" in run.stdout
    assert "AP by integrate, dbscan (standard error" in run.stdout
    (path,) = (small / "results").glob("*.json")
    result = json.loads(path.read_text())["result"]
    counts = [detector["results"]["integrate"]["overall"]["n"] for detector in result["detection"]]
    assert counts == [72, 72]
    assert result["candidate"]["verification"]["accuracy"]["n"] == 4
    alone = lfw_eval("evaluate", *options, "--faces", folder, cwd=small, **environment)
    assert "go together" in refused(alone)


class Overreaching(FaceDetector):
    """Finds boxes that reach out of their images, on every side and all the way."""

    name, settings = "overreaching", {}

    def detect(self, images):
        rng = np.random.default_rng(0)
        for image in images:
            height, width = image.shape[:2]
            corner = rng.uniform(-0.5, 1.2, (30, 2)) * [width, height]
            boxes = np.hstack([corner, corner + rng.uniform(0, 1, (30, 2)) * [width, height]])
            yield Detections(boxes, rng.random(30))

    def close(self):
        pass


def test_the_table_says_settings_in_words_and_what_is_left_out():
    report = detection_report(2, images=20)
    settings = {
        "int8_share": 0.9876,
        "left_float": "scale, offset",
        "min_score": 0.02,
        "calibration_images": 20,
        "calibration_evaluated": 20,
        "pre_cluster_threshold": 0.2,
    }
    data = replace(report.data, category="person", others=12)
    table = detection_table(replace(report, settings=settings, data=data))
    assert "category person is evaluated; 12 boxes of other categories left out" in table
    assert f"{'multiply-adds in INT8':<26}98.7 %\n" in table
    assert f"{'minimum score':<26}0.02\n" in table
    assert "_" not in table
    assert "category" not in detection_table(report)


def test_boxes_of_any_detector_are_cut_at_the_edge_of_the_image(tmp_path):
    faces = open_faces(write_faces(tmp_path / "faces"))
    report = detect(Overreaching(), faces, "coco", 0.5)
    pixels = (pixels for _, pixels in faces.read())
    uncut = list(Overreaching().detect(pixels))
    moved = 0
    for detections, before in zip(report.detections, uncut, strict=True):
        np.testing.assert_array_equal(detections.boxes, before.within(736, 416).boxes)
        np.testing.assert_array_equal(detections.scores, before.scores)
        moved += (detections.boxes != before.boxes).any(axis=1).sum()
    assert report.clipped == moved > 0
    boxes = report.asked.overall.outcomes.boxes
    assert ((boxes >= 0) & (boxes <= [736, 416] * 2)).all()
    check = check_report(report, [image.truth for image in faces.images])
    assert check.difference < 1e-9
    assert f"{moved:,} clipped to the image" in detection_table(report)


def test_goes_on_after_an_interrupt(model, tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / "data"))
    faces = open_faces(write_faces(tmp_path / "faces"))
    job = FaceDetectChoice(model, engine=EngineChoice("onnxruntime", "fp32", 2))

    class Interrupted(FaceDataset):
        def read(self, names=None):
            for index, item in enumerate(super().read(names)):
                if index == 4:
                    raise KeyboardInterrupt
                yield item

    stopping = Interrupted(**{f.name: getattr(faces, f.name) for f in fields(FaceDataset)})
    with job.open(faces) as detector:
        whole = detect(detector, faces, "integrate", 0.5)
        with pytest.raises(KeyboardInterrupt):
            detect(detector, stopping, "integrate", 0.5)
        (partial,) = (tmp_path / "data" / "prepared").glob("detected-*.npz")
        assert len(np.load(partial)["names"]) == 4
        again = detect(detector, faces, "integrate", 0.5)
    assert again.asked.overall.value == whole.asked.overall.value
    for resumed, uninterrupted in zip(again.detections, whole.detections, strict=True):
        np.testing.assert_array_equal(resumed.boxes, uninterrupted.boxes)
    assert not partial.exists()
    partial.write_bytes(b"no archive")
    with job.open(faces) as detector:
        assert detect(detector, faces, "integrate", 0.5).asked.overall.n == 12 * IMAGES


@pytest.mark.slow
def test_prepare_writes_coco(tmp_path):
    folder = write_faces(tmp_path / "faces")
    run = lfw_eval("prepare", "coco", folder, tmp_path / "out.json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "6 images, 72 faces and 0 ignored regions" in run.stdout
    run = lfw_eval("prepare", "kitti", folder, tmp_path / "k.json", cwd=tmp_path)
    assert "in the format of coco, not kitti" in refused(run)
    assert open_faces(folder, tmp_path / "out.json").digest == open_faces(folder).digest
    assert "IMAGES -o OUT.json" in refused(lfw_eval("prepare", "wider", cwd=tmp_path))


@given(
    size=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    target=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    how=st.sampled_from(["stretch", "letterbox"]),
)
@settings(deadline=None, max_examples=50)
def test_boxes_come_back(size, target, how):
    image = np.zeros((*size, 3), np.uint8)
    fitted, placement = fit(image, *target, how)
    assert fitted.shape == (target[1], target[0], 3)
    rows, columns = size
    width, height = columns * placement.factor_x, rows * placement.factor_y
    whole = np.array([[0, 0, width, height]]) + [placement.left, placement.top] * 2
    np.testing.assert_allclose(placement.back(whole), [[0, 0, columns, rows]], atol=1e-9)
    assert (whole >= 0).all()
    assert (whole <= np.array([*target, *target]) + 1e-9).all()
    if how == "letterbox" and min(*size, *target) > 50 and min(width, height) > 50:
        assert placement.factor_x == pytest.approx(placement.factor_y, rel=0.02)


def test_yunet_on_wider(real_data):
    faces = open_faces(real_data / "wider_val_120.tgz")
    with YuNetChoice(real_data / "yunet_n_dynamic.onnx").open(faces) as detector:
        report = detect(detector, faces, "integrate", 0.5)
    subsets = report.asked.subsets
    precisions = {name: subsets[name].value for name in ("easy", "medium", "hard")}
    # Boxes that are not cut at the edge of the image have 0.7947, 0.7556 and 0.5506.
    assert precisions == pytest.approx(
        {"easy": 0.7992, "medium": 0.7581, "hard": 0.5520}, abs=0.001
    )
    assert report.clipped == pytest.approx(1316, abs=20)


def test_mtcnn_on_wider(real_data, mtcnn_weights, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(mtcnn_weights["pnet"].parent))
    faces = open_faces(real_data / "wider_val_120.tgz")
    with MtcnnChoice().open(faces) as detector:
        report = detect(detector, faces, "coco", 0.5)
    assert report.asked.subsets["easy"].value == pytest.approx(0.64, abs=0.02)
    # Its smallest face is 20 pixels, and most of these are smaller.
    assert report.asked.overall.value == pytest.approx(0.16, abs=0.02)
