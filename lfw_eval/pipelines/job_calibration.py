"""Calibration for a job, on images of its data set, and refined where it asks for that."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.sampler import CalibrationList, choose_images
from lfw_eval.datasets.crop_store import CropStore, open_crop_store
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.refinement import refine
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE


def calibrate_if_needed(
    job: Job, workers: Workers = HERE, store: CropStore | None = None
) -> Calibration | None:
    """Calibrate for a job whose engine needs scales, and refine if asked; None for any other.

    Raises:
        UserError: See `calibrate_job` and `refine`.
    """
    if not job.engine.needs_scales(job.judged):
        return None
    calibration = calibrate_job(job, workers, store)
    return refine(job.judged, calibration) if job.refine else calibration


def calibrate_job(job: Job, workers: Workers = HERE, store: CropStore | None = None) -> Calibration:
    """Calibrate the network that a job judges on images of its data set; see `calibrate`.

    Args:
        store: Crops of the job that are open; they are not opened, and hashed, again.

    Raises:
        UserError: For any mistake in the job.
    """
    job.judged.require_float("calibrated")
    images, store = calibration_images(job, workers, store)
    crops = store.crops[store.rows(images.names)]
    calibration = calibrate(
        job.judged, crops, images, job.method, workers, first_batch=job.first_batch
    )
    return replace(calibration, crops=StoredCrops(store.folder, images.names))


def calibration_images(
    job: Job, workers: Workers = HERE, store: CropStore | None = None
) -> tuple[CalibrationList, CropStore]:
    """Return the images that a job calibrates on, and a store with their crops.

    Args:
        store: Crops of the job that are open; taken where it has them all.

    Raises:
        UserError: The user's list is not of images of the data set, or they cannot be aligned.
    """
    dataset = job.dataset
    images = choose_images(dataset.photographs.names, dataset.pairs.names, job.calibration_list)
    if store is None or not set(images.names) <= set(store.names):
        evaluated = set(images.names) <= set(dataset.pairs.names)
        # Crops of the evaluation are not aligned again.
        store = job.crop_store(None if evaluated else images.names, workers)
    return images, store


@dataclass(frozen=True)
class StoredCrops:
    """The crops of some images, read from their store when called."""

    folder: Path
    names: tuple[str, ...]

    def __call__(self) -> NDArray[np.uint8]:
        """Return the crops, uint8 (n, height, width, 3), in the order of the names."""
        store = open_crop_store(self.folder)
        return store.crops[store.rows(self.names)]
