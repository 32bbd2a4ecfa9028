"""One job: a data set, how its faces are aligned, a checkpoint or two, and an engine."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from calibration.histogram import FIRST_BATCH
from calibration.thresholds import Method
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.datasets.alignment import Alignment, AnyAlignment
from lfw_eval.datasets.alignment.placement import AlignOn, place, require_align_on
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE


@dataclass(frozen=True)
class Job:
    """What to evaluate or to measure; the workers are an argument of their own.

    Attributes:
        checkpoint: Runs in the engine's precision, beside itself in FP32.
        candidate: Another network for the same crops, which runs in the engine's precision beside
            the checkpoint instead; None where there is none.
        calibration_list: The user's own; None chooses one.
        method: How calibration chooses thresholds.
        first_batch: Calibration crops whose largest values set the histograms' bins.
        refine: Where INT8 is calibrated, refine the network for it.
        align_on: What photographs are aligned on.
    """

    dataset: Dataset
    alignment: Alignment
    checkpoint: Checkpoint
    engine: EngineChoice = field(default_factory=EngineChoice)
    calibration_list: Path | None = None
    method: Method = "entropy"
    first_batch: int = FIRST_BATCH
    candidate: Checkpoint | None = None
    refine: bool = False
    align_on: AlignOn = "auto"

    def __post_init__(self) -> None:
        require_align_on(self.align_on)

    @property
    def judged(self) -> Checkpoint:
        """The network that runs in the engine's precision."""
        return self.candidate or self.checkpoint

    @property
    def reference(self) -> EngineChoice:
        """The engine of the checkpoint as a reference: in FP32, or as it is if quantised."""
        return self.engine.reference.in_precision(self.checkpoint.precision)

    def placed_alignment(self, workers: Workers = HERE) -> AnyAlignment:
        """Return the alignment on what it runs on.

        Args:
            workers: Who aligns.

        Raises:
            UserError: `align_on` is "gpu", and no GPU can align so.
        """
        return place(self.alignment, self.align_on, self.engine.options.gpus, workers)

    def crop_store(self, names: Sequence[str] | None = None, workers: Workers = HERE) -> CropStore:
        """Align images, or open what was aligned before; see `Dataset.crop_store`."""
        return self.dataset.crop_store(self.placed_alignment(workers), names, workers)

    def check_candidate(self) -> None:
        """Refuse a candidate that cannot be compared with the checkpoint.

        Raises:
            UserError: It takes crops of another size, or a server runs the engine.
        """
        if self.candidate is None:
            return
        if self.engine.options.served:
            raise UserError(
                f"`candidate` is for engines that are built here, but {self.engine.label} runs the "
                "server's own network",
                "leave `candidate` out, or take another `engine`",
            )
        own, other = (network.crop_size() for network in (self.checkpoint, self.candidate))
        if own != other:
            raise UserError(
                f"{self.candidate.name} takes crops of {other} and {self.checkpoint.name} of {own},"
                " but both have to run on the same crops",
                "give a `candidate` for crops of that size",
            )

    def check_refine(self) -> None:
        """Refuse to refine a network that no INT8 engine is calibrated for.

        Raises:
            UserError: It is quantised already, another precision is asked for, or the engine has
                scales of its own.
        """
        if not self.refine:
            return
        self.judged.require_float("refined")
        precision = self.engine.precision
        if precision != "int8":
            raise UserError(
                f"`refine` is for `precision` int8, not {precision}", "leave one of the two out"
            )
        if not self.engine.needs_scales(self.judged):
            raise UserError(
                "`refine` goes on from a calibration, but the scales of this engine come from "
                "elsewhere",
                "leave `refine` out, or the `calibration_cache`",
            )

    def default_output(self, kind: str) -> Path:
        """Return where a result goes for which the user named no file."""
        engine = re.sub(r"[^\w.]+", "-", self.engine.label)
        precision = self.engine.precision + "-refined" * self.refine
        parts = (self.dataset.name, self.judged.name, engine, precision, kind)
        return Path("results") / f"{'-'.join(parts)}.json"
