"""Several test sets by the same engine: the evaluation of each, and the table of all."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lfw_eval.datasets.dataset import Dataset, has_templates, open_dataset
from lfw_eval.datasets.ijb import TemplateSet, open_ijb
from lfw_eval.metrics.verification.accuracy import Accuracy
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.metrics.verification.pooled_result import PooledRate, PooledResult
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.metrics.verification.val import ValidationRate
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.side_by_side import describe_calibration, preflight
from lfw_eval.pipelines.templates import evaluate_templates
from lfw_eval.pipelines.verification import Protocol, evaluate
from lfw_eval.results.accuracy import AccuracyResult, EngineRun
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.engine import EnginePass
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


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result on one set, and its numbers in the table; `p_value` is None without folds."""

    result: AccuracyResult | TemplateResult
    reference: SetRates
    candidate: SetRates | None
    p_value: float | None = None


@dataclass(frozen=True, eq=False)
class PairedSet:
    """A test set.

    Attributes:
        images: What is embedded.
        evaluate: Evaluates a job on the images: its pairs of images, or the set's of templates.
    """

    images: Dataset
    evaluate: Callable[[Job, Flip | None, Workers, Calibration | None], Evaluation]


def open_sets(sources: Sequence[str], *, verify_images: bool = False) -> list[PairedSet]:
    """Open data sets as `open_dataset` does, and the folders of IJB-B and IJB-C.

    Raises:
        UserError: A source does not exist or is malformed.
    """
    opened: list[PairedSet] = []
    names: set[str] = set()
    for source in sources:
        paired = _open(source, verify_images)
        unique = next(name for name in _numbered(paired.images.name) if name not in names)
        names.add(unique)
        opened.append(replace(paired, images=replace(paired.images, name=unique)))
    return opened


def _open(source: str, verify_images: bool) -> PairedSet:
    if not has_templates(Path(source)):
        dataset = open_dataset(source, None, verify_images=verify_images)
        return PairedSet(dataset, _evaluate_images)
    templates = open_ijb(Path(source), verify_images=verify_images)
    return PairedSet(templates.images, partial(_evaluate_templates, templates))


def _evaluate_images(
    job: Job, flip: Flip | None, workers: Workers, calibration: Calibration | None
) -> Evaluation:
    result = evaluate(job, Protocol(flip=flip), workers, calibration)

    def rates(run: EngineRun) -> SetRates:
        return _rates(run, run.verification, run.verification.val, run.verification.accuracy)

    return Evaluation(
        result,
        rates(result.reference),
        rates(result.candidate) if result.candidate else None,
        result.comparison.accuracy_change.p_value if result.comparison else None,
    )


def _evaluate_templates(
    templates: TemplateSet,
    job: Job,
    flip: Flip | None,
    workers: Workers,
    calibration: Calibration | None,
) -> Evaluation:
    result = evaluate_templates(job, templates, flip, workers, calibration)

    def rates(run: TemplateRun) -> SetRates:
        vals = run.verification.val
        val = next(rate for rate in vals if rate.far_target == TEMPLATE_FAR)
        return _rates(run, run.verification, val, None)

    candidate = rates(result.candidate) if result.candidate else None
    return Evaluation(result, rates(result.reference), candidate)


def evaluate_sets(
    sets: Sequence[PairedSet],
    job_on: Callable[[Dataset], Job],
    calibrating: Dataset,
    flip: Flip | None,
    folder: Path,
    workers: Workers = HERE,
) -> SetsResult:
    """Evaluate the sets in turn, all by the same engine, calibrated on one of them.

    Each set's own result is written into the folder as soon as it is complete.

    Args:
        sets: As `open_sets` returns them.
        job_on: Makes the job of a data set.
        calibrating: What INT8 is calibrated on.
        flip: How embeddings of mirror images are combined with those of the crops.
        folder: For the sets' results.

    Raises:
        UserError: For a mistake that concerns all sets, or where every set fails.
    """
    calibrator = job_on(calibrating)
    preflight(calibrator, workers)
    calibration = calibrate_if_needed(calibrator, workers)
    evaluations: dict[str, Evaluation] = {}
    failed = []
    for number, paired in enumerate(sets, start=1):
        images = paired.images
        print(f"evaluate {images.name} ({number} of {len(sets)})", file=sys.stderr)
        job = job_on(images)
        here = _seen_from(images, calibration, calibrating) if calibration else None
        path = folder / f"{images.name}.json"
        try:
            evaluation = paired.evaluate(job, flip, workers, here)
            save_result(evaluation.result, path)
            evaluations[images.name] = evaluation
        except UserError as error:
            failed.append(FailedSet(images.name, str(error)))
    if not evaluations:
        reasons = "; ".join(f"{failure.name}: {failure.reason}" for failure in failed)
        raise UserError(f"none of the sets could be evaluated: {reasons}")
    first = next(iter(evaluations.values())).result
    return SetsResult(
        model=first.model,
        candidate_model=first.candidate_model,
        engine=first.judged.engine,
        batch_size=first.judged.batch_size,
        flip=flip or "none",
        calibration=_calibration(calibration, calibrating, sets) if calibration else None,
        rows=tuple(
            _row(evaluation, f"{folder.name}/{name}.json")
            for name, evaluation in evaluations.items()
        ),
        failed=tuple(failed),
    )


def _seen_from(images: Dataset, calibration: Calibration, calibrating: Dataset) -> Calibration:
    """Return the calibration as a set's result describes it, which may be another set's."""
    if images.photographs.digest == calibrating.photographs.digest:
        return calibration
    origin = f"{calibration.images.origin} of {calibrating.title}"
    # Another set may show the same people under other names.
    elsewhere = replace(calibration.images, origin=origin, evaluated=0, evaluated_people=None)
    return replace(calibration, images=elsewhere)


def _calibration(
    calibration: Calibration, on: Dataset, sets: Sequence[PairedSet]
) -> CalibrationDescription:
    description = describe_calibration(calibration)
    evaluated = on.photographs.digest in [paired.images.photographs.digest for paired in sets]
    return replace(
        description,
        origin=f"{description.origin} of {on.title}",
        evaluated=description.evaluated if evaluated else 0,
        evaluated_people=description.evaluated_people if evaluated else None,
    )


def _row(evaluation: Evaluation, path: str) -> SetRow:
    data = evaluation.result.data
    return SetRow(
        name=data.name,
        title=data.title,
        caution=data.caution,
        images=data.images,
        pairs=data.pairs,
        alignment=data.alignment,
        aligned_on=data.aligned_on,
        undetected=data.undetected,
        reference=evaluation.reference,
        candidate=evaluation.candidate,
        p_value=evaluation.p_value,
        result=path,
    )


def _rates(
    engine_pass: EnginePass,
    verification: VerificationResult | PooledResult,
    val: ValidationRate | PooledRate,
    accuracy: Accuracy | None,
) -> SetRates:
    return SetRates(
        precision=engine_pass.engine.precision,
        accuracy=accuracy.value if accuracy else None,
        std=accuracy.std if accuracy else None,
        auc=verification.auc.value,
        eer=verification.eer.value,
        far_target=val.far_target,
        val=None if val.unresolved else val.value,
        interval=None if val.unresolved else val.interval,
        val_unresolved=val.unresolved,
        fps=engine_pass.fps,
        from_cache=engine_pass.from_cache,
    )


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
