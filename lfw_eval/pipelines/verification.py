"""Verification of pairs by FP32 and, beside it, the requested precision."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.dataset import Dataset
from lfw_eval.metrics.distributions import special
from lfw_eval.metrics.verification.comparison import compare
from lfw_eval.metrics.verification.distance import Distance
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.metrics.verification.protocol import evaluate as evaluate_pairs
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import (
    EmbeddedCrops,
    describe_calibration,
    describe_data,
    run_side_by_side,
)
from lfw_eval.results.accuracy import AccuracyResult, EngineRun, PairRows
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE


@dataclass(frozen=True)
class Protocol:
    """How embeddings are compared; the defaults are facenet's."""

    distance: Distance = "squared_l2"
    flip: Flip | None = None
    subtract_mean: bool = False
    far_target: float = 1e-3


def evaluate(
    job: Job,
    protocol: Protocol,
    workers: Workers = HERE,
    calibration: Calibration | None = None,
    *,
    speed_seconds: float = 0,
) -> AccuracyResult:
    """Verify pairs by FP32 and the requested precision, on the same engine and crops.

    Args:
        calibration: One that was made before; None calibrates where the engine needs it.
        speed_seconds: How long to time the two side by side afterwards; 0 does not.

    Raises:
        UserError: For any mistake in the job.
    """
    with ThreadPoolExecutor(1) as thread:
        # While engines run: metrics need it, and importing it takes a tenth of a second.
        thread.submit(special)
        both = run_side_by_side(
            job,
            workers,
            flip=protocol.flip,
            calibration=calibration,
            speed_seconds=speed_seconds,
        )
    pairs = job.dataset.pairs

    def verified(run: EmbeddedCrops) -> EngineRun:
        verification = verify(job.dataset, run.embeddings, protocol)
        return EngineRun(**vars(run.engine_pass), verification=verification)

    reference, candidate = both.judge(verified)
    return AccuracyResult(
        data=describe_data(
            job.dataset,
            both.store,
            pairs=len(pairs),
            folds=pairs.folds,
            pairs_digest=pairs.digest(),
        ),
        pairs=PairRows(pairs.left, pairs.right),
        model=job.checkpoint.describe(),
        candidate_model=job.candidate.describe() if job.candidate else None,
        protocol={
            "distance": protocol.distance,
            "flip": protocol.flip or "none",
            "subtract_mean": protocol.subtract_mean,
            "far_target": protocol.far_target,
        },
        reference=reference,
        candidate=candidate,
        calibration=describe_calibration(both.calibration) if both.calibration else None,
        comparison=compare(reference.verification, candidate.verification) if candidate else None,
        cosine=both.cosine(),
        speed=both.speed,
    )


def verify(
    dataset: Dataset, embeddings: NDArray[np.floating], protocol: Protocol
) -> VerificationResult:
    """Verify the pairs of a data set, given the embeddings of its images in their order."""
    pairs = dataset.pairs
    return evaluate_pairs(
        embeddings,
        pairs.left,
        pairs.right,
        pairs.genuine,
        pairs.fold,
        distance=protocol.distance,
        subtract_mean=protocol.subtract_mean,
        far_target=protocol.far_target,
        names=pairs.names,
    )
