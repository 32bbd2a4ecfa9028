"""Evaluation on pairs of templates, IJB-B and IJB-C, by FP32 and the requested precision."""

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.ijb import TemplateSet
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.metrics.verification.pooled import evaluate_pooled, pooled_distances
from lfw_eval.metrics.verification.pooled_result import PooledResult
from lfw_eval.metrics.verification.templates import template_embeddings
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import (
    EmbeddedCrops,
    describe_calibration,
    describe_data,
    run_side_by_side,
)
from lfw_eval.results.test_sets import TemplateResult, TemplateRun
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE


def evaluate_templates(
    job: Job,
    templates: TemplateSet,
    flip: Flip | None,
    workers: Workers = HERE,
    calibration: Calibration | None = None,
) -> TemplateResult:
    """Run the job on the images of templates, and verify the pairs of templates.

    As insightface evaluates by default, embeddings are not normalised before they are added up to
    templates, and each is multiplied with the detector's score; with `flip` "sum" those of the
    mirror images are added to them.

    Args:
        calibration: One that was made before; None calibrates where the engine needs it.

    Raises:
        UserError: For any mistake in the job.
    """
    both = run_side_by_side(job, workers, flip=flip, calibration=calibration)

    def verified(run: EmbeddedCrops) -> TemplateRun:
        verification = verify_templates(templates, run.embeddings)
        return TemplateRun(**vars(run.engine_pass), verification=verification)

    reference, candidate = both.judge(verified)
    return TemplateResult(
        data=describe_data(
            job.dataset,
            both.store,
            pairs=len(templates.genuine),
            folds=0,
            pairs_digest=templates.digest,
        ),
        model=job.checkpoint.describe(),
        candidate_model=job.candidate.describe() if job.candidate else None,
        flip=flip or "none",
        reference=reference,
        candidate=candidate,
        calibration=describe_calibration(both.calibration) if both.calibration else None,
        cosine=both.cosine(),
    )


def verify_templates(templates: TemplateSet, embeddings: NDArray[np.floating]) -> PooledResult:
    """Verify the pairs of templates, given the embeddings of the images in their order."""
    unit = template_embeddings(
        embeddings.astype(np.float32, copy=False),
        templates.image,
        templates.template,
        templates.medium,
        templates.score,
    )
    distances = pooled_distances(unit, templates.left, templates.right)
    return evaluate_pooled(distances, templates.genuine)
