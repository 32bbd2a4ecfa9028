"""The accuracy evaluation: FP32 and, beside it, the precision that was asked for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.engines.contract import Precision
from lfw_eval.metrics.verification.comparison import compare, mean_cosine
from lfw_eval.metrics.verification.distance import Distance
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.metrics.verification.protocol import evaluate as evaluate_pairs
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import describe_calibration, pass_over
from lfw_eval.results.accuracy import AccuracyResult, DataDescription, EngineRun, PairRows


@dataclass(frozen=True)
class Protocol:
    """How embeddings are compared; the defaults are facenet's."""

    distance: Distance = "squared_l2"
    flip: Flip | None = None
    subtract_mean: bool = False
    far_target: float = 1e-3


def evaluate(job: Job, protocol: Protocol) -> AccuracyResult:
    """Run the job: FP32 and the precision asked for, on the same engine, crops and pairs.

    FP32 is kept from an earlier run where there was one; what was asked for is run afresh.

    Raises:
        UserError: For any mistake in the job.
    """
    job.check()
    store = job.crop_store()
    calibrated = job.calibrate_if_needed()
    reference, fp32 = _run(job.reference, protocol, store, "fp32", None)
    candidate = cosine = None
    if job.precision != "fp32" or job.reference is not job:
        candidate, embeddings = _run(job, protocol, store, job.precision, calibrated)
        cosine = mean_cosine(fp32, embeddings)
    return AccuracyResult(
        data=_describe_data(job, store),
        pairs=PairRows(job.dataset.pairs.left, job.dataset.pairs.right),
        model=job.checkpoint.describe(),
        protocol={
            "distance": protocol.distance,
            "flip": protocol.flip or "none",
            "subtract_mean": protocol.subtract_mean,
            "far_target": protocol.far_target,
        },
        reference=reference,
        candidate=candidate,
        calibration=describe_calibration(calibrated) if calibrated else None,
        comparison=compare(reference.verification, candidate.verification) if candidate else None,
        cosine=cosine,
    )


def _run(
    job: Job,
    protocol: Protocol,
    store: CropStore,
    precision: Precision,
    calibrated: Calibration | None,
) -> tuple[EngineRun, NDArray[np.floating]]:
    made, values = pass_over(job, store, precision, calibrated, protocol.flip)
    return EngineRun(**vars(made), verification=verify(job.dataset, values, protocol)), values


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


def _describe_data(job: Job, store: CropStore) -> DataDescription:
    dataset = job.dataset
    return DataDescription(
        name=dataset.name,
        title=dataset.title,
        caution=dataset.caution,
        images=len(store.names),
        pairs=len(dataset.pairs),
        folds=dataset.pairs.folds,
        photographs_digest=dataset.photographs.digest,
        pairs_digest=dataset.pairs.digest(),
        crops_sha256=store.digest,
        alignment=store.alignment,
        undetected=int((~store.detected).sum()),
    )
