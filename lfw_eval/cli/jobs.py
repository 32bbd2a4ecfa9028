"""The job that a verb's options describe."""

from dataclasses import dataclass

from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.cli.options import (
    AlignmentOptions,
    CalibrationDataOptions,
    CalibrationOptions,
    CheckpointOptions,
    DataOptions,
    EngineOptions,
    GpuOptions,
)
from lfw_eval.datasets.dataset import Dataset, open_dataset
from lfw_eval.engines.choice import choose_engine
from lfw_eval.pipelines.job import Job


@dataclass(frozen=True)
class NetworkOptions:
    """All of a job but its data set."""

    alignment: AlignmentOptions
    checkpoint: CheckpointOptions
    engine: EngineOptions
    calibration: CalibrationOptions
    gpu: GpuOptions

    def job_on(self, dataset: Dataset) -> Job:
        """Return the job on a data set.

        Raises:
            UserError: An option names what is not there.
        """
        network = open_checkpoint(self.checkpoint.checkpoint, self.checkpoint.normalisation)
        side, _, _ = network.input_shape()
        alignment = self.alignment
        return Job(
            dataset=dataset.for_network(side) if alignment.align in (None, "none") else dataset,
            alignment=dataset.alignment(side, alignment.align, alignment.boxes, alignment.margin),
            checkpoint=network,
            engine=choose_engine(
                self.engine.engine,
                self.engine.precision,
                self.engine.batch_size,
                **self.gpu.asked(),
            ),
            calibration_list=self.calibration.calibration_list,
            method=self.calibration.method,
        )


@dataclass(frozen=True)
class JobOptions:
    """A job on a data set."""

    data: DataOptions
    network: NetworkOptions

    def job(self, *, pairs_needed: bool = True) -> Job:
        """Open the data set, and return the job on it.

        Raises:
            UserError: An option names what is not there.
        """
        opened = open_dataset(self.data.name, self.data.pairs, pairs_needed=pairs_needed)
        return self.network.job_on(opened)


@dataclass(frozen=True)
class EngineJobOptions:
    """A job of which only the engine is wanted: its data set is what INT8 is calibrated on."""

    data: CalibrationDataOptions
    network: NetworkOptions

    def job(self) -> Job:
        """Open the data set, and return the job on it.

        Raises:
            UserError: An option names what is not there.
        """
        opened = open_dataset(self.data.dataset, self.data.pairs, pairs_needed=False)
        return self.network.job_on(opened)
