"""A plan on disk, built where it is missing, and the GPUs that it is for."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.store import EngineStore, StoredEngine
from lfw_eval.engines.tensorrt.builder import build_plan
from lfw_eval.engines.tensorrt.capabilities import Quantization
from lfw_eval.engines.tensorrt.library import capabilities_of, load_tensorrt
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.order import options_of
from lfw_eval.engines.tensorrt.resident import ResidentPlan
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class StoredPlan:
    """A plan on disk.

    Attributes:
        request: What it was built from.
        trt: TensorRT.
        devices: The GPUs that the request names, of one model.
        stored: The plan.
        key: Identifies all that it was built from.
    """

    request: BuildRequest
    trt: ModuleType
    devices: tuple[Device, ...]
    stored: StoredEngine
    key: str

    def resident(self, device: Device) -> ResidentPlan:
        """Deserialise the plan on one of the GPUs.

        Raises:
            UserError: TensorRT cannot load it, or the GPU has too little memory.
        """
        return ResidentPlan(self.trt, device, self.stored.content)


def place_of_plan(
    request: BuildRequest, quantization: Quantization | None, folder: Path, device: Device
) -> EngineStore:
    """Return where the plan for a GPU lies once it is built.

    Raises:
        UserError: TensorRT is missing.
    """
    return EngineStore.of(
        folder,
        request,
        capabilities_of(load_tensorrt()).title,
        f"{device.name}, compute capability {'.'.join(map(str, device.capability))}",
        options_of(request, quantization),
    )


def load_or_build_plan(
    request: BuildRequest, quantization: Quantization | None, folder: Path
) -> StoredPlan:
    """Build a plan on the first GPU, or load what was built from the same before.

    Raises:
        UserError: There are no such GPUs, or TensorRT cannot build this.
    """
    trt = load_tensorrt()
    capabilities = capabilities_of(trt)
    devices = open_devices(request.options_as(TensorRTOptions).gpus)
    if len({device.name for device in devices}) > 1:
        names = ", ".join(f"{device.index}: {device.name}" for device in devices)
        raise UserError(f"`gpu` names GPUs of several models ({names})", "name GPUs of one model")
    first = devices[0]
    store = place_of_plan(request, quantization, folder, first)
    stored = store.load_or_build(
        lambda: build_plan(request, quantization, capabilities, store, first.name, first.index)
    )
    return StoredPlan(request, trt, tuple(devices), stored, store.key)
