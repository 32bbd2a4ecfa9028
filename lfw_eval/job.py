"""One job: a data set, how its faces are aligned, a checkpoint and an engine."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.sampler import CalibrationList, choose_images
from calibration.thresholds import Method
from lfw_eval.calibrate import Calibration, calibrate
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.datasets.alignment import Alignment
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.engines import engine_class_with
from lfw_eval.engines.contract import BuildRequest, Engine, Precision
from lfw_eval.engines.tensorrt.options import TensorRTOptions


@dataclass(frozen=True)
class Job:
    """What to evaluate or to measure.

    Attributes:
        engine: A key of `lfw_eval.engines.ENGINES`.
        calibration_list: The user's own; None chooses one.
        method: How calibration chooses thresholds.
        batch_size: What the engine is to be fast at.
        largest_batch: The largest one, where that is larger still.
        tensorrt: For that engine alone.
    """

    dataset: Dataset
    alignment: Alignment
    checkpoint: Checkpoint
    calibration_list: Path | None = None
    method: Method = "entropy"
    engine: str = "openvino"
    precision: Precision = "int8"
    batch_size: int = 64
    largest_batch: int = 1
    tensorrt: TensorRTOptions = field(default_factory=TensorRTOptions)

    def crop_store(self) -> CropStore:
        """Align the images of the pairs, or open what was aligned before."""
        return self.dataset.crop_store(self.alignment)

    def calibrate(self) -> Calibration:
        """Calibrate, or read what was calibrated before."""
        images = choose_images(
            self.dataset.photographs.names, self.dataset.pairs.names, self.calibration_list
        )
        crops = self.calibration_crops(images)
        return calibrate(self.checkpoint, crops, images, self.method)

    def calibrate_if_needed(self) -> Calibration | None:
        """Calibrate for int8, unless the user gave a calibration cache."""
        if self.precision != "int8" or self.tensorrt.cache:
            return None
        return self.calibrate()

    def calibration_crops(self, images: CalibrationList) -> NDArray[np.uint8]:
        """Return the crops of these images, uint8 (n, 160, 160, 3), aligned where they are not."""
        evaluated = set(images.names) <= set(self.dataset.pairs.names)
        # Crops that are there for the evaluation are not aligned again.
        names = None if evaluated else images.names
        store = self.dataset.crop_store(self.alignment, names)
        return store.crops[store.rows(images.names)]

    def engine_class(self, precision: Precision) -> type[Engine]:
        """Return the class of the job's engine.

        Raises:
            UserError: There is no such engine, or it does not have the precision.
        """
        found = engine_class_with(self.engine, precision)
        self.tensorrt.check(self.engine, self.precision)
        return found

    def build(self, precision: Precision, calibrated: Calibration | None = None) -> Engine:
        """Build the engine of a precision, or load what was built before."""
        images = calibrated.images if calibrated else None
        options = self.tensorrt
        if precision != self.precision:
            # What is about INT8 does not concern the FP32 engine beside it.
            options = replace(options, quantization=None, cache=None)
        request = BuildRequest(
            model=self.checkpoint.model,
            normalisation=self.checkpoint.normalisation,
            precision=precision,
            scales=calibrated.table if calibrated else None,
            batch_size=self.batch_size,
            largest_batch=self.largest_batch,
            calibration_crops=(lambda: self.calibration_crops(images)) if images else None,
            tensorrt=options,
        )
        return self.engine_class(precision).build(request, self.checkpoint.folder / "engines")

    def default_output(self, kind: str) -> Path:
        """Return where the result goes that the user named no file for."""
        parts = (self.dataset.name, self.checkpoint.name, self.engine, self.precision, kind)
        return Path("results") / f"{'-'.join(parts)}.json"
