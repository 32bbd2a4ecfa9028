"""Whatever is cached is checked when it is opened, and made again with a word where it is damaged.

Crop stores and embeddings have tests of their own.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from world import World, move_roots, run, write_inputs, write_photo

from calibration.histogram import load_histograms
from lfw_eval.datasets.faces import open_faces
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.pipelines.detected import Detected


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world") / "root"
    write_inputs(root)
    return root


@pytest.fixture
def whole(root, monkeypatch) -> np.ndarray:
    """The embeddings of an undisturbed run, after which everything is cached."""
    move_roots(monkeypatch, root)
    return run(World(root))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


CACHED = [
    "fp32-*.onnx", "fp32-*.json", "histograms.npz", "scales-entropy.json", "*.engine",
    "engines/*.json", "crops.npy", "crops.csv", "store.json",
]  # fmt: skip


@pytest.mark.parametrize("damage", [cut, flip, empty])
@pytest.mark.parametrize("pattern", CACHED)
def test_damaged_files_are_made_again(root, whole, pattern, damage, capfd):
    paths = [path for path in root.rglob(pattern) if path.is_file()]
    assert paths
    contents = {path: path.read_bytes() for path in paths}
    for path in paths:
        damage(path)
    if pattern == "histograms.npz":
        # They are only read where another method, or a lost table, needs them.
        for path in root.rglob("scales-entropy.json"):
            path.unlink()
    capfd.readouterr()
    np.testing.assert_array_equal(run(World(root)), whole)
    said = capfd.readouterr().err
    assert said.count("; making it again") == len(paths)
    np.testing.assert_array_equal(run(World(root)), whole)
    assert "; making it again" not in capfd.readouterr().err
    if pattern in ("fp32-*.onnx", "scales-entropy.json", "crops.npy", "crops.csv", "store.json"):
        assert contents == {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize("change", ["counts", "names", "crops"])
def test_histograms_that_were_edited_are_counted_again(root, whole, change, capfd):
    (path,) = root.rglob("histograms.npz")
    before, _ = load_histograms(path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays[change] = arrays[change][::-1] if change != "crops" else arrays[change] - 1
    np.savez_compressed(path, allow_pickle=False, **arrays)
    (table,) = root.rglob("scales-entropy.json")
    table.unlink()
    np.testing.assert_array_equal(run(World(root)), whole)
    assert f"{path} is damaged (it is not what was written)" in capfd.readouterr().err
    after, _ = load_histograms(path)
    assert all(np.array_equal(after[name].counts, before[name].counts) for name in before)


class Named(FaceDetector):
    name, settings = "named", {"model": "abc"}

    def detect(self, images):
        raise NotImplementedError


def rewritten(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        with np.load(path) as file:
            arrays = dict(file)
        change(arrays)
        np.savez(path, allow_pickle=False, **arrays)

    return rewrite


DETECTED: dict[str, Callable[[Path], None]] = {
    "cut off": cut,
    "a flipped bit": flip,
    "empty": empty,
    "swapped boxes": rewritten(lambda a: a.update(boxes=a["boxes"][::-1])),
    "an image twice": rewritten(lambda a: a.update(names=a["names"][[0, 0]])),
    "other counts": rewritten(lambda a: a.update(counts=a["counts"][::-1])),
    "without a hash": rewritten(lambda a: a.pop("sha256")),
}


@pytest.mark.parametrize("damage", DETECTED)
def test_damaged_detections_are_made_again(tmp_path, monkeypatch, damage, capfd):
    move_roots(monkeypatch, tmp_path)
    folder = tmp_path / "images"
    names = ["a.png", "b.png", "c.png"]
    for seed, name in enumerate(names):
        write_photo(folder / name, seed)
    images = ", ".join(
        f'{{"id": {number}, "file_name": "{name}", "width": 60, "height": 60}}'
        for number, name in enumerate(names)
    )
    box = '{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 9]}'
    category = '{"id": 1, "name": "face"}'
    (folder / "faces.json").write_text(
        f'{{"images": [{images}], "annotations": [{box}], "categories": [{category}]}}'
    )
    rng = np.random.default_rng(0)
    with Detected.resumed(Named(), open_faces(folder)) as begun:
        begun.detections["a.png"] = Detections(rng.random((3, 4)), rng.random(3))
        begun.detections["b.png"] = Detections(rng.random((1, 4)), rng.random(1))
    with Detected.resumed(Named(), open_faces(folder)) as resumed:
        assert list(resumed.detections) == ["a.png", "b.png"]
        np.testing.assert_array_equal(
            resumed.detections["b.png"].boxes, begun.detections["b.png"].boxes
        )
    DETECTED[damage](begun.path)
    with Detected.resumed(Named(), open_faces(folder)) as anew:
        assert anew.detections == {}
    assert f"{begun.path} is damaged" in capfd.readouterr().err
