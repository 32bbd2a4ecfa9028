"""The scale table: an amax per tensor, the source of every INT8 artefact."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx

from calibration.errors import UserError
from calibration.files import write_atomically
from calibration.histogram import FIRST_BATCH, Histogram
from calibration.tensor_types import not_floating
from calibration.thresholds import METHODS, Method


@dataclass(frozen=True)
class ScaleTable:
    """The result of a calibration.

    Attributes:
        amax: Clipping threshold per tensor name; int8 steps are amax / 127.
        method: How thresholds were chosen.
        model: sha256 of the FP32 ONNX file.
        images: sha256 of the calibration list.
        crops: The number of crops.
        first_batch: How many of them set the histograms' bins, the batch of TensorRT's calibrator.
    """

    amax: dict[str, float]
    method: str
    model: str
    images: str
    crops: int
    first_batch: int = FIRST_BATCH

    def digest(self) -> str:
        """Return the sha256 of the table; equal tables have the same."""
        return sha256((json.dumps(asdict(self), indent=1) + "\n").encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, with its sha256, by which `load` notices an edit.

        Raises:
            UserError: The file cannot be written.
        """
        content = {**asdict(self), "sha256": self.digest()}
        write_atomically(Path(path), (json.dumps(content, indent=1) + "\n").encode())

    @staticmethod
    def load(path: str | Path) -> "ScaleTable":
        """Read a table.

        Tables of version 0.1 have no sha256; an edit of one goes unnoticed.

        Raises:
            UserError: The file cannot be read, is not a scale table, or was edited.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            written = content.pop("sha256", None)
            table = ScaleTable(**content)
            valid = all(np.isfinite(amax) and amax >= 0 for amax in table.amax.values())
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror})", "check the path and its permissions"
            ) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is not a scale table ({error})", "calibrate again") from error
        if not valid:
            raise UserError(f"{path} holds a threshold that is negative or NaN", "calibrate again")
        if written not in (None, table.digest()):
            raise UserError(
                f"{path} was edited after it was written: its sha256 differs",
                "delete it and calibrate again, or write scales of your own with ScaleTable.save",
            )
        return table


def thresholds(
    model: onnx.ModelProto, histograms: Mapping[str, Histogram], method: Method
) -> dict[str, float]:
    """Return the threshold of every tensor.

    As in TensorRT, a max pooling's output has the threshold of its input and is not observed.
    """
    return with_pooled(
        model, {name: METHODS[method](histogram) for name, histogram in histograms.items()}
    )


def with_pooled(model: onnx.ModelProto, amax: Mapping[str, float]) -> dict[str, float]:
    """Return thresholds with those of max pooling's outputs, which are its inputs'."""
    thresholds = dict(amax)
    for node in model.graph.node:
        if node.op_type == "MaxPool" and node.input[0] in thresholds:
            thresholds[node.output[0]] = thresholds[node.input[0]]
    return thresholds


def observed_tensors(model: onnx.ModelProto) -> list[str]:
    """Return the tensors whose histograms `thresholds` needs: the input and all nodes' outputs.

    Those that are not in floating point, such as shapes, are left out.
    """
    others = not_floating(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    names = [info.name for info in model.graph.input if info.name not in constants]
    for node in model.graph.node:
        # Outputs that a node leaves out have no name.
        names += filter(None, node.output[1:] if node.op_type == "MaxPool" else node.output)
    return [name for name in names if name not in others]
