"""Nothing stale is reused: change one input of a result and see which stages run again."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import lfw_eval
from world import (
    World,
    move_roots,
    no_face,
    run,
    same_times,
    write_inputs,
    write_photo,
)
from world_changes import CHANGES, swap_in_place

from calibration.scales import ScaleTable
from lfw_eval.checkpoints import checkpoint as checkpoint_module
from lfw_eval.datasets import crop_store as crop_store_module
from lfw_eval.datasets.alignment import (
    MtcnnAlignment,
    five_point,
    mtcnn,
)
from lfw_eval.datasets.faces import open_faces
from lfw_eval.datasets.photographs import FolderPhotographs
from lfw_eval.detectors import mtcnn_networks
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.engines import openvino as openvino_module
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.store import EngineStore
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.order import options_of
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.pipelines.detected import Detected
from lfw_eval.system.errors import UserError


@pytest.fixture
def recomputed(monkeypatch) -> set[str]:
    """The stages that ran, instead of reusing what an earlier run stored."""
    stages: set[str] = set()

    def count_as(module: Any, name: str, stage: str) -> None:
        function = getattr(module, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            stages.add(stage)
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, counted)

    count_as(checkpoint_module, "convert", "network")
    count_as(crop_store_module, "_align", "crops")
    count_as(ScaleTable, "save", "table")
    count_as(openvino_module, "network", "engine")
    return stages


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A world in which a run with the defaults has stored all its outputs."""
    root = tmp_path_factory.mktemp("world") / "root"
    write_inputs(root)
    with pytest.MonkeyPatch.context() as patched:
        move_roots(patched, root)
        run(World(root))
    return root


@pytest.fixture
def world(finished, tmp_path, monkeypatch, recomputed) -> Iterator[World]:
    """A copy of it, for which everything stored is still valid."""
    root = tmp_path / "root"
    shutil.copytree(finished, root)
    move_roots(monkeypatch, root)
    monkeypatch.setattr(mtcnn, "find_faces", lambda images: [no_face() for _ in images])
    monkeypatch.setattr(five_point, "find_faces", lambda images: [no_face() for _ in images])
    recomputed.clear()
    return World(root)


def test_nothing_is_recomputed_when_nothing_changed(world, recomputed):
    run(world)
    assert recomputed == set()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_input(world, recomputed, change):
    alter, expected = CHANGES[change]
    altered = alter(world)
    recomputed.clear()
    embeddings = run(altered)
    assert recomputed == expected
    recomputed.clear()
    np.testing.assert_array_equal(run(altered), embeddings)
    assert recomputed == set()


VERSIONS: dict[str, tuple[str, object, set[str]]] = {
    "recipe of decoding": ("lfw_eval.datasets.crop_store.DECODING", 99, {"crops"}),
    "recipe of crops, or OpenCV": (
        "lfw_eval.datasets.alignment.boxes.RESAMPLING", {"crop": "99"}, {"crops"},
    ),
    "recipe of conversion": ("lfw_eval.checkpoints.checkpoint.RECIPE", 99, {"network"}),
    "recipe of calibration": ("lfw_eval.pipelines.calibration.RECIPE", 99, {"table"}),
    "recipe of normalisation": (
        "lfw_eval.checkpoints.normalisation.RECIPE", 99, {"table"},
    ),
    "recipe of built networks": ("lfw_eval.engines.store.RECIPE", {"network": 99}, {"engine"}),
    "ONNX": ("onnx.__version__", "99", {"network", "engine"}),
    "ONNX Runtime": ("onnxruntime.__version__", "99", {"table"}),
    "OpenVINO": (
        "lfw_eval.engines.openvino.OpenVINOEngine.runtime",
        staticmethod(lambda: "OpenVINO 99"),
        {"engine"},
    ),
    "device": ("lfw_eval.engines.openvino._device_name", lambda: "another CPU", {"engine"}),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_a_changed_version(world, recomputed, monkeypatch, version):
    target, value, expected = VERSIONS[version]
    monkeypatch.setattr(target, value)
    run(world)
    assert recomputed == expected


@pytest.mark.parametrize(
    ("target", "value"),
    [("RECIPE", 99), ("version", lambda name: "99")],
    ids=["recipe of MTCNN", "OpenVINO under MTCNN"],
)
@pytest.mark.parametrize("align", ["mtcnn", "five-point"])
def test_a_changed_detector_of_faces_to_crop(world, recomputed, monkeypatch, align, target, value):
    world = replace(world, align=align)
    run(world)
    recomputed.clear()
    run(world)
    assert recomputed == set()
    monkeypatch.setattr(mtcnn_networks, target, value)
    run(world)
    assert "crops" in recomputed


def test_changed_weights_of_the_detector(world, monkeypatch):
    entries = mtcnn_networks.network_entries()
    before = [MtcnnAlignment().fingerprint, five_point.FivePointAlignment().fingerprint]
    changed = {**entries, "rnet": replace(entries["rnet"], sha256="0" * 64)}
    monkeypatch.setattr(mtcnn, "network_entries", lambda: changed)
    after = [MtcnnAlignment().fingerprint, five_point.FivePointAlignment().fingerprint]
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_margin_of_mtcnn(world, recomputed):
    run(replace(world, align="mtcnn"))
    recomputed.clear()
    run(replace(world, align="mtcnn", margin=44))
    assert "crops" in recomputed


TENSORRT = {
    "batch size": {"batch_size": 4},
    "largest batch": {"max_batch_size": 512},
    "tf32": {"options": TensorRTOptions(tf32=False)},
    "workspace": {"options": TensorRTOptions(workspace=1 << 30)},
    "optimisation level": {"options": TensorRTOptions(optimization_level=5)},
    "calibration cache": {"options": TensorRTOptions(calibration_cache=Path("user.cache"))},
}


@pytest.fixture
def engine_key(world, monkeypatch):
    monkeypatch.chdir(world.root)
    Path("user.cache").write_text("TRT-8601-EntropyCalibration2\ninput: 3c010a14\n")

    def key(quantization: Any = "cache", device: str = "GPU", **changed: Any) -> str:
        request = BuildRequest(world.root / "net.onnx", "fixed", "int8", **changed)
        options = options_of(request, quantization)
        return EngineStore.of(world.root, request, "TensorRT 10", device, options).key

    return key


@pytest.mark.parametrize("change", TENSORRT)
def test_options_of_tensorrt(engine_key, change):
    assert engine_key() == engine_key()
    assert engine_key(**TENSORRT[change]) != engine_key()


def test_other_inputs_of_a_tensorrt_engine(engine_key, monkeypatch):
    plain, cached = engine_key(), engine_key(**TENSORRT["calibration cache"])
    assert engine_key(quantization="qdq") != plain
    assert engine_key(device="another GPU") != plain
    path = Path("user.cache")
    content = path.read_text()
    same_times(path, lambda: path.write_text(content.replace("3c010a14", "3c010a15")))
    assert engine_key(**TENSORRT["calibration cache"]) != cached
    monkeypatch.setattr("lfw_eval.engines.tensorrt.order.RECIPE", 99)
    assert engine_key() != plain


class Finder(FaceDetector):
    """A detector with settings and no network."""

    name = "finder"

    def __init__(self, **settings: str | float) -> None:
        self.settings = {"model": "abc", "threshold": 0.5, **settings}

    def detect(self, images):
        raise NotImplementedError


DETECTION: dict[str, Callable[..., None]] = {
    "nothing": lambda faces, detector, patch: None,
    "weights": lambda faces, detector, patch: detector.settings.update(model="abd"),
    "settings": lambda faces, detector, patch: detector.settings.update(threshold=0.4),
    "detector": lambda faces, detector, patch: setattr(detector, "name", "other"),
    "image": lambda faces, detector, patch: same_times(
        faces / "a.png", lambda: write_photo(faces / "a.png", 99)
    ),
    "annotations": lambda faces, detector, patch: annotate(faces, left=3),
    "recipe": lambda faces, detector, patch: patch("lfw_eval.pipelines.detected.RECIPE", 99),
    "decoding": lambda faces, detector, patch: patch("lfw_eval.pipelines.detected.DECODING", 99),
    "OpenCV": lambda faces, detector, patch: patch("cv2.__version__", "99"),
}


def annotate(faces: Path, left: int = 2) -> None:
    box = f'{{"id": 1, "image_id": 1, "category_id": 1, "bbox": [{left}, 2, 9, 9]}}'
    image = ", ".join(
        f'{{"id": {number}, "file_name": "{name}.png", "width": 60, "height": 60}}'
        for number, name in enumerate("ab", start=1)
    )
    category = '{"id": 1, "name": "face"}'
    (faces / "faces.json").write_text(
        f'{{"images": [{image}], "annotations": [{box}], "categories": [{category}]}}'
    )


@pytest.mark.parametrize("change", DETECTION)
def test_detections_of_an_interrupted_run(world, tmp_path, monkeypatch, change):
    faces, detector = tmp_path / "annotated", Finder()
    write_photo(faces / "a.png", 1)
    write_photo(faces / "b.png", 2)
    annotate(faces)
    with Detected.resumed(detector, open_faces(faces)) as begun:
        begun.detections["a.png"] = Detections(np.ones((1, 4)), np.ones(1))
    DETECTION[change](faces, detector, monkeypatch.setattr)
    with Detected.resumed(detector, open_faces(faces)) as resumed:
        assert list(resumed.detections) == (["a.png"] if change == "nothing" else [])


def test_images_that_change_after_they_were_hashed_are_refused(world):
    photographs = FolderPhotographs({"a": world.photo})
    photographs.digest  # noqa: B018
    list(photographs.read(["a"]))
    same_times(world.photo, lambda: write_photo(world.photo, 99))
    with pytest.raises(UserError, match="has changed since its content was hashed"):
        list(photographs.read(["a"]))


@pytest.mark.slow
def test_the_command_notices_a_swapped_photograph(world):
    """And reads every image again with `--verify-images`."""

    def crops(*options: str) -> str:
        run = lfw_eval(
            "evaluate", "--dataset", "faces", "--boxes", "boxes.csv", "--engine", "dummy",
            "--precision", "fp32", "--output", "result.json", *options, cwd=world.root,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        data = json.loads((world.root / "result.json").read_text())["result"]["data"]
        return f"{data['photographs_digest']} {data['crops_sha256']}"

    before = crops()
    assert crops("--verify-images") == before
    swap_in_place(world)
    assert not set(crops().split()) & set(before.split())
