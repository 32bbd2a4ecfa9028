"""The evaluation on pairs of templates, IJB-B and IJB-C: FP32 and the precision asked for."""

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.ijb import TemplateSet
from lfw_eval.engines.contract import Precision
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.metrics.verification.pooled import evaluate_pooled, pooled_distances
from lfw_eval.metrics.verification.pooled_result import PooledResult
from lfw_eval.metrics.verification.templates import template_embeddings
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import describe_calibration, pass_over
from lfw_eval.results.accuracy import DataDescription
from lfw_eval.results.test_sets import TemplateResult, TemplateRun


def evaluate_templates(job: Job, templates: TemplateSet, flip: Flip | None) -> TemplateResult:
    """Run the job on the images of templates, and verify the pairs of these.

    As insightface evaluates by default, embeddings are not normalised before they are added up to
    templates, and each is multiplied with the detector's score; with `flip` "sum" those of the
    mirror images are added to them.

    Raises:
        UserError: For any mistake in the job.
    """
    job.check()
    store = job.crop_store()
    calibrated = job.calibrate_if_needed()
    reference, fp32 = _run(job.reference, templates, flip, store, "fp32", None)
    candidate = cosine = None
    if job.precision != "fp32" or job.reference is not job:
        candidate, embeddings = _run(job, templates, flip, store, job.precision, calibrated)
        cosine = mean_cosine(fp32, embeddings)
    return TemplateResult(
        data=DataDescription(
            name=job.dataset.name,
            title=job.dataset.title,
            caution=job.dataset.caution,
            images=len(store.names),
            pairs=len(templates.genuine),
            folds=0,
            photographs_digest=job.dataset.photographs.digest,
            pairs_digest=templates.digest,
            crops_sha256=store.digest,
            alignment=store.alignment,
            undetected=int((~store.detected).sum()),
        ),
        model=job.checkpoint.describe(),
        flip=flip or "none",
        reference=reference,
        candidate=candidate,
        calibration=describe_calibration(calibrated) if calibrated else None,
        cosine=cosine,
    )


def _run(
    job: Job,
    templates: TemplateSet,
    flip: Flip | None,
    store: CropStore,
    precision: Precision,
    calibrated: Calibration | None,
) -> tuple[TemplateRun, NDArray[np.floating]]:
    made, values = pass_over(job, store, precision, calibrated, flip)
    return TemplateRun(**vars(made), verification=verify_templates(templates, values)), values


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
