"""What photographs are aligned on, chosen by the user or by the engine."""

import logging
from pathlib import Path

import pytest

from lfw_eval.datasets.alignment import (
    AlreadyAligned,
    BoxAlignment,
    FivePointAlignment,
    GpuAlignment,
    MtcnnAlignment,
    placement,
)
from lfw_eval.datasets.alignment.gpu import GpuRuntimes
from lfw_eval.datasets.alignment.placement import place
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import missing_gpu
from lfw_eval.workers.in_process import HERE

RUNTIMES = GpuRuntimes("NVIDIA H200", "TensorRT 8.6.0", "NVRTC 12.9")
BOXES = BoxAlignment(Path("boxes.csv"))


@pytest.fixture(autouse=True)
def forgotten():
    for remembered in (placement._runtimes, placement._say):
        remembered.cache_clear()
    yield
    placement._runtimes.cache_clear()


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(GpuRuntimes, "of", lambda gpus: RUNTIMES)


@pytest.fixture
def no_gpu(monkeypatch):
    def refuse(gpus: tuple[int, ...]) -> GpuRuntimes:
        raise UserError("there is no GPU", "buy one")

    monkeypatch.setattr(GpuRuntimes, "of", refuse)


@pytest.mark.parametrize("recipe", [MtcnnAlignment(), FivePointAlignment()])
def test_the_gpus_of_the_engine_align(gpu, recipe):
    assert place(recipe, "auto", (0, 1), HERE) == GpuAlignment(recipe, (0, 1), RUNTIMES)
    assert place(recipe, "gpu", (), HERE) == GpuAlignment(recipe, (0,), RUNTIMES)
    assert place(recipe, "auto", (), HERE) is recipe
    assert place(recipe, "cpu", (0,), HERE) is recipe


def test_the_cpu_aligns_where_the_gpu_cannot_and_says_so_once(no_gpu, caplog):
    with caplog.at_level(logging.WARNING):
        with pytest.raises(UserError) as refused:
            place(MtcnnAlignment(), "gpu", (0,), HERE)
        for _ in range(2):
            assert place(MtcnnAlignment(), "auto", (0,), HERE) == MtcnnAlignment()
    assert str(refused.value) == (
        "faces cannot be detected and aligned on a GPU: there is no GPU; buy one; "
        "`align_on` cpu does without a GPU"
    )
    assert caplog.messages == [
        "faces are detected and aligned on the CPU, not on the GPU: there is no GPU; buy one"
    ]


def test_what_needs_no_detector_stays_on_the_cpu(gpu):
    assert place(BOXES, "auto", (0,), HERE) is BOXES


@pytest.mark.parametrize(
    ("alignment", "said"),
    [(BOXES, "boxes from a file"), (AlreadyAligned(), "images that are aligned crops already")],
)
def test_a_gpu_for_what_needs_no_detector_is_refused(gpu, alignment, said):
    with pytest.raises(UserError) as refused:
        place(alignment, "gpu", (0,), HERE)
    assert str(refused.value) == (
        f"`align_on` gpu is for faces that MTCNN detects, not for {said}; leave it out"
    )


def test_any_other_place_is_refused():
    for alignment in (MtcnnAlignment(), BOXES):
        with pytest.raises(UserError, match="`align_on` 'tpu' is unknown; take auto, cpu or gpu"):
            place(alignment, "tpu", (), HERE)


@pytest.mark.skipif(not missing_gpu(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_advised_to_be_installed():
    with pytest.raises(UserError) as refused:
        place(MtcnnAlignment(), "gpu", (), HERE)
    assert str(refused.value) == (
        f"faces cannot be detected and aligned on a GPU: {missing_gpu()}; "
        "`align_on` cpu does without a GPU"
    )


def test_the_recipe_is_the_same_and_the_key_another():
    recipe = MtcnnAlignment()
    on_gpu = GpuAlignment(recipe, (0,), RUNTIMES)
    assert on_gpu.fingerprint == recipe.fingerprint and on_gpu.size == recipe.size
    assert on_gpu.versions != recipe.versions and "openvino" not in on_gpu.versions
    assert recipe.aligned_on and recipe.aligned_on.startswith("CPU, OpenVINO ")
    assert on_gpu.aligned_on == "NVIDIA H200, TensorRT 8.6.0"
    # The same on any number of GPUs.
    assert on_gpu.versions == GpuAlignment(recipe, (0, 1), RUNTIMES).versions
