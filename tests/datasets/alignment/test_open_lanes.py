"""All that lanes open, with a stand-in for TensorRT and the kernels on the processor."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule
from tensorrt_rig.on_cpu import TensorRTOnCpu, plan_of
from world import tiny

from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.datasets.alignment import FivePointAlignment, GpuAlignment, MtcnnAlignment, gpu_lanes
from lfw_eval.datasets.alignment.gpu import GpuRuntimes
from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes
from lfw_eval.datasets.photographs import EncodedPhotograph, open_photographs
from lfw_eval.detectors.cuda_mtcnn import networks, on_gpus
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.store import StoredEngine
from lfw_eval.engines.tensorrt.engine import TensorRTEngine
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.stored_plan import StoredPlan
from lfw_eval.system.errors import UserError

RUNTIMES = GpuRuntimes("rig", "ONNX Runtime", "g++")
GPUS = (0, 1)


class Rig:
    """Two GPUs."""

    def __init__(self) -> None:
        self.trt = TensorRTOnCpu("10.16.1")
        self.devices = tuple(CpuDevice() for _ in GPUS)
        for device, index in zip(self.devices, GPUS, strict=True):
            device.index = index

    def plan(self, request: BuildRequest, network: onnx.ModelProto) -> StoredPlan:
        _, _, largest = request.batches
        stored = StoredEngine(Path("a.engine"), plan_of(network, largest), {})
        return StoredPlan(request, self.trt.module, self.devices, stored, "key")

    def engine(self, folder: Path) -> TensorRTEngine:
        tiny(folder / "model.onnx", side=160)
        options = TensorRTOptions(gpu=GPUS)
        request = BuildRequest(folder / "model.onnx", "fixed", "fp32", options=options)
        crops = accept_crops(onnx.load(request.model), "fixed")
        return TensorRTEngine(self.plan(request, crops), None)

    @property
    def allocations(self) -> int:
        return sum(len(device._memory) for device in self.devices)


@pytest.fixture
def rig(monkeypatch, tmp_path) -> Rig:
    rig = Rig()
    monkeypatch.setattr(
        networks,
        "load_or_build_plan",
        lambda request, _, folder: rig.plan(request, onnx.load(request.model)),
    )
    monkeypatch.setattr(
        on_gpus, "load_program", lambda device, sources, folder: CpuModule(*sources)
    )
    monkeypatch.setattr(gpu_lanes, "open_devices", lambda gpus: [rig.devices[k] for k in gpus])
    monkeypatch.setattr(gpu_lanes, "PHOTOGRAPHS", 4)
    return rig


@pytest.fixture
def photographs(real_data) -> list[EncodedPhotograph]:
    source = open_photographs(real_data / "lfw.tgz")
    return list(source.encoded(sorted(source.names)[::600]))


@pytest.mark.usefixtures("mtcnn_weights")
@pytest.mark.parametrize("recipe", [MtcnnAlignment(), FivePointAlignment()], ids=["margin", "five"])
def test_crops(rig, photographs, recipe):
    with GpuLanes.open(GpuAlignment(recipe, GPUS, RUNTIMES), lanes=1) as lanes:
        batches = list(lanes.align(photographs))
        assert rig.trt.contexts == 4, "R- and O-Net on each GPU"
    assert [name for batch in batches for name in batch.names] == [p.name for p in photographs]
    assert batches[0].values.shape == (4, *recipe.size, 3)
    assert all(batch.detected.all() for batch in batches)
    assert (rig.trt.contexts, rig.allocations) == (0, 0), "all of it is given back"


@pytest.mark.usefixtures("mtcnn_weights")
def test_embeddings_of_the_engine(rig, photographs, tmp_path):
    alignment = GpuAlignment(MtcnnAlignment(), GPUS, RUNTIMES)
    with GpuLanes.open(alignment, lanes=1) as lanes:
        crops = np.concatenate([batch.values for batch in lanes.align(photographs)])
    with rig.engine(tmp_path) as engine:
        with GpuLanes.open(alignment, engine, lanes=2) as lanes:
            embeddings = np.concatenate([batch.values for batch in lanes.align(photographs)])
        expected = engine.run({engine.inputs[0].name: crops})[engine.outputs[0].name]
    np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-5)
    assert (rig.trt.contexts, rig.allocations) == (0, 0)


@pytest.mark.usefixtures("mtcnn_weights")
def test_lanes_that_find_too_little_memory_leave_nothing(rig):
    rig.trt.failure = "[checkMacros.cpp::catch::202] Error Code 2: OutOfMemory (no further)"
    with pytest.raises(UserError, match="too little memory"):
        GpuLanes.open(GpuAlignment(MtcnnAlignment(), GPUS, RUNTIMES))
    assert (rig.trt.contexts, rig.allocations) == (0, 0)
