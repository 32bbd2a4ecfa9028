"""Sensitivity of a checkpoint's layers to INT8, and a network without the worst of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibration.sensitivity import Mixed, Probe, Sensitivity
from lfw_eval.checkpoints.checkpoint import Checkpoint, save_model
from lfw_eval.checkpoints.half import half
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.system.locks import locked

# The first of the calibration crops, which show as many people as possible.
_IMAGES = 32


@dataclass(frozen=True, eq=False)
class SensitivityStudy:
    """The calibrated network, and the crops that it is measured on.

    Attributes:
        probe: Measures networks made from the checkpoint.
        calibration: Where scales come from and files go.
    """

    probe: Probe
    calibration: Calibration

    @staticmethod
    def of(checkpoint: Checkpoint, calibration: Calibration) -> "SensitivityStudy":
        """Open a study of a checkpoint on up to 32 of its calibration crops."""
        model = onnx.load(checkpoint.model)
        images = _normalised(model, checkpoint.normalisation, calibration.crops()[:_IMAGES])
        return SensitivityStudy(Probe(model, calibration.table, images), calibration)

    @property
    def record(self) -> Path:
        """The JSON file with the error of every layer."""
        return self.calibration.folder / f"sensitivity-{self.calibration.table.method}.json"

    def sensitivity(self) -> Sensitivity:
        """Measure every layer, or read what was measured before."""
        with locked(self.record.with_suffix(".lock"), "measuring the sensitivity of these layers"):
            return self.probe.sensitivity(self.record)

    def write_mixed(self, ranking: Sensitivity, max_drop: float) -> tuple[Mixed, Path]:
        """Write the network with the fewest 16-bit layers that keeps the drop in cosine in bounds.

        It is measured as it is written, in float16 where it is not INT8. `Probe.mixed_network` says
        which are the fewest.

        Raises:
            UserError: The drop is out of range or cannot be reached.
        """
        mixed = self.probe.mixed_network(list(ranking.layers), max_drop, half)
        path = self.calibration.folder / f"int8-{self.calibration.table.method}-qdq-mixed-fp16.onnx"
        save_model(mixed.network, path)
        return mixed, path


def _normalised(
    model: onnx.ModelProto, normalisation: str, crops: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the images that the model's own input takes, float32 (n, 3, 160, 160)."""
    import onnxruntime  # takes a second, which help texts do without

    accepting = accept_crops(model, normalisation)
    image = model.graph.input[0].name
    del accepting.graph.output[:]
    accepting.graph.output.append(helper.make_tensor_value_info(image, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(
        accepting.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    images: NDArray[np.float32] = session.run([image], {CROPS: crops})[0]
    return images
