"""The job that a verb's options describe."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.cli.engine_options import (
    CalibrationOptions,
    CandidateOptions,
    CheckpointOptions,
    EngineOptions,
    GpuOptions,
)
from lfw_eval.cli.options import AlignmentOptions, CalibrationDataOptions, DataOptions
from lfw_eval.datasets.alignment.gpu import GpuRuntimes
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.engines.choice import EngineChoice, choose_engine
from lfw_eval.engines.cuda import open_devices
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
        job = Job(
            dataset=dataset.for_network(size) if resizes else dataset,
            alignment=self.alignment.of(dataset, size),
            checkpoint=network,
            engine=self._choice(other),
            calibration_list=self.calibration.calibration_list,
            method=self.calibration.method,
            first_batch=self.calibration.first_batch,
            refine=self.calibration.refine,
            candidate=other,
            align_on=self.alignment.align_on,
        )
        job.check_refine()
        return job

    def calibrates(self) -> bool:
        """Return whether scales may have to be calibrated; a quantised checkpoint has its own.

        Raises:
            UserError: An option names what is not there.
        """
        choice = self._choice(None)
        return choice.precision == "int8" and not choice.options.has_scales

    def open_gpus(self) -> None:
        """Start CUDA on the engine's GPUs, which takes a quarter of a second and more.

        Raises:
            UserError: They are not to be had.
        """
        if gpus := self._choice(None).options.gpus:
            for device in open_devices(gpus):
                with device.active():
                    device.memory()

    def load_runtimes(self) -> None:
        """Load the libraries that align and embed on GPUs, which takes as long.

        Raises:
            UserError: They are not to be had.
        """
        gpus = self._choice(None).options.gpus
        if gpus and self.alignment.align_on != "cpu":
            GpuRuntimes.of(gpus)

    def _choice(self, candidate: Checkpoint | None) -> EngineChoice:
        return choose_engine(
            self.engine.engine,
            self.engine.precision or (candidate.precision if candidate else "int8"),
            self.engine.batch_size,
            strict_precision=self.engine.strict_precision,
            **self.gpu.asked(),
        )


@dataclass(frozen=True)
class JobOptions:
    """A job on a data set."""

    data: DataOptions
    network: NetworkOptions

    def job(
        self,
        candidate: CandidateOptions | None = None,
        *,
        pairs_needed: bool = True,
        runs_here: bool = False,
    ) -> Job:
        """Open the data set, and return the job on it.

        Args:
            runs_here: This process runs the engine, whose GPUs are opened meanwhile.

        Raises:
            UserError: An option names what is not there.
        """
        with ThreadPoolExecutor(2) as threads:
            if runs_here:
                # What fails there is said where the GPUs are needed.
                threads.submit(self.network.open_gpus)
                threads.submit(self.network.load_runtimes)
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
        return self.network.job_on(self.data.open(calibrates=self.network.calibrates()))
