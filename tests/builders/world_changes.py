"""Changes to single inputs of a run, and the stages that each of them makes stale."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace

from world import World, same_times, tiny, write_boxes, write_faces, write_pairs, write_photo

from calibration.scales import ScaleTable

ALL = {"network", "crops", "table", "engine"}


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
    replace(table, amax=amax).save(path)
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
