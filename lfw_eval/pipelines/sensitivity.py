"""Sensitivity of a checkpoint's layers to INT8, and a network without the worst of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from calibration.sensitivity import Mixed, Probe, Sensitivity
from lfw_eval.checkpoints.checkpoint import Checkpoint, save_model
from lfw_eval.checkpoints.half import half
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.network_inputs import network_inputs
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
        model = onnx.load(calibration.network_of(checkpoint).model)
        images = network_inputs(model, checkpoint.normalisation, calibration.crops()[:_IMAGES])
        original = onnx.load(checkpoint.model) if calibration.network else None
        return SensitivityStudy(Probe(model, calibration.table, images, original), calibration)

    @property
    def record(self) -> Path:
        """The JSON file with the error of every layer."""
        return self.calibration.output_folder / f"sensitivity-{self.calibration.table.method}.json"

    def sensitivity(self) -> Sensitivity:
        """Measure every layer, or read what was measured before."""
        with locked(self.record.with_suffix(".lock"), "measuring the sensitivity of these layers"):
            return self.probe.sensitivity(self.record)

    def write_mixed(self, ranking: Sequence[str], max_drop: float) -> tuple[Mixed, Path]:
        """Write the network with as few 16-bit layers as keep the drop in cosine in bounds.

        It is measured as it is written, in float16 where it is not INT8; see `Probe.mixed_network`.

        Args:
            ranking: Layers in the order in which they are left in 16 bits.
            max_drop: The largest 1 - cosine allowed.

        Raises:
            UserError: The drop is out of range or cannot be reached.
        """
        mixed = self.probe.mixed_network(ranking, max_drop, half)
        name = f"int8-{self.calibration.table.method}-qdq-mixed-fp16.onnx"
        path = self.calibration.output_folder / name
        save_model(mixed.network, path)
        return mixed, path
