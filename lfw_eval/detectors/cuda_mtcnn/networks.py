"""R- and O-Net as TensorRT engines, which run where the patches of photographs lie."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto

from lfw_eval.checkpoints.checkpoint import converted
from lfw_eval.checkpoints.mtcnn import RECIPE, output_network, refinement_network
from lfw_eval.detectors.cuda_mtcnn.engine_settings import LEVEL, PRECISION
from lfw_eval.engines.contract import BuildRequest, Precision
from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.resident import ResidentNetwork, ResidentPlan
from lfw_eval.engines.tensorrt.stored_plan import load_or_build_plan
from lfw_eval.system.closing import Closing
from lfw_eval.system.files import file_sha256


@dataclass(frozen=True)
class _Network:
    """A network: what progress calls it, how its weights become ONNX, and patches of a run."""

    title: str
    convert: Callable[[Path], ModelProto]
    patches: int


# 256 photographs of LFW have about 10,240 patches for R-Net and 1,664 for O-Net: more than one run
# of each, so that the largest batches are also those to optimise for.
_NETWORKS = {
    "rnet": _Network("MTCNN R-Net", refinement_network, patches=4096),
    "onet": _Network("MTCNN O-Net", output_network, patches=1024),
}


class MtcnnEngines(Closing):
    """R- and O-Net on some GPUs, for any number of lanes there."""

    def __init__(
        self,
        weights: Mapping[str, Path],
        gpus: tuple[int, ...] = (0,),
        precision: Precision = PRECISION,
        *,
        tf32: bool = TensorRTOptions.tf32,
    ) -> None:
        """Load the engines, which are built the first time.

        Args:
            weights: facenet-pytorch's files `rnet` and `onet`.
            gpus: Numbers of the GPUs, of one model.
            precision: "fp32" or "fp16".
            tf32: As `TensorRTOptions` has it.

        Raises:
            UserError: A file is not that network's, TensorRT is missing or cannot build one, or a
                GPU has too little memory.
        """
        options = TensorRTOptions(gpu=gpus, optimization_level=LEVEL, tf32=tf32)
        stored = [
            load_or_build_plan(request, None, request.model.parent / "engines")
            for request in build_requests(weights, precision, options)
        ]
        self._networks: list[ResidentNetwork] = []
        self._plans: dict[int, list[ResidentPlan]] = {}
        for device in stored[0].devices:
            self._plans[device.index] = [plan.resident(device) for plan in stored]

    def networks(self, device: Device) -> tuple[ResidentNetwork, ResidentNetwork]:
        """Return R- and O-Net for a lane on one of the GPUs; they are closed with the engines.

        Raises:
            UserError: The GPU has too little memory.
        """
        refinement, output = (plan.execution() for plan in self._plans[device.index])
        self._networks += (refinement, output)
        return refinement, output

    def close(self) -> None:
        """Free the engines, and the networks of all lanes."""
        while self._networks:
            self._networks.pop().close()
        for plan in (plan for plans in self._plans.values() for plan in plans):
            plan.close()


def build_requests(
    weights: Mapping[str, Path], precision: Precision, options: TensorRTOptions
) -> list[BuildRequest]:
    """Return what the engines of R- and O-Net are built from.

    Raises:
        UserError: A file is not that network's.
    """
    return [
        BuildRequest(
            _onnx_file(name, weights[name], network.convert),
            normalisation="",
            precision=precision,
            batch_size=network.patches,
            options=options,
            title=network.title,
        )
        for name, network in _NETWORKS.items()
    ]


def _onnx_file(name: str, weights: Path, convert: Callable[[Path], ModelProto]) -> Path:
    """Return a network's ONNX file, converted the first time."""
    digest = file_sha256(weights)
    built_from = f"{digest} recipe {RECIPE} onnx {onnx.__version__}"
    return converted(f"mtcnn-{name}", digest, built_from, lambda: convert(weights))
