"""One job: a data set, how its faces are aligned, a checkpoint and an engine."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.sampler import CalibrationList, choose_images
from calibration.thresholds import Method
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.datasets.alignment import Alignment
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.engines import engine_class_with, is_served, local_engine, require_engine
from lfw_eval.engines.contract import BuildRequest, Engine, Precision
from lfw_eval.engines.ray import RayEngine
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.system.errors import UserError
from lfw_eval.workers.ray import Cluster


@dataclass(frozen=True)
class Job:
    """What to evaluate or to measure.

    Attributes:
        engine: A key of `lfw_eval.engines.ENGINES`, or an address such as triton://host/model.
        calibration_list: The user's own; None chooses one.
        method: How calibration chooses thresholds.
        batch_size: What the engine is to be fast at.
        largest_batch: The largest one, where that is larger still.
        tensorrt: For that engine alone.
        cluster: Whose workers align, embed and calibrate; None for this process.
        calibrated_by: Another job that calibrates for this one, where several share an engine.
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
    cluster: Cluster | None = None
    calibrated_by: "Job | None" = None

    @property
    def engines(self) -> Path:
        """The folder where built engines are kept."""
        return self.checkpoint.folder / "engines"

    @property
    def reference(self) -> "Job":
        """The job whose FP32 engine this one is held against: its own where that is built here."""
        if not is_served(self.engine):
            return self
        return replace(self, engine=local_engine(), tensorrt=TensorRTOptions())

    def crop_store(self) -> CropStore:
        """Align the images of the pairs, or open what was aligned before."""
        return self.dataset.crop_store(self.alignment, cluster=self.cluster)

    def calibrate(self) -> Calibration:
        """Calibrate, or read what was calibrated before."""
        if self.calibrated_by:
            return self._calibrated_by(self.calibrated_by)
        images = choose_images(
            self.dataset.photographs.names, self.dataset.pairs.names, self.calibration_list
        )
        crops = self.calibration_crops(images)
        return calibrate(self.checkpoint, crops, images, self.method, self.cluster)

    def _calibrated_by(self, other: "Job") -> Calibration:
        calibrated = other.calibrate()
        if other.dataset.photographs.digest == self.dataset.photographs.digest:
            return calibrated
        origin = f"{calibrated.images.origin} of {other.dataset.title}"
        images = replace(calibrated.images, origin=origin, evaluated=0)
        return replace(calibrated, images=images)

    def calibrate_if_needed(self) -> Calibration | None:
        """Calibrate for int8, unless a server has the model or the user gave a cache."""
        if self.precision != "int8" or self.tensorrt.cache or is_served(self.engine):
            return None
        return self.calibrate()

    def calibration_crops(self, images: CalibrationList) -> NDArray[np.uint8]:
        """Return the crops of these images, aligned where they are not."""
        if self.calibrated_by:
            return self.calibrated_by.calibration_crops(images)
        evaluated = set(images.names) <= set(self.dataset.pairs.names)
        # Crops that are there for the evaluation are not aligned again.
        names = None if evaluated else images.names
        store = self.dataset.crop_store(self.alignment, names, self.cluster)
        return store.crops[store.rows(images.names)]

    def engine_class(self, precision: Precision) -> type[Engine]:
        """Return the class of the job's engine.

        Raises:
            UserError: There is no such engine, or it does not have the precision.
        """
        found = engine_class_with(self.engine, precision)
        self.tensorrt.check(self.engine, self.precision)
        return found

    def check(self) -> None:
        """Refuse what cannot be built or asked, before anything long begins.

        Raises:
            UserError: There is no such engine, precision, server or model.
        """
        if self.cluster:
            # The runtime is the workers' business.
            require_engine(self.engine)
            self.tensorrt.check(self.engine, self.precision)
            if self.tensorrt.gpus != TensorRTOptions().gpus:
                raise UserError(
                    "`gpu` does not go with `ray`, where each worker has one of its own"
                )
            return
        found = self.engine_class(self.precision)
        if is_served(self.engine):
            found.build(self.request(self.precision), self.engines).close()

    def build(self, precision: Precision, calibrated: Calibration | None = None) -> Engine:
        """Build the engine of a precision, or load what was built before."""
        request = self.request(precision, calibrated)
        if self.cluster:
            return RayEngine(self.cluster, self.engine, request, self.engines)
        return self.engine_class(precision).build(request, self.engines)

    def request(self, precision: Precision, calibrated: Calibration | None = None) -> BuildRequest:
        """Return what the engine of a precision is built from."""
        images = calibrated.images if calibrated else None
        options = self.tensorrt
        if precision != self.precision:
            # What is about INT8 does not concern the FP32 engine beside it.
            options = replace(options, quantization=None, cache=None)
        return BuildRequest(
            model=self.checkpoint.model,
            normalisation=self.checkpoint.normalisation,
            precision=precision,
            scales=calibrated.table if calibrated else None,
            batch_size=self.batch_size,
            largest_batch=self.largest_batch,
            calibration_crops=(lambda: self.calibration_crops(images)) if images else None,
            tensorrt=options,
            address=self.engine,
        )

    def default_output(self, kind: str) -> Path:
        """Return where the result goes that the user named no file for."""
        engine = re.sub(r"[^\w.]+", "-", self.engine)
        parts = (self.dataset.name, self.checkpoint.name, engine, self.precision, kind)
        return Path("results") / f"{'-'.join(parts)}.json"
