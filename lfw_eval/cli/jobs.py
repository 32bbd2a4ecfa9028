"""The job that a verb's options describe."""

from dataclasses import dataclass

from lfw_eval.cli.engine_options import (
    CalibrationOptions,
    CandidateOptions,
    CheckpointOptions,
    EngineOptions,
    GpuOptions,
)
from lfw_eval.cli.options import AlignmentOptions, CalibrationDataOptions, DataOptions
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.engines.choice import choose_engine
from lfw_eval.pipelines.job import Job
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class NetworkOptions:
    """All of a job but its data set."""

    alignment: AlignmentOptions
    checkpoint: CheckpointOptions
    engine: EngineOptions
    calibration: CalibrationOptions
    gpu: GpuOptions

    def job_on(self, dataset: Dataset, candidate: CandidateOptions | None = None) -> Job:
        """Return the job on a data set.

        Args:
            dataset: What is evaluated, or calibrated on.
            candidate: The second network; None for verbs that take none.

        Raises:
            UserError: An option names what is not there.
        """
        if self.gpu.calibration_cache and self.calibration.calibration_list:
            raise UserError(
                "`calibration_cache` and `calibration_list` are two sources of scales",
                "leave one out",
            )
        network = self.checkpoint.open()
        other = candidate.open(network) if candidate else None
        size = network.crop_size()
        resizes = self.alignment.align in (None, "none")
        return Job(
            dataset=dataset.for_network(size) if resizes else dataset,
            alignment=self.alignment.of(dataset, size),
            checkpoint=network,
            engine=choose_engine(
                self.engine.engine,
                self.engine.precision or (other.precision if other else "int8"),
                self.engine.batch_size,
                strict_precision=self.engine.strict_precision,
                **self.gpu.asked(),
            ),
            calibration_list=self.calibration.calibration_list,
            method=self.calibration.method,
            first_batch=self.calibration.first_batch,
            candidate=other,
            align_on=self.alignment.align_on,
        )


@dataclass(frozen=True)
class JobOptions:
    """A job on a data set."""

    data: DataOptions
    network: NetworkOptions

    def job(self, candidate: CandidateOptions | None = None, *, pairs_needed: bool = True) -> Job:
        """Open the data set, and return the job on it.

        Raises:
            UserError: An option names what is not there.
        """
        return self.network.job_on(self.data.open(pairs_needed=pairs_needed), candidate)


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
        return self.network.job_on(self.data.open())
