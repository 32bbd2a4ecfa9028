"""Reference and candidate on the same crops: what every accuracy result is made of."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.contract import BuiltEngine, Engine, Precision
from lfw_eval.metrics.verification.comparison import CosineSimilarity, mean_cosine
from lfw_eval.metrics.verification.distance import EmbeddingError
from lfw_eval.metrics.verification.flip import Flip, combine_flip
from lfw_eval.pipelines.batch_independence import require_batch_independence
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.embedding import embed
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.windows import measure_side_by_side
from lfw_eval.results.accuracy import DataDescription
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.engine import EngineDescription, EnginePass
from lfw_eval.results.speed import FpsWindows, PairedSpeed
from lfw_eval.system.ahead import OpenedAhead
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import is_writable
from lfw_eval.system.locks import locked
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE

_Run = TypeVar("_Run")


@dataclass(frozen=True, eq=False)
class EmbeddedCrops:
    """An engine's pass over the crops, and the embeddings (n, d) that it made."""

    engine_pass: EnginePass
    embeddings: NDArray[np.floating]

    def timed(self, fps: FpsWindows) -> "EmbeddedCrops":
        """Return the same with the FPS of windows in place of that of the pass."""
        return replace(self, engine_pass=replace(self.engine_pass, fps=fps.median))


@dataclass(frozen=True, eq=False)
class SideBySide:
    """A job's reference and candidate.

    Attributes:
        networks: Names of the checkpoint, and of the network that the candidate is.
        store: The crops of both.
        calibration: Of the candidate; None where it needs none.
        reference: The checkpoint in FP32, or as it is where it is quantised already.
        candidate: The requested engine or network; None where that is the reference.
        speed: Of the two side by side; None where they were not timed so.
    """

    networks: tuple[str, str]
    store: CropStore
    calibration: Calibration | None
    reference: EmbeddedCrops
    candidate: EmbeddedCrops | None
    speed: PairedSpeed | None = None

    def judge(self, metric: Callable[[EmbeddedCrops], _Run]) -> tuple[_Run, _Run | None]:
        """Return the metric of the reference, and that of the candidate.

        Raises:
            UserError: The embeddings of either have none; the message names the network.
        """
        outcomes: list[_Run] = []
        for network, run in zip(self.networks, (self.reference, self.candidate), strict=True):
            if run is None:
                return outcomes[0], None
            try:
                outcomes.append(metric(run))
            except EmbeddingError as error:
                engine, mend = run.engine_pass.engine, error.hint
                if outcomes and len(set(self.networks)) == 1:
                    mend = "its reference is sound: check the scales, or use another precision"
                where = f"{network} in {engine.arithmetic} on {engine.runtime}"
                raise UserError(f"{where}: {error.problem}", mend) from error
        return outcomes[0], outcomes[1]

    def cosine(self) -> CosineSimilarity | None:
        """Return how near the candidate's embeddings are to the reference's.

        None where there is no candidate, or its embeddings are of another length.
        """
        if self.candidate is None:
            return None
        before, now = self.reference.embeddings, self.candidate.embeddings
        return mean_cosine(before, now) if before.shape == now.shape else None


def preflight(job: Job, workers: Workers) -> None:
    """Refuse an engine that the workers cannot build, before anything long begins.

    Raises:
        UserError: There is no such runtime, precision, server or model, or the workers are
            unavailable.
    """
    job.check_candidate()
    for choice, checkpoint in ((job.reference, job.checkpoint), (job.engine, job.judged)):
        workers.call(choice.preflight, checkpoint, gpus=choice.options.gpus)


def run_side_by_side(
    job: Job,
    workers: Workers = HERE,
    *,
    names: Sequence[str] | None = None,
    flip: Flip | None = None,
    calibration: Calibration | None = None,
    speed_seconds: float = 0,
) -> SideBySide:
    """Run a job's engine, and the reference beside it, on the same crops.

    The reference beside a candidate is read back from an earlier run where there was one; the
    requested engine always runs.

    Args:
        names: Of the images; None takes those of the pairs.
        flip: How the embeddings of mirror images are combined with the others; None does without.
        calibration: One that was made before; None calibrates where the engine needs it.
        speed_seconds: How long to time the two engines side by side afterwards; 0 does not. Engines
            of a server or of workers elsewhere are not timed: the ratio to an engine here would be
            that of two machines.

    Raises:
        UserError: For any mistake in the job.
    """
    preflight(job, workers)
    networks = job.checkpoint.name, job.judged.name
    reference = job.reference.spec(job.checkpoint)
    alone = reference.choice == job.engine and job.candidate is None
    has_scales = calibration is not None or not job.engine.needs_scales(job.judged)
    with ExitStack() as stack:
        ahead = _ahead(reference, workers, stack)
        ahead_too = None
        if not alone and has_scales:
            ahead_too = _ahead(job.engine.spec(job.judged, calibration), workers, stack)
        store = job.crop_store(names, workers)
        if not alone:
            calibration = calibration or calibrate_if_needed(job, workers, store)
        if ahead_too:
            ahead_too.wait()  # it would slow the reference's pass, which is timed
        first = run_engine(
            networks[0], reference, store, workers, flip, reuse=not alone, ahead=ahead
        )
        if alone:
            return SideBySide(networks, store, None, first, None)
        requested = job.engine.spec(job.judged, calibration)
        second = run_engine(networks[1], requested, store, workers, flip, ahead=ahead_too)
    both = SideBySide(networks, store, calibration, first, second)
    if not speed_seconds or workers is not HERE or job.engine.options.served:
        return both
    return _timed(both, reference, requested, speed_seconds)


def _ahead(spec: EngineSpec, workers: Workers, stack: ExitStack) -> OpenedAhead[Engine] | None:
    """Begin to open an engine, to be closed with the stack; None where it has to wait its turn."""
    if workers is HERE and spec.loads_beside_others():
        return stack.enter_context(OpenedAhead(spec.local))
    return None


def _timed(
    both: SideBySide, reference: EngineSpec, candidate: EngineSpec, seconds: float
) -> SideBySide:
    """Return the same with the speed of the two engines side by side, where it can be measured."""
    assert both.candidate
    try:
        speed = measure_side_by_side(reference, candidate, both.store.crops, seconds)
    except UserError as error:
        # The accuracy is worth having without it.
        print(f"speed is not measured: {error}", file=sys.stderr)
        return both
    return replace(
        both,
        reference=both.reference.timed(speed.reference),
        candidate=both.candidate.timed(speed.candidate),
        speed=speed,
    )


def run_engine(
    network: str,
    spec: EngineSpec,
    store: CropStore,
    workers: Workers,
    flip: Flip | None = None,
    *,
    reuse: bool = False,
    ahead: OpenedAhead[Engine] | None = None,
) -> EmbeddedCrops:
    """Embed all crops by an engine.

    Args:
        network: Its name, for messages.
        reuse: Take embeddings, and the time they took, of an earlier run.
        ahead: Opens the engine already.

    Raises:
        UserError: The engine cannot be built or run, or depends on how images are batched.
    """
    batch_size = spec.choice.batch_size
    with (
        ahead.take() if ahead else workers.open(spec) as engine,
        _embedding_alone(store, engine.key),
    ):
        straight = embed(engine, store, batch_size, reuse=reuse)
        values: NDArray[np.floating] = straight.values
        seconds = straight.seconds
        if isinstance(engine, Engine) and not spec.choice.options.served:
            dynamic = spec.request.quantization == "dynamic"
            require_batch_independence(engine, store.crops, values, network, dynamic=dynamic)
        if flip:
            mirrored = embed(engine, store, batch_size, flip=True, reuse=reuse)
            values = combine_flip(values, mirrored.values, flip)
            seconds += mirrored.seconds
        engine_pass = EnginePass(
            engine=describe_engine(engine, spec.choice.precision),
            batch_size=batch_size,
            fps=len(values) / seconds,
            measured=straight.measured,
            from_cache=straight.from_cache,
        )
    return EmbeddedCrops(engine_pass, values)


def _embedding_alone(store: CropStore, key: str) -> AbstractContextManager[None]:
    """Return what keeps other processes from writing the same embeddings, if any are written."""
    if not is_writable(store.folder):
        return nullcontext()
    return locked(store.folder / f"{key}.lock", "embedding these crops")


def describe_data(
    dataset: Dataset, store: CropStore, *, pairs: int, folds: int, pairs_digest: str
) -> DataDescription:
    """Return what a result says of the data."""
    return DataDescription(
        name=dataset.name,
        title=dataset.title,
        caution=dataset.caution,
        images=len(store.names),
        pairs=pairs,
        folds=folds,
        photographs_digest=dataset.photographs.digest,
        pairs_digest=pairs_digest,
        crops_sha256=store.digest,
        alignment=store.alignment,
        aligned_on=store.aligned_on,
        undetected=int((~store.detected).sum()),
    )


def describe_engine(engine: BuiltEngine, precision: Precision) -> EngineDescription:
    """Return what a result says of an engine that was built for `precision`."""
    return EngineDescription(
        precision=precision,
        arithmetic=engine.arithmetic,
        runtime=engine.runtime(),
        device=engine.device,
        key=engine.key,
        size=engine.size,
        executed=engine.executed,
        adaptation=engine.adaptation,
        calibration_cache=engine.calibration_cache,
        refinement=engine.refinement,
    )


def describe_calibration(calibration: Calibration) -> CalibrationDescription:
    """Return what a result says of a calibration."""
    return CalibrationDescription(
        images=len(calibration.images.names),
        evaluated=calibration.images.evaluated,
        people=calibration.images.people,
        evaluated_people=calibration.images.evaluated_people,
        origin=calibration.images.origin,
        list_sha256=calibration.images.digest(),
        table_sha256=calibration.table.digest(),
        method=calibration.table.method,
        first_batch=calibration.table.first_batch,
        amax=calibration.table.amax,
        refinement=calibration.refinement,
    )
