"""The MTCNN detector, loaded from its weights."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto

from lfw_eval.checkpoints.mtcnn import output_network, proposal_network, refinement_network
from lfw_eval.detectors.mtcnn_cascade import RECIPE, Mtcnn, Network
from lfw_eval.sources import Entry, checkpoints, fetch
from lfw_eval.system.hardware import openvino_threads


def network_entries() -> dict[str, Entry]:
    """Return P-, R- and O-Net's entries in the manifest of checkpoints, by name."""
    collection = checkpoints()
    return {name: collection.entry(f"mtcnn-{name}") for name in ("pnet", "rnet", "onet")}


def fetch_networks() -> dict[str, Path]:
    """Return the networks' files by name, fetching those that are missing.

    Raises:
        UserError: They are unavailable.
    """
    collection = checkpoints()
    return {name: fetch(entry, collection) for name, entry in network_entries().items()}


def load_detector(weights: Mapping[str, Path]) -> Mtcnn:
    """Load MTCNN.

    Its networks run in float32 on OpenVINO, which takes about half of ONNX Runtime's time for
    them, and whatever engine is being evaluated: the crops must not depend on it.

    Args:
        weights: facenet-pytorch's files `pnet`, `rnet` and `onet`.

    Raises:
        UserError: A file is not that network's.
    """
    return Mtcnn(
        proposal=_network(proposal_network(weights["pnet"])),
        refinement=_network(refinement_network(weights["rnet"])),
        output=_network(output_network(weights["onet"])),
    )


def detector_versions() -> Mapping[str, str]:
    """Return the versions of what MTCNN's faces depend on beside its weights."""
    return {"mtcnn": str(RECIPE), "openvino": version("openvino")}


def detector_runtime() -> str:
    """Return in words what MTCNN runs on."""
    return f"CPU, OpenVINO {version('openvino').partition('-')[0]}"


def _network(model: ModelProto) -> Network:
    # Imported here: cropping around the user's own boxes needs no OpenVINO, and a Jetson has none.
    import openvino

    core = openvino.Core()
    options: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    options |= openvino_threads()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", options)
    request = compiled.create_infer_request()
    # A request refuses a second batch while it runs the first.
    lock = Lock()

    def run(batch: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with lock:
            outputs = request.infer(dict(batch), share_inputs=True)
        return {port.any_name: values for port, values in outputs.items()}

    return run
