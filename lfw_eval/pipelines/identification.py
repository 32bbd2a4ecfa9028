"""1:N identification by FP32 and, beside it, the requested precision."""

import time
from dataclasses import dataclass

import numpy as np

from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.metrics.identification.comparison import TpirChange, compare_rank1, compare_tpir
from lfw_eval.metrics.identification.enrolment import Enrolment, most_images
from lfw_eval.metrics.identification.faiss_search import faiss_search, nearest_recall, require_faiss
from lfw_eval.metrics.identification.outcome import evaluate_search
from lfw_eval.metrics.identification.search import search
from lfw_eval.metrics.verification.arrays import IntArray
from lfw_eval.metrics.verification.distance import normalise, require_distinct
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import (
    EmbeddedCrops,
    describe_calibration,
    run_side_by_side,
)
from lfw_eval.results.identification import (
    EnrolledImages,
    EnrolmentDescription,
    IdentificationResult,
    IdentificationRun,
    Index,
    SearchDescription,
)
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE


@dataclass(frozen=True)
class Trial:
    """Who is searched for among whom, and how."""

    enrolment: Enrolment
    index: Index = "exact"
    largest_rank: int = 20

    @property
    def ranks(self) -> int:
        """The last rank of the CMC: there are no more than people."""
        return min(self.largest_rank, len(set(self.enrolment.gallery_people)))

    @property
    def depth(self) -> int:
        """Images in a candidate list: enough for that many people, had all the most images."""
        images = self.enrolment.gallery_people
        return min(self.ranks * most_images(images), len(images))

    def people(self) -> tuple[IntArray, IntArray]:
        """Return a number for the person on each gallery image, and on each probe."""
        gallery, probes = self.enrolment.gallery_people, self.enrolment.probe_people
        numbers = np.unique([*gallery, *probes], return_inverse=True)[1]
        return numbers[: len(gallery)], numbers[len(gallery) :]


def identify(job: Job, trial: Trial, workers: Workers = HERE) -> IdentificationResult:
    """Search the gallery for the probes, by FP32 and the requested precision on the same crops.

    Raises:
        UserError: For any mistake in the job.
    """
    if trial.index == "faiss":
        require_faiss()
    names = (*trial.enrolment.gallery, *trial.enrolment.probes)
    both = run_side_by_side(job, workers, names=names)
    calibration = both.calibration and both.calibration.among(names)
    reference, candidate = both.judge(lambda run: _search(trial, both.store, run))
    rank1_change = None
    tpir_changes: tuple[TpirChange, ...] = ()
    if candidate:
        outcomes = reference.outcome, candidate.outcome
        rank1_change = compare_rank1(*outcomes)
        tpir_changes = tuple(compare_tpir(*outcomes, trial.people()[1]))
    return IdentificationResult(
        data=_describe(job, trial.enrolment, both.store),
        images=EnrolledImages(np.array(trial.enrolment.gallery), np.array(trial.enrolment.probes)),
        model=job.checkpoint.describe(),
        candidate_model=job.candidate.describe() if job.candidate else None,
        reference=reference,
        candidate=candidate,
        calibration=describe_calibration(calibration) if calibration else None,
        rank1_change=rank1_change,
        tpir_changes=tpir_changes,
        cosine=both.cosine(),
    )


def _search(trial: Trial, store: CropStore, run: EmbeddedCrops) -> IdentificationRun:
    unit = normalise(run.embeddings, store.names).astype(np.float32)
    require_distinct(unit)
    gallery, probes = (
        unit[store.rows(names)] for names in (trial.enrolment.gallery, trial.enrolment.probes)
    )
    start = time.perf_counter()
    find = search if trial.index == "exact" else faiss_search
    candidates = find(gallery, probes, trial.depth)
    seconds = time.perf_counter() - start
    recall = None if trial.index == "exact" else nearest_recall(gallery, probes, candidates)
    return IdentificationRun(
        **vars(run.engine_pass),
        search=SearchDescription(trial.index, trial.depth, seconds, recall),
        outcome=evaluate_search(candidates, *trial.people(), largest_rank=trial.ranks),
    )


def _describe(job: Job, enrolment: Enrolment, store: CropStore) -> EnrolmentDescription:
    mated = int(enrolment.mated.sum())
    return EnrolmentDescription(
        name=job.dataset.name,
        title=job.dataset.title,
        caution=job.dataset.caution,
        origin=enrolment.origin,
        gallery=len(enrolment.gallery),
        people=len(set(enrolment.gallery_people)),
        mated=mated,
        nonmated=len(enrolment.probes) - mated,
        enrolment_digest=enrolment.digest(),
        photographs_digest=job.dataset.photographs.digest,
        crops_sha256=store.digest,
        alignment=store.alignment,
        aligned_on=store.aligned_on,
        undetected=int((~store.detected).sum()),
    )
