"""Everything that a run reads, on disk, and the run from photographs to embeddings."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from pictures import picture

from calibration.sampler import choose_images
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.datasets.alignment import (
    AlreadyAligned,
    BoxAlignment,
    MtcnnAlignment,
    arcface_template,
    five_point,
)
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.openvino import OpenVINOEngine
from lfw_eval.pipelines.calibration import calibrate

SIDE = 32
PEOPLE = {"Ann_Lee": 4, "Bo": 4}


@dataclass(frozen=True)
class World:
    """Everything that a run reads from disk, and its options."""

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
        """A photograph of no pair that calibration uses."""
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
    """Write a picture; all of them have the same size in bytes."""
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


def write_inputs(root: Path) -> None:
    """Write photographs, boxes and a network."""
    write_faces(root / "faces", 0)
    write_boxes(root)
    tiny(root / "net.onnx")


def same_times(path: Path, write: Callable[[], None]) -> None:
    """Change a file in place so that size, inode and modification time stay."""
    before = path.stat()
    content = path.read_bytes()
    write()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert path.read_bytes() != content
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def no_face() -> Faces:
    return Faces(*(np.empty(shape, np.float32) for shape in ((0, 4), (0,), (0, 5, 2))))


def run(world: World) -> np.ndarray:
    """Return the embeddings of the photographs, by the way that `evaluate` takes."""
    network = open_checkpoint(str(world.root / "net.onnx"), world.normalisation)
    size = network.crop_size()
    dataset = open_dataset(str(world.root / world.dataset), None)
    alignment = {
        "boxes": lambda: BoxAlignment(world.root / "boxes.csv", world.margin / 320, size),
        "mtcnn": lambda: MtcnnAlignment(world.margin, size),
        "five-point": lambda: five_point.FivePointAlignment(arcface_template(size)),
        "none": lambda: AlreadyAligned(size),
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


def move_roots(patched: pytest.MonkeyPatch, root: Path) -> None:
    patched.setenv("LFW_EVAL_DATASETS", str(root / "data"))
    patched.setenv("LFW_EVAL_CHECKPOINTS", str(root / "checkpoints"))
