"""Nothing stale is reused: every input of a result, changed alone, and what is then made anew."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from command import lfw_eval
from pictures import picture

from calibration.sampler import choose_images
from calibration.scales import ScaleTable
from lfw_eval.checkpoints import checkpoint as checkpoint_module
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.datasets import crop_store as crop_store_module
from lfw_eval.datasets.alignment import (
    AlreadyAligned,
    BoxAlignment,
    MtcnnAlignment,
    five_point,
    mtcnn,
)
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.faces import open_faces
from lfw_eval.datasets.photographs import FolderPhotographs
from lfw_eval.detectors import mtcnn_networks
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.engines import openvino as openvino_module
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.openvino import OpenVINOEngine
from lfw_eval.engines.store import EngineStore
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.order import options_of
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.pipelines.calibration import calibrate
from lfw_eval.pipelines.detected import Detected
from lfw_eval.system.errors import UserError

SIDE = 32
ALL = {"network", "crops", "table", "engine"}
PEOPLE = {"Ann_Lee": 4, "Bo": 4}


@dataclass(frozen=True)
class World:
    """Everything that a run reads, on disk, and what can be asked for beside it."""

    root: Path
    dataset: str = "faces"
    align: str = "boxes"
    margin: int = 32
    normalisation: str = "fixed"
    precision: str = "int8"
    method: str = "entropy"
    batch_size: int = 8
    listed: tuple[str, ...] = field(default=("Ann_Lee_0004", "Bo_0004", "Ann_Lee_0001"))

    @property
    def photo(self) -> Path:
        return self.root / self.dataset / "Ann_Lee" / "Ann_Lee_0001.png"

    @property
    def uncropped(self) -> Path:
        """In no pair, but calibrated on."""
        return self.root / self.dataset / "Ann_Lee" / "Ann_Lee_0004.png"


def tiny(path: Path, seed: int = 7, side: int = SIDE) -> None:
    """Write a network with its weights in a file beside it."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    graph = GraphBuilder("tiny")
    x = graph.convolution("input", "stem", weights(4, 3, 5, 5), bias=weights(4), strides=(4, 4))
    x = graph.node("Relu", [x], "relu")
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "average")], "flat")
    kernel = graph.constant("dense.kernel", weights(32, 4))
    x = graph.node("Gemm", [x, kernel], "dense", transB=1)
    model = graph.model({"input": ["batch", 3, side, side]}, {x: ["batch", 32]})
    location = f"{path.stem}.weights"
    path.with_name(location).unlink(missing_ok=True)
    onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=0)


def write_photo(path: Path, seed: int) -> None:
    """All have the same size in bytes."""
    content = cv2.imencode(".png", picture(seed, 60, 60), [cv2.IMWRITE_PNG_COMPRESSION, 0])[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.tobytes())


def write_faces(folder: Path, first_seed: int) -> None:
    seed = first_seed
    for person, count in PEOPLE.items():
        for number in range(1, count + 1):
            write_photo(folder / person / f"{person}_{number:04d}.png", seed)
            seed += 1
    write_pairs(folder)


def write_pairs(folder: Path, last: str = "Ann_Lee\t2\tBo\t2") -> None:
    pairs = ["2\t1", "Ann_Lee\t1\t2", "Ann_Lee\t1\tBo\t1", "Bo\t1\t2", last]
    (folder / "pairs.txt").write_text("\n".join(pairs) + "\n")


def write_boxes(root: Path, left: int = 5) -> None:
    names = [f"{person}_{n:04d}" for person, count in PEOPLE.items() for n in range(1, count + 1)]
    rows = [f"{name},{left},5,30,40" for name in names]
    (root / "boxes.csv").write_text("\n".join(["image,x,y,w,h", *rows]) + "\n")


def same_times(path: Path, write: Callable[[], None]) -> None:
    """Change a file in place so that size, inode and modification time stay."""
    before = path.stat()
    content = path.read_bytes()
    write()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert path.read_bytes() != content
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


@pytest.fixture
def recomputed(monkeypatch) -> set[str]:
    """The stages that were carried out, and not taken from what an earlier run kept."""
    stages: set[str] = set()

    def noted(module: Any, name: str, stage: str) -> None:
        function = getattr(module, name)

        def noting(*arguments: Any, **options: Any) -> Any:
            stages.add(stage)
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, noting)

    noted(checkpoint_module, "convert", "network")
    noted(crop_store_module, "_align", "crops")
    noted(ScaleTable, "save", "table")
    noted(openvino_module, "network", "engine")
    return stages


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A world where a run of the defaults has kept all that it keeps."""
    root = tmp_path_factory.mktemp("world") / "root"
    write_faces(root / "faces", 0)
    write_boxes(root)
    tiny(root / "net.onnx")
    with pytest.MonkeyPatch.context() as patched:
        move_roots(patched, root)
        run(World(root))
    return root


def move_roots(patched: pytest.MonkeyPatch, root: Path) -> None:
    patched.setenv("LFW_EVAL_DATASETS", str(root / "data"))
    patched.setenv("LFW_EVAL_CHECKPOINTS", str(root / "checkpoints"))


@pytest.fixture
def world(finished, tmp_path, monkeypatch, recomputed) -> Iterator[World]:
    """A copy of it, of whose content everything that was kept holds."""
    root = tmp_path / "root"
    shutil.copytree(finished, root)
    move_roots(monkeypatch, root)
    monkeypatch.setattr(mtcnn, "find_faces", lambda images: [no_face() for _ in images])
    monkeypatch.setattr(five_point, "find_faces", lambda images: [no_face() for _ in images])
    recomputed.clear()
    return World(root)


def no_face() -> Faces:
    return Faces(*(np.empty(shape, np.float32) for shape in ((0, 4), (0,), (0, 5, 2))))


def run(world: World) -> np.ndarray:
    """From photographs to embeddings, as `evaluate` does it."""
    network = open_checkpoint(str(world.root / "net.onnx"), world.normalisation)
    side, _, _ = network.input_shape()
    dataset = open_dataset(str(world.root / world.dataset), None)
    alignment = {
        "boxes": lambda: BoxAlignment(world.root / "boxes.csv", world.margin / 320, side),
        "mtcnn": lambda: MtcnnAlignment(world.margin, side),
        "five-point": lambda: five_point.FivePointAlignment(side),
        "none": lambda: AlreadyAligned(side),
    }[world.align]()
    store = dataset.crop_store(alignment)
    listing = world.root / "calibration.txt"
    listing.write_text("\n".join(world.listed))
    images = choose_images(dataset.photographs.names, dataset.pairs.names, listing)
    names = dataset.pairs.names if set(images.names) <= set(dataset.pairs.names) else images.names
    to_calibrate = dataset.crop_store(alignment, names)
    crops = to_calibrate.crops[to_calibrate.rows(images.names)]
    table = calibrate(network, crops, images, world.method).table  # type: ignore[arg-type]
    request = BuildRequest(
        network.model,
        network.normalisation,
        world.precision,  # type: ignore[arg-type]
        table if world.precision == "int8" else None,
        world.batch_size,
    )
    with OpenVINOEngine.build(request, network.folder / "engines") as engine:
        return engine.run({engine.inputs[0].name: np.array(store.crops)})[engine.outputs[0].name]


def test_nothing_changed_nothing_is_made(world, recomputed):
    run(world)
    assert recomputed == set()


def swap_in_place(world: World) -> World:
    same_times(world.photo, lambda: write_photo(world.photo, 99))
    return world


def swap_by_name(world: World) -> World:
    other, spare = world.photo.with_name("Ann_Lee_0002.png"), world.root / "spare"
    stats = world.photo.stat(), other.stat()
    world.photo.rename(spare)
    other.rename(world.photo)
    spare.rename(other)
    for path, stat in zip((world.photo, other), stats, strict=True):
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return world


def change_uncropped(world: World) -> World:
    same_times(world.uncropped, lambda: write_photo(world.uncropped, 99))
    return world


def another_folder(world: World) -> World:
    write_faces(world.root / "elsewhere" / "faces", 50)
    for path in (world.root / "faces").rglob("*.png"):
        twin = world.root / "elsewhere" / path.relative_to(world.root)
        os.utime(twin, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    return replace(world, dataset="elsewhere/faces")


def copied_folder(world: World) -> World:
    shutil.copytree(world.root / "faces", world.root / "elsewhere" / "faces")
    return replace(world, dataset="elsewhere/faces")


def other_pairs(world: World) -> World:
    path = world.root / "faces" / "pairs.txt"
    same_times(path, lambda: write_pairs(world.root / "faces", "Ann_Lee\t2\tBo\t3"))
    return world


def other_boxes(world: World) -> World:
    same_times(world.root / "boxes.csv", lambda: write_boxes(world.root, 7))
    return world


def other_network(world: World) -> World:
    path = world.root / "net.onnx"
    content = path.read_bytes()
    same_times(path, lambda: path.write_bytes(content.replace(b"lfw-eval", b"lfw-evil")))
    return world


def other_weights(world: World) -> World:
    path = world.root / "net.weights"
    same_times(path, lambda: tiny(world.root / "net.onnx", seed=8))
    return world


def other_side(world: World) -> World:
    tiny(world.root / "net.onnx", side=48)
    return world


def spoilt_table(world: World) -> World:
    (path,) = world.root.rglob("scales-entropy.json")
    table = ScaleTable.load(path)
    amax = {name: amax / 4 for name, amax in table.amax.items()}
    path.write_text(replace(table, amax=amax).to_json())
    return world


BELOW_CROPS = {"table", "engine"}
CHANGES: dict[str, tuple[Callable[[World], World], set[str]]] = {
    "photograph, size and time the same": (swap_in_place, {"crops", *BELOW_CROPS}),
    "photographs renamed to each other": (swap_by_name, {"crops", *BELOW_CROPS}),
    "photograph that is only calibrated on": (change_uncropped, {"crops", *BELOW_CROPS}),
    "folder of the same name, sizes and times": (another_folder, {"crops", *BELOW_CROPS}),
    "the same photographs elsewhere": (copied_folder, set()),
    "pair list": (other_pairs, {"crops"}),
    "boxes": (other_boxes, {"crops", *BELOW_CROPS}),
    "margin": (lambda w: replace(w, margin=64), {"crops", *BELOW_CROPS}),
    "margin, too little to move a pixel": (lambda w: replace(w, margin=33), {"crops"}),
    "alignment none": (lambda w: replace(w, align="none"), {"crops", *BELOW_CROPS}),
    "alignment mtcnn": (lambda w: replace(w, align="mtcnn"), {"crops", *BELOW_CROPS}),
    "alignment five-point": (lambda w: replace(w, align="five-point"), {"crops", *BELOW_CROPS}),
    "side": (other_side, ALL),
    "checkpoint": (other_network, {"network", *BELOW_CROPS}),
    "weights beside the checkpoint": (other_weights, {"network", *BELOW_CROPS}),
    "normalisation": (
        lambda w: replace(w, normalisation="per-image"),
        {"network", *BELOW_CROPS},
    ),
    "precision": (lambda w: replace(w, precision="fp32"), {"engine"}),
    "method": (lambda w: replace(w, method="minmax"), BELOW_CROPS),
    "calibration list": (lambda w: replace(w, listed=w.listed[::-1]), BELOW_CROPS),
    "scale table": (spoilt_table, {"engine"}),
    "batch size, which OpenVINO does not build for": (lambda w: replace(w, batch_size=4), set()),
}


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
    entries = mtcnn._networks()
    before = [MtcnnAlignment().fingerprint, five_point.FivePointAlignment().fingerprint]
    changed = {**entries, "rnet": replace(entries["rnet"], sha256="0" * 64)}
    monkeypatch.setattr(mtcnn, "_networks", lambda: changed)
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


def test_other_things_that_tensorrt_builds_from(engine_key, monkeypatch):
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
    image = '{"id": 1, "file_name": "a.png", "width": 60, "height": 60}'
    category = '{"id": 1, "name": "face"}'
    (faces / "faces.json").write_text(
        f'{{"images": [{image}], "annotations": [{box}], "categories": [{category}]}}'
    )


@pytest.mark.parametrize("change", DETECTION)
def test_detections_of_an_interrupted_run(world, tmp_path, monkeypatch, change):
    faces, detector = tmp_path / "annotated", Finder()
    write_photo(faces / "a.png", 1)
    annotate(faces)
    begun = Detected.of(detector, open_faces(faces))
    begun.detections["a.png"] = Detections(np.ones((1, 4)), np.ones(1))
    begun.save()
    DETECTION[change](faces, detector, monkeypatch.setattr)
    resumed = Detected.of(detector, open_faces(faces))
    assert bool(resumed.detections) == (change == "nothing")


def test_images_that_change_after_they_were_hashed_are_refused(world):
    photographs = FolderPhotographs({"a": world.photo})
    photographs.digest  # noqa: B018
    list(photographs.read(["a"]))
    same_times(world.photo, lambda: write_photo(world.photo, 99))
    with pytest.raises(UserError, match="has changed since its content was hashed"):
        list(photographs.read(["a"]))


@pytest.mark.slow
def test_the_command_notices_a_swapped_photograph(world):
    """And reads all of them again where `--verify-images` asks for it."""

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
