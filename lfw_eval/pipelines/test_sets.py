"""Several test sets by one engine: what is asked of each, and the table of all."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lfw_eval.datasets.dataset import Dataset, has_templates, open_dataset
from lfw_eval.datasets.ijb import TemplateSet, open_ijb
from lfw_eval.metrics.verification.accuracy import Accuracy
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.metrics.verification.pooled_result import PooledRate
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.metrics.verification.val import ValidationRate
from lfw_eval.pipelines.calibration import Calibration, calibrate_if_needed
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import describe_calibration, preflight
from lfw_eval.pipelines.templates import evaluate_templates
from lfw_eval.pipelines.verification import Protocol, evaluate
from lfw_eval.results.accuracy import AccuracyResult, EngineRun
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.file import save_result
from lfw_eval.results.test_sets import (
    FailedSet,
    SetRates,
    SetRow,
    SetsResult,
    TemplateResult,
    TemplateRun,
)
from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE

TEMPLATE_FAR = 1e-4
"""Of the VAL in the table, of pairs of templates; the result has the others."""


def open_sets(paths: Sequence[str], *, verify_images: bool = False) -> list[Dataset | TemplateSet]:
    """Open data sets as `open_dataset` does, and the folders of IJB-B and IJB-C.

    Raises:
        UserError: One of them is not there or malformed.
    """
    opened: list[Dataset | TemplateSet] = []
    names: set[str] = set()
    for path in paths:
        test_set = (
            open_ijb(Path(path))
            if has_templates(Path(path))
            else open_dataset(path, None, verify_images=verify_images)
        )
        images = images_of(test_set)
        unique = next(name for name in _numbered(images.name) if name not in names)
        names.add(unique)
        images = replace(images, name=unique)
        opened.append(
            replace(test_set, images=images) if isinstance(test_set, TemplateSet) else images
        )
    return opened


def images_of(test_set: Dataset | TemplateSet) -> Dataset:
    """Return the images of a set."""
    return test_set.images if isinstance(test_set, TemplateSet) else test_set


def evaluate_sets(
    sets: Sequence[Dataset | TemplateSet],
    job_on: Callable[[Dataset], Job],
    calibrating: Dataset,
    flip: Flip | None,
    folder: Path,
    workers: Workers = HERE,
) -> SetsResult:
    """Evaluate the sets one after the other, all by the engine that is calibrated on one of them.

    Each set's own result is written into the folder as soon as it is there.

    Args:
        sets: As `open_sets` gives them.
        job_on: Makes the job of a data set.
        calibrating: What INT8 is calibrated on.
        flip: How embeddings of mirror images are combined with those of the crops.
        folder: For the sets' results.

    Raises:
        UserError: For a mistake that concerns all sets, or one in each of them.
    """
    calibrator = job_on(calibrating)
    preflight(calibrator, workers)
    calibration = calibrate_if_needed(calibrator, workers)
    results: dict[str, AccuracyResult | TemplateResult] = {}
    failed = []
    for number, test_set in enumerate(sets, start=1):
        images = images_of(test_set)
        print(f"{images.name} ({number} of {len(sets)})", file=sys.stderr)
        job = job_on(images)
        here = _seen_from(images, calibration, calibrating) if calibration else None
        path = folder / f"{images.name}.json"
        result: AccuracyResult | TemplateResult
        try:
            if isinstance(test_set, TemplateSet):
                result = evaluate_templates(job, test_set, flip, workers, here)
            else:
                result = evaluate(job, Protocol(flip=flip), workers, here)
            save_result(result, path)
            results[images.name] = result
        except UserError as error:
            failed.append(FailedSet(images.name, str(error)))
    if not results:
        reasons = "; ".join(f"{failure.name}: {failure.reason}" for failure in failed)
        raise UserError(f"none of the sets could be evaluated: {reasons}")
    judged = next(iter(results.values()))
    return SetsResult(
        model=judged.model,
        engine=judged.judged.engine,
        batch_size=judged.judged.batch_size,
        flip=flip or "none",
        calibration=_calibration(calibration, calibrating, sets) if calibration else None,
        rows=tuple(_row(result, f"{folder.name}/{name}.json") for name, result in results.items()),
        failed=tuple(failed),
    )


def _seen_from(images: Dataset, calibration: Calibration, calibrating: Dataset) -> Calibration:
    """The calibration as the result of a set tells of it, which may be another set's."""
    if images.photographs.digest == calibrating.photographs.digest:
        return calibration
    origin = f"{calibration.images.origin} of {calibrating.title}"
    return replace(calibration, images=replace(calibration.images, origin=origin, evaluated=0))


def _calibration(
    calibration: Calibration, on: Dataset, sets: Sequence[Dataset | TemplateSet]
) -> CalibrationDescription:
    description = describe_calibration(calibration)
    digests = [images_of(test_set).photographs.digest for test_set in sets]
    return replace(
        description,
        origin=f"{description.origin} of {on.title}",
        evaluated=description.evaluated if on.photographs.digest in digests else 0,
    )


def _row(result: AccuracyResult | TemplateResult, path: str) -> SetRow:
    data = result.data
    comparison = result.comparison if isinstance(result, AccuracyResult) else None
    return SetRow(
        name=data.name,
        title=data.title,
        caution=data.caution,
        images=data.images,
        pairs=data.pairs,
        alignment=data.alignment,
        undetected=data.undetected,
        reference=_rates(result.reference),
        candidate=_rates(result.candidate) if result.candidate else None,
        p_value=comparison.p_value if comparison else None,
        result=path,
    )


def _rates(run: EngineRun | TemplateRun) -> SetRates:
    verification = run.verification
    accuracy: Accuracy | None = None
    val: ValidationRate | PooledRate
    if isinstance(verification, VerificationResult):
        accuracy, val = verification.accuracy, verification.val
    else:
        val = next(rate for rate in verification.val if rate.far_target == TEMPLATE_FAR)
    return SetRates(
        precision=run.engine.precision,
        accuracy=accuracy.value if accuracy else None,
        std=accuracy.std if accuracy else None,
        auc=verification.auc.value,
        eer=verification.eer.value,
        far_target=val.far_target,
        val=val.value,
        interval=val.interval,
        fps=run.fps,
        from_cache=run.from_cache,
    )


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
