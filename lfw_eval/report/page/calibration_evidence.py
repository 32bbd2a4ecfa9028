"""The artefacts of a calibration on this machine: histograms and layer sensitivity."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import onnx

from calibration.histogram import Histogram, load_histograms
from calibration.placement import layer_name
from calibration.scales import ScaleTable
from calibration.sensitivity import EmbeddingError
from lfw_eval.checkpoints.checkpoint import NETWORKS
from lfw_eval.sources import checkpoints
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256
from lfw_eval.system.records import DamagedError, read_record


@dataclass(frozen=True, eq=False)
class Study:
    """A sensitivity study; the worst layer is the first, and `network` is all of them in INT8."""

    layers: dict[str, EmbeddingError]
    network: EmbeddingError
    images: int | None


@dataclass(frozen=True, eq=False)
class CalibrationEvidence:
    """The artefacts of one scale table.

    Attributes:
        histograms: By tensor; empty where they are gone.
        study: None where none was made.
        inputs: By layer the tensor that it reads; empty where the network is gone.
    """

    table: ScaleTable
    histograms: Mapping[str, Histogram]
    study: Study | None
    inputs: Mapping[str, str]


def calibration_evidence(table_sha256: str) -> CalibrationEvidence | None:
    """Find the artefacts of a scale table; None if it is not on this machine."""
    for path in sorted(checkpoints().root.glob("*/calibration-*/scales-*.json")):
        with suppress(UserError):
            table = ScaleTable.load(path)
            if table.digest() == table_sha256:
                study = _study(path.parent / f"sensitivity-{table.method}.json")
                return CalibrationEvidence(
                    table=table,
                    histograms=_histograms(path.parent / "histograms.npz"),
                    study=study,
                    inputs=_inputs(path.parents[1], table.model) if study else {},
                )
    return None


def _histograms(path: Path) -> dict[str, Histogram]:
    try:
        return load_histograms(path)[0]
    except ValueError:
        return {}


def _study(path: Path) -> Study | None:
    with suppress(DamagedError):
        if (content := read_record(path)) and content["layers"]:
            layers = {name: _error(row) for name, row in content["layers"].items()}
            return Study(layers, _error(content["network"]), content["images"])
    return None


def _error(row: Mapping[str, float | None]) -> EmbeddingError:
    cosine, sqnr = row["cosine"], row["sqnr"]
    assert cosine is not None
    return EmbeddingError(cosine, math.inf if sqnr is None else sqnr)


def _inputs(folder: Path, sha256: str) -> dict[str, str]:
    """Return each layer's input tensor, if the calibrated network is there."""
    for model in folder.glob(NETWORKS):
        if file_sha256(model) == sha256:
            graph = onnx.load(model).graph
            return {layer_name(node): node.input[0] for node in graph.node if node.input}
    return {}
