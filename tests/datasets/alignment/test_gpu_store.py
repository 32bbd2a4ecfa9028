"""Crop stores that GPUs fill, on the processor: keys, what cannot be read, interruptions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lanes_on_cpu import lanes_on_cpu

from lfw_eval.datasets.alignment import AnyAlignment, GpuAlignment, MtcnnAlignment, gpu_lanes
from lfw_eval.datasets.alignment.gpu import GpuRuntimes
from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes
from lfw_eval.datasets.crop_store import CropStore, build_crop_store
from lfw_eval.datasets.partial_crops import PartialCrops
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.system.errors import UserError

RECIPE = MtcnnAlignment()
ON_GPU = GpuAlignment(RECIPE, (0,), GpuRuntimes("rig", "ONNX Runtime", "g++"))
Build = Callable[[AnyAlignment], CropStore]


@pytest.fixture
def folder(real_data, tmp_path) -> Path:
    """Twelve photographs of LFW."""
    source = open_photographs(real_data / "lfw.tgz")
    (tmp_path / "images").mkdir()
    for photograph in source.encoded(sorted(source.names)[::1200][:12]):
        (tmp_path / "images" / f"{photograph.name}.jpg").write_bytes(photograph.content)
    return tmp_path / "images"


@pytest.fixture
def build(folder, tmp_path, monkeypatch, mtcnn_weights) -> Build:
    """Builds the store of the photographs, four at once."""
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setattr(gpu_lanes, "PHOTOGRAPHS", 4)
    monkeypatch.setattr(
        GpuLanes, "open", lambda alignment: lanes_on_cpu(alignment.recipe, mtcnn_weights)
    )

    def built(alignment: AnyAlignment) -> CropStore:
        photographs = open_photographs(folder)
        return build_crop_store(photographs, photographs.names, alignment, tmp_path / "stores")

    return built


def test_crops_of_both_devices_are_stored_side_by_side(build):
    on_cpu, on_gpu = build(RECIPE), build(ON_GPU)
    assert on_cpu.folder != on_gpu.folder
    assert on_cpu.alignment == on_gpu.alignment
    assert on_cpu.aligned_on == RECIPE.aligned_on
    assert on_gpu.aligned_on == "rig, ONNX Runtime"
    assert np.abs(on_cpu.boxes - on_gpu.boxes).max() <= 1
    assert build(ON_GPU).folder == on_gpu.folder


@pytest.mark.parametrize("rows", [[5], [0, 1, 2, 3, 5]])
def test_what_cannot_be_read_is_the_same_error(build, folder, rows):
    broken = [sorted(folder.glob("*.jpg"))[row] for row in rows]
    for file in broken:
        file.write_bytes(file.read_bytes()[:2000])
    errors = []
    for alignment in (RECIPE, ON_GPU):
        with pytest.raises(UserError) as raised:
            build(alignment)
        errors.append(str(raised.value))
    assert errors[0] == errors[1] and all(file.name in errors[0] for file in broken)


def test_resumes_after_an_interrupt(build, monkeypatch):
    whole = build(ON_GPU)
    whole_crops = np.array(whole.crops)
    for path in whole.folder.iterdir():
        path.unlink()
    add, added = PartialCrops.add, []

    def interrupted(self, names, aligned):
        if len(added) == 1:
            raise KeyboardInterrupt
        added.append(list(names))
        add(self, names, aligned)

    monkeypatch.setattr(PartialCrops, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(ON_GPU)
    monkeypatch.setattr(
        PartialCrops,
        "add",
        lambda self, names, aligned: (added.append(list(names)), add(self, names, aligned)),
    )
    np.testing.assert_array_equal(build(ON_GPU).crops, whole_crops)
    assert [name for names in added for name in names] == list(whole.names)
