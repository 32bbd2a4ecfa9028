"""One engine's pass over the crops of a job."""

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.metrics.verification.flip import Flip, combine_flip
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.embedding import embed
from lfw_eval.pipelines.job import Job
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.engine import EngineDescription, EnginePass


def pass_over(
    job: Job,
    store: CropStore,
    precision: Precision,
    calibrated: Calibration | None,
    flip: Flip | None = None,
) -> tuple[EnginePass, NDArray[np.floating]]:
    """Embed all crops in a precision; FP32 beside another is kept from an earlier run.

    Args:
        flip: How the embeddings of mirror images are combined with the others; None does without.

    Returns:
        What a result says of it, and the embeddings, (n, d).

    Raises:
        UserError: The engine cannot be built or run.
    """
    reuse = precision == "fp32" and job.precision != "fp32"
    with job.build(precision, calibrated) as engine:
        straight = embed(engine, store, job.batch_size, reuse=reuse)
        values: NDArray[np.floating] = straight.values
        seconds = straight.seconds
        if flip:
            mirrored = embed(engine, store, job.batch_size, flip=True, reuse=reuse)
            values = combine_flip(values, mirrored.values, flip)
            seconds += mirrored.seconds
        made = EnginePass(
            engine=describe_engine(engine, precision),
            batch_size=job.batch_size,
            fps=len(values) / seconds,
            measured=straight.measured,
            from_cache=straight.kept,
        )
    return made, values


def describe_engine(engine: Engine, precision: Precision) -> EngineDescription:
    """Return what a result says of an engine that was built for `precision`."""
    return EngineDescription(
        precision=precision,
        arithmetic=engine.arithmetic,
        runtime=engine.runtime(),
        device=engine.device,
        key=engine.key,
        size=engine.size,
    )


def describe_calibration(calibrated: Calibration) -> CalibrationDescription:
    """Return what a result says of a calibration."""
    return CalibrationDescription(
        images=len(calibrated.images.names),
        evaluated=calibrated.images.evaluated,
        origin=calibrated.images.origin,
        list_sha256=calibrated.images.digest(),
        table_sha256=calibrated.table.digest(),
        method=calibrated.table.method,
        amax=calibrated.table.amax,
    )
