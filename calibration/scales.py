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
from calibration.histogram import Histogram
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
    """

    amax: dict[str, float]
    method: str
    model: str
    images: str
    crops: int

    def to_json(self) -> str:
        """Return the table as JSON text; equal tables give equal text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def digest(self) -> str:
        """Return the sha256 of the JSON text."""
        return sha256(self.to_json().encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the table as JSON.

        Raises:
            UserError: The file cannot be written.
        """
        write_atomically(Path(path), self.to_json().encode())

    @staticmethod
    def load(path: str | Path) -> "ScaleTable":
        """Read a table.

        Raises:
            UserError: The file cannot be read, or is not a scale table.
        """
        try:
            table = ScaleTable(**json.loads(Path(path).read_text(encoding="utf-8")))
            valid = all(np.isfinite(amax) and amax >= 0 for amax in table.amax.values())
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror})", "check the path and its permissions"
            ) from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is not a scale table ({error})", "calibrate again") from error
        if not valid:
            raise UserError(f"{path} holds a threshold that is negative or NaN", "calibrate again")
        return table


def thresholds(
    model: onnx.ModelProto, histograms: Mapping[str, Histogram], method: Method
) -> dict[str, float]:
    """Return the threshold of every tensor.

    As in TensorRT, the output of a max pooling has the threshold of its input and is not observed.
    """
    amax = {name: METHODS[method](histogram) for name, histogram in histograms.items()}
    for node in model.graph.node:
        if node.op_type == "MaxPool" and node.input[0] in amax:
            amax[node.output[0]] = amax[node.input[0]]
    return amax


def observed_tensors(model: onnx.ModelProto) -> list[str]:
    """Return the tensors whose histograms `thresholds` needs: the input and all nodes' outputs."""
    names = [info.name for info in model.graph.input]
    names += [node.output[0] for node in model.graph.node if node.op_type != "MaxPool"]
    return names
