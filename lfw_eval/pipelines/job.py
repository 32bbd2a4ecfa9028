"""One job: a data set, how its faces are aligned, a checkpoint and an engine."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from calibration.histogram import FIRST_BATCH
from calibration.thresholds import Method
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.datasets.alignment import Alignment
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.engines.choice import EngineChoice


@dataclass(frozen=True)
class Job:
    """What to evaluate or to measure; the workers are an argument of their own.

    Attributes:
        calibration_list: The user's own; None chooses one.
        method: How calibration chooses thresholds.
        first_batch: Calibration crops whose largest values set the histograms' bins.
    """

    dataset: Dataset
    alignment: Alignment
    checkpoint: Checkpoint
    engine: EngineChoice = field(default_factory=EngineChoice)
    calibration_list: Path | None = None
    method: Method = "entropy"
    first_batch: int = FIRST_BATCH

    def default_output(self, kind: str) -> Path:
        """Return where a result goes for which the user named no file."""
        engine = re.sub(r"[^\w.]+", "-", self.engine.label)
        parts = (self.dataset.name, self.checkpoint.name, engine, self.engine.precision, kind)
        return Path("results") / f"{'-'.join(parts)}.json"
