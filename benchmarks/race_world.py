"""A small world for the race campaign: data, networks, the stages as commands, what they leave."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.datasets.celebrities import celebrity_files
from lfw_eval.detectors.mtcnn_networks import fetch_networks
from lfw_eval.sources import datasets, fetch

SIDE = 64
_PERSONS, _EACH = 160, 4
_DETECTED = 20
_DATA = ("--dataset", "faces", "--boxes", "boxes.csv")
_JOB = (*_DATA, "--checkpoint", "net.onnx", "--normalisation", "fixed", "--batch-size", "16")
_EVALUATE = ("evaluate", *_JOB, "--seconds", "0")

# Each stage with the commands that reach it; all of a round's processes start one of its commands.
STAGES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "align": (("prepare", *_DATA, "--side", str(SIDE)),),
    "contact sheet": (
        ("prepare", *_DATA, "--side", str(SIDE)),
        ("prepare", "--dataset", "faces", "--align", "none", "--side", str(SIDE)),
    ),
    "convert": (
        ("convert", "net.onnx", "-o", "converted.onnx", "--normalisation", "fixed"),
        ("build", *_JOB, "--precision", "fp32"),
    ),
    "calibrate": (("calibrate", *_JOB[:-2], "--tensorrt", "8.6.1"),),
    "build": (("build", *_JOB, "--precision", "int8"),),
    "evaluate": (
        (*_EVALUATE, "--precision", "int8", "--flip", "sum", "-o", "results/int8.json"),
        (*_EVALUATE, "--precision", "fp32", "-o", "results/fp32.json"),
    ),
    "embed": (("embed", "faces", *_JOB, "--precision", "fp32", "-o", "embedded"),),
    "detect": (("detect", "annotated", "--detector", "mtcnn", "-o", "results/mtcnn.json"),),
}
COMMANDS = tuple(dict.fromkeys(command for stage in STAGES.values() for command in stage))

# Loading takes longer than most stages: commands that waited with it done meet more often.
_WAITING = """
import sys
import openvino, onnxruntime, onnx, cv2
import lfw_eval.cli.calibrate, lfw_eval.cli.embed, lfw_eval.cli.detect, lfw_eval.cli.evaluate
from lfw_eval.cli.main import main
print("ready", flush=True)
sys.stdin.readline()
main()
"""

# What differs between two undisturbed runs: times, and what follows from them.
_VOLATILE = {
    "fps", "seconds", "measured", "from_cache", "build_seconds", "environment", "content_sha256",
    "record_sha256", "source", "speed",
}  # fmt: skip
_OF_ENGINES = _VOLATILE | {"sha256"}


def write_world(root: Path) -> None:
    """Write photographs, pairs, boxes and a network."""
    rng = np.random.default_rng(15)
    names = [f"P{person}_{n:04d}" for person in range(_PERSONS) for n in range(1, _EACH + 1)]
    for name in names:
        _write_image(root / "faces" / name.partition("_")[0] / f"{name}.png", rng, 80)
    rows = [f"{name},8,8,50,60" for name in names]
    (root / "boxes.csv").write_text("\n".join(["image,x,y,w,h", *rows]) + "\n")
    (root / "faces" / "pairs.txt").write_text(_pairs())
    onnx.save(_network(rng), root / "net.onnx")


def write_detection(root: Path) -> None:
    """Add some celebrities, each with a made-up face, and MTCNN's networks.

    Raises:
        NoSourceError: They cannot be fetched.
    """
    collection = datasets()
    files = celebrity_files(fetch(collection.entry("celebrities"), collection))
    (root / "annotated").mkdir()
    images, annotations = [], []
    for number, name in enumerate(sorted(files)[::5][:_DETECTED], start=1):
        image = cv2.resize(cv2.imread(str(files[name])), (240, 240), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(root / "annotated" / f"{name}.png"), image)
        images.append({"id": number, "file_name": f"{name}.png", "width": 240, "height": 240})
        box = [60, 50, 120, 140]
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": box})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "face"}],
    }
    (root / "annotated" / "faces.json").write_text(json.dumps(content))
    (root / "checkpoints").mkdir()
    for path in fetch_networks().values():
        shutil.copy2(path, root / "checkpoints")


def fresh_copy(world: Path, root: Path) -> None:
    """Make a root that shares the world's images, and has nothing cached yet."""
    root.mkdir()
    for name in ("faces", "annotated"):
        (root / name).symlink_to(world / name)
    for name in ("boxes.csv", "net.onnx"):
        shutil.copy2(world / name, root / name)
    if (world / "checkpoints").exists():
        shutil.copytree(world / "checkpoints", root / "checkpoints")


def command_line(command: tuple[str, ...]) -> list[str]:
    """Return a command of the suite that loads itself, says so, and begins when it gets a line."""
    return [sys.executable, "-c", _WAITING, *command]


def surroundings(root: Path) -> dict[str, str]:
    """Return the environment in which everything cached lies below the root."""
    roots = {"DATASETS": "data", "CHECKPOINTS": "checkpoints", "CACHES": "caches"}
    variables = {f"LFW_EVAL_{name}": str(root / folder) for name, folder in roots.items()}
    return {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def outputs_of(root: Path) -> dict[str, str]:
    """Return a hash of every file that commands left, by its path; times do not count."""
    hashes = {}
    for folder in ("data", "checkpoints", "caches", "results", "embedded"):
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root)
            hidden = any(part.startswith(".") for part in relative.parts)
            if path.is_file() and not hidden and path.suffix != ".sqlite":
                hashes[str(relative)] = hashlib.sha256(_content(path)).hexdigest()
    if (root / "converted.onnx").exists():
        content = (root / "converted.onnx").read_bytes()
        hashes["converted.onnx"] = hashlib.sha256(content).hexdigest()
    return hashes


def _content(path: Path) -> bytes:
    """Return what of a file must be the same in every run."""
    if path.suffix == ".json":
        volatile = _OF_ENGINES if path.parent.name == "engines" else _VOLATILE
        content = _lasting(json.loads(path.read_text()), volatile)
        return json.dumps(content, sort_keys=True).encode()
    if path.suffix == ".engine":
        return b""  # OpenVINO's export is not always the same; the embeddings are
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            parts = [(name, arrays[name].tobytes()) for name in sorted(arrays)]
        return repr(parts).encode()
    if path.suffix == ".parquet":
        from pyarrow import parquet

        # The metadata has stamps of the images' files.
        return repr(parquet.read_table(path).to_pydict()).encode()
    return path.read_bytes()


def _lasting(content: Any, volatile: Collection[str]) -> Any:
    if isinstance(content, dict):
        items = content.items()
        return {key: _lasting(value, volatile) for key, value in items if key not in volatile}
    if isinstance(content, list):
        return [_lasting(value, volatile) for value in content]
    return content


def _pairs() -> str:
    """Return a list of two folds in LFW's format, which names half of the photographs."""
    lines = [f"2\t{_PERSONS // 4}"]
    for fold in range(2):
        people = range(fold * (_PERSONS // 4), (fold + 1) * (_PERSONS // 4))
        lines += [f"P{person}\t1\t2" for person in people]
        lines += [f"P{person}\t3\tP{person + _PERSONS // 2}\t4" for person in people]
    return "\n".join([*lines, ""])


def _write_image(path: Path, rng: np.random.Generator, side: int) -> None:
    coarse = rng.uniform(0, 256, (8, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))


def _network(rng: np.random.Generator) -> onnx.ModelProto:
    """Return a network that takes a millisecond or two for a crop."""

    def weights(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    graph = GraphBuilder("small")
    x, channels = "input", 3
    for number in range(6):
        kernel = weights(32, channels, 3, 3)
        strides = (2, 2) if number == 0 else (1, 1)
        x = graph.convolution(x, f"conv{number}", kernel, strides=strides)
        x, channels = graph.node("Relu", [x], f"relu{number}"), 32
    # Averages of quarters, not of the whole: crops of noise would have nearly equal embeddings.
    pooled = graph.node("AveragePool", [x], "average", kernel_shape=[10, 10], strides=[10, 10])
    x = graph.node("Flatten", [pooled], "flat")
    x = graph.node("Gemm", [x, graph.constant("dense.kernel", weights(64, 128))], "dense", transB=1)
    return graph.model({"input": ["batch", 3, SIDE, SIDE]}, {x: ["batch", 64]})


def differences(expected: Mapping[str, str], left: Mapping[str, str]) -> Iterator[str]:
    """Yield how outputs differ from those of an undisturbed run of the same commands."""
    for path in sorted(expected.keys() | left.keys()):
        if path not in left:
            yield f"{path} is missing"
        elif path not in expected:
            yield f"{path} is of no undisturbed run"
        elif left[path] != expected[path]:
            yield f"{path} differs from an undisturbed run's"
